"""The report page in a headless browser: it draws, says nothing on the console, asks the network for nothing, its numbers are those of
the JSON it was made from; filters, tooltips and keys work, and ten thousand lines of history are no burden."""
import html.parser
import json
import math

import pytest

from suite import history, pool_record, pool_sizes, store
from suite.browser import Browser
from suite.page import compare, fuzzing, links, pool, state, texts, trend
from suite.test import sample
from suite.test.test_cli import check, check_one_line, iobuf
from suite.verbs import pool_size, report

SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
CHARTS = "Number(document.documentElement.dataset.charts)"
POOL_CHARTS = ("pool-front", "pool-slices", "pool-waste", "pool-time")
POOL_SIZES = "128,512,2048,8192,32768,262144,1048576"
POOL_TRACES = {"bodies": ("--sizes", "log:2000:30000", "--lifetimes", "log:1:300"),
               "pinning": ("--sizes", "uniform:100:900", "--lifetimes", "log:1:20", "--forever", "2")}


class Page(html.parser.HTMLParser):
    """Tables as lists of rows of cells, by the id or data-work of the table; and every address that the page names."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.addresses, self.cell, self.text = {}, [], None, ""
        self.feed(text)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.addresses += [attrs[name] for name in ("src", "href", "action", "data") if attrs.get(name)]
        if tag == "table":
            self.rows = self.tables[attrs.get("id") or attrs.get("data-work")] = []
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.cell = ""

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.rows[-1].append(" ".join(self.cell.split()))
            self.cell = None

    def handle_data(self, text):
        self.text += text
        if self.cell is not None:
            self.cell += text


def made(folder, lines=None, pooled=None):
    recorded = sample.write_all(folder, lines)
    if pooled:
        store.write_json(folder / "pool-size.json", pooled)
    return report.make(folder, recorded)


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    """Two that are small and want different sizes: in the second a few slices stay and pin what they are in."""
    folder = tmp_path_factory.mktemp("traces")
    pool_sizes.program()
    maker = pool_sizes.build.program("release", pool_sizes.MAKER)
    for name, arguments in POOL_TRACES.items():
        pool_sizes.output(maker, ["--allocs", 5000, "--seed", 77, *arguments, folder / name])
    return {name: folder / name for name in POOL_TRACES}


@pytest.fixture(scope="module")
def pool_results(traces, tmp_path_factory):
    """The folder of what pool-size writes about both as if they were the shipped ones, and in it that of what it records."""
    folder = tmp_path_factory.mktemp("pool-size")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool_sizes, "traces", lambda given: list(traces.items()))
        patch.setattr(pool_size, "RESULTS", folder / "recorded")
        pool_size.command.main(["--sizes", POOL_SIZES, "--record", "--results", str(folder)], standalone_mode=False)
    return folder


@pytest.fixture(scope="module")
def pooled(pool_results):
    return json.loads((pool_results / "pool-size.json").read_text())


@pytest.fixture(scope="module")
def path(tmp_path_factory, pooled):
    return made(tmp_path_factory.mktemp("page"), pooled=pooled)


@pytest.fixture(scope="module")
def shown(path):
    return Page(path.read_text())


@pytest.fixture(scope="module")
def chromium():
    with Browser() as browser:
        yield browser


@pytest.fixture
def browser(chromium, path):
    """The page anew, at a desktop's width, in light."""
    chromium.resize(1180, 1000)
    chromium.scheme(False)
    chromium.console.clear(), chromium.requests.clear()
    chromium.open(path)
    return chromium


def see(browser, name):
    """Brings a part into view and waits until what is there is drawn."""
    browser.run(f"document.getElementById('{name}').scrollIntoView({{block: 'center'}})")
    for _ in range(3):
        browser.drawn()


def put(browser, name, value):
    browser.run(f"{{ const one = document.getElementById('{name}'); one.value = {json.dumps(value)};"
                " one.dispatchEvent(new Event('input', {bubbles: true})); one.dispatchEvent(new Event('change', {bubbles: true})); }")
    browser.drawn()


def texts_of(browser, selector):
    """The texts of those that are shown."""
    return browser.run(f"[...document.querySelectorAll({json.dumps(selector)})].filter((one) => !one.closest('[hidden]'))"
                       ".map((one) => one.textContent.trim().replace(/\\s+/g, ' '))")


# ---- it loads

def test_it_says_nothing_and_asks_for_nothing(browser, path):
    for name in ("speed-chart", "trend-chart", "planted-chart", *POOL_CHARTS):
        see(browser, name)
    assert browser.run(CHARTS) == 7
    assert browser.console == [] and browser.requests == [f"file://{path}"]


def test_page_names_no_other_address(shown, path):
    assert "default-src 'none'" in path.read_text()
    assert all(address.startswith("#") or address == "data:," for address in shown.addresses)


def test_a_request_and_an_error_would_be_noticed(browser, path, tmp_path):
    """Silence is worth something only if a request breaks it."""
    bad = tmp_path / "index.html"
    bad.write_text(path.read_text().replace("</main>", "<img src='http://127.0.0.1:9/picture'></main><script>nothing.here()</script>"))
    browser.open(bad)
    said = "\n".join(browser.console)
    assert "Content Security Policy" in said and "nothing is not defined" in said


def test_charts_are_drawn_when_they_come_into_view(browser):
    browser.resize(1180, 300)
    browser.run("location.reload()")
    browser.until(lambda got: got.get("method") == "Page.loadEventFired", "loading")
    browser.drawn(), browser.drawn()
    assert browser.run(CHARTS) == 0
    see(browser, "trend-chart")
    assert browser.run(CHARTS) == 1


def test_ten_thousand_lines_load_and_draw_one_chart(chromium, tmp_path):
    lines = sample.history_lines(200, [f"work{at}" for at in range(25)])
    assert len(lines) == 200 * 50
    chromium.console.clear()
    chromium.open(made(tmp_path, lines))
    assert "10,000 measurements of 200 commits" in chromium.run("document.getElementById('trend').parentElement.textContent")
    assert chromium.run(CHARTS) <= 1 and chromium.console == []
    assert len(texts_of(chromium, "#trend-table tbody tr")) == 40
    assert chromium.run("document.querySelectorAll('*').length") < 3000  # what a browser lays out before anything can be read
    see(chromium, "trend-chart")
    assert chromium.run("Chart.getChart(canvas('trend-chart')).data.datasets[0].data.length") == 200
    chromium.run("document.getElementById('more').click()")
    assert len(texts_of(chromium, "#trend-table tbody tr")) == 100 and texts_of(chromium, "#more") == []


def test_a_long_history_is_thinned(chromium, tmp_path):
    chromium.open(made(tmp_path, sample.history_lines(5000, ["work"], ["64"])))
    see(chromium, "trend-chart")
    assert 200 < chromium.run("Chart.getChart(canvas('trend-chart')).data.datasets[0].data.length") < 5000


# ---- its numbers

def test_fuzzing_numbers_equal_the_json(shown):
    rows = shown.tables["fuzz-table"][1:]
    assert len(rows) == 8
    wanted = {(row["target"], fuzzing.ENGINES[row["engine"]], "no failure", f"{row['programs']:,}", f"{row['programs_per_second']:,}",
               str(row["seconds"]), "12.5", f"{row['corpus']:,}", f"{row['edges']:,}") for row in sample.fuzz()["fuzzed"]}
    assert {tuple(row[:9]) for row in rows} == wanted
    assert "98.8 million" in shown.text and "never left the model" in shown.text
    assert f"In all 2 recorded runs: {2 * sum(row['programs'] for row in sample.fuzz()['fuzzed']):,} programs" in shown.text


def test_speed_numbers_equal_the_json(shown):
    for compared in sample.bench()["compared"]:
        rows = [row for row in shown.tables[compared["work"]] if row[0] == compared["size"]]
        assert len(rows) == 1
        assert rows[0][1] == texts.times(compared["ratio"])
        assert rows[0][4:6] == [texts.nanoseconds(compared["iobuf_ns"]), texts.nanoseconds(compared["malloc_ns"])]


def test_slower_is_said(shown):
    assert shown.tables["frame_http"][1][2] == "slower"


def test_peers_numbers_equal_the_json(shown):
    head, *rows = shown.tables["peers-table"]
    assert head == ["work", "bytes", "jemalloc", "tcmalloc", "floor"]
    assert rows == [["alloc_release", "64", "0.99", "2.5", "0.62"], ["alloc_release", "1024", "", "0.80", ""], ["window", "mixed", "", "noisy", ""]]
    assert "4 pairs with jemalloc, tcmalloc: iobuf is faster in 1, slower in 1; in 1 no difference was seen; 1 could not be told for noise" in shown.text


def test_comparison_equals_the_json(shown):
    assert shown.tables["compare-loud"][1:] == [
        ["alloc_release/iobuf/64", "40", "45", "+12.5 %", "regression", "+12.5 %", "+11.2 % to +14.2 %", "regression"],
        ["coalesce/iobuf/64", "40", "30", "−25.0 %", "improvement", "−25.0 %", "−26.3 % to −23.3 %", "improvement"]]
    assert shown.tables["compare-quiet"][1:] == [
        ["reader/iobuf/100", "40", "40", "0.0 %", "same", "0.0 %", "−1.3 % to +1.7 %", "no difference"],
        ["frame/iobuf/1024", "40", "40.04", "+0.1 %", "same", "", "", "not measured"]]
    assert len(shown.tables["before-table"]) == 3 and "“checks a size”" in shown.text


def test_calibration_equals_the_json(shown):
    assert ("no false alarms in 100 comparisons by instructions (95 %: at most 3.6 %), 1 false alarm in 120 comparisons by time (95 %: at most 4.6 %)"
            in shown.text and "none in 6 by instructions, none in 30 by time" in shown.text)
    assert [row[:2] for row in shown.tables["calibration-paths"][1:]] == [["alloc", "instructions"], ["alloc", "time"]]
    assert shown.tables["calibration-table"][1:] == [["instructions"] + ["100 % 40 of 40"] * 4,
                                                     ["time", "30 % 12 of 40", "77.5 % 31 of 40", "97.5 % 39 of 40", "100 % 40 of 40"]]


def test_planted_bugs_equal_the_json(shown):
    assert [row[2:] for row in shown.tables["mutants-table"][1:]] == [["2 of 3", "66.7 %", "0.1", "0.1"], ["2 of 3", "66.7 %", "0.2", "0.2"],
                                                                      ["2 of 3", "66.7 %", "2", "2.5"], ["1 of 3", "33.3 %", "4.5", "4.5"]]
    assert "1 survived all that was tried: never" in shown.text and "curated, AFL++: seldom, never" in shown.text


def test_coverage_and_failures_equal_the_json(shown):
    assert shown.tables["coverage-table"][1:] == [["plain", "lines", "801", "900", "89 %", "99", "0"],
                                                  ["plain", "branches", "610", "700", "87.1 %", "88", "2"]]
    assert shown.tables["ci-table"][1] == ["new", "slice", "contents_equal", "coalesce", "build/fuzz/failures/slice/afl-0123"]


def test_steps_equal_the_history(shown):
    """All cases step at one commit, in both measures."""
    (commit, cases), = shown.tables["steps-table"][1:]
    assert commit == f"{sample.STEP_AT + 1:012x}"[:7] + "2024-05-13"
    assert "8 worse" in cases and "alloc_release/iobuf/64 instructions +25.0 %, 20 to 25" in cases
    assert "4 cases worse" in shown.text and "of 4 in the last 20 commits measured, by instructions" in shown.text


def test_trends_equal_the_history(browser):
    rows = browser.run("[...document.getElementById('trend-table').tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.textContent))")
    series = history.series(sample.history_lines())
    wanted = [[case, {"relative": "time"}.get(measure, measure), texts.figures(points[-1]["value"])] for (case, measure, _), points in series.items()]
    assert sorted(row[:3] for row in rows) == sorted(wanted)
    assert all(row[3].startswith("+25") or row[1] == "time" and row[3].startswith("+2") for row in rows)
    drawn = browser.run("data.trend.series.map(({case: name, measure, y, low}) => [name, measure, y, low])")
    for name, measure, values, low in drawn:
        points = series[name, measure, history.machine_key(sample.HEAD["machine"])]
        assert values == [point["value"] for point in points]
        assert low == ([point["low"] for point in points] if measure == "relative" else None)


# ---- the pool's size: of what pool-size found for the two traces

def costs(trace, weight):
    """How many times the least each size costs."""
    found = [row["ns"] ** (1 - weight) * row["peak_held"] ** weight for row in trace["sizes"]]
    return [cost / min(found) for cost in found]


def together(traces, weight):
    found = [math.prod(of_size) ** (1 / len(traces)) for of_size in zip(*(costs(trace, weight) for trace in traces))]
    return [cost / min(found) for cost in found]


def ratio(text):
    """1.034 of "+3.4 %", 12 of "12 ×"."""
    text = text.removesuffix(" recommended")
    return float(text.removesuffix(" ×")) if text.endswith("×") else 1 + float(text.removesuffix(" %")) / 100


def heat_is(rows, weight, pooled):
    """The table's cells are the JSON's, and the recommended ones are marked, these alone."""
    traces = pooled["traces"]
    wanted = [together(traces, weight), *(costs(trace, weight) for trace in traces)]
    sizes = [row["bytes"] for row in traces[0]["sizes"]]
    assert [row[0] for row in rows] == [pool_sizes.human(size) for size in sizes]
    for column, (ratios, chosen) in enumerate(zip(wanted, [pooled, *traces], strict=True), 1):
        assert [ratio(row[column]) for row in rows] == pytest.approx(ratios, rel=0.04, abs=0.006)
        assert [size for size, row in zip(sizes, rows) if row[column].endswith("recommended")] == [chosen["recommended_bytes"]]


CHOSEN_CELLS = """[...document.querySelectorAll('#pool-heat tbody tr')].map((row) =>
    [...row.querySelectorAll('td')].flatMap((one, at) => one.classList.contains('chosen') ? [at] : []))"""
CELL_LEVELS = "[...document.querySelectorAll('#pool-heat td')].map((one) => [Number(one.className.match(/heat-(\\d)/)[1]), getComputedStyle(one).backgroundColor])"


def test_heat_map_equals_the_json(shown, browser, pooled):
    head, *rows = shown.tables["pool-heat"]
    assert head == ["size", "all", "bodies", "pinning"]
    heat_is(rows, pooled["traces"][0]["memory_weight"], pooled)
    assert len({trace["recommended_bytes"] for trace in pooled["traces"]}) == 2  # else a mark in the wrong place might go unseen
    framed = browser.run(CHOSEN_CELLS)
    sizes = [row["bytes"] for row in pooled["traces"][0]["sizes"]]
    assert [(at, column) for at, row in enumerate(framed) for column in row] == sorted(
        (sizes.index(one["recommended_bytes"]), column) for column, one in enumerate([pooled, *pooled["traces"]]))


@pytest.mark.parametrize("measure, weight", [("time", 0), ("memory", 1), ("cost", 0.5)])
def test_heat_map_shows_time_or_memory(browser, pooled, measure, weight):
    put(browser, "pool-measure", "1" if measure == "cost" else "0")
    put(browser, "pool-measure", str(list(pool.MEASURES).index(measure)))
    rows = browser.run("[...document.getElementById('pool-heat').tBodies[0].rows].map((row) => [...row.cells].map((one) => one.textContent.trim()))")
    heat_is(rows, weight, pooled)
    traces = pooled["traces"]
    wanted = zip(*(together(traces, weight), *(costs(trace, weight) for trace in traces)))
    found = browser.run(CELL_LEVELS)
    assert [level for level, _ in found] == [sum(one - 1 > level for level in pool.LEVELS) for row in wanted for one in row]
    shades = dict(found)
    assert len(set(shades.values())) == len(shades) > 2


def test_answer_is_on_top_and_how_it_moves_below(shown, pooled):
    text = shown.text
    assert pooled["reason"] in text
    for trace in pooled["traces"]:
        assert trace["reason"].partition(": it ")[2] in text and all(advice in text for advice in trace["advice"])
    rows = shown.tables["pool-moves"][1:]
    assert [row[1:] for row in rows[:11]] == [[pool_sizes.human(trace["by_weight"][at]["bytes"]) for trace in pooled["traces"]] for at in range(11)]
    assert [row[1:] for row in rows[11:]] == [[pool_sizes.human(trace["by_traffic"][scale]) for trace in pooled["traces"]]
                                              for scale in ("half", "same", "double")]


def see_pool(browser):
    for name in POOL_CHARTS:
        see(browser, name)


def of_chart(browser, name, what):
    return browser.run(f"(() => {{ const chart = Chart.getChart(canvas('{name}')); return {what}; }})()")


def charts_are(browser, trace, size):
    """Each chart draws what the JSON says of the trace, and of the size where it is of one."""
    rows = trace["sizes"]
    recommended = [row["bytes"] for row in rows].index(trace["recommended_bytes"])
    points = of_chart(browser, "pool-front", "chart.data.datasets[0].data")
    assert [(point["x"], point["y"]) for point in points] == [pytest.approx((row["held_per_live"], row["time_ratio"]), abs=1e-4) for row in rows]
    marked = of_chart(browser, "pool-front", "chart.data.datasets[0].pointStyle")
    assert [at for at, style in enumerate(marked) if style == "rectRot"] == [recommended]
    line = of_chart(browser, "pool-front", "chart.data.datasets[1].data")
    assert [point["x"] for point in line] == pytest.approx(sorted(row["held_per_live"] for row in rows if row["on_front"]), abs=1e-4)
    drawn = of_chart(browser, "pool-slices", "chart.data.datasets[0].data")
    counts = trace["trace"]["octaves"]
    assert drawn == pytest.approx([100 * count / sum(counts) for count in counts[-len(drawn):]], abs=1e-3) and not any(counts[:-len(drawn)])
    waste = dict(of_chart(browser, "pool-waste", "chart.data.datasets.map((one) => [one.label.replace(' ', '_'), one.data])"))
    for cause in set(rows[0]["memory"]["at_peak"]) - {"live"}:
        shares = [100 * row["memory"]["at_peak"][cause] / row["peak_held"] for row in rows]
        assert waste.get(cause, [0] * len(rows)) == pytest.approx(shares), cause
    row = next(row for row in rows if row["bytes"] == size)
    held, pinned, live = of_chart(browser, "pool-time", "chart.data.datasets.map((one) => one.data.map((point) => point.y))")
    of_peak, unit = max(held), row["peak_held"] / max(held)
    assert unit in (1, 2**10, 2**20, 2**30) and 1 <= of_peak
    series = pool_record.thinned(row["memory"]["series"], 60)
    near = {"abs": 0.002 * of_peak}
    assert held == pytest.approx([moment[1] / unit for moment in series], **near)
    assert live == pytest.approx([moment[2] / unit for moment in series], **near)
    assert pinned == pytest.approx([(moment[2] + moment[3]) / unit for moment in series], **near)
    assert all(trace["name"] in browser.run(f"document.getElementById('{name}-title').textContent") for name in POOL_CHARTS)
    assert pool_sizes.human(size) in browser.run("document.getElementById('pool-time-title').textContent")
    named = [pinner["name"] or f"call site {pinner['site']}" if pinner["site"] else "no call site" for pinner in row["memory"]["pinners"][:pool_record.PINNERS]]
    assert texts_of(browser, "#pool-pinners code") == named


def test_charts_of_a_trace_equal_the_json(browser, pooled):
    first, second = pooled["traces"]
    put(browser, "pool-trace", "0")
    see_pool(browser)
    charts_are(browser, first, first["recommended_bytes"])
    put(browser, "pool-trace", "1")
    see_pool(browser)
    charts_are(browser, second, second["recommended_bytes"])
    last = len(second["sizes"]) - 1
    put(browser, "pool-size", str(last))
    see_pool(browser)
    charts_are(browser, second, second["sizes"][last]["bytes"])
    assert second["sizes"][last]["memory"]["pinners"] and browser.console == []


def test_a_cell_chooses_its_trace_and_size(browser, pooled):
    see_pool(browser)
    browser.run("document.querySelector('#pool-heat tr[data-size=\"4\"] td[data-trace=\"1\"]').click()")
    see_pool(browser)
    charts_are(browser, pooled["traces"][1], pooled["traces"][1]["sizes"][4]["bytes"])
    browser.run("document.querySelector('#pool-heat tr[data-size=\"2\"] th').click()")
    see_pool(browser)
    charts_are(browser, pooled["traces"][1], pooled["traces"][1]["sizes"][2]["bytes"])


def test_keys_walk_on_the_charts_of_the_pool(browser, pooled):
    put(browser, "pool-trace", "0")
    see_pool(browser)
    trace = pooled["traces"][0]
    largest = pool_sizes.human(trace["sizes"][-1]["bytes"])
    for name, wanted in (("pool-front", largest), ("pool-waste", f"{largest}: "), ("pool-slices", "slices"), ("pool-time", "held")):
        browser.run(f"canvas('{name}').focus()")
        browser.press("ArrowLeft")
        assert wanted in browser.run(f"document.getElementById('{name}-point').textContent"), name
    browser.run("canvas('pool-front').focus()")
    for _ in trace["sizes"]:
        browser.press("ArrowLeft")
    said, row = browser.run("document.getElementById('pool-front-point').textContent"), trace["sizes"][0]
    assert said.startswith(pool_sizes.human(row["bytes"])) and f"{row['held_per_live']:.2f} bytes held per live one" in said
    assert (f"95 %: {row['time_low']:.3f} to {row['time_high']:.3f}" if row["time_low"] is not None else "no interval") in said


OUTSIDE = """[...document.querySelector('[aria-labelledby=pool]').querySelectorAll('*')].filter((one) => !one.closest('.scroll') && !one.matches('option')
    && (one.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5 || one.getBoundingClientRect().left < 0)).map((one) => one.outerHTML.slice(0, 200))"""
CUT_OFF = """[...document.querySelectorAll('[aria-labelledby=pool] .scroll')].filter((one) => one.scrollWidth > one.clientWidth)
    .map((one) => one.firstElementChild.id)"""


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_of_the_pool_overflows(browser, width):
    browser.resize(width, 900)
    see_pool(browser)
    assert browser.run(SIDEWAYS) == 0 and browser.run(OUTSIDE) == [] and browser.run(CUT_OFF) == []
    browser.run("document.getElementById('pool-front-title').style.width = '1300px'")
    assert browser.run(OUTSIDE) != []  # it would be seen


def test_what_is_recorded_is_lean_and_makes_the_same_page(chromium, pool_results, pooled, tmp_path):
    kept = json.loads((pool_results / "recorded" / "pool-size.json").read_text())
    assert {name: kept[name] for name in kept if name != "traces"} == {name: pooled[name] for name in pooled if name != "traces"}
    for lean, whole in zip(kept["traces"], pooled["traces"], strict=True):
        assert lean | {"sizes": None} == whole | {"sizes": None}
        for row, of_whole in zip(lean["sizes"], whole["sizes"], strict=True):
            assert len(row["memory"]["series"]) <= 60 < len(of_whole["memory"]["series"])
            assert max(moment[1] for moment in row["memory"]["series"]) == row["peak_held"] and len(row["memory"]["pinners"]) <= 3
    assert (pool_results / "recorded" / "pool-size.json").stat().st_size < 4096 * sum(len(trace["sizes"]) for trace in kept["traces"])
    page = report.make(tmp_path, pool_results / "recorded")
    heat_is(Page(page.read_text()).tables["pool-heat"][1:], 0.5, pooled)
    assert "scripts/iobuf pool-size --prefer balanced" in Page(page.read_text()).text and "recorded" in Page(page.read_text()).tables["origins"][1][1]
    chromium.console.clear()
    chromium.open(page)
    put(chromium, "pool-trace", "0")
    see_pool(chromium)
    charts_are(chromium, pooled["traces"][0], pooled["traces"][0]["recommended_bytes"])
    assert chromium.console == []


def test_the_last_run_stands_before_what_is_recorded(pool_results, pooled, tmp_path):
    store.write_json(tmp_path / "pool-size.json", pooled | {"reason": "of the last run"})
    assert "of the last run" in report.make(tmp_path, pool_results / "recorded").read_text()


def test_one_trace_alone(chromium, traces, tmp_path):
    check(iobuf("pool-size", "--trace", traces["pinning"], "--sizes", "2048,16384", "--prefer", "memory", "--results", tmp_path), 0)
    found = json.loads((tmp_path / "pool-size.json").read_text())
    page = report.make(tmp_path, tmp_path)
    assert Page(page.read_text()).tables["pool-heat"][0] == ["size", found["name"]] and "pool-trace" not in [
        one.partition('"')[0] for one in page.read_text().split('<select id="')[1:]]
    assert found["reason"].partition(": ")[2] in Page(page.read_text()).text
    chromium.console.clear()
    chromium.open(page)
    see_pool(chromium)
    charts_are(chromium, found, found["recommended_bytes"])
    assert chromium.run(CHARTS) == 4 and chromium.console == []


def test_only_the_shipped_traces_are_recorded():
    check_one_line(iobuf("pool-size", "--record", "--trace", "t"), 2, "--trace")


# ---- what one does with it

def test_filters_narrow_all_tables(browser):
    assert len(texts_of(browser, "#trend-table tbody tr")) == 8
    put(browser, "case", "frame 1024")
    assert [row.split()[0] for row in texts_of(browser, "#trend-table tbody th")] == ["frame/iobuf/1024"] * 2
    assert browser.run("document.getElementById('matches').textContent") == "2 of 8 trends"
    assert "frame/iobuf/1024" in browser.run("document.getElementById('trend-title').textContent")
    assert texts_of(browser, "#compare-loud tbody tr") == [] and len(texts_of(browser, "#compare-quiet tbody tr")) == 1
    assert all("frame/iobuf/1024" in text for text in texts_of(browser, "#steps-table li"))
    assert texts_of(browser, "#peers-table tbody tr") == [] and texts_of(browser, ".works article") == []
    put(browser, "measure", "instructions")
    assert len(texts_of(browser, "#trend-table tbody tr")) == 1 and len(texts_of(browser, "#steps-table li")) == 1
    put(browser, "case", "nothing has this name")
    assert texts_of(browser, "#trend-table tbody tr") == [] and "No case fits" in browser.run("document.getElementById('trend-title').textContent")
    put(browser, "case", "")
    assert len(texts_of(browser, "#trend-table tbody tr")) == 4


def test_machines_are_told_apart(chromium, tmp_path):
    other = sample.HEAD["machine"] | {"cpu": "Other processor"}
    chromium.open(made(tmp_path, sample.history_lines() + sample.history_lines(machine=other)))
    assert len(texts_of(chromium, "#trend-table tbody tr")) == 16
    put(chromium, "machine", history.machine_key(other))
    assert len(texts_of(chromium, "#trend-table tbody tr")) == 8
    assert "Other processor, 2 processors" in chromium.run("document.getElementById('trend-title').textContent")


@pytest.mark.parametrize("at", [0, sample.STEP_AT, 23])
def test_tooltip_says_what_the_history_says(browser, at):
    put(browser, "case", "frame/iobuf/64")
    put(browser, "measure", "relative")
    see(browser, "trend-chart")
    x, y = browser.run(f"""(() => {{ const chart = Chart.getChart(canvas('trend-chart')), box = chart.canvas.getBoundingClientRect();
        const point = chart.getDatasetMeta(0).data[{at}]; return [box.x + point.x, box.y + point.y]; }})()""")
    browser.point(x - 1, y)
    browser.drawn()
    title, body = browser.run("(() => { const { tooltip } = Chart.getChart(canvas('trend-chart')); return [tooltip.title.join(), tooltip.body.map((one) => one.lines.join('|')).join()]; })()")
    point = history.series(sample.history_lines())["frame/iobuf/64", "relative", history.machine_key(sample.HEAD["machine"])][at]
    assert title == f"{point['commit'][:7]}, {point['commit_date'][:10]}"
    assert body.startswith(f"{point['value']:.4g} ({point['low']:.4g} to {point['high']:.4g})")
    assert ("a step of +2" in body) == (at == sample.STEP_AT)


def test_tooltip_of_speed_says_what_the_json_says(browser):
    see(browser, "speed-chart")
    x, y = browser.run("(() => { const chart = Chart.getChart(canvas('speed-chart')), box = chart.canvas.getBoundingClientRect(); const bar ="
                       " chart.getDatasetMeta(0).data[0]; return [box.x + bar.x - 3, box.y + bar.y]; })()")
    browser.point(x, y)
    browser.drawn()
    assert browser.run("Chart.getChart(canvas('speed-chart')).tooltip.body[0].lines[0]") == "3.2 × on average; all sizes: 2.9 to 3.5"


def test_peer_can_be_chosen(browser):
    see(browser, "speed-chart")
    names = texts_of(browser, "#against option")
    put(browser, "against", str(names.index("tcmalloc")))
    see(browser, "speed-chart")
    ratios = browser.run("Chart.getChart(canvas('speed-chart')).data.datasets[0].data")
    assert ratios == pytest.approx([(1 / 0.4 / 1.25) ** 0.5])


def test_a_chart_that_is_asked_for_twice_at_once_is_drawn_once(browser):
    see(browser, "speed-chart")
    browser.console.clear()
    browser.run("[1, 2].forEach(() => document.getElementById('against').dispatchEvent(new Event('change')))")
    for _ in range(3):
        browser.drawn()
    assert browser.console == []


def test_all_is_reached_by_keys(browser):
    """Tab comes by the filters, the cases and the charts, each time with an outline that is seen; keys choose and walk."""
    reached, outlines = [], set()
    for _ in range(60):
        browser.press("Tab")
        reached.append(browser.run("document.activeElement.id || document.activeElement.textContent.trim().slice(0, 40) || document.activeElement.tagName"))
        outlines.add(browser.run("getComputedStyle(document.activeElement).outlineStyle"))
        if reached[-1] == "CANVAS":
            break
    assert reached[0] == "To the results" and reached[-1] == "CANVAS"
    assert [name for name in reached if name in ("case", "measure", "machine", "against")] == ["case", "measure", "machine", "against"]
    assert outlines == {"solid"}
    see(browser, "trend-chart")  # the keys walk on what is drawn
    browser.press("ArrowLeft"), browser.press("ArrowLeft")
    assert browser.run("document.getElementById('trend-point').textContent").startswith(f"{23:012x}"[:7])
    browser.run("document.querySelector('#trend-table tbody tr:last-child button').focus()")
    browser.press("Enter")
    last = browser.run("document.querySelector('#trend-table tbody tr:last-child button').textContent")
    assert browser.run("document.getElementById('trend-title').textContent").startswith(last)


def test_everything_has_a_name(browser):
    unnamed = browser.run("[...document.querySelectorAll('input, select, button, canvas, [role=region], nav, form')].filter((one) =>"
                          " !one.labels?.[0]?.firstChild.textContent.trim() && !one.getAttribute('aria-label') && !one.getAttribute('aria-labelledby') && !(one.matches('button') && one.textContent.trim()) && !one.closest('[hidden]')"
                          ").map((one) => one.outerHTML)")
    assert unnamed == []


def test_a_phone_needs_no_sideways_scrolling(browser):
    browser.resize(360, 740)
    browser.run("for (const one of document.querySelectorAll('details')) one.open = true")
    for name in ("speed-chart", "trend-chart", "steps-table", "compare", "fuzz-table", "pool-heat", *POOL_CHARTS, "origins"):
        see(browser, name)
        assert browser.run(SIDEWAYS) == 0, name
    browser.run("document.querySelector('main').insertAdjacentHTML('beforeend', '<div style=\"width: 500px\">wide</div>')")
    assert browser.run(SIDEWAYS) > 0  # it would be seen


def test_dark_is_dark(browser):
    see(browser, "trend-chart")
    of_page = "getComputedStyle(document.body).backgroundColor"
    of_line = "Chart.getChart(canvas('trend-chart')).data.datasets[0].borderColor"
    see(browser, "pool-waste")
    of_legend = "Chart.getChart(canvas('pool-waste')).options.plugins.legend.labels.color"
    assert browser.run(of_legend) == "#5a636d"
    light = browser.run(of_page), browser.run(of_line)
    browser.scheme(True)
    for _ in range(8):
        browser.drawn()
    dark = browser.run(of_page), browser.run(of_line)
    assert light == ("rgb(251, 251, 250)", "#2f6fb0") and dark == ("rgb(20, 23, 26)", "#6aa9e9")
    assert browser.run(of_legend) == "#a0a9b2"


def test_print_has_all_charts_and_no_controls(browser):
    """On white, whatever the screen has; afterwards all is as it was."""
    browser.scheme(True, "print")
    closed = browser.run("document.querySelectorAll('details:not([open])').length")
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run(CHARTS) == 7 and browser.run("Chart.getChart(canvas('trend-chart')).data.datasets[0].borderColor") == "#2f6fb0"
    assert browser.run("getComputedStyle(document.getElementById('filters')).display") == "none"
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("[...document.querySelectorAll('details')].every((one) => one.open)")
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.run("document.querySelectorAll('details:not([open])').length") == closed > 0
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"


# ---- what is missing, wrong or hostile

def test_what_is_missing_names_its_command(tmp_path):
    sample.write(tmp_path, fuzz=None, bench=None)
    text = Page(report.make(tmp_path, tmp_path).read_text()).text
    for command in ("fuzz", "bench", "bench --peers", "track --since COMMIT", "compare BASE", "calibrate", "coverage", "mutants", "fuzz --ci",
                    "pool-size"):
        assert f"scripts/iobuf {command} does it" in text, command
    assert "Not measured yet: scripts/iobuf pool-size does it" in text  # the section too, not the card alone


def test_failure_is_shown_first(tmp_path):
    sample.write(tmp_path, fuzz=sample.fuzz(failures=["build/fuzz/failures/slice/afl-0123"]))
    text = report.make(tmp_path, tmp_path).read_text()
    assert "2 failures" in text and "build/fuzz/failures/slice/afl-0123" in text and "never left the model" not in text


def test_bad_lines_are_named_and_left_out(tmp_path):
    recorded = sample.write_all(tmp_path)
    file = next((recorded / "history").iterdir())
    file.write_text(file.read_text() + '{"schema": 1, "kind": "hist')
    (recorded / "mutants.jsonl").write_text('{"id": "half"}\n' + (recorded / "mutants.jsonl").read_text())
    page = Page(report.make(tmp_path, recorded).read_text())
    assert "2 lines could not be read" in page.text and f"{file.name}:5" in page.text and "mutants.jsonl:1" in page.text
    assert "96 measurements of 24 commits" in page.text and len(page.tables["mutants-table"]) == 5


def test_commits_that_do_not_build_are_said(tmp_path):
    lines = sample.history_lines()
    lines.append(lines[0] | {"case": None, "error": "pool.c does not compile", "commit": "ffffffffffff"})
    text = Page(made(tmp_path, lines).read_text()).text
    assert "1 commit could not be measured" in text and "fffffff: pool.c does not compile" in text


def test_hostile_text_stays_text(chromium, tmp_path, pooled):
    evil = "</script><script>document.title='owned'</script>"
    bench, lines = sample.bench(), sample.history_lines(works=(evil,))
    bench["compared"][0]["work"] = evil
    recorded = sample.write_all(tmp_path, [line | {"case": f"{evil.replace('/', '')}/iobuf/64"} for line in lines])
    sample.write(tmp_path, bench=bench)
    trace = json.loads(json.dumps(pooled["traces"][1] | {"name": evil}))
    for pinner in (pinner for row in trace["sizes"] for pinner in row["memory"]["pinners"]):
        pinner["name"] = evil
    store.write_json(tmp_path / "pool-size.json", pooled | {"traces": [trace, trace]})
    chromium.console.clear()
    chromium.open(report.make(tmp_path, recorded))
    see_pool(chromium)
    assert evil in texts_of(chromium, "#pool-heat thead th") and evil in chromium.run("document.getElementById('pool-time-title').textContent")
    assert chromium.console == [] and chromium.run("document.title") == "iobuf: tested and measured"
    assert "<script>" in chromium.run("document.getElementById('trend-table').textContent")


@pytest.mark.parametrize("address, base", [
    ("https://github.com/a/b.git", "https://github.com/a/b"), ("https://user:secret@example.org/a/b", "https://example.org/a/b"),
    ("git@github.com:a/b.git", "https://github.com/a/b"), ("ssh://git@github.com/a/b", "https://github.com/a/b"),
    ("http://localhost:3000/a/b/", "http://localhost:3000/a/b"), ("/srv/git/b.git", None), ("git@example.org:a/b", None), ("", None),
    ("javascript:alert(1)//a", None)])
def test_links_go_where_commits_are_shown(address, base):
    assert links.base(address) == base


def test_commits_link_to_their_place(tmp_path, monkeypatch):
    answers = {"remote": "https://token@example.org/a/b.git\n", "log": f"{sample.STEP_AT + 1:012x}\tMake it \"slower\"\n"}
    monkeypatch.setattr(links, "git", lambda *args: answers[args[0]])
    page = Page(made(tmp_path).read_text())
    assert f"https://example.org/a/b/commit/{sample.STEP_AT + 1:012x}" in page.addresses and "token" not in "".join(page.addresses)
    assert 'Make it "slower"' in page.text


def test_rates_have_their_bounds():
    """0 of 100, as every table of the rule of three has it."""
    assert compare.bound(0, 100) == pytest.approx(0.0362, abs=1e-4)


def test_numbers_are_written_as_one_reads_them():
    assert [texts.change(ratio) for ratio in (1, 1.0004, 1.0349, 0.5, 3)] == ["0.0 %", "0.0 %", "+3.5 %", "−50.0 %", "+200 %"]
    assert [texts.figures(value) for value in (26.5, 1.23456, 12345.6, 0.5)] == ["26.5", "1.235", "12,346", "0.5"]
    assert sorted(["mixed", "1024", "64", "64/4096"], key=texts.natural) == ["64", "64/4096", "1024", "mixed"]
    assert state.WORKS.keys() >= {"alloc_release"} and pool.part(None) is None and trend.chart(None) is None
    assert [pool.cell(math.log(ratio)) for ratio in (1, 1.0099, 1.06, 1.35, 2.5, 120)] == [
        ["0.0 %", 0], ["+1.0 %", 0], ["+6.0 %", 2], ["+35 %", 4], ["2.5 ×", 6], ["120 ×", 6]]
    assert [pool.span(ns) for ns in (999, 1500, 2.5e6, 3e9)] == ["999 ns", "1.5 µs", "2.5 ms", "3 s"]
