"""iobuf triage: groups failing inputs by their cause, with the smallest program of each group."""
import contextlib
import functools
import hashlib
import itertools
import json
import pathlib
import random
import time

import click

from suite import build, comparison, machine, minimiser, options, planted, say, store, triage
from suite.paths import BUILD, RESULTS, ROOT, TARGETS, corpus, shown

KEPT = BUILD / "fuzz" / "triage"
MEASURED = BUILD / "fuzz" / "triage-measured"
WRITTEN = (".txt", ".c", ".min")  # what the suite writes beside an input that failed
MOST_EACH = 3  # failing inputs of one planted bug and target, for --measure
MOST_SECONDS = 150  # for minimising one of them: only hangs take that long, on any machine


@click.command(short_help="Which failures are the same bug.")
@click.argument("paths", nargs=-1, metavar="[TARGET] FOLDER|FILE...", type=click.Path(path_type=pathlib.Path))
@click.option("--preset", default="asan", show_default=True, help="The build that fails, and shows stacks.")
@click.option("--replay", "program", type=click.Path(path_type=pathlib.Path, exists=True, dir_okay=False),
              help="That very replay program, in place of a preset's.")
@click.option("--measure", "measured", is_flag=True, help="On planted bugs: how often one falls into two groups, two into one.")
@click.option("--together", type=click.IntRange(min=0), default=0, metavar="N",
              help="With --measure: also N pairs of bugs planted at once, by lot: is what one does taken for the other's?")
@click.option("--kept", "only_kept", is_flag=True, help="With --measure: only the bugs that earlier runs have measured; all take an hour.")
@click.option("--record", is_flag=True, help="With --measure: also append the rows to results/triage.jsonl.")
@options.as_json
@options.verbose
def command(paths, preset, program, measured, together, only_kept, record, as_json):
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
        return measure(together, only_kept, record, as_json)
    if together or only_kept:
        raise click.UsageError("--together and --kept go with --measure")
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
    "top three frames": lambda failure: tuple(failure["top"]),
    "check, op, stack as they are": triage.exactly,
    "cause (what triage does)": triage.cause,
}


def measure(together, only_kept, record, as_json):
    for preset in ("asan", "checked", "release"):
        build.ensure(preset, ["replay"])
    patches, labelled, left_out = planted.patches(), [], {}
    with say.Steps(f"triage {len(patches)} planted bugs", len(patches)) as steps:
        for at, patch in enumerate(patches):
            steps.at(at, patch.stem)
            found = kept(patch, only_kept)
            labelled += [failure | {"bug": patch.stem} for failure in found["failures"]]
            if found["left_out"]:
                left_out[patch.stem] = found["left_out"]
    if not labelled:
        raise say.Stop("no planted bug makes a program of the corpus fail")
    rows = judged(labelled)
    others = judged([failure for failure in labelled if not in_view(failure["bug"])])
    pairs = planted_together(patches, labelled, together) if together else []
    summary = machine.stamp("scripts/iobuf triage --measure" + (" --kept" if only_kept else "") + (f" --together {together}" if together else "")) | {
        "kind": "triage", "builds": [build.compiler("asan")], "inputs": len(labelled), "rows": rows, "others": others, "left_out": left_out,
        "together": {"pairs": [" ".join(pair["bugs"]) for pair in pairs], "inputs": sum(len(pair["failures"]) for pair in pairs),
                     "rows": summed([judged(pair["failures"]) for pair in pairs])},
        "failures": [{"bug": failure["bug"], "file": shown(failure["file"]), "check": failure["check"], "report": failure["report"],
                      "op": failure["op"], "stack": failure["stack"], "kinds": failure["kinds"], "top": failure["top"],
                      "simplest": {name: failure["simplest"][name] for name in ("check", "report", "op", "stack", "kinds")}}
                     for failure in labelled]}
    if record:
        store.append_line(RESULTS / "triage.jsonl", summary)
    if as_json:
        click.echo(json.dumps(summary, indent=1))
    else:
        show_measure(f"{len(labelled)} failing inputs of {rows[0]['bugs']} planted bugs", rows)
        show_measure(f"of them, the {others[0]['bugs']} bugs that were not in view when it was made up how causes are told", others)
        if pairs:
            show_measure(f"{summary['together']['inputs']} failing inputs of {len(pairs)} libraries with two bugs", summary["together"]["rows"])
        for bug, why in left_out.items():
            click.echo(f"left out: {bug}: {why}")
    return 0


def judged(labelled):
    return [{"by": name} | triage.judge([(failure["bug"], key(failure)) for failure in labelled]) for name, key in KEYS.items()]


def summed(tables):
    """The rows of several libraries as one: failures are compared with those of the same library alone."""
    return [{name: first[name] if name == "by" else sum(table[at][name] for table in tables) for name in first}
            for at, first in enumerate(tables[0] if tables else ())]


def in_view(bug):
    """How causes are told was made up with these bugs in view, the first and the last by name. What is said of the others was not
    fitted to them."""
    return not "coalesce-m" < bug < "truncate-o"


def planted_together(patches, labelled, count):
    """`count` pairs of bugs that can be planted at once and both show with checks, by lot: (bugs, failures), each failure with the bug
    that does it alone. What neither or both do is left out."""
    of_bug = {patch: [failure for failure in labelled if failure["bug"] == patch.stem] for patch in patches}
    shown_checked = [patch for patch, found in of_bug.items() if found and found[0]["preset"] == "checked"]
    lots = list(itertools.combinations(shown_checked, 2))
    random.Random(1).shuffle(lots)
    pairs = []
    with say.Steps(f"triage {count} pairs of planted bugs", count) as steps:
        for first, second in lots:
            if len(pairs) == count:
                break
            steps.at(len(pairs), f"{first.stem}, {second.stem}")
            try:
                replay = planted.program(planted.together(first, second), "asan", "fuzz/replay")
            except say.Stop:  # they change the same lines
                continue
            alone = {patch.stem: planted.program(patch, "asan", "fuzz/replay") for patch in (first, second)}
            found = []
            for failure in of_bug[first] + of_bug[second]:
                path, target = ROOT / failure["file"], failure["target"]
                out = KEPT / "together" / f"{first.stem}+{second.stem}" / target / path.stem
                with contextlib.suppress(comparison.LeftOut):  # both together may hang
                    if sum(comparison.failure(program, target, path) is not None for program in alone.values()) == 1:
                        found += [one | {"bug": failure["bug"]} for one in look_at(replay, target, path, out)]
            pairs.append({"bugs": (first.stem, second.stem), "failures": found})
    return pairs


def kept(patch, only):
    """What failures_of says, from an earlier run if nothing has changed since: all bugs take most of an hour. `only`: or nothing."""
    path = MEASURED / f"{patch.stem}-{planted.state(patch, 'asan', 'fuzz/replay')}-{corpus_state()}.json"
    if only and not path.is_file():
        return {"failures": [], "left_out": "not measured"}
    if not path.is_file():
        try:
            found = {"failures": failures_of(patch), "left_out": None}
        except comparison.LeftOut as why:
            found = {"failures": [], "left_out": str(why)}
        store.write(path, json.dumps(found, default=str))
    return json.loads(path.read_text())


@functools.lru_cache(None)
def corpus_state():
    digest = hashlib.sha256()
    for path in sorted(path for target in TARGETS for part in corpus(target) for path in part.iterdir()):
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:8]


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
                found += [failure | {"preset": preset} for failure in
                          look_at(asan, target, path, KEPT / "planted" / patch.stem / target / path.stem)]
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


def show_measure(title, rows):
    say.table(title,
              ["grouped by", ">groups", ">bugs in 2 or more", ">groups of 2 or more bugs", ">pairs of one bug parted",
               ">pairs of two bugs joined"],
              [[row["by"], row["groups"], f"{row['bugs_split']} of {row['bugs']}", f"{row['groups_mixed']} of {row['groups']}",
                percent(row["pairs_split"], row["pairs_same"]), percent(row["pairs_merged"], row["pairs_different"])] for row in rows])


def percent(part, whole):
    return f"{100 * part / whole:.1f} %" if whole else "none"
