// Draws a chart when it comes into view, one at a time; filters; and draws anew what is there when the system turns light or dark.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const ROWS = 40; // of the list of cases, until more are asked for
  let chosen = null, all = false;

  // ---- drawing

  const drawers = {
    "speed-chart": () => charts.speed(byId("against").value),
    "trend-chart": () => chosen && charts.trend(chosen),
    "planted-chart": charts.planted,
    "pool-front": () => charts.front(traced()),
    "pool-slices": () => charts.slices(traced()),
    "pool-waste": () => charts.waste(traced()),
    "pool-time": () => charts.held(traced(), Number(value("pool-size"))),
  };
  const places = Object.keys(drawers).map(byId).filter(Boolean);
  const drawn = new Map(), waiting = new Set();

  function draw(id) {
    if (drawn.has(id)) drawn.get(id).destroy();
    drawn.delete(id);
    const chart = drawers[id]();
    if (chart) drawn.set(id, chart);
    document.documentElement.dataset.charts = drawn.size;
  }

  function next() {
    const [id] = waiting;
    waiting.delete(id);
    draw(id);
    if (waiting.size) requestAnimationFrame(next);
  }

  function ask(id) {
    if (waiting.has(id)) return;
    waiting.add(id);
    if (waiting.size === 1) requestAnimationFrame(next);
  }

  document.documentElement.dataset.charts = 0;
  const view = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) view.unobserve(target), ask(target.id);
    }
  }, { rootMargin: "100px" });
  const again = () => [...drawn.keys()].forEach(ask);

  // ---- filters

  const value = (id) => (byId(id) ? byId(id).value : "");
  const words = () => value("case").toLowerCase().split(/[\s,]+/).filter(Boolean);
  const has = (text, wanted) => wanted.every((word) => text.toLowerCase().includes(word));
  const fits = (one) => (!value("measure") || one.measure === value("measure")) && (!value("machine") || one.machine === value("machine"));
  const listed = () => (data.trend ? data.trend.series.filter((one) => fits(one) && has(one.case, words())) : []);

  // A table or an item that has nothing left is hidden with its heading, so that no empty shell stands there.
  function hide() {
    const wanted = words();
    for (const one of document.querySelectorAll("[data-case]")) {
      one.hidden = !has(one.dataset.case, wanted) || (one.dataset.measure !== undefined && !fits(one.dataset));
    }
    for (const one of document.querySelectorAll(".works article, #steps-table tbody tr")) one.hidden = !one.querySelector("[data-case]:not([hidden])");
    const found = listed(), narrowed = wanted.length || value("measure") || value("machine");
    list(found);
    byId("matches").textContent = data.trend && narrowed ? `${found.length} of ${data.trend.series.length} trends` : "";
    if (data.trend && !found.includes(chosen)) choose(best(found));
  }

  // ---- the cases' trends

  const newest = (one) => (one.steps.length ? one.steps[one.steps.length - 1] : null);
  const best = (found) => found.reduce((most, one) => (!most || (newest(one) ? newest(one).x : -1) > (newest(most) ? newest(most).x : -1) ? one : most), null);

  function cell(name, text, kind = "") {
    const made = document.createElement(name);
    made.textContent = text;
    made.className = kind;
    return made;
  }

  function row(one) {
    const made = document.createElement("tr"), head = document.createElement("th"), button = cell("button", one.case), step = newest(one);
    button.replaceChildren(...one.case.split(/(?<=\/)/).flatMap((part) => [part, document.createElement("wbr")]));
    button.type = "button";
    button.addEventListener("click", () => choose(one));
    head.scope = "row";
    head.append(button);
    made.append(head, cell("td", one.measure === "relative" ? "time" : one.measure, "no"), cell("td", one.now, "n"),
      cell("td", step ? step.text : "none", step ? (step.change > 0 ? "n slower" : "n faster") : "n no"));
    if (one === chosen) made.setAttribute("aria-current", "true");
    made.one = one;
    return made;
  }

  function list(found) {
    const table = byId("trend-table");
    if (!table) return;
    table.tBodies[0].replaceChildren(...(all ? found : found.slice(0, ROWS)).map(row));
    byId("more").hidden = all || found.length <= ROWS;
    byId("more").textContent = `Show all ${found.length}`;
  }

  function choose(one) {
    chosen = one;
    for (const each of byId("trend-table").tBodies[0].rows) {
      if (each.one === one) each.setAttribute("aria-current", "true");
      else each.removeAttribute("aria-current");
    }
    const machine = one && data.trend.machines.find((each) => each.key === one.machine);
    byId("trend-title").textContent = one ? `${one.case}, ${data.trend.measures[one.measure]}${data.trend.machines.length > 1 ? `; ${machine.name}` : ""}` : "No case fits the filter.";
    byId("trend-point").textContent = "";
    if (drawn.has("trend-chart")) ask("trend-chart");
  }

  // ---- from point to point by the arrow keys, where decimation has left one

  function walk(id, note, said) {
    let at = null;
    canvas(id).addEventListener("keydown", (event) => {
      const chart = drawn.get(id), way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!chart || !way) return;
      event.preventDefault();
      const points = chart.getDatasetMeta(0).data, last = points.length - 1;
      at = at === null || at > last ? last : Math.min(last, Math.max(0, at + way));
      const all = chart.options.interaction.mode === "index" ? chart.data.datasets.map((_, datasetIndex) => datasetIndex) : [0];
      const where = all.map((datasetIndex) => ({ datasetIndex, index: at }));
      chart.setActiveElements(where);
      chart.tooltip.setActiveElements(where, points[at].getProps(["x", "y"]));
      chart.update("none");
      byId(note).textContent = said(chart, at);
    });
  }

  const commit = (chart, at) => {
    const { x } = chart.data.datasets[0].data[at];
    return [charts.title(x), ...charts.label(chosen, x)].join(" · ");
  };

  // ---- the pool's size: a trace and a size of it

  const POOLED = ["pool-front", "pool-slices", "pool-waste", "pool-time"];
  const traced = () => data.pool.traces[Number(value("pool-trace"))];

  function heat() {
    const measure = Number(value("pool-measure")), cells = [...document.querySelectorAll("#pool-heat td")];
    cells.forEach((one, at) => {
      const [text, level] = data.pool.heat[at][measure];
      one.firstElementChild.textContent = text;
      one.className = `heat-${level}${one.classList.contains("chosen") ? " chosen" : ""}`;
    });
  }

  function mark() {
    const is = (one, of) => one.toggleAttribute("data-now", of);
    for (const one of document.querySelectorAll("#pool-heat thead th")) is(one, one.dataset.trace === String(Number(value("pool-trace"))));
    for (const one of document.querySelectorAll("#pool-heat tbody tr")) is(one.firstElementChild, one.dataset.size === value("pool-size"));
    const { name, rows } = traced(), { pinned, pinners } = rows[value("pool-size")], size = data.pool.sizes[value("pool-size")];
    const titles = ["time against memory, the front joined", "sizes of the slices", "what was held and not live, at the peak", `memory over time at ${size}`];
    POOLED.forEach((id, at) => {
      byId(`${id}-title`).textContent = `${name}: ${titles[at]}`;
      byId(`${id}-point`).textContent = "";
    });
    byId("pool-pinned").textContent = pinners.length ? `Pinned at ${size}: at most ${pinned}` : `Nothing is pinned at ${size}`;
    byId("pool-pinners").replaceChildren(...pinners.map((one) => {
      const made = cell("li", `: ${one.text}`);
      made.prepend(cell("code", one.name));
      return made;
    }));
  }

  function pick(trace, size) {
    if (trace !== null && byId("pool-trace")) byId("pool-trace").value = trace;
    byId("pool-size").value = size === null ? traced().chosen : size;
    mark();
    for (const id of POOLED) if (drawn.has(id) && (trace !== null || id === "pool-time")) ask(id);
  }

  function startPool() {
    byId("pool-choice").addEventListener("submit", (event) => event.preventDefault());
    if (byId("pool-trace")) byId("pool-trace").addEventListener("change", () => pick(value("pool-trace"), null));
    byId("pool-size").addEventListener("change", () => pick(null, value("pool-size")));
    byId("pool-measure").addEventListener("change", heat);
    byId("pool-heat").addEventListener("click", ({ target }) => {
      const one = target.closest("td, th"), row = one && one.closest("tr").dataset.size;
      if (one && (one.dataset.trace || row)) pick(one.dataset.trace || null, row || null);
    });
    for (const id of POOLED) walk(id, `${id}-point`, charts.tip);
    heat(); // a reload may keep what was chosen
    pick(null, null);
  }

  // ---- at work

  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["case", "measure", "machine"]) if (byId(id)) byId(id).addEventListener("input", hide);
  if (byId("more")) byId("more").addEventListener("click", () => { all = true; hide(); });
  if (byId("against")) byId("against").addEventListener("change", () => ask("speed-chart"));
  if (byId("trend-chart")) walk("trend-chart", "trend-point", commit);
  if (data.pool) startPool();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  let opened = [];
  addEventListener("beforeprint", () => {
    document.documentElement.classList.add("printing");
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const one of opened) one.open = true;
    for (const { id } of places) draw(id);
  });
  addEventListener("afterprint", () => {
    document.documentElement.classList.remove("printing");
    for (const one of opened) one.open = false;
    again();
  });
  hide();
  for (const place of places) view.observe(place);
})();
