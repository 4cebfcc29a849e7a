"""Who runs the instructions of a fuzz target: model, library, the harness's decoder, or the rest of the harness. By callgrind, which
is exact; what the C library does counts for whoever called it."""
import collections
import json
import pathlib
import re
import tempfile

from suite import build, command
from suite.paths import corpus

PARTS = ("library", "model", "decoder", "harness")
ROUNDS = 20  # runs of each program; the start of the process is taken off by a second count with twice as many


def of_target(target, ops):
    build.ensure("profile", ["speed"])
    (few, programs), (many, _) = count(target, ops, ROUNDS), count(target, ops, 2 * ROUNDS)
    parts = {part: many[part] - few[part] for part in PARTS}
    total = sum(parts.values())
    return {"target": target, "instructions_per_op": round(total / (ROUNDS * programs * ops), 1),
            "percent": {part: round(100 * parts[part] / total, 2) for part in PARTS},
            "functions": top(many, few, total)}


def top(many, few, total):
    """The functions with most instructions of their own."""
    own = {name: count - few["own"].get(name, 0) for name, count in many["own"].items()}
    return [{"function": name, "percent": round(100 * count / total, 1)}
            for name, count in sorted(own.items(), key=lambda item: -item[1])[:25]]


def count(target, ops, rounds):
    """Instructions by part, and how many programs there are."""
    with tempfile.TemporaryDirectory() as work:
        out = pathlib.Path(work) / "out"
        _, said = command.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--compress-strings=no", "--compress-pos=no",
                               "--fair-sched=yes", build.program("profile", "fuzz/speed"), target, "--ops", ops, "--rounds", rounds,
                               *corpus(target)])
        found = next(json.loads(line) for line in said.splitlines() if line.startswith("{"))
        return parse(out.read_text(errors="replace")), found["inputs"]


def part_of(file):
    """The part that a source file belongs to; None for the C library's."""
    for folder, part in (("/lib/", "library"), ("/fuzz/model/", "model"), ("/fuzz/program/", "decoder"), ("/fuzz/", "harness")):
        if folder in file and "/src/" + folder not in file and re.search(rf"{folder}.*\.(c|h)$", file):
            return part
    return None


def parse(text):
    """Sums callgrind's lines of cost: a function's own, by the part of the file that it was defined in, and of each call into the C
    library all of it, for the caller."""
    parts, own = collections.Counter(), collections.Counter()
    file = name = callee = None
    here, calls = None, False
    for line in text.splitlines():
        if line.startswith("fl="):
            file = callee_file = line[3:]
        elif line.startswith("fn="):
            name, here, callee_file = line[3:], part_of(file), file
        elif line.startswith("cfi=") or line.startswith("cfl="):
            callee_file = line[4:]
        elif line.startswith("cfn="):
            callee = part_of(callee_file)
        elif line.startswith("calls="):
            calls = True
        elif line[:1] and line[0] in "0123456789+-*":
            cost = int(line.split()[-1])
            if here and not calls:
                parts[here] += cost
                own[name] += cost
            elif here and callee is None:
                parts[here] += cost
                own["(C library) for " + name] += cost
            calls, callee_file = False, file
    return {part: parts[part] for part in PARTS} | {"own": own}
