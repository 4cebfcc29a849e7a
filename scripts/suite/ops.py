"""How many operations the fuzzed programs came to: an estimate, since the engines count programs only."""
import re

from suite import build, command
from suite.engines import ENGINES
from suite.paths import corpus

HOW = ("Operations are estimated: programs, times the mean number of operations in the programs that the engine kept for that target"
       " (counted by replaying them).")


def estimate(rows):
    """Adds `ops_per_program` to each row; returns the total and how it was come by."""
    for row in rows:
        row["ops_per_program"] = per_program(row["engine"], row["target"])
    if any(row["ops_per_program"] is None for row in rows):
        return {"operations": None, "operations_how": "Operations were not counted: a kept program could not be replayed."}
    return {"operations": round(sum(row["programs"] * row["ops_per_program"] for row in rows)), "operations_how": HOW}


def per_program(engine, target):
    """Of what the engine kept; of the target's corpus where it kept nothing that can be replayed."""
    kept = ENGINES[engine].kept_programs(target)
    for folders in ([kept] if kept.is_dir() and any(kept.iterdir()) else [], corpus(target)):
        _, output = command.run([build.program("release", "fuzz/replay"), target, "--fast", *folders], check=False, timeout=120)
        found = re.search(r"(\d+) programs, (\d+) ops", output)
        if found and int(found[1]):
            return round(int(found[2]) / int(found[1]), 1)
    return None
