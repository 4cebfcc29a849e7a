"""iobuf report: one self-contained HTML page from the latest results. Every number on it is computed here, from their JSON."""
import json
import pathlib

import click

from suite import machine, options, say, stats, store
from suite.paths import SUITE, TARGETS, shown

WORKS = {
    "alloc_release": "take a buffer, write to it, release it",
    "batch": "64 buffers of mixed sizes, first in, first out: one turn of an event loop",
    "window": "4096 live buffers of 16 to 2048 bytes, a random one replaced each time",
    "cross_thread": "one thread takes, another releases",
    "frame": "payload copied in, 8-byte header put in front, described for writev, released",
    "frame_line": "the same, with a cache line of room for the header, which keeps payloads aligned",
    "frame_http": "the same with the messages of recorded HTTP traffic (nginx)",
    "frame_resp": "the same with the messages of recorded Redis traffic",
    "coalesce": "1000 neighbouring buffers joined into few; malloc has to copy, iobuf does not where they lie side by side",
    "reader": "messages cut from a stream in memory, looked at, released",
    "reader_socket": "the same from a socket; iobuf reads ahead, malloc makes a system call for each message",
    "reader_http": "messages cut from recorded HTTP traffic (nginx)",
    "reader_resp": "messages cut from recorded Redis traffic",
}
ENGINES = {"libfuzzer": "libFuzzer", "afl": "AFL++"}


@click.command(short_help="Make the page from the latest results.")
@options.results
@options.verbose
def command(results):
    """Make the page index.html from fuzz.json, bench.json and replay.json in the results folder.

    \b
    What was not run yet is left out of the page, which says so. It needs no network.

    \b
    Examples:
      scripts/iobuf report
      scripts/iobuf report --results /tmp/other-machine

    Exit status: 0 made, 2 wrong usage, 3 could not: nothing to report, or a result that is damaged.
    """
    click.echo(shown(make(results)))


def make(results):
    """Writes the page and returns its path."""
    import jinja2
    parts = {kind: store.read_json(results / f"{kind}.json", kind, f"scripts/iobuf {kind}")
             for kind in ("replay", "fuzz", "bench")}
    if not any(parts.values()):
        raise say.Stop(f"{shown(results)} has no results yet: run scripts/run")
    whole = store.read_json(results / "run.json", "run", "scripts/run")
    try:
        text = render(whole, parts)
    except (KeyError, TypeError, ValueError, AttributeError, jinja2.UndefinedError) as error:
        raise say.Stop(f"a result in {shown(results)} lacks what the page needs ({error!r}): run scripts/run again") from None
    path = pathlib.Path(results) / "index.html"
    store.write(path, text)
    return path


def render(whole, parts):
    import jinja2
    fuzzed, speeds, pools = fuzzing(parts["fuzz"]), speed(parts["bench"]), pool_sizes(parts["bench"])
    charts = {"speed": speeds["works"] if speeds else [], "pool": pools["series"] if pools else [],
              "malloc": pools and pools["malloc"]}
    page = SUITE / "page"
    loader = jinja2.Environment(loader=jinja2.FileSystemLoader(page), autoescape=True, trim_blocks=True, lstrip_blocks=True,
                                undefined=jinja2.StrictUndefined)
    loader.filters |= {"count": "{:,}".format, "ns": nanoseconds, "times": times, "size": size_name, "large": large}
    return loader.get_template("page.html").render(
        run=whole, replay=parts["replay"], fuzz=fuzzed, bench=speeds, pool=pools, origin=origin(whole, parts), made=machine.now(),
        style=(page / "page.css").read_text(), script=(page / "page.js").read_text(),
        chart_js=(SUITE / "vendor" / "chart.js" / "chart.umd.min.js").read_text(),
        data=json.dumps(charts).replace("<", "\\u003c"))


def origin(whole, parts):
    """Where the results come from; each command once, and whether all of one commit and machine."""
    have = [part for part in [whole, parts["bench"], parts["fuzz"], parts["replay"]] if part]
    return {"machine": have[0]["machine"], "commits": sorted({part["commit"] for part in have}), "date": have[0]["date"],
            "mixed": len({part["commit"] for part in have}) > 1 or any(part["machine"] != have[0]["machine"] for part in have),
            "builds": builds(parts), "commands": [part["command"] for part in have]}


def builds(parts):
    found = ([parts["bench"]["build"]] if parts["bench"] else []) + (parts["fuzz"]["builds"] if parts["fuzz"] else [])
    uses = {"release": "benchmarks", "libfuzzer": "libFuzzer", "libfuzzer-fast": "libFuzzer", "afl": "AFL++"}
    return [build | {"use": uses.get(build["preset"], build["preset"])} for build in found]


def fuzzing(result):
    if not result:
        return None
    rows = sorted(result["fuzzed"], key=lambda row: (TARGETS.index(row["target"]), list(ENGINES).index(row["engine"])))
    for row in rows:
        row["engine_name"] = ENGINES[row["engine"]]
    return {"rows": rows, "programs": sum(row["programs"] for row in rows), "operations": result["operations"],
            "operations_how": result["operations_how"], "failures": [path for row in rows for path in row["failures"]],
            "engines": " and ".join(sorted({row["engine_name"] for row in rows}, reverse=True)),
            "seconds": sum(row["seconds"] for row in rows), "interrupted": result["interrupted"]}


def speed(result):
    if not result:
        return None
    compared = [row for row in result["compared"] if row["work"] != "pool_size"]
    if not compared:
        return None
    works = []
    for name in dict.fromkeys(row["work"] for row in compared):
        rows = sorted((row for row in compared if row["work"] == name), key=lambda row: (len(row["size"]), row["size"]))
        works.append({"name": name, "text": WORKS.get(name, ""), "rows": rows,
                      "ratio": stats.geometric_mean([row["ratio"] for row in rows]),
                      "held": any(row["iobuf_held_per_live"] or row["malloc_held_per_live"] for row in rows),
                      "lowest": min(row["low"] for row in rows), "highest": max(row["high"] for row in rows)})
    count = {verdict: sum(row["verdict"] == verdict for row in compared) for verdict in ("faster", "slower", "no difference seen")}
    widths = [row["high"] / row["low"] for row in compared]
    return {"works": works, "total": len(compared), "count": count, "typical": stats.median([row["ratio"] for row in compared]),
            "best": max(compared, key=lambda row: row["ratio"]), "worst": min(compared, key=lambda row: row["ratio"]),
            "noise": (stats.median(widths) - 1) * 50, "rounds": result["rounds"], "rounds_wanted": result["rounds_wanted"],
            "hungriest": hungriest(compared), "errors": result["errors"]}


def hungriest(compared):
    """Where iobuf holds most against malloc, if it does hold more anywhere."""
    both = [row for row in compared if row["iobuf_held_per_live"] and row["malloc_held_per_live"]]
    most = max(both, key=lambda row: row["iobuf_held_per_live"] / row["malloc_held_per_live"], default=None)
    return most if most and most["iobuf_held_per_live"] > 1.05 * most["malloc_held_per_live"] else None


def pool_sizes(result):
    """Time and memory for each buf size, a series per traffic; the best has the least product of the two."""
    series, malloc = {}, None
    for case in result["cases"] if result else []:
        if case["work"] == "pool_size" and case["peer"] == "malloc":
            malloc = {"ns": case["ns"], "held": case["held_per_live"]}
        elif case["work"] == "pool_size":
            traffic, _, size = case["size"].rpartition("/")
            series.setdefault(traffic, []).append({"bytes": int(size), "ns": case["ns"], "held": case["held_per_live"],
                                                   "label": size_name(int(size))})
    if not series:
        return None
    found = []
    for traffic, rows in series.items():
        rows.sort(key=lambda row: row["bytes"])
        found.append({"traffic": traffic, "rows": rows, "best": min(rows, key=lambda row: row["ns"] * (row["held"] or 1)),
                      "fastest": min(rows, key=lambda row: row["ns"]), "leanest": min(rows, key=lambda row: row["held"] or 0)})
    return {"series": found, "malloc": malloc}


def nanoseconds(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def times(value):
    return f"{value:.0f}" if value >= 10 else f"{value:.2f}" if value < 2 else f"{value:.1f}"


def large(value):
    """1234567 as 1.2 million."""
    for unit, name in ((10**9, "billion"), (10**6, "million")):
        if value >= unit:
            return f"{value / unit:.1f} {name}"
    return f"{value:,}"


def size_name(value):
    text = str(value)
    if not text.isdigit():
        return text
    number = int(text)
    for unit, name in ((2**20, "MiB"), (2**10, "KiB")):
        if number >= unit and number % unit == 0:
            return f"{number // unit} {name}"
    return f"{number} B"
