// The charts, each a function that draws one on its canvas from the page's data and returns it.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const canvas = (id) => document.querySelector(`#${id} canvas`);
const charts = (() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const short = (value) => (value >= 10 ? value.toFixed(0) : value >= 2 ? value.toFixed(1) : value.toFixed(2));
  const mono = { family: "ui-monospace, monospace" };
  const axis = (title, more = {}) => ({
    title: { display: true, text: title, color: colour("--soft") }, ticks: { color: colour("--soft") },
    grid: { color: colour("--line") }, ...more,
  });
  const plain = { maintainAspectRatio: false, animation: false };

  // The span of all sizes of a work, as a thin line across its bar.
  const spans = (works) => ({
    id: "spans",
    afterDatasetsDraw(chart) {
      const { ctx, scales: { x } } = chart;
      ctx.save();
      ctx.strokeStyle = colour("--ink");
      ctx.lineWidth = 1.5;
      chart.getDatasetMeta(0).data.forEach((bar, at) => {
        const left = x.getPixelForValue(works[at].lowest), right = x.getPixelForValue(works[at].highest);
        ctx.beginPath();
        ctx.moveTo(left, bar.y), ctx.lineTo(right, bar.y);
        for (const end of [left, right]) ctx.moveTo(end, bar.y - 5), ctx.lineTo(end, bar.y + 5);
        ctx.stroke();
      });
      ctx.restore();
    },
  });

  function speed(chosen) {
    const { peer, works } = data.speed[chosen];
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
          data: works.map((work) => work.ratio), base: 1, barThickness: 13,
          backgroundColor: works.map((work) => colour(work.ratio >= 1 ? "--bar" : "--bar-slow")),
        }],
      },
      options: {
        ...plain, indexAxis: "y",
        scales: {
          x: axis(`times as fast as ${peer}`, {
            type: "logarithmic", min: 2 ** first, max: 2 ** last,
            afterBuildTicks: (scale) => { scale.ticks = ticks; },
            ticks: { color: colour("--soft"), maxRotation: 0, autoSkip: false, callback: (value) => `${value < 1 ? `1/${1 / value}` : value} ×` },
            grid: { color: (line) => colour(line.tick && line.tick.value === 1 ? "--ink" : "--line") },
          }),
          y: { ticks: { color: colour("--ink"), font: mono, autoSkip: false }, grid: { display: false } },
        },
        plugins: {
          legend: { display: false },
          tooltip: { callbacks: { label: (item) => {
            const work = works[item.dataIndex];
            return `${short(work.ratio)} × on average; all sizes: ${short(work.lowest)} to ${short(work.highest)}`;
          } } },
        },
      },
      plugins: [spans(works)],
    });
  }

  // The place of each step: a thin upright line.
  const uprights = (steps) => ({
    id: "uprights",
    beforeDatasetsDraw(chart) {
      const { ctx, chartArea, scales: { x } } = chart;
      ctx.save();
      for (const step of steps) {
        const at = x.getPixelForValue(step.x - 0.5);
        ctx.strokeStyle = colour(step.change > 0 ? "--bad" : "--good");
        ctx.beginPath();
        ctx.moveTo(at, chartArea.top), ctx.lineTo(at, chartArea.bottom);
        ctx.stroke();
      }
      ctx.restore();
    },
  });

  // The mean between two steps, as one line with gaps.
  function means(series) {
    const { steps, x } = series, points = [];
    steps.forEach((step, at) => {
      if (at === 0) points.push({ x: x[0], y: step.before }, { x: step.x - 0.5, y: step.before });
      const end = at + 1 < steps.length ? steps[at + 1].x - 0.5 : x[x.length - 1];
      points.push({ x: step.x - 0.5, y: NaN }, { x: step.x - 0.5, y: step.after }, { x: end, y: step.after });
    });
    return points;
  }

  function trend(series) {
    const { x, y, low, high, steps } = series, bar = colour("--bar");
    const line = (values) => x.map((place, at) => ({ x: place, y: values[at] })).filter((point) => point.y !== null);
    const own = { borderColor: bar, backgroundColor: bar, borderWidth: 1.5, pointRadius: x.length > 150 ? 0 : 2.5, pointHoverRadius: 5 };
    const edge = { borderWidth: 0, pointRadius: 0, pointHoverRadius: 0, backgroundColor: `color-mix(in srgb, ${bar} 18%, transparent)` };
    const datasets = [{ label: "value", data: line(y), ...own },
      { label: "mean", data: means(series), borderColor: colour("--ink"), borderWidth: 1.2, borderDash: [5, 4], pointRadius: 0, pointHoverRadius: 0 }];
    if (low) datasets.push({ label: "low", data: line(low), ...edge, fill: false }, { label: "high", data: line(high), ...edge, fill: "-1" });
    return new Chart(canvas("trend-chart"), {
      type: "line",
      data: { datasets },
      options: {
        ...plain, parsing: false, normalized: true, interaction: { mode: "nearest", axis: "x", intersect: false },
        scales: {
          x: axis("commit", {
            type: "linear", min: x[0], max: Math.max(x[x.length - 1], x[0] + 1),
            ticks: { color: colour("--soft"), maxRotation: 0, autoSkipPadding: 16, precision: 0, font: mono, callback: (value) => (data.trend.commits[value] || {}).short || "" },
          }),
          y: axis(data.trend.measures[series.measure], { grace: "8%" }),
        },
        plugins: {
          legend: { display: false },
          decimation: { enabled: true, algorithm: "min-max", threshold: 1000 },
          tooltip: {
            displayColors: false, filter: (item) => item.datasetIndex === 0,
            callbacks: { title: (items) => (items.length ? title(items[0].raw.x) : ""), label: (item) => label(series, item.raw.x).flatMap(wrapped) },
          },
        },
      },
      plugins: [uprights(steps)],
    });
  }

  const title = (place) => { const commit = data.trend.commits[place]; return `${commit.short}, ${commit.date}`; };

  const wrapped = (text) => text.match(/.{1,36}(\s|$)|.{36}/g); // to what a phone has room for

  // What is said of one commit: a line each.
  function label(series, place) {
    const at = series.x.indexOf(place), step = series.steps.find((one) => one.x === place), said = [];
    const number = (value) => Number(value.toPrecision(4)).toString();
    said.push(number(series.y[at]) + (series.low && series.low[at] !== null ? ` (${number(series.low[at])} to ${number(series.high[at])})` : ""));
    if (step) said.push(`a step of ${step.text}: ${step.from} to ${step.to}`);
    return said.concat(data.trend.commits[place].subject || []);
  }

  function planted() {
    const colours = ["--bar", "--bar-slow"].map(colour);
    const latest = Math.max(...data.planted.flatMap((one) => one.seconds));
    return new Chart(canvas("planted-chart"), {
      type: "line",
      data: {
        datasets: data.planted.map((one, at) => ({
          label: one.engine, borderColor: colours[at], backgroundColor: colours[at], stepped: true, pointRadius: 0, borderWidth: 2,
          data: one.seconds.map((second, found) => ({ x: Math.max(second, 0.01), y: (100 * (found + 1)) / one.tried }))
            .concat([{ x: latest, y: (100 * one.seconds.length) / one.tried }]),
        })),
      },
      options: {
        ...plain, parsing: false, interaction: { mode: "nearest", axis: "x", intersect: false },
        scales: { x: axis("seconds", { type: "logarithmic", ticks: { color: colour("--soft"), maxRotation: 0, callback: (value) => (/^[125]/.test(value.toExponential()) ? String(value) : "") } }), y: axis("% of the curated bugs found", { min: 0, max: 100 }) },
        plugins: { legend: { labels: { color: colour("--soft"), usePointStyle: true, pointStyle: "line" } },
          tooltip: { callbacks: { title: () => "", label: (item) => `${item.dataset.label}: ${item.raw.y.toFixed(0)} % after ${short(item.raw.x)} s` } } },
      },
    });
  }

  function pool(id, key, what) {
    const labels = [...new Map(data.pool.flatMap((one) => one.rows).map((row) => [row.bytes, row.label])).entries()]
      .sort((one, other) => one[0] - other[0]);
    const colours = ["--bar", "--bar-slow", "--second", "--good"].map(colour);
    return new Chart(canvas(id), {
      type: "line",
      data: {
        labels: labels.map(([, text]) => text),
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
        ...plain, interaction: { mode: "index", intersect: false },
        scales: { x: axis("block size of the pool"), y: axis(what, { beginAtZero: true }) },
        plugins: { legend: { labels: { color: colour("--soft"), usePointStyle: true, pointStyle: "line" } } },
      },
    });
  }

  return { speed, trend, planted, pool, title, label };
})();
