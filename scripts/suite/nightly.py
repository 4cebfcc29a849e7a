"""What runs for long: stages, each a sequence of parts, of which as many are run as fit its time. A part that has ended is noted, so that an
interruption loses the part at work and no more."""
import dataclasses
import json
import time

from suite import build, command, machine, mutants, say, store
from suite.paths import BUILD, ROOT, shown

FOLDER = BUILD / "nightly"
PROGRESS = FOLDER / "progress.jsonl"
PART_SECONDS = 60  # of a stage that can be cut in parts as one likes
COULD_NOT = (2, 3)  # the exit status of a program that was not used well, or could not run


@dataclasses.dataclass(frozen=True)
class Stage:
    name: str
    text: str
    minutes: float  # unless --minutes says otherwise
    preset: str  # None: the program is no build's
    program: str  # path in the build's folder; else in the repository: scripts/iobuf, with a verb as its first word
    words: object  # (number of the part, seconds left) -> the program's arguments. Exit status: 0 clean, 2 and 3 could not run, else found


def stress(threads):
    """Each part begins with a seed that no other has."""
    return lambda part, left: ["--threads", threads, "--seed", part * 10**9 + 1, "--seconds", max(1, round(min(PART_SECONDS, left)))]


def schedules(count, *words):
    """Of seeds that no other part has."""
    return lambda part, _left: [*words, count, "--from", part * count]


STRESS, EXPLORER = "fuzz/stress/iobuf_stress", "fuzz/interleave/iobuf_interleave"
# One line for each: whoever adds a stage adds it here.
STAGES = (
    *(Stage(f"tsan-{threads}", f"{threads} threads, every public call, ThreadSanitizer", 5, "tsan", STRESS, stress(threads))
      for threads in (2, 4, 8, 16)),
    Stage("asan", "8 threads, AddressSanitizer", 3, "asan", STRESS, stress(8)),
    Stage("stress", "8 threads, the library as shipped", 3, "release", STRESS, stress(8)),
    Stage("exhaustive", "all schedules of programs, at most 3 preemptions", 10, "release", EXPLORER,
          schedules(1000, "--exhaustive", "--preemptions", 3, "--made")),
    Stage("random", "schedules at random", 5, "release", EXPLORER, schedules(500_000, "--random")),
    Stage("pct", "schedules by priorities", 5, "release", EXPLORER, schedules(200_000, "--pct", 4)),
    Stage("soak", "servers and clients that are killed", 30, None, "scripts/iobuf",
          lambda part, left: ["soak", "--seed", part + 1, "--seconds", max(1, round(left))]),
    Stage("machines", "all tests for aarch64, s390x and armhf, under qemu", 1, None, "scripts/iobuf",
          lambda _part, _left: ["test", "armhf", "aarch64-all", "s390x-all", "armhf-all"]),
    Stage("proof", "the arithmetic, also what the tests leave out", 1, None, "scripts/iobuf", lambda part, left: ["prove"]),
)


def key():
    """Names what is tested: a result of it stays one as long as this does. What a run itself adds to the tree is no part of it."""
    return {"commit": machine.commit().removesuffix("+changes"), "library": mutants.library()}


def rows_of(path, fields):
    """The lines of a file that have what `fields` says."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return []
    except (UnicodeDecodeError, IsADirectoryError):
        raise say.Stop(f"{shown(path)} is not text: move it away") from None
    found = []
    for number, text in enumerate(lines, 1):
        try:
            row = json.loads(text)
            if {"stage": str, "seconds": float} | {name: str for name in fields} != \
                    {name: type(row[name]) for name in ("stage", "seconds", *fields)}:
                raise ValueError
        except (ValueError, KeyError, TypeError):
            raise say.Stop(f"{shown(path)}:{number} is no line of this verb: move the file away") from None
        if all(row[name] == value for name, value in fields.items()):
            found.append(row)
    return found


def finished(stage, seconds, output, of):
    """The last result of a stage that had as much time, or failed; else None."""
    rows = [row for row in rows_of(output, of) if row["stage"] == stage.name and (row.get("status") == "found" or row.get("asked_s", 0) >= seconds)]
    return rows[-1] if rows else None


def forget(stages):
    """What is noted of them."""
    names = {stage.name for stage in stages}
    kept = [row for row in rows_of(PROGRESS, {}) if row["stage"] not in names]
    store.write(PROGRESS, "".join(json.dumps(row) + "\n" for row in kept))


def ready(stage):
    if stage.preset is None:
        return ROOT / stage.program
    build.ensure(stage.preset, [stage.program.rsplit("/", 1)[1]])
    return build.program(stage.preset, stage.program)


def run(stage, seconds, output, of, at):
    """Runs parts until the stage has had its time, those noted before included, and adds its line to `output`. `at` is told how many seconds
    it has had."""
    before = [row for row in rows_of(PROGRESS, of) if row["stage"] == stage.name]
    used, part = sum(row["seconds"] for row in before), len(before)
    program, status, said = ready(stage), 0, [row["said"] for row in before]
    while status == 0 and (used < seconds or part == 0):
        at(used)
        words, log, start = stage.words(part, seconds - used), FOLDER / f"{stage.name}-{part}.log", time.monotonic()
        status, text = command.run([program, *words], log=log, check=False, timeout=3600 + 10 * seconds)
        if status in COULD_NOT:
            raise say.Stop(f"{stage.name} could not run ({shown(log)}):\n{text.strip()[-800:]}")
        took = round(time.monotonic() - start, 3)
        used, said = used + took, [*said, (text.strip().splitlines() or [""])[-1]]
        if status == 0:
            log.unlink()
            store.append_line(PROGRESS, of | {"stage": stage.name, "part": part, "seconds": took, "said": said[-1]})
        part += 1
    row = machine.stamp(f"scripts/iobuf nightly --only {stage.name} --minutes {seconds / 60:g}") | of | {
        "kind": "nightly", "build": build.compiler(stage.preset) if stage.preset else None, "stage": stage.name, "status": "clean" if status == 0 else "found",
        "asked_s": round(seconds, 3), "seconds": round(used, 1), "parts": part, "said": said[-1],
        "again": None if status == 0 else " ".join(str(word) for word in [shown(program), *words]), "log": None if status == 0 else shown(log)}
    store.append_line(output, row)
    return row
