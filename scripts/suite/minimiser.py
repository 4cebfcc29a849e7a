"""Makes failing programs small by `replay --minimise`, which is C: a candidate costs microseconds, one that fails a fork."""
import re
import time

from suite import command, say

SECONDS = 300  # a bound against hanging, not a measure
# Reports without names of functions: looking those up takes longer than all else. An abort is reported, since only a report tells the op.
BRIEF = {f"{kind}_OPTIONS": "symbolize=0:handle_abort=1" for kind in ("ASAN", "UBSAN", "MSAN", "TSAN")}
LEFT = re.compile(r"(\d+) of (\d+) ops left; (\S+) at (.*); (\d+) runs in (\d+) processes")


def minimise(replay, target, file, out, limit=SECONDS, any_failure=False):
    """Writes `out`, out.txt and out.c; returns what is left and how it fails, or None if the file does not fail. `any_failure`: as a
    program of any ops that fails in any way."""
    start = time.monotonic()
    out.parent.mkdir(parents=True, exist_ok=True)
    status, output = command.run([replay, target, "--minimise", out, *(["--any"] if any_failure else []), file], check=False, env=BRIEF, timeout=limit)
    seconds = time.monotonic() - start
    found = LEFT.search(output)
    if status == 0:
        return None
    if status != 1 or not found:
        last = (output.strip().splitlines() or ["it said nothing"])[-1]
        raise say.Stop(f"{file}: replay could not minimise it, {command.ended(status)}: {last.removeprefix('replay: ')}")
    op, _, report = found[4].partition(": ")
    return {"ops": int(found[1]), "ops_before": int(found[2]), "check": found[3], "op": op, "report": report or None,
            "runs": int(found[5]), "processes": int(found[6]), "seconds": round(seconds, 3), "bytes": out.stat().st_size}


def texts(out):
    """The names of the text and of the C file that stand beside `out`."""
    return out.parent / f"{out.name}.txt", out.parent / f"{out.name}.c"
