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
    "pool-time": () => charts.pool("pool-time", "ns", "ns per buffer"),
    "pool-held": () => charts.pool("pool-held", "held", "bytes held per live byte"),
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

  // From commit to commit by the arrow keys, where decimation has left a point.
  let at = null;
  function step(event) {
    const chart = drawn.get("trend-chart"), way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!chart || !way) return;
    event.preventDefault();
    const points = chart.getDatasetMeta(0).data, last = points.length - 1;
    at = at === null || at > last ? last : Math.min(last, Math.max(0, at + way));
    const where = [{ datasetIndex: 0, index: at }];
    chart.setActiveElements(where);
    chart.tooltip.setActiveElements(where, points[at].getProps(["x", "y"]));
    chart.update("none");
    const { x } = chart.data.datasets[0].data[at];
    byId("trend-point").textContent = [charts.title(x), ...charts.label(chosen, x)].join(" · ");
  }

  // ---- at work

  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["case", "measure", "machine"]) if (byId(id)) byId(id).addEventListener("input", hide);
  if (byId("more")) byId("more").addEventListener("click", () => { all = true; hide(); });
  if (byId("against")) byId("against").addEventListener("change", () => ask("speed-chart"));
  if (byId("trend-chart")) canvas("trend-chart").addEventListener("keydown", step);
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
