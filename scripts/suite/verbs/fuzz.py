"""iobuf fuzz: drives the targets with libFuzzer and AFL++ for a bounded time, goes on from where the last run ended."""
import collections
import json
import time

import click

from suite import build, ci, command as commands, engines, failures, machine, ops, options, say, store
from suite.paths import CORPUS, RESULTS, ROOT, TARGETS, shown

CANARY_SECONDS = 60


@click.command(short_help="Drive the targets with libFuzzer and AFL++.")
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option("--engine", type=click.Choice(["both", *engines.ENGINES]), default="both", show_default=True)
@click.option("--seconds", type=click.IntRange(min=1), help="How long for each target and engine; 60 unless --runs is given.")
@click.option("--runs", type=click.IntRange(min=1), help="How many programs for each target and engine.")
@click.option("--jobs", type=click.IntRange(min=1), help="How many fuzzers at once; as many as there are processors.")
@click.option("--fast", is_flag=True, help="libFuzzer without sanitizers: several times as many programs.")
@click.option("--bytes", "own_mutators", is_flag=True, help="Leave mutating to the engines, which know bytes and no programs; to compare.")
@click.option("--canary", is_flag=True, help="Check the checker: each engine must find a planted bug within 60 s.")
@click.option("--ci", "for_ci", is_flag=True, help="For a change: only failures that --base does not have count.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="With --ci: what all engines share; 10 unless given.")
@click.option("--base", help="With --ci: the git revision before the change.")
@click.option("--record", is_flag=True, help="Also append a summary to results/fuzz.jsonl.")
@options.results
@options.as_json
@options.verbose
def command(targets, engine, seconds, runs, jobs, fast, own_mutators, canary, for_ci, minutes, base, record, results, as_json):
    """Fuzz TARGETs (slice, reader, pool, all; all four by default) against the model.

    \b
    Each target runs on each engine, as many at once as there are processors. What an engine finds
    is kept in build/fuzz/ENGINE/TARGET, so the next run goes on from there; Ctrl-C loses nothing.
    A failing input is copied to build/fuzz/failures and printed as a program.

    \b
    Examples:
      scripts/iobuf fuzz                                all targets, both engines, 60 s each
      scripts/iobuf fuzz slice --seconds 10             one target
      scripts/iobuf fuzz --fast --runs 2500000          10 million programs per engine
      scripts/iobuf fuzz pool --engine afl -v           shows the commands, to run them by hand
      scripts/iobuf fuzz --canary                       does the harness find a planted bug?
      scripts/iobuf fuzz --ci --minutes 5 --base origin/main   reports in results/latest/ci

    Exit status: 0 nothing failed, 1 an input failed (--ci: one that the base runs clean), 2 wrong usage, 3 could not run,
    4 with --ci: only what the base fails too.
    """
    unknown = [name for name in targets if name not in TARGETS]
    if unknown:
        raise click.UsageError(f"no target is called {unknown[0]!r}: there are {', '.join(TARGETS)}")
    named = list(dict.fromkeys(targets))
    targets = named or list(TARGETS)
    names = list(engines.ENGINES) if engine == "both" else [engine]
    if for_ci or minutes or base:
        if not (for_ci and base) or seconds or runs or canary or engine != "both" or fast or own_mutators or record or jobs:
            raise click.UsageError("--ci goes with --base REVISION, --minutes and targets, and --base and --minutes with --ci alone")
        return ci.run(named, minutes or 10, base, results, as_json, find_canary)
    if canary:
        found = find_canary(names)
        if as_json:
            click.echo(json.dumps(found, indent=1))
        return 0 if all(row["found"] for row in found) else 1
    if not seconds and not runs:
        seconds = 60
    summary = fuzz(targets, names, seconds, runs, jobs, fast, own_mutators)
    store.write_json(results / "fuzz.json", summary)
    if record:
        append(summary)
    if as_json:
        click.echo(json.dumps(summary, indent=1))
    else:
        show(summary)
    return 1 if any(row["failures"] for row in summary["fuzzed"]) else 0


def fuzz(targets, names, seconds, runs, jobs=None, fast=False, own_mutators=False):
    """Fuzzes and returns the summary. On Ctrl-C it stops the engines and returns what they did until then."""
    kinds = [engines.LibFuzzerFast if fast and name == "libfuzzer" else engines.ENGINES[name] for name in names]
    for kind in kinds:
        build.ensure(kind.preset, [f"fuzz_{target}" for target in targets])
    build.ensure("release", ["replay"])
    queue = [kind(target, seconds, runs, own_mutators) for target in targets for kind in kinds]
    rows, interrupted = drive(queue, jobs or build.cpus())
    summary = machine.stamp(again(targets, names, seconds, runs, fast, own_mutators)) | {
        "kind": "fuzz", "interrupted": interrupted, "builds": [build.compiler(kind.preset) for kind in kinds],
        "fuzzed": rows}
    return summary | ops.estimate(rows)


def append(summary):
    store.append_line(RESULTS / "fuzz.jsonl", summary)


def again(targets, names, seconds, runs, fast, own_mutators):
    words = ["scripts/iobuf fuzz", *(targets if list(targets) != list(TARGETS) else [])]
    words += [f"--engine {names[0]}"] if len(names) == 1 else []
    words += [f"--seconds {seconds}"] if seconds else []
    words += [f"--runs {runs}"] if runs else []
    return " ".join(words + (["--fast"] if fast else []) + (["--bytes"] if own_mutators else []))


def drive(queue, jobs):
    """Runs the fuzzers, `jobs` at once; returns their results and whether it was interrupted."""
    waiting, active, rows = collections.deque(queue), [], []
    interrupted = False
    try:
        with Board(queue) as board:
            while waiting or active:
                while waiting and len(active) < jobs:
                    fuzzer = waiting.popleft()
                    active.append(fuzzer)
                    fuzzer.start()
                time.sleep(0.2)
                for fuzzer in list(active):
                    board.show(fuzzer)
                    if not fuzzer.running():
                        active.remove(fuzzer)
                        rows.append(finish(fuzzer, board))
    except KeyboardInterrupt:
        interrupted = True
        say.line("interrupted: stopping the engines, what they found is kept")
    finally:
        for fuzzer in active:
            if fuzzer.process:
                fuzzer.stop()
    if interrupted:
        rows += [finish(fuzzer) for fuzzer in active if fuzzer.process]
    for fuzzer in queue:
        if fuzzer.kept:
            failures.describe(fuzzer, fuzzer.kept[0])
    return rows, interrupted


def finish(fuzzer, board=None):
    row = fuzzer.result(fuzzer.elapsed())
    if board:
        board.done(fuzzer, row)
    fuzzer.kept = [failures.keep(fuzzer.name, fuzzer.target, found) for found in row["failures"]]
    row["failures"] = [shown(copy) for copy in fuzzer.kept]
    return row


class Board:
    """A live line for each fuzzer on a terminal; elsewhere a line at the end of each, and one now and then."""

    EVERY = 15.0

    def __init__(self, queue):
        self.tasks, self.last, self.queue, self.progress = {}, {}, queue, None

    def __enter__(self):
        if say.on_terminal():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn
            self.progress = Progress(TextColumn("{task.description:18}"), BarColumn(bar_width=20),
                                     TextColumn("{task.fields[note]}"), console=Console(stderr=True))
            self.progress.start()
            for fuzzer in self.queue:
                self.tasks[fuzzer] = self.progress.add_task(f"{fuzzer.name} {fuzzer.target}", total=1.0, note="waiting")
        return self

    def __exit__(self, *_):
        if self.progress:
            self.progress.stop()

    def show(self, fuzzer):
        if self.progress:
            state = fuzzer.state()
            parts = [fuzzer.elapsed() / fuzzer.seconds] if fuzzer.seconds else []
            parts += [state["programs"] / fuzzer.runs] if fuzzer.runs else []
            self.progress.update(self.tasks[fuzzer], completed=min(1.0, max(parts)), note=note(state, fuzzer.elapsed()))
        elif time.monotonic() - self.last.setdefault(fuzzer, time.monotonic()) >= self.EVERY:
            self.last[fuzzer] = time.monotonic()
            say.line(f"  {fuzzer.name} {fuzzer.target}: {note(fuzzer.state(), fuzzer.elapsed())}")

    def done(self, fuzzer, row):
        outcome = "FAILED" if row["failures"] else "fine"
        text = f"{note(row, row['seconds'])}, {outcome}"
        if self.progress:
            self.progress.update(self.tasks[fuzzer], completed=1.0, note=text)
        else:
            say.line(f"fuzz {fuzzer.name} {fuzzer.target}: {text}")


def note(state, seconds):
    if state["programs"] < 2:  # AFL++ often counts for others only when it ends
        return f"at work for {seconds:.0f} s, not counted yet"
    rate = state["programs"] / max(seconds, 0.001)
    return f"{state['programs']:,} programs, {rate:,.0f}/s, corpus {state['corpus']:,}, edges {state['edges']:,}"


def show(summary):
    rows = []
    for row in summary["fuzzed"]:
        stability = f"{row['stability']:g} %" if row["stability"] is not None else ""
        rows.append([row["target"], row["engine"], f"{row['programs']:,}", f"{row['programs_per_second']:,}", f"{row['corpus']:,}",
                     f"{row['edges']:,}", stability, len(row["failures"]) or "none"])
    total = sum(row["programs"] for row in summary["fuzzed"])
    say.table("", ["target", "engine", ">programs", ">per second", ">corpus", ">edges", ">stability", ">failures"], rows)
    operations = f", about {summary['operations']:,} operations" if summary.get("operations") else ""
    click.echo(f"{total:,} programs{operations}")


def find_canary(names):
    """Each engine against a library with a planted bug, from those seeds that do not show it already."""
    build.ensure("release", ["canary_replay", "replay"])
    for name in names:
        build.ensure(engines.ENGINES[name].preset, ["fuzz_canary"])
    rows = []
    for name in names:
        log = engines.KEPT / f"canary-{name}.log"
        with say.step(f"canary, {name}"):
            status, output = commands.run(
                ["sh", ROOT / "fuzz" / "test" / "canary_found.sh", name,
                 build.program(engines.ENGINES[name].preset, "fuzz/fuzz_canary"), build.program("release", "fuzz/canary_replay"),
                 build.program("release", "fuzz/replay"), CORPUS / "slice" / "seeds", CANARY_SECONDS], log=log, check=False,
                env=engines.afl_mutator("slice") if name == "afl" else {})
        if status not in (0, 1):
            raise say.Stop(f"the canary could not be looked for with {name}, {commands.ended(status)}:\n{output}")
        say.line(output.strip())
        rows.append({"engine": name, "found": status == 0, "log": shown(log)})
    return rows
