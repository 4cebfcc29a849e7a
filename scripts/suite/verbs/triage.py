"""iobuf triage: groups failing inputs by their cause, with the smallest program of each group."""
import itertools
import json
import pathlib
import time

import click

from suite import build, comparison, machine, minimiser, options, planted, say, store, triage
from suite.paths import BUILD, RESULTS, TARGETS, corpus, shown

KEPT = BUILD / "fuzz" / "triage"
WRITTEN = (".txt", ".c", ".min")  # what the suite writes beside an input that failed
MOST_EACH = 3  # failing inputs of one planted bug and target, for --measure
MOST_SECONDS = 20  # for minimising one of them: only hangs take that long


@click.command(short_help="Which failures are the same bug.")
@click.argument("paths", nargs=-1, metavar="[TARGET] FOLDER|FILE...", type=click.Path(path_type=pathlib.Path))
@click.option("--preset", default="asan", show_default=True, help="The build that fails, and shows stacks.")
@click.option("--replay", "program", type=click.Path(path_type=pathlib.Path, exists=True, dir_okay=False),
              help="That very replay program, in place of a preset's.")
@click.option("--measure", "measured", is_flag=True, help="On planted bugs: how often one falls into two groups, two into one.")
@click.option("--record", is_flag=True, help="With --measure: also append the rows to results/triage.jsonl.")
@options.as_json
@options.verbose
def command(paths, preset, program, measured, record, as_json):
    """Group failing inputs by cause: the check that fails, the op of the smallest program at which it does, and, of a crash, the
    library's functions on the stack. Prints one minimised program for each group.

    \b
    An input belongs to the TARGET named first, to the one that its folder is named for, or, being
    text, to the one that it names.

    \b
    Examples:
      scripts/iobuf triage build/fuzz/failures
      scripts/iobuf triage slice crash-1 crash-2 --json
      scripts/iobuf triage --measure              against grouping by the top three frames

    Exit status: 0 nothing fails, 1 there are failures, 2 wrong usage, 3 could not run.
    """
    if measured:
        if paths:
            raise click.UsageError("--measure takes no files: it has planted bugs")
        return measure(record, as_json)
    build.check_preset(preset)
    target = str(paths[0]) if paths and str(paths[0]) in TARGETS else None
    inputs = [(path, target or target_of(path)) for path in files(paths[1:] if target else paths)]
    if not program:
        build.ensure(preset, ["replay"])
    failures, fine = look(program or build.program(preset, "fuzz/replay"), inputs)
    groups = triage.group(failures)
    if as_json:
        click.echo(json.dumps({"groups": [as_row(members) for members in groups], "fine": [str(path) for path in fine]}, indent=1))
    else:
        show(groups, fine)
    return 1 if failures else 0


def files(paths):
    if not paths:
        raise click.UsageError("which folder or files?")
    found = []
    for path in paths:
        if not path.exists():
            raise say.Stop(f"{path}: there is no such file or folder")
        inner = [file for file in sorted(path.rglob("*")) if file.is_file()] if path.is_dir() else [path]
        found += [file for file in inner if not path.is_dir() or not is_written(file)]
    if not found:
        raise say.Stop(f"{paths[0]}: there is no input in it")
    return found


def is_written(path):
    return path.name.startswith(".") or any(path.name.endswith(end) and (path.parent / path.name.split(".")[0]).is_file()
                                            for end in WRITTEN)


def target_of(path):
    for folder in path.resolve().parents:
        if folder.name in TARGETS:
            return folder.name
    with path.open("rb") as file:
        words = file.readline(100).split()
    if len(words) == 3 and words[0] == b"iobuf-program" and words[2].decode(errors="replace") in TARGETS:
        return words[2].decode()
    raise click.UsageError(f"{path}: of which target? Name it first: {', '.join(TARGETS)}")


def look(replay, inputs):
    failures, fine = [], []
    with say.Steps(f"triage {len(inputs)} inputs", len(inputs)) as steps:
        for at, (path, target) in enumerate(inputs):
            steps.at(at, path.name)
            failure = triage.look(replay, target, path, KEPT / target / path.stem)
            if failure:
                failures.append(failure)
            else:
                fine.append(path)
    return failures, fine


def as_row(members):
    first = members[0]
    text, c = minimiser.texts(first["out"])
    return {"check": first["check"], "report": first["report"], "op": first["op"], "stack": list(first["stack"]),
            "count": len(members), "files": [str(failure["file"]) for failure in members], "target": first["target"], "ops": first["ops"],
            "program": text.read_text(), "text": shown(text), "c": shown(c)}


def show(groups, fine):
    for number, members in enumerate(groups, 1):
        row = as_row(members)
        what = row["check"] + (f" ({row['report']})" if row["report"] else "")
        where = f", in {' < '.join(row['stack'])}" if row["stack"] else ""
        click.echo(f"{number}. {what}, at {row['op']}: {row['count']} inputs{where}")
        click.echo("".join(f"    {line}\n" for line in row["program"].splitlines()), nl=False)
        more = f" and {row['count'] - 1} more" if row["count"] > 1 else ""
        click.echo(f"    as C: {row['c']}\n    of:   {row['files'][0]}{more}")
    for path in fine:
        click.echo(f"does not fail: {path}")
    click.echo(f"{sum(len(members) for members in groups)} failing inputs, {len(groups)} causes, {len(fine)} that do not fail")


# ---- planted bugs

KEYS = {
    "top three frames": lambda failure: failure["top"],
    "check, op, stack as they are": triage.exactly,
    "cause (what triage does)": triage.cause,
}


def measure(record, as_json):
    for preset in ("asan", "checked", "release"):
        build.ensure(preset, ["replay"])
    patches, labelled, left_out = planted.patches(), [], {}
    with say.Steps(f"triage {len(patches)} planted bugs", len(patches)) as steps:
        for at, patch in enumerate(patches):
            steps.at(at, patch.stem)
            try:
                labelled += [failure | {"bug": patch.stem} for failure in failures_of(patch)]
            except comparison.LeftOut as why:
                left_out[patch.stem] = str(why)
    if not labelled:
        raise say.Stop("no planted bug makes a program of the corpus fail")
    rows = [{"by": name} | triage.judge([(failure["bug"], key(failure)) for failure in labelled]) for name, key in KEYS.items()]
    summary = machine.stamp("scripts/iobuf triage --measure") | {
        "kind": "triage", "builds": [build.compiler("asan")], "inputs": len(labelled), "rows": rows, "left_out": left_out,
        "failures": [{"bug": failure["bug"], "file": shown(failure["file"]), "check": failure["check"], "report": failure["report"],
                      "op": failure["op"], "stack": failure["stack"], "kinds": failure["kinds"],
                      "top": failure["top"]} for failure in labelled]}
    if record:
        store.append_line(RESULTS / "triage.jsonl", summary)
    if as_json:
        click.echo(json.dumps(summary, indent=1))
    else:
        show_measure(rows, len(labelled), left_out)
    return 0


def failures_of(patch):
    """The corpus's inputs that this bug makes fail, as the engines would find them: not minimised, with the stack that they show. With
    checks; where nothing fails so, as shipped."""
    for preset, shipped in (("checked", False), ("release", True)):
        quick, asan = planted.program(patch, preset, "fuzz/replay"), planted.program(patch, "asan", "fuzz/replay", shipped)
        found = []
        for target in TARGETS:
            failing = (path for part in corpus(target) for path in comparison.all_failing(quick, target, part))
            for path in itertools.islice(failing, MOST_EACH):
                if (comparison.failure(quick, target, path) or "?")[0] == comparison.HANG:  # some fail not each time
                    raise comparison.LeftOut(comparison.HANGS)
                found += look_at(asan, target, path, KEPT / "planted" / patch.stem / target / path.stem)
        if found:
            return found
    raise comparison.LeftOut("no program of the corpus fails")


def look_at(replay, target, path, out):
    """As triage looks at it, and the frames on top; nothing where this build does not fail."""
    start = time.monotonic()
    try:
        failure = triage.look(replay, target, path, out, MOST_SECONDS)
    except say.Stop:
        if time.monotonic() - start < MOST_SECONDS:
            raise
        raise comparison.LeftOut(comparison.HANGS) from None
    return [failure | {"top": triage.top_frames(triage.run(replay, target, path))}] if failure else []


def show_measure(rows, inputs, left_out):
    say.table(f"{inputs} failing inputs of {rows[0]['bugs']} planted bugs",
              ["grouped by", ">groups", ">bugs in 2 or more", ">groups of 2 or more bugs", ">pairs of one bug parted",
               ">pairs of two bugs joined"],
              [[row["by"], row["groups"], f"{row['bugs_split']} of {row['bugs']}", f"{row['groups_mixed']} of {row['groups']}",
                percent(row["pairs_split"], row["pairs_same"]), percent(row["pairs_merged"], row["pairs_different"])] for row in rows])
    for bug, why in left_out.items():
        click.echo(f"left out: {bug}: {why}")


def percent(part, whole):
    return f"{100 * part / whole:.1f} %" if whole else "none"
