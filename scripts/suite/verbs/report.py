"""iobuf report: one self-contained HTML page of what is known: the last run, and what was recorded before."""
import io
import json
import pathlib

import click

from suite import browser, machine, options, say, store
from suite.page import compare, fuzzing, links, pool, state, texts, trend
from suite.page.sources import Sources, origin
from suite.paths import RESULTS, SUITE, shown

SCREENSHOT = (1000, 1810)
COLOURS = 200  # of the screenshot, half the size of one with all


@click.command(short_help="Make the page from the results.")
@options.results
@click.option("--recorded", type=click.Path(path_type=pathlib.Path, file_okay=False), default=RESULTS, show_default="results",
              help="Folder of what was recorded: history/, *.jsonl, calibration.json, pool-size.json.")
@click.option("--screenshot", type=click.Path(path_type=pathlib.Path, dir_okay=False), metavar="FILE",
              help="Also write the beginning of the page as a PNG, by Chromium.")
@options.verbose
def command(results, recorded, screenshot):
    """Make the page index.html in the results folder: the state now, the trend of each case, the last comparisons, the fuzzing, the
    pool's size. It needs no network.

    \b
    A part shows the last run (fuzz.json, bench.json, peers.json, compare.json, ... in the results
    folder) or, where there is none, the last one recorded; without either it names the command that
    makes one. A recorded line that cannot be read is named, and left out.

    \b
    Examples:
      scripts/iobuf report
      scripts/iobuf report --results /tmp/other-machine
      scripts/iobuf report --screenshot results/page.png

    Exit status: 0 made, 2 wrong usage, 3 could not: nothing to report, or a result that is damaged.
    """
    page = make(results, recorded)
    if screenshot:
        with browser.Browser(*SCREENSHOT) as shot:
            shot.open(page.absolute())
            for _ in range(4):  # one chart is drawn in each frame
                shot.drawn()
            picture = shot.screenshot()
        store.write_bytes(screenshot, few_colours(picture))
        click.echo(shown(screenshot))
    click.echo(shown(page))


def few_colours(picture):
    try:
        from PIL import Image
    except ImportError:
        raise say.Stop("python3-pil is missing: run scripts/setup") from None
    out = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS).save(out, "png", optimize=True)
    return out.getvalue()


def make(results, recorded=RESULTS):
    """Writes the page and returns its path."""
    import jinja2
    sources = Sources(pathlib.Path(results), pathlib.Path(recorded))
    try:
        text = render(gather(sources))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, jinja2.UndefinedError) as error:
        if say.verbose:
            raise
        raise say.Stop(f"a result in {shown(results)} or {shown(recorded)} lacks what the page needs ({error!r}):"
                       " run scripts/run again, or the verb that made it") from None
    for problem in sources.problems:
        say.line(problem)
    path = sources.latest / "index.html"
    store.write(path, text)
    return path


def gather(sources):
    """All parts of the page; None for one that has no result yet."""
    results = {kind: sources.result(kind, f"scripts/iobuf {again}") for kind, again in
               (("bench", "bench"), ("peers", "bench --peers"), ("fuzz", "fuzz"))}
    results["compare"] = sources.result("compare", "scripts/iobuf compare", compare.good)
    results["pool-size"] = sources.newest("pool-size", "scripts/iobuf pool-size")
    results["replay"] = store.read_json(sources.latest / "replay.json", "replay", "scripts/iobuf replay")
    whole = store.read_json(sources.latest / "run.json", "run", "scripts/run")
    commits = links.Commits()
    parts = {"run": whole, "replay": results["replay"], "bench": state.speed(results["bench"]), "peers": state.peers(results["peers"]),
             "pool": pool.part(results["pool-size"]), "trend": trend.part(sources.recorded / "history", commits, sources.problems),
             "compared": compare.last(results["compare"], commits), "before": compare.before(sources, commits),
             "calibration": compare.calibration(sources.kept("calibration", "scripts/iobuf calibrate")),
             "fuzz": fuzzing.runs(results["fuzz"]), "fuzz_history": fuzzing.history(sources), "coverage": fuzzing.coverage(sources),
             "planted": fuzzing.planted(sources), "ci": fuzzing.failures(sources)}
    if not any(parts.values()):
        raise say.Stop(f"{shown(sources.latest)} and {shown(sources.recorded)} have no results yet: run scripts/run")
    results |= {name: parts[name] and parts[name]["result"] for name in ("calibration", "coverage", "ci")}
    names = {"bench": "speed against malloc", "pool-size": "pool size", "peers": "speed against the peers", "compare": "last comparison",
             "calibration": "calibration", "fuzz": "fuzzing", "replay": "replay of the corpus", "coverage": "coverage",
             "ci": "last fuzz --ci"}
    return parts | {"origins": [origin(name, results[kind]) for kind, name in names.items() if results[kind]],
                    "problems": sources.problems, "made": machine.now()}


def render(parts):
    import jinja2
    page = SUITE / "page"
    loader = jinja2.Environment(loader=jinja2.FileSystemLoader(page), autoescape=True, trim_blocks=True, lstrip_blocks=True,
                                undefined=jinja2.StrictUndefined)
    loader.filters |= texts.FILTERS | compare.FILTERS
    charts = {"speed": state.charts(parts["bench"], parts["peers"]), "trend": trend.chart(parts["trend"]),
              "planted": parts["planted"]["curves"] if parts["planted"] else [],
              "pool": pool.chart(parts["pool"])}
    return loader.get_template("page.html").render(
        **parts, style=(page / "page.css").read_text(), scripts=[(page / name).read_text() for name in ("charts.js", "page.js")],
        speed_charts=charts["speed"], chart_js=(SUITE / "vendor" / "chart.js" / "chart.umd.min.js").read_text(),
        data=json.dumps(charts, separators=(",", ":")).replace("<", "\\u003c"))
