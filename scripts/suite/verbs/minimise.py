"""iobuf minimise: makes failing programs small, and compares that with what the engines have for it."""
import json
import pathlib

import click

from suite import build, comparison, machine, minimiser, options, say, store
from suite.paths import BUILD, RESULTS, TARGETS, shown

KEPT = BUILD / "fuzz" / "minimised"


@click.command(short_help="Make failing programs as small as they can be.")
@click.argument("target", required=False, metavar="[TARGET]")
@click.argument("files", nargs=-1, type=click.Path(path_type=pathlib.Path))
@click.option("--out", type=click.Path(path_type=pathlib.Path, file_okay=False), default=KEPT, show_default="build/fuzz/minimised",
              help="Folder for what is left: NAME encoded, NAME.txt, NAME.c.")
@click.option("--preset", default="asan", show_default=True, help="The build whose replay fails: asan, checked, release, ...")
@click.option("--replay", "program", type=click.Path(path_type=pathlib.Path, exists=True, dir_okay=False),
              help="That very replay program, in place of a preset's.")
@click.option("--compare", is_flag=True, help="On planted bugs: ops left and seconds, against libFuzzer's and AFL++'s minimisers.")
@click.option("--bug", "bugs", multiple=True, help="With --compare: only this planted bug; may be repeated.")
@click.option("--each-class", type=click.IntRange(min=1), metavar="N", help="With --compare: only the first N of each class, by name.")
@click.option("--runs", type=click.IntRange(min=1), default=30000, show_default=True,
              help="With --compare: programs that libFuzzer runs in each attempt.")
@click.option("--record", is_flag=True, help="With --compare: also append the rows to results/minimise.jsonl.")
@options.as_json
@options.verbose
def command(target, files, out, preset, program, compare, bugs, each_class, runs, record, as_json):
    """Make each of TARGET's failing FILES the smallest program found that fails the same check at the same kind of op.

    \b
    Ops go first, those that only make sense together at once; then sizes and registers become simpler.
    Without any one of the ops that are left, the program does not fail in that way.

    \b
    Examples:
      scripts/iobuf minimise slice build/fuzz/failures/slice/afl-0123456789ab
      scripts/iobuf minimise all bug.txt --preset checked --out /tmp/small
      scripts/iobuf minimise --compare                 against -minimize_crash and afl-tmin, on planted bugs
      scripts/iobuf minimise --compare --each-class 2  on some of each sort: all take an hour, in parts if you like

    Exit status: 0 all were minimised, 1 one does not fail (or, compared, loses), 2 wrong usage, 3 could not run.
    """
    if compare:
        if target is not None:
            raise click.UsageError("--compare takes no files: it has planted bugs")
        return compared(bugs, each_class, runs, record, as_json)
    if target not in TARGETS:
        raise click.UsageError(f"no target is called {target!r}: there are {', '.join(TARGETS)}" if target else
                               "which TARGET, and which files?")
    if not files:
        raise click.UsageError("which files?")
    build.check_preset(preset)
    for path in files:
        if not path.is_file():
            raise say.Stop(f"{path}: there is no such file")
    if not program:
        build.ensure(preset, ["replay"])
    rows = [one(program or build.program(preset, "fuzz/replay"), target, path, out) for path in files]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    return 0 if all(row["check"] for row in rows) else 1


def one(replay, target, path, out):
    to = out / target / path.stem
    left = minimiser.minimise(replay, target, path, to)
    if not left:
        say.error(f"{path} does not fail: nothing to minimise")
        return {"file": str(path), "check": None}
    text, c = minimiser.texts(to)
    say.line(f"{path}: {left['ops']} of {left['ops_before']} ops left, {left['seconds']:.2f} s\n{text.read_text().rstrip()}")
    say.line(f"encoded: {shown(to)}\nas text: {shown(text)}\nas C:    {shown(c)}")
    return {"file": str(path), "out": str(to)} | left


def compared(bugs, each_class, runs, record, as_json):
    rows, left_out = comparison.measure(bugs, runs, each_class)
    words = ["scripts/iobuf minimise --compare", *(f"--bug {bug}" for bug in bugs), *([f"--each-class {each_class}"] if each_class else []),
             f"--runs {runs}"]
    presets = [preset for built in (comparison.CHECKED, comparison.SHIPPED) if built[0] in {row["build"] for row in rows} for preset in built]
    summary = machine.stamp(" ".join(words)) | {"kind": "minimise", "builds": [build.compiler(name) for name in presets], "rows": rows,
                                                "left_out": left_out}
    if record and rows:
        store.append_line(RESULTS / "minimise.jsonl", summary)
    if as_json:
        click.echo(json.dumps(summary, indent=1))
    else:
        comparison.show(rows, left_out)
    return 0 if comparison.wins(rows) else 1
