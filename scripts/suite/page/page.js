// Draws the charts from the page's own data; redraws them when the system turns light or dark.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const short = (value) => (value >= 10 ? value.toFixed(0) : value >= 2 ? value.toFixed(1) : value.toFixed(2));
  const canvas = (id) => document.querySelector(`#${id} canvas`);
  let charts = [];

  // The span of all sizes of a work, as a thin line across its bar.
  const spans = {
    id: "spans",
    afterDatasetsDraw(chart) {
      const { ctx, scales: { x } } = chart;
      ctx.save();
      ctx.strokeStyle = colour("--ink");
      ctx.lineWidth = 1.5;
      chart.getDatasetMeta(0).data.forEach((bar, at) => {
        const left = x.getPixelForValue(data.speed[at].lowest), right = x.getPixelForValue(data.speed[at].highest);
        ctx.beginPath();
        ctx.moveTo(left, bar.y), ctx.lineTo(right, bar.y);
        for (const end of [left, right]) ctx.moveTo(end, bar.y - 5), ctx.lineTo(end, bar.y + 5);
        ctx.stroke();
      });
      ctx.restore();
    },
  };

  const axis = (title, more = {}) => ({
    title: { display: true, text: title, color: colour("--soft") }, ticks: { color: colour("--soft") },
    grid: { color: colour("--line") }, ...more,
  });

  function speed() {
    const works = data.speed;
    const low = Math.min(0.8, ...works.map((work) => work.lowest)), high = Math.max(1.25, ...works.map((work) => work.highest));
    const first = Math.floor(Math.log2(low)), last = Math.ceil(Math.log2(high));
    const every = Math.ceil(((last - first) * 75) / canvas("speed-chart").parentElement.clientWidth); // so that labels have room
    const ticks = [];
    for (let power = first; power <= last; power++) if (power % every === 0) ticks.push({ value: 2 ** power });
    return new Chart(canvas("speed-chart"), {
      type: "bar",
      data: {
        labels: works.map((work) => work.name),
        datasets: [{
          data: works.map((work) => work.ratio), base: 1, barThickness: 16,
          backgroundColor: works.map((work) => colour(work.ratio >= 1 ? "--bar" : "--bar-slow")),
        }],
      },
      options: {
        indexAxis: "y", maintainAspectRatio: false, animation: false,
        scales: {
          x: axis("times as fast as malloc", {
            type: "logarithmic", min: 2 ** first, max: 2 ** last,
            afterBuildTicks: (scale) => { scale.ticks = ticks; },
            ticks: { color: colour("--soft"), maxRotation: 0, autoSkip: false, callback: (value) => `${value < 1 ? `1/${1 / value}` : value} ×` },
            grid: { color: (line) => colour(line.tick && line.tick.value === 1 ? "--ink" : "--line") },
          }),
          y: { ticks: { color: colour("--ink"), font: { family: "ui-monospace, monospace" } }, grid: { display: false } },
        },
        plugins: {
          legend: { display: false },
          tooltip: { callbacks: { label: (item) => {
            const work = works[item.dataIndex];
            return `${short(work.ratio)} × on average; all sizes: ${short(work.lowest)} to ${short(work.highest)}`;
          } } },
        },
      },
      plugins: [spans],
    });
  }

  function pool(id, key, title) {
    const labels = [...new Map(data.pool.flatMap((one) => one.rows).map((row) => [row.bytes, row.label])).entries()]
      .sort((one, other) => one[0] - other[0]);
    const colours = ["--bar", "--bar-slow", "--second", "--good"].map(colour);
    return new Chart(canvas(id), {
      type: "line",
      data: {
        labels: labels.map(([, label]) => label),
        datasets: data.pool.map((one, at) => {
          const best = (point) => one.best.bytes === labels[point][0];
          return {
            label: one.traffic || "iobuf",
            data: labels.map(([bytes]) => { const row = one.rows.find((each) => each.bytes === bytes); return row ? row[key] : null; }),
            borderColor: colours[at % 4], backgroundColor: colours[at % 4], tension: 0.2,
            pointRadius: labels.map((_, point) => (best(point) ? 7 : 3)), pointStyle: labels.map((_, point) => (best(point) ? "rectRot" : "circle")),
          };
        }).concat(data.malloc && data.malloc[key] ? [{
          label: "malloc, the same work", data: labels.map(() => data.malloc[key]), borderColor: colour("--soft"), borderDash: [6, 4],
          borderWidth: 1.5, pointRadius: 0,
        }] : []),
      },
      options: {
        maintainAspectRatio: false, animation: false, interaction: { mode: "index", intersect: false },
        scales: { x: axis("block size of the pool"), y: axis(title, { beginAtZero: true }) },
        plugins: { legend: { labels: { color: colour("--soft"), usePointStyle: true, pointStyle: "line" } } },
      },
    });
  }

  function draw() {
    for (const chart of charts) chart.destroy();
    charts = [];
    if (data.speed.length) charts.push(speed());
    if (data.pool.length) charts.push(pool("pool-time", "ns", "ns per buffer"), pool("pool-held", "held", "bytes held per live byte"));
    document.documentElement.dataset.charts = charts.length;
  }

  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  addEventListener("beforeprint", () => charts.forEach((chart) => chart.resize()));
})();
