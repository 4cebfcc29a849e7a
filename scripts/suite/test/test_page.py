"""The report page in a headless browser: it draws, says nothing on the console, asks the network for nothing, and its numbers are
those of the JSON it was made from."""
import html.parser
import subprocess

import pytest

from suite.test import sample
from suite.verbs import report


class Page(html.parser.HTMLParser):
    """Tables as lists of rows of cells, by the id or data-work of the table; and every address that the page names."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.addresses, self.cell, self.attributes, self.text = {}, [], None, {}, ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.addresses += [attrs[name] for name in ("src", "href", "action", "data") if attrs.get(name)]
        if tag == "html":
            self.attributes = attrs
        elif tag == "table":
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


def browse(path, profile):
    """The page's document after its scripts ran, and what went to the console."""
    done = subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                           "--disable-background-networking", "--disable-extensions", "--no-first-run",
                           f"--user-data-dir={profile}", "--enable-logging=stderr", "--virtual-time-budget=10000", "--dump-dom",
                           f"file://{path}"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return Page(done.stdout), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    sample.write(folder)
    return browse(report.make(folder), folder / "profile")


def test_charts_are_drawn(shown):
    assert shown[0].attributes["data-charts"] == "3"


def test_console_is_silent(shown):
    """The page's own policy forbids every request, and a forbidden one is an error on the console."""
    assert shown[1] == []


def test_page_names_no_other_address(tmp_path):
    sample.write(tmp_path)
    text = report.make(tmp_path).read_text()
    assert "default-src 'none'" in text
    assert set(Page(text).addresses) <= {"#main", "data:,"}


def test_a_request_would_be_noticed(tmp_path):
    """The silence of the console is worth something only if a request breaks it."""
    sample.write(tmp_path)
    path = report.make(tmp_path)
    path.write_text(path.read_text().replace("</main>", "<img src='http://127.0.0.1:9/picture'></main>"))
    assert any("Content Security Policy" in line for line in browse(path, tmp_path / "profile")[1])


def test_fuzzing_numbers_equal_the_json(shown):
    rows = shown[0].tables["fuzz-table"][1:]
    assert len(rows) == 8
    wanted = {(row["target"], report.ENGINES[row["engine"]], "no failure", f"{row['programs']:,}", f"{row['programs_per_second']:,}",
               str(row["seconds"]), "12.5", f"{row['corpus']:,}", f"{row['edges']:,}") for row in sample.fuzz()["fuzzed"]}
    assert {tuple(row[:9]) for row in rows} == wanted
    assert "98.8 million" in shown[0].text and "never left the model" in shown[0].text


def test_speed_numbers_equal_the_json(shown):
    for compared in sample.bench()["compared"]:
        rows = [row for row in shown[0].tables[compared["work"]] if row[0] == compared["size"]]
        assert len(rows) == 1
        assert rows[0][1] == report.times(compared["ratio"])
        assert rows[0][4:6] == [report.nanoseconds(compared["iobuf_ns"]), report.nanoseconds(compared["malloc_ns"])]


def test_slower_is_said(shown):
    assert shown[0].tables["frame_http"][1][2] == "slower"


def test_pool_sizes_equal_the_json(shown):
    rows = shown[0].tables["pool-table"][1:]
    cases = [case for case in sample.bench()["cases"] if case["peer"] == "iobuf"]
    assert [row[0] for row in rows] == [report.size_name(case["size"]) for case in cases] + ["malloc"]
    assert [row[1] for row in rows[:-1]] == [report.nanoseconds(case["ns"]) for case in cases]
    assert sum("best balance" in row[-1] for row in rows) == 1


def test_failure_is_shown_first(tmp_path):
    sample.write(tmp_path, fuzz=sample.fuzz(failures=["build/fuzz/failures/slice/afl-0123"]))
    text = report.make(tmp_path).read_text()
    assert "2 failures" in text and "build/fuzz/failures/slice/afl-0123" in text and "never left the model" not in text


def test_hostile_text_stays_text(tmp_path):
    bench = sample.bench()
    bench["compared"][0]["work"] = "</script><script>document.title='owned'</script>"
    sample.write(tmp_path, bench=bench)
    page, console = browse(report.make(tmp_path), tmp_path / "profile")
    assert console == [] and page.attributes["data-charts"] == "3" and "iobuf: tested" in page.text
