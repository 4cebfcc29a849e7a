"""How often does a comparison cry wolf, and what does it find? Trials of the same comparison that `compare --gate` makes: of a commit
with itself, with the same code laid out otherwise, and with known slowdowns planted in one path each."""
import dataclasses
import hashlib
import json
import pathlib
import random
import tempfile

from suite import callgrind, compare, machine, revision, say, stats, store, tracked
from suite.paths import RESULTS, ROOT, shown

PATCHES = ROOT / "bench" / "slowdowns"
TRIALS, SUMMARY = RESULTS / "calibration-trials.jsonl", RESULTS / "calibration.json"
KIND = "calibration-trial"
PATHS = {"alloc": "alloc_release/iobuf/1024", "release": "batch/iobuf/mixed", "coalesce": "coalesce/iobuf/1024", "reader": "reader/iobuf/1024"}
COUNTED_IN = {"reader": "reader/iobuf/100"}  # where it is not the same case
LAYOUTS = ("layout-order", "layout-padding")
MEASURES = ("instructions", "time")
# What is compiled and planted. Not bench/CMakeLists.txt, which names other programs too.
MEASURED = ("lib/src", "lib/include", "lib/CMakeLists.txt", "bench/cases", "bench/peers", "bench/workload", "bench/slowdowns", "bench/main.cc",
            "bench/options.cc", "bench/options.h", "bench/held.cc", "bench/held.h")
PERCENTS = (1, 2, 5, 10)
LOOPS = "IOBUF_SLOWDOWN"
AA, SLOW, LAYOUT = "aa", "slow", "layout"


@dataclasses.dataclass(frozen=True)
class Trial:
    what: str
    measure: str
    number: int
    path: str | None = None  # the patch of a slowdown or layout
    percent: int | None = None

    def key(self):
        return self.what, self.measure, self.path, self.percent, self.number


def plan(aa, trials, layouts):
    """Every trial that a calibration has, first those of a commit with itself; the exact measure needs each slowdown but a few times."""
    for measure in MEASURES:
        few = trials if measure == "time" else min(2, trials)
        for number in range(aa):
            yield Trial(AA, measure, number)
        for number in range(layouts if measure == "time" else min(few, layouts)):
            for path in LAYOUTS:
                yield Trial(LAYOUT, measure, number, path)
        for number in range(few):
            for percent in PERCENTS:
                for path in PATHS:
                    yield Trial(SLOW, measure, number, path, percent)


def setup(head):
    """Names what a trial's outcome depends on: the library, its benchmarks, the patches, and how a comparison is made."""
    found = hashlib.sha256()
    for line in revision.git("ls-tree", "-r", head.commit, "--", *MEASURED)[1].splitlines():
        found.update(line.encode())
    found.update(repr((compare.ROUNDS, compare.MOST_ROUNDS, compare.WIDTH, compare.MIN_TIME, compare.LEVEL, tracked.TRACKED, compare.budgets(), callgrind.FIRST,
                       callgrind.SECOND)).encode())
    return found.hexdigest()[:12]


# ---- one trial


def run(trial, head, name):
    """The line that is kept."""
    loops, injected = (0, 0.0) if trial.what != SLOW else loops_for(head, trial.path, trial.percent, trial.measure)
    base = compare.Side(revision.bench_of(head))
    patch = PATCHES / f"{trial.path}.patch" if trial.path else None
    other = compare.Side(revision.bench_of(head, patch=patch), {LOOPS: str(loops)} if trial.what == SLOW else None)
    errors, budget, chosen = [], compare.budgets(), compare.cases()
    start = machine.now()
    if trial.measure == "instructions":
        found = compare.instructions(base, other, chosen, budget, errors)
    else:
        found = compare.times(base, other, chosen, budget, compare.ROUNDS, errors)
    alarms = {case: row["verdict"] for case, row in found.items() if row["verdict"] in (compare.SLOWER, compare.FASTER)}
    case = case_of(trial.path, trial.measure) if trial.what == SLOW else None
    return machine.stamp("scripts/iobuf calibrate") | {
        "kind": KIND, "setup": name, "what": trial.what, "measure": trial.measure, "number": trial.number, "path": trial.path,
        "percent": trial.percent, "loops": loops, "injected": injected, "alarms": alarms, "case": case,
        "found": alarms.get(case) == compare.SLOWER if case else None, "ratio": found[case]["ratio"] if case else None,
        "unconfirmed": [name for name, row in found.items() if row["verdict"] == compare.UNCONFIRMED],
        "not_measured": [name for name, row in found.items() if row["verdict"] == compare.NOT_MEASURED],
        "commit": head.commit, "started": start, "errors": errors}


def case_of(path, measure):
    return COUNTED_IN.get(path, PATHS[path]) if measure == "instructions" else PATHS[path]


known = {}


def loops_for(head, path, percent, measure):
    """How many turns of the planted loop make the path's case so many percent dearer, and the share that this is: from what the case costs
    without and with many turns, which is linear; what the patch itself costs is a part of it."""
    if (path, measure) not in known:
        plain, patched = revision.bench_of(head), revision.bench_of(head, patch=PATCHES / f"{path}.patch")
        case = next(case for case in tracked.TRACKED if case.case == case_of(path, measure))
        known[path, measure] = (count_slope if measure == "instructions" else time_slope)(plain, patched, case)
    base, none, slope = known[path, measure]
    loops = max(0, round((base * (1 + percent / 100) - none) / slope))
    return loops, (none + loops * slope) / base - 1


def count_slope(plain, patched, case, many=20_000):
    def count(program, loops):
        found = callgrind.count(program, case.case, env={LOOPS: str(loops)}, digits=3)
        if isinstance(found, str):
            raise say.Stop(f"{case.case}: {found}")
        return found
    base, none = count(plain, 0), count(patched, 0)
    return base, none, (count(patched, many) - none) / many


def time_slope(plain, patched, case, many=50_000, rounds=30):
    """All three are measured round by round, by programs linked anew, as a comparison does."""
    base, idle, busy = [], [], []
    with tempfile.TemporaryDirectory(dir=revision.FOLDER) as place:
        for _ in range(rounds):
            first, second = (revision.linked_anew(program, random.randrange(1, 2**31), pathlib.Path(place) / name)
                             for program, name in ((plain, "side0"), (patched, "side1")))
            base.append(compare.least(first, None, case))
            idle.append(compare.least(second, {LOOPS: "0"}, case) / base[-1])
            busy.append(compare.least(second, {LOOPS: str(many)}, case) / base[-1])
    ns, none = stats.median(base), stats.median(idle)
    return ns, ns * none, ns * (stats.median(busy) - none) / many


# ---- what is recorded


def read(path, name):
    """The trials of this setup, by their keys; every other line stays in the file, and is passed over."""
    found, bad = {}, 0
    try:
        lines = path.read_text().splitlines() if path.exists() else []
    except UnicodeDecodeError:
        raise say.Stop(f"{shown(path)} is not text: move it away") from None
    for text in lines:
        try:
            row = json.loads(text)
            if row["kind"] == KIND and row["schema"] == 1 and row["setup"] == name:
                found[row["what"], row["measure"], row["path"], row["percent"], row["number"]] = row
        except (ValueError, KeyError, TypeError):
            bad += 1
    if bad:
        say.line(f"{shown(path)}: {bad} lines are no trials, and were left out")
    return found


def summarise(rows, name):
    """results/calibration.json"""
    rows = [row for row in rows if not row["errors"]]
    chosen = {what: {measure: [row for row in rows if (row["what"], row["measure"]) == (what, measure)] for measure in MEASURES}
              for what in (AA, SLOW, LAYOUT)}
    aa = {measure: chosen[AA][measure] for measure in MEASURES}
    return machine.stamp("scripts/iobuf calibrate") | {
        "kind": "calibration", "setup": name, "commit": max(rows, key=lambda row: row["date"])["commit"],
        "machines": unique(row["machine"] for row in rows), "rounds": compare.ROUNDS, "level": compare.LEVEL,
        "cases": {"instructions": [case.case for case in compare.cases() if case.counted],
                  "time": [case.case for case in compare.cases() if case.timed]},
        "aa_runs": min(len(aa[measure]) for measure in MEASURES), "aa_runs_time": len(aa["time"]), "aa_runs_instructions": len(aa["instructions"]),
        "aa_alarms_time": alarms(aa["time"]), "aa_alarms_instructions": alarms(aa["instructions"]),
        "aa_unconfirmed_time": sum(bool(row["unconfirmed"]) for row in aa["time"]),
        "found": {measure: {str(percent): found([row for row in chosen[SLOW][measure] if row["percent"] == percent]) for percent in PERCENTS}
                  for measure in MEASURES},
        "found_by_path": {path: {measure: {str(percent): found([row for row in chosen[SLOW][measure] if (row["path"], row["percent"]) ==
                                                                (path, percent)]) for percent in PERCENTS}
                                 for measure in MEASURES} for path in PATHS},
        "elsewhere": {measure: sum(bool(set(row["alarms"]) - {row["case"]}) for row in chosen[SLOW][measure]) for measure in MEASURES},
        "layout": {"trials": len(chosen[LAYOUT]["time"]), "alarms_time": alarms(chosen[LAYOUT]["time"]),
                   "trials_instructions": len(chosen[LAYOUT]["instructions"]), "alarms_instructions": alarms(chosen[LAYOUT]["instructions"])}}


def unique(values):
    return list({json.dumps(value, sort_keys=True): value for value in values}.values())


def alarms(rows):
    return sum(bool(row["alarms"]) for row in rows)


def found(rows):
    hits = sum(row["found"] for row in rows)
    return {"found": hits, "trials": len(rows), "share": hits / len(rows) if rows else None,
            "injected": stats.median([row["injected"] for row in rows]) if rows else None}


def write(rows, name, path):
    store.write_json(path, summarise(rows, name))
