"""iobuf run: everything once, for a bounded time, and the page that shows it. scripts/run is this after scripts/setup."""
import time

import click

from suite import build, engines, machine, options, say, store
from suite.page import state
from suite.paths import TARGETS, shown
from suite.verbs import bench, fuzz, replay, report

FUZZ_SECONDS, QUICK_FUZZ_SECONDS = 25, 2


@click.command(short_help="Everything once, in a few minutes, and the page that shows it.")
@click.option("--quick", is_flag=True, help="Under 90 seconds instead of under 6 minutes: fewer programs, wider intervals.")
@click.option("--record", is_flag=True, help="Also append summaries to results/*.jsonl.")
@options.results
@options.verbose
def command(quick, record, results):
    """Build, replay the corpus, fuzz each target on both engines, benchmark against malloc, and make the page.

    \b
    Examples:
      scripts/run             set up what is missing, then this
      scripts/run --quick     a first look

    Exit status: 0 fine, 1 a check failed somewhere (the page says where), 2 wrong usage, 3 could not run.
    """
    started, seconds = time.monotonic(), {}

    def timed(name, work):
        start = time.monotonic()
        outcome = work()
        seconds[name] = round(time.monotonic() - start, 1)
        return outcome

    def build_all():
        build.ensure("release", ["replay", "iobuf_bench"])
        for engine in engines.ENGINES.values():
            build.ensure(engine.preset, [f"fuzz_{target}" for target in TARGETS])

    timed("build", build_all)
    replayed = timed("replay", lambda: replay.replay("release"))
    store.write_json(results / "replay.json", replayed)
    fuzz_seconds = QUICK_FUZZ_SECONDS if quick else FUZZ_SECONDS
    fuzzed = timed("fuzz", lambda: fuzz.fuzz(TARGETS, list(engines.ENGINES), fuzz_seconds, None))
    store.write_json(results / "fuzz.json", fuzzed)
    if fuzzed["interrupted"]:
        raise KeyboardInterrupt
    measured = timed("bench", lambda: bench.bench(None, quick, None, lambda part: store.write_json(results / "bench.json", part)))
    summary = machine.stamp("scripts/run --quick" if quick else "scripts/run") | {
        "kind": "run", "seconds": seconds | {"total": round(time.monotonic() - started, 1)}}
    store.write_json(results / "run.json", summary)
    page = report.make(results)
    if record:
        fuzz.append(fuzzed)
        bench.append(measured)

    replay.show(replayed)
    fuzz.show(fuzzed)
    show(state.speed(measured))
    click.echo(f"took {summary['seconds']['total']:.0f} s; the page: {shown(page)}")
    failed = replayed["failed"] or measured["errors"] or any(row["failures"] for row in fuzzed["fuzzed"])
    return 1 if failed else 0


def show(speed):
    """A line for each kind of work; the page has each size."""
    rows = []
    for work in speed["works"] if speed else ():
        verdicts = [row["verdict"] for row in work["rows"]]
        said = [f"{name} {verdicts.count(verdict)}" for name, verdict in
                (("faster", "faster"), ("slower", "slower"), ("unclear", "no difference seen")) if verdict in verdicts]
        rows.append([work["name"], f"{work['ratio']:.2f}", f"{work['lowest']:.2f} to {work['highest']:.2f}", ", ".join(said)])
    say.table("", ["work", ">times as fast as malloc", ">all sizes, 95 %", "sizes"], rows)
