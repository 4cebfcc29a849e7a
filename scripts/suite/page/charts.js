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

  // ---- the pool's size

  const UNITS = [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"], [1, "bytes"]];
  const unit = (bytes) => UNITS.find(([least]) => bytes >= least) || UNITS[3];
  const human = (bytes) => { const [one, name] = unit(bytes); return `${one === 1 ? Math.round(bytes) : short(bytes / one)} ${name}`; };
  const tint = (name, percent) => `color-mix(in srgb, ${colour(name)} ${percent}%, ${colour("--ground")})`;
  const keys = () => ({ position: "bottom", labels: { color: colour("--soft"), boxWidth: 12, boxHeight: 12, padding: 8 } });

  // Where values differ much their ratios count: 1, 1.5, 2, 3, 4, 6, ...
  function ratios(text, values) {
    const low = Math.min(...values), high = Math.max(...values), halves = [];
    const write = (value) => String(Number(value.toPrecision(3)));
    if (high < 2 * low) {
      const room = 0.1 * (high - low || low), ticks = { color: colour("--soft"), maxTicksLimit: 7, includeBounds: false, callback: write };
      return axis(text, { type: "linear", min: low - room, max: high + room, ticks });
    }
    for (let power = Math.floor(Math.log2(low)); 2 ** power <= high * 1.1; power++) {
      halves.push(2 ** power);
      if (high < 20 * low) halves.push(1.5 * 2 ** power);
    }
    return axis(text, {
      type: "logarithmic", min: low / (high / low) ** 0.04, max: high * (high / low) ** 0.08,
      ticks: { color: colour("--soft"), maxRotation: 0, callback: write },
      afterBuildTicks: (scale) => { scale.ticks = halves.filter((value) => value >= scale.min && value <= scale.max).map((value) => ({ value })); },
    });
  }

  // Beside each point its name, where it hides neither a point nor another name; those that come first in `order` have the choice.
  const names = (order) => ({
    id: "names",
    afterDatasetsDraw(chart) {
      const { ctx, chartArea: area } = chart, points = chart.getDatasetMeta(0).data;
      const taken = points.map(({ x, y }) => ({ left: x - 5, right: x + 5, top: y - 5, bottom: y + 5 }));
      ctx.save();
      ctx.fillStyle = colour("--ink");
      ctx.textBaseline = "middle";
      order.forEach((at, rank) => {
        const { x, y } = points[at], text = data.pool.sizes[at];
        ctx.font = `${rank === 0 ? "bold " : ""}11px ${mono.family}`;
        const width = ctx.measureText(text).width;
        const box = [[8, -9], [-8 - width, -9], [8, 9], [-8 - width, 9], [-width / 2, -16], [-width / 2, 16]]
          .map(([right, down]) => ({ left: x + right, right: x + right + width, top: y + down - 6, bottom: y + down + 6 }))
          .find((one) => one.left >= area.left && one.right <= area.right && one.top >= area.top && one.bottom <= area.bottom
            && !taken.some((other) => one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom));
        if (!box) return;
        taken.push(box);
        ctx.fillText(text, box.left, (box.top + box.bottom) / 2);
      });
      ctx.restore();
    },
  });

  const whiskers = (rows) => ({
    id: "whiskers",
    beforeDatasetsDraw(chart) {
      const { ctx, scales: { y } } = chart;
      ctx.save();
      ctx.strokeStyle = colour("--soft");
      chart.getDatasetMeta(0).data.forEach(({ x }, at) => {
        const [, low, high] = rows[at].time;
        if (low === null) return;
        const ends = [y.getPixelForValue(low), y.getPixelForValue(high)];
        ctx.beginPath();
        ctx.moveTo(x, ends[0]), ctx.lineTo(x, ends[1]);
        for (const end of ends) ctx.moveTo(x - 4, end), ctx.lineTo(x + 4, end);
        ctx.stroke();
      });
      ctx.restore();
    },
  });

  function front({ rows, chosen }) {
    const point = (row) => ({ x: row.held, y: row.time[0] });
    const places = rows.map((_, at) => at), best = places.filter((at) => rows[at].front);
    const line = rows.map((row, at) => colour(at === chosen ? "--bar-slow" : row.front ? "--bar" : "--soft"));
    const fill = line.map((each, at) => (rows[at].time[1] === null ? colour("--ground") : each)); // hollow where there is no interval
    const said = ({ time: [ratio, low, high], ns, held, peak, rounds }) => [
      `time ${short(ratio)} × that of the choice, ${ns} ns`,
      low === null ? `${rounds} round${rounds > 1 ? "s" : ""}: no interval` : `95 %: ${low.toFixed(3)} to ${high.toFixed(3)}`,
      `${held.toFixed(2)} bytes held per live one`, `at most ${human(peak)} held`];
    return new Chart(canvas("pool-front"), {
      type: "line",
      data: { datasets: [
        { label: "sizes", data: rows.map(point), showLine: false, pointRadius: places.map((at) => (at === chosen ? 7 : rows[at].front ? 4.5 : 3)),
          pointHoverRadius: 8, pointStyle: places.map((at) => (at === chosen ? "rectRot" : "circle")), pointBackgroundColor: fill, pointBorderColor: line },
        { label: "front", data: best.map((at) => point(rows[at])).sort((one, other) => one.x - other.x), borderColor: colour("--bar"), borderWidth: 1.5,
          pointRadius: 0, pointHoverRadius: 0 },
      ] },
      options: {
        ...plain, parsing: false, interaction: { mode: "nearest", intersect: false },
        scales: {
          x: ratios("bytes held per live one, at the peak", rows.map((row) => row.held)),
          y: ratios("time, times that of the choice", rows.flatMap((row) => row.time).filter((value) => value !== null)),
        },
        plugins: { legend: { display: false }, tooltip: { displayColors: false, filter: (item) => item.datasetIndex === 0,
          callbacks: { title: ([item]) => (item ? data.pool.sizes[item.dataIndex] : ""), label: (item) => said(rows[item.dataIndex]) } } },
      },
      plugins: [whiskers(rows), names([...new Set([chosen, ...best, ...places])])],
    });
  }

  // How many slices there are of each size: each bar from one power of two to the next.
  function slices({ octaves }) {
    return new Chart(canvas("pool-slices"), {
      type: "bar",
      data: {
        labels: octaves.map((one) => one.from),
        datasets: [{ data: octaves.map((one) => one.share), backgroundColor: colour("--bar"), barPercentage: 1, categoryPercentage: 0.94 }],
      },
      options: {
        ...plain, interaction: { mode: "index", intersect: false },
        scales: {
          x: axis("size of a slice, from", { ticks: { color: colour("--soft"), autoSkipPadding: 6 }, grid: { display: false } }),
          y: axis("% of the slices", { beginAtZero: true }),
        },
        plugins: { legend: { display: false }, tooltip: { displayColors: false, callbacks: {
          title: ([item]) => octaves[item.dataIndex].text,
          label: (item) => `${octaves[item.dataIndex].count.toLocaleString("en")} slices, ${short(octaves[item.dataIndex].share)} %` } } },
      },
    });
  }

  // What the bytes are that were held and not live, where most was held; causes that are kin have one hue.
  function waste({ rows, chosen }) {
    const hues = [["--bar-slow", 100], ["--bar-slow", 45], ["--bar", 100], ["--second", 100], ["--second", 45], ["--good", 100], ["--good", 45],
      ["--soft", 60], ["--ink", 80]];
    const sets = data.pool.causes.map((label, cause) => ({
      label, backgroundColor: tint(...hues[cause]),
      data: rows.map((row) => (100 * row.waste[cause]) / row.peak), bytes: rows.map((row) => row.waste[cause]),
    })).filter((set) => set.bytes.some((bytes) => bytes > 0));
    const said = ({ live, peak: most }, at) => `${data.pool.sizes[at]}: ${human(live)} live of ${human(most)}`;
    return new Chart(canvas("pool-waste"), {
      type: "bar",
      data: { labels: data.pool.sizes.map((size, at) => (at === chosen ? `◆ ${size}` : size)), datasets: sets },
      options: {
        ...plain, indexAxis: "y", interaction: { mode: "index", axis: "y", intersect: false }, barPercentage: 1, categoryPercentage: 0.84,
        scales: {
          x: axis("% of what was held", { stacked: true, min: 0 }),
          y: {
            stacked: true, grid: { display: false },
            ticks: { autoSkip: false, color: colour("--ink"), font: ({ index }) => ({ size: 11, weight: index === chosen ? "bold" : "normal" }) },
          },
        },
        plugins: { legend: keys(), tooltip: { filter: (item) => item.raw > 0, callbacks: {
          title: ([item]) => (item ? said(rows[item.dataIndex], item.dataIndex) : ""),
          label: (item) => `${item.dataset.label} ${human(item.dataset.bytes[item.dataIndex])}, ${item.raw.toFixed(1)} %` } } },
      },
    });
  }

  // The first moment at which most was held.
  const peak = (at, text) => ({
    id: "peak",
    afterDatasetsDraw(chart) {
      const { ctx, chartArea: area } = chart, { x, y } = chart.getDatasetMeta(0).data[at];
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = colour("--ink");
      ctx.setLineDash([4, 4]);
      ctx.beginPath();
      ctx.moveTo(x, area.bottom), ctx.lineTo(x, y);
      ctx.stroke();
      ctx.beginPath();
      ctx.arc(x, y, 4, 0, 2 * Math.PI);
      ctx.fill();
      ctx.font = `bold 11px ${mono.family}`;
      ctx.textBaseline = "bottom";
      ctx.textAlign = x > (area.left + area.right) / 2 ? "right" : "left";
      ctx.fillText(text, x + (ctx.textAlign === "left" ? 3 : -3), y - 5);
      ctx.restore();
    },
  });

  function held({ rows, over }, size) {
    const { series, peak: most } = rows[size], [one, name] = unit(most);
    const line = (value) => series.map((moment) => ({ x: moment[0] * over.scale, y: (value(moment) * most) / 1000 / one }));
    const highest = Math.max(...series.map((moment) => moment[1]));
    const bare = { borderWidth: 0, pointRadius: 0, pointHoverRadius: 0 };
    return new Chart(canvas("pool-time"), {
      type: "line",
      data: { datasets: [
        { label: "held", data: line((moment) => moment[1]), borderColor: colour("--ink"), backgroundColor: colour("--ink"), borderWidth: 1.5,
          pointRadius: 0, pointHoverRadius: 4 },
        { label: "pinned", data: line((moment) => moment[2] + moment[3]), backgroundColor: tint("--bar-slow", 60), fill: 2, ...bare },
        { label: "live", data: line((moment) => moment[2]), backgroundColor: tint("--bar", 45), fill: "origin", ...bare },
      ] },
      options: {
        ...plain, parsing: false, interaction: { mode: "index", intersect: false },
        scales: {
          x: axis(over.title, { type: "linear", min: 0, max: over.scale * 1000, ticks: { color: colour("--soft"), maxRotation: 0, includeBounds: false } }),
          y: axis(name, { min: 0, grace: "12%" }),
        },
        plugins: { legend: keys(), tooltip: { callbacks: {
          title: ([item]) => `${short(item.raw.x)} ${over.title}`,
          label: (item) => `${item.dataset.label} ${human((series[item.dataIndex][[1, 3, 2][item.datasetIndex]] * most) / 1000)}` } } },
      },
      plugins: [peak(series.findIndex((moment) => moment[1] === highest), `peak ${human(most)}`)],
    });
  }

  // What a chart's tooltip says, as one line.
  const tip = ({ tooltip }) => [...tooltip.title, ...tooltip.body.flatMap((one) => one.lines)].join(" · ");

  return { speed, trend, planted, front, slices, waste, held, title, label, tip };
})();
