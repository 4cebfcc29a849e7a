"""Our minimiser against libFuzzer's -minimize_crash=1 and afl-tmin, on planted bugs and the same long failing programs: ops left,
seconds, and whether what is left still fails the same check."""
import re
import time

import click

from suite import build, command, minimiser, planted, say
from suite.paths import BUILD, TARGETS, corpus, shown

# All without sanitizers, and checked: what is fastest for each. The judge of all three is the same.
PRESETS = ("checked", "libfuzzer-fast", "afl")
FOLDER = BUILD / "fuzz" / "compare"
LONGEST = 400  # ops of a program to minimise: the corpus's programs one behind the other, as long runs of a fuzzer look


def measure(names, seconds):
    """A row for each planted bug and minimiser."""
    patches = [patch for patch in planted.patches() if not names or patch.stem in names]
    unknown = set(names) - {patch.stem for patch in patches}
    if unknown:
        raise say.Stop(f"no planted bug is called {unknown.pop()}: there are {', '.join(p.stem for p in planted.patches())}", 2)
    build.ensure("checked", ["replay"])
    for preset in PRESETS[1:]:
        build.ensure(preset, [f"fuzz_{target}" for target in TARGETS])
    rows = []
    with say.Steps(f"minimise {len(patches)} planted bugs", 3 * len(patches)) as steps:
        for patch in patches:
            rows += of_bug(patch, seconds, lambda tool, at=len(rows): steps.at(at, f"{patch.stem}: {tool}"))
    return rows


def of_bug(patch, seconds, at):
    at("build")
    replay = planted.program(patch, "checked", "fuzz/replay")
    target, long = failing(patch, replay)
    if not long:
        say.line(f"{patch.stem}: no program of the corpus fails; left out")
        return []
    before = count(replay, target, long)
    fails = failure(replay, target, long)
    rows = []
    for tool, run in (("iobuf", ours), ("libfuzzer", libfuzzer), ("afl-tmin", afl_tmin)):
        at(tool)
        out = long.parent / tool
        out.unlink(missing_ok=True)
        took = run(patch, replay, target, long, out, seconds)
        same = out.is_file() and failure(replay, target, out) == fails
        rows.append({"bug": patch.stem, "target": target, "tool": tool, "ops_before": before, "bytes_before": long.stat().st_size,
                     "ops": count(replay, target, out) if out.is_file() else None,
                     "bytes": out.stat().st_size if out.is_file() else None, "seconds": round(took, 2), "same_check": same,
                     "check": fails[0] if fails else None, "op": fails[1] if fails else None})
    return rows


def failing(patch, replay):
    """A long program that shows the bug: of each target, the corpus's programs in a row until one fails."""
    folder = FOLDER / patch.stem
    folder.mkdir(parents=True, exist_ok=True)
    for target in TARGETS:
        shows = next((path for part in corpus(target) for path in all_failing(replay, target, part)), None)
        if not shows:
            continue
        noise = [path for part in corpus(target) for path in sorted(part.iterdir()) if path != shows]
        ops = []
        for path in noise:
            more = lines(replay, target, path)
            if len(ops) + len(more) > LONGEST:
                break
            candidate = written(folder, target, ops + more)
            if command.run([replay, target, "--quiet", candidate], check=False, timeout=60)[0] == 0:
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
    """A folder's inputs that fail, one after the other."""
    if command.run([replay, target, "--quiet", folder], check=False, timeout=60)[0] == 0:
        return
    for path in sorted(folder.iterdir()):
        if command.run([replay, target, "--quiet", path], check=False, timeout=60)[0] != 0:
            yield path


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
    """The check and the kind of op, or None."""
    status, output = command.run([replay, target, path], check=False, timeout=60)
    found = re.search(r"check failed: (\w+):", output)
    if status == 0 or not found:
        return None
    program = output[output.rindex("iobuf-program"):].splitlines() if "iobuf-program" in output else []
    ops = [text for text in program if not text.startswith("in ")]
    last = re.sub(r"^\w+ = ", "", ops[-1]).split()[0] if "at op " in output and len(ops) > 1 else "the end"
    return found[1], last


def ours(_patch, replay, target, long, out, _seconds):
    return minimiser.minimise(replay, target, long, out)["seconds"]


def libfuzzer(patch, _replay, target, long, out, seconds):
    """It stops by itself only at the time that it is given; what counts is when it last made progress."""
    fuzz = planted.program(patch, "libfuzzer-fast", f"fuzz/fuzz_{target}")
    start, log = time.time(), out.with_suffix(".log")
    command.run([fuzz, "-minimize_crash=1", f"-max_total_time={seconds}", f"-exact_artifact_path={out}", long], log=log, check=False,
                timeout=seconds + 60, env={"TMPDIR": str(out.parent)})
    return out.stat().st_mtime - start if out.is_file() else time.time() - start


def afl_tmin(patch, _replay, target, long, out, seconds):
    fuzz = planted.program(patch, "afl", f"fuzz/fuzz_{target}")
    start = time.monotonic()
    env = {"AFL_SKIP_CPUFREQ": "1", "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1", "AFL_NO_COLOR": "1"}
    command.run(["afl-tmin", "-i", long, "-o", out, "-t", "1000", "--", fuzz], log=out.with_suffix(".log"), check=False,
                timeout=seconds + 60, env=env)
    return time.monotonic() - start


def wins(rows):
    """Ours leaves at most the ops that the best of the others leaves, and fails the same check, on every bug."""
    for bug in {row["bug"] for row in rows}:
        mine, *others = sorted((row for row in rows if row["bug"] == bug), key=lambda row: row["tool"] != "iobuf")
        if not mine["same_check"] or any(row["same_check"] and row["ops"] < mine["ops"] for row in others):
            return False
    return bool(rows)


def show(rows):
    tools = ("iobuf", "libfuzzer", "afl-tmin")
    shown_rows = []
    for bug in dict.fromkeys(row["bug"] for row in rows):
        of = {row["tool"]: row for row in rows if row["bug"] == bug}
        first = of["iobuf"]
        cells = [bug, first["target"], f"{first['check']} at {first['op']}", first["ops_before"]]
        for tool in tools:
            row = of[tool]
            left = "none" if row["ops"] is None else f"{row['ops']}" + ("" if row["same_check"] else " (other check)")
            cells += [left, f"{row['seconds']:.2f}"]
        shown_rows.append(cells)
    say.table("ops left and seconds", ["bug", "target", "fails", ">ops", *(f">{name}" for tool in tools for name in (tool, "s"))],
              shown_rows)
    click.echo(f"what each wrote, and its log: {shown(FOLDER)}")
