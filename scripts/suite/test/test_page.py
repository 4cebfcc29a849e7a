"""The report page in a headless browser: it draws, says nothing on the console, asks the network for nothing, its numbers are those of
the JSON it was made from; filters, tooltips and keys work, and ten thousand lines of history are no burden."""
import html.parser
import json

import pytest

from suite import history
from suite.browser import Browser
from suite.page import compare, fuzzing, links, pool, state, texts, trend
from suite.test import sample
from suite.verbs import report

SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
CHARTS = "Number(document.documentElement.dataset.charts)"


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


def made(folder, lines=None):
    return report.make(folder, sample.write_all(folder, lines))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return made(tmp_path_factory.mktemp("page"))


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
    for name in ("speed-chart", "trend-chart", "planted-chart", "pool-time", "pool-held"):
        see(browser, name)
    assert browser.run(CHARTS) == 5
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


def test_pool_sizes_equal_the_json(shown):
    rows = shown.tables["pool-table"][1:]
    cases = [case for case in sample.bench()["cases"] if case["peer"] == "iobuf"]
    assert [row[0] for row in rows] == [texts.size_name(case["size"]) for case in cases] + ["malloc"]
    assert [row[1] for row in rows[:-1]] == [texts.nanoseconds(case["ns"]) for case in cases]
    assert sum("best balance" in row[-1] for row in rows) == 1


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
    for name in ("speed-chart", "trend-chart", "steps-table", "compare", "fuzz-table", "pool-held", "origins"):
        see(browser, name)
        assert browser.run(SIDEWAYS) == 0, name
    browser.run("document.querySelector('main').insertAdjacentHTML('beforeend', '<div style=\"width: 500px\">wide</div>')")
    assert browser.run(SIDEWAYS) > 0  # it would be seen


def test_dark_is_dark(browser):
    see(browser, "trend-chart")
    of_page = "getComputedStyle(document.body).backgroundColor"
    of_line = "Chart.getChart(canvas('trend-chart')).data.datasets[0].borderColor"
    light = browser.run(of_page), browser.run(of_line)
    browser.scheme(True)
    for _ in range(8):
        browser.drawn()
    dark = browser.run(of_page), browser.run(of_line)
    assert light == ("rgb(251, 251, 250)", "#2f6fb0") and dark == ("rgb(20, 23, 26)", "#6aa9e9")


def test_print_has_all_charts_and_no_controls(browser):
    """On white, whatever the screen has; afterwards all is as it was."""
    browser.scheme(True, "print")
    closed = browser.run("document.querySelectorAll('details:not([open])').length")
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run(CHARTS) == 5 and browser.run("Chart.getChart(canvas('trend-chart')).data.datasets[0].borderColor") == "#2f6fb0"
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
                    "bench --filter pool_size"):
        assert f"scripts/iobuf {command} does it" in text, command


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


def test_hostile_text_stays_text(chromium, tmp_path):
    evil = "</script><script>document.title='owned'</script>"
    bench, lines = sample.bench(), sample.history_lines(works=(evil,))
    bench["compared"][0]["work"] = evil
    recorded = sample.write_all(tmp_path, [line | {"case": f"{evil.replace('/', '')}/iobuf/64"} for line in lines])
    sample.write(tmp_path, bench=bench)
    chromium.console.clear()
    chromium.open(report.make(tmp_path, recorded))
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
    assert state.WORKS.keys() >= {"alloc_release"} and pool.sizes(None) is None and trend.chart(None) is None
