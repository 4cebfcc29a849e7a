"""Our minimiser against libFuzzer's -minimize_crash=1 and afl-tmin, on planted bugs and the same long failing programs: ops left,
seconds on the processor, and whether what is left still fails the same check. None is limited by a clock, so that a busy machine
says the same."""
import contextlib
import ctypes
import json
import os
import re
import time

import click

from suite import build, command, judge, minimiser, planted, say, store
from suite.paths import BUILD, TARGETS, corpus, shown

# Without sanitizers: what is fastest for each, and the judge of all three is the same. With checks; and as shipped, for what only that
# code does.
CHECKED, SHIPPED = ("checked", "libfuzzer-fast", "afl"), ("release", "libfuzzer-plain", "afl-plain")
FOLDER = BUILD / "fuzz" / "compare"
LONGEST = 400  # ops of a program to minimise: the corpus's programs one behind the other, as long runs of a fuzzer look
ONE_SECONDS, ALL_SECONDS = 1, 3  # on the processor, for a program and for a folder of them, which take micro- and milliseconds
WALL_SECONDS = 1800  # a bound against hanging, not a measure
PR_SET_CHILD_SUBREAPER = 36  # of prctl(2)
HANG = "program_ends"
HANGS = "no check: hang; each attempt would take a minimiser all the time that one may take"
TOOLS = ("iobuf", "libfuzzer", "afl-tmin")


def chosen(names):
    """The patches of these names, or all."""
    found = [patch for patch in planted.patches() if not names or patch.stem in names]
    unknown = set(names) - {patch.stem for patch in found}
    if unknown:
        raise say.Stop(f"no planted bug is called {unknown.pop()}: there are {', '.join(p.stem for p in planted.patches())}", 2)
    return found


def measure(names, runs, each_class=None):
    """(a row for each planted bug and minimiser, {bug that was left out: why})."""
    patches = chosen(names)
    if each_class:
        patches = planted.of_each_group(patches, each_class)
    build.ensure(CHECKED[0], ["replay"])
    for preset in CHECKED[1:]:
        build.ensure(preset, [f"fuzz_{target}" for target in TARGETS])
    rows, left_out = [], {}
    with say.Steps(f"minimise {len(patches)} planted bugs", len(TOOLS) * len(patches)) as steps:
        for number, patch in enumerate(patches):
            def at(what, number=number, patch=patch):
                steps.at(len(TOOLS) * number + (TOOLS.index(what) if what in TOOLS else 0), f"{patch.stem}: {what}")
            found = kept(patch, runs, at)
            rows += found["rows"]
            if found["left_out"]:
                left_out[patch.stem] = found["left_out"]
    return rows, left_out


def kept(patch, runs, at):
    """What an earlier run measured of this bug, if nothing has changed since: all of them take hours."""
    path = FOLDER / patch.stem / f"rows-{runs}-{planted.state(patch, CHECKED[0], 'fuzz/replay')}.json"
    if not path.is_file():
        try:
            found = {"rows": of_bug(patch, runs, at), "left_out": None}
        except LeftOut as why:
            found = {"rows": [], "left_out": str(why)}
        store.write_json(path, found)
    return json.loads(path.read_text())


class LeftOut(Exception):
    """A bug that cannot be compared, with the reason."""


def of_bug(patch, runs, at):
    at("build")
    presets, replay, target, long = shown_by(patch)
    fails = failure(replay, target, long)
    if fails is None:
        raise LeftOut("its failure does not come each time")
    if fails[0] == HANG:
        raise LeftOut(HANGS)
    before = count(replay, target, long)
    rows = []
    for tool, run in zip(TOOLS, (ours, libfuzzer, afl_tmin)):
        at(tool)
        out = long.parent / tool
        out.unlink(missing_ok=True)
        took = run(patch, presets, replay, target, long, out, runs)
        same = out.is_file() and failure(replay, target, out) == fails
        rows.append({"bug": patch.stem, "target": target, "tool": tool, "ops_before": before, "bytes_before": long.stat().st_size,
                     "ops": count(replay, target, out) if out.is_file() else None,
                     "bytes": out.stat().st_size if out.is_file() else None, "seconds": round(took, 2), "same_check": same,
                     "check": fails[0], "op": fails[1], "build": presets[0]})
    return rows


def shown_by(patch):
    """The builds in which the corpus shows a bug, their replay with it, and a long program that fails."""
    for presets in (CHECKED, SHIPPED):
        replay = planted.program(patch, presets[0], "fuzz/replay")
        target, long = failing(patch, replay)
        if long:
            return presets, replay, target, long
    raise LeftOut("no program of the corpus fails")


def failing(patch, replay):
    """A long program that shows the bug: of each target, the corpus's programs in a row until one fails."""
    folder = FOLDER / patch.stem
    folder.mkdir(parents=True, exist_ok=True)
    for target in TARGETS:
        shows = next((path for part in corpus(target) for path in all_failing(replay, target, part)), None)
        if not shows:
            continue
        if (failure(replay, target, shows) or "?")[0] == HANG:  # some fail not each time
            raise LeftOut(HANGS)
        noise = [path for part in corpus(target) for path in sorted(part.iterdir()) if path != shows]
        ops = []
        for path in noise:
            more = lines(replay, target, path)
            if len(ops) + len(more) > LONGEST:
                break
            if judge.look(replay, target, written(folder, target, ops + more), cpu=ONE_SECONDS)[0] == judge.CLEAN:
                ops += more
        while True:  # what stands in front may use up what the failure needs: memory, or registers that were never assigned
            text = written(folder, target, ops + lines(replay, target, shows))
            long = folder / "long"
            command.run([replay, target, "--encode", long, text])
            if failure(replay, target, long):
                return target, long
            if not ops:
                break
            ops = ops[:len(ops) // 2]
    return None, None


def all_failing(replay, target, folder):
    """A folder's inputs that fail by themselves, one after the other."""
    left = sorted(folder.iterdir())
    while left:
        said, output = judge.look(replay, target, *left, cpu=ALL_SECONDS)
        if said == judge.CLEAN:
            return
        if said == judge.UNREADABLE:
            raise say.Stop(f"replay of {shown(folder)} could not run:\n{output[-500:]}")
        named = re.findall(r"^in (.*)$", output, re.M)
        if named:
            at = [str(path) for path in left].index(named[-1])
            maybe, left = left[at:at + 1], left[at + 1:]
        else:  # it hangs, and does not say where
            maybe, left = left, []
        yield from (path for path in maybe if failure(replay, target, path))


def lines(replay, target, path):
    output = command.run([replay, target, "--text", path])[1]
    return output.strip().splitlines()[1:]


def written(folder, target, ops):
    text = folder / "long.txt"
    text.write_text("\n".join([f"iobuf-program 1 {target}", *ops]) + "\n")
    return text


def count(replay, target, path):
    return len(lines(replay, target, path))


def failure(replay, target, path):
    """The check and the kind of op; None if it does not fail. What does not end has no op, since nothing says at which it is."""
    said, output = judge.look(replay, target, path, cpu=ONE_SECONDS)
    if not judge.fails(said):
        return None
    check = said.split(":")[0]
    if check == HANG or "check failed" not in output:
        return check, None
    program = output[output.rindex("iobuf-program"):].splitlines() if "iobuf-program" in output else []
    ops = [text for text in program if not text.startswith("in ")]
    return check, re.sub(r"^\w+ = ", "", ops[-1]).split()[0] if "at op " in output and len(ops) > 1 else "the end"


def on_processor():
    """Seconds of all processes that were started here, and have ended. afl-tmin leaves its server behind when it ends: that becomes a
    child of this process, which has to wait for it for its time to count."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    times = os.times()
    return times.children_user + times.children_system


def ours(_patch, _presets, replay, target, long, out, _runs):
    start = on_processor()
    try:
        minimiser.minimise(replay, target, long, out)
    except say.Stop as why:  # it has lost
        say.line(str(why))
    return on_processor() - start


def libfuzzer(patch, presets, _replay, target, long, out, runs):
    """It goes on until an attempt of `runs` programs brings no progress. What counts is when it last made some."""
    fuzz = planted.program(patch, presets[1], f"fuzz/fuzz_{target}")
    start, begin, log = on_processor(), time.time(), out.with_suffix(".log")
    command.run([fuzz, "-minimize_crash=1", f"-runs={runs}", f"-timeout={ONE_SECONDS}", f"-exact_artifact_path={out}", long],
                log=log, check=False, timeout=WALL_SECONDS, env={"TMPDIR": str(out.parent)})
    part = (out.stat().st_mtime - begin) / (time.time() - begin) if out.is_file() else 1
    return (on_processor() - start) * part


def afl_tmin(patch, presets, _replay, target, long, out, _runs):
    fuzz = planted.program(patch, presets[2], f"fuzz/fuzz_{target}")
    start = on_processor()
    env = {"AFL_SKIP_CPUFREQ": "1", "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1", "AFL_NO_COLOR": "1"}
    command.run(["afl-tmin", "-i", long, "-o", out, "-t", "1000", "--", fuzz], log=out.with_suffix(".log"), check=False,
                timeout=WALL_SECONDS, env=env)
    return on_processor() - start


def wins(rows):
    """Ours leaves at most the ops that the best of the others leaves, and fails the same check, on every bug."""
    for bug in {row["bug"] for row in rows}:
        mine, *others = sorted((row for row in rows if row["bug"] == bug), key=lambda row: row["tool"] != "iobuf")
        if not mine["same_check"] or any(row["same_check"] and row["ops"] < mine["ops"] for row in others):
            return False
    return bool(rows)


def show(rows, left_out):
    shown_rows = []
    for bug in dict.fromkeys(row["bug"] for row in rows):
        of = {row["tool"]: row for row in rows if row["bug"] == bug}
        first = of["iobuf"]
        fails = first["check"] + (f" at {first['op']}" if first["op"] else "")
        cells = [bug, first["target"], fails, first["ops_before"]]
        for tool in TOOLS:
            row = of[tool]
            left = "none" if row["ops"] is None else f"{row['ops']}" + ("" if row["same_check"] else " (other check)")
            cells += [left, f"{row['seconds']:.2f}"]
        shown_rows.append(cells)
    say.table("ops left and seconds", ["bug", "target", "fails", ">ops", *(f">{name}" for tool in TOOLS for name in (tool, "s"))],
              shown_rows)
    for bug, why in left_out.items():
        click.echo(f"left out: {bug}: {why}")
    click.echo(f"what each wrote, and its log: {shown(FOLDER)}")
