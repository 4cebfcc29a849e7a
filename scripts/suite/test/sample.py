"""Results as the verbs write them, with numbers that are easy to recognise; for the tests of the page and of bad input."""
import json

from suite import history

HEAD = {"schema": 1, "commit": "0123456789ab", "date": "2024-05-06T07:08:09+00:00",
        "machine": {"cpu": "Test processor", "cpus": 2, "memory_gib": 8.0, "virtual": False, "system": "Debian", "kernel": "Linux"}}
BUILD = {"preset": "release", "compiler": "cc 1.0", "build_type": "Release", "flags": "-O3"}
SIZES = (64, 1024, 65536)
STEP_AT = 12  # the commit at which the cases of history() change


def replay():
    return HEAD | {"kind": "replay", "command": "scripts/iobuf replay", "files": 1234, "failed": []}


def fuzz(failures=()):
    rows = [{"engine": engine, "target": target, "build": engine, "seconds": 30.0, "programs": 1234567 + at,
             "programs_per_second": 41152, "ops_per_program": 12.5, "corpus": 321, "edges": 987,
             "stability": 100.0 if engine == "afl" else None, "failures": list(failures) if at == 0 else []}
            for at, target in enumerate(("slice", "reader", "pool", "all")) for engine in ("libfuzzer", "afl")]
    return HEAD | {"kind": "fuzz", "command": "scripts/iobuf fuzz --seconds 30", "interrupted": False, "fuzzed": rows,
                   "builds": [BUILD | {"preset": "libfuzzer"}, BUILD | {"preset": "afl"}],
                   "operations": 98765432, "operations_how": "Operations are estimated."}


def bench():
    compared, cases = [], []
    for at, work in enumerate(("alloc_release", "batch", "window", "frame_http")):
        for size in ("mixed",) if work in ("batch", "frame_http") else SIZES:
            ratio = 3.21 / (at + 1)
            held = 1.25 if work == "window" else None
            sure = {"ratio": ratio, "low": ratio * 0.9, "high": ratio * 1.1}
            verdict = "faster" if sure["low"] > 1 else "slower" if sure["high"] < 1 else "no difference seen"
            compared.append({"work": work, "size": str(size), "iobuf_ns": 10.5, "malloc_ns": 10.5 * ratio, **sure, "verdict": verdict,
                             "iobuf_held_per_live": held, "malloc_held_per_live": held})
    for power in range(10, 21):
        cases.append({"work": "pool_size", "peer": "iobuf", "size": str(2**power), "ns": 40.0 + 4000 / 2 ** (power - 6), "rounds_ns": [],
                      "held_per_live": 1.05 + 2**power / 400000, "bytes_per_second": None, "buf_bytes": 2**power})
    cases.append({"work": "pool_size", "peer": "malloc", "size": "0", "ns": 61.0, "rounds_ns": [], "held_per_live": 1.3,
                  "bytes_per_second": None, "buf_bytes": None})
    return HEAD | {"kind": "bench", "command": "scripts/iobuf bench", "build": BUILD, "min_time": 0.05, "rounds": 12, "rounds_wanted": 12,
                   "errors": [], "compared": compared, "cases": cases}


def peers():
    def pair(work, size, peer, ratio, refused=None):
        bounds = {"ratio": ratio, "low": ratio * 0.95, "high": ratio * 1.05} if not refused else {"ratio": None, "low": None, "high": None}
        return {"work": work, "size": size, "peer": peer, **bounds, "noise": 0.05, "pairs": 12, "refused": refused, "ours_ns": 2.0,
                "peer_ns": 2.0 / ratio}
    compared = [pair("alloc_release", "64", "tcmalloc", 0.4), pair("alloc_release", "1024", "tcmalloc", 1.25),
                pair("alloc_release", "64", "jemalloc", 1.01), pair("window", "mixed", "tcmalloc", 0.5, "too noisy: ±26 %"),
                pair("alloc_release", "64", "floor", 1.6)]
    goals = [pair("alloc_release", "64", "tcmalloc", 0.4) | {"ours": "iobuf", "against": "tcmalloc", "against_size": "64", "at_most": 0.5,
             "instructions": 26.5, "instructions_at_most": 32, "verdict": "reached"}]
    return HEAD | {"kind": "peers", "command": "scripts/iobuf bench --peers", "build": BUILD, "rounds": 12, "rounds_wanted": 12, "goals": goals,
                   "compared": compared, "absent": [], "interrupted": False, "errors": []}


def compare(commits=("aaaaaaaaaaaa", "bbbbbbbbbbbb")):
    def case(name, ratio, verdict, timed=True):
        took = {"ratio": ratio, "low": ratio - 0.013, "high": ratio + 0.017, "base_ns": 10.0, "head_ns": 10.0 * ratio, "p": 0.001, "confirmed": None,
                "verdict": "no difference" if verdict == "same" else verdict}
        return {"case": name, "instructions": {"base": 40.0, "head": 40.0 * ratio, "ratio": ratio, "budget": 0.005, "verdict": verdict},
                "time": took if timed else None}
    cases = [case("alloc_release/iobuf/64", 1.125, "regression"), case("coalesce/iobuf/64", 0.75, "improvement"),
             case("reader/iobuf/100", 1.0, "same"), case("frame/iobuf/1024", 1.001, "same", timed=False)]
    return HEAD | {"kind": "compare", "command": "scripts/iobuf compare main", "build": BUILD, "base": {"name": "main", "commit": commits[0]},
                   "head": {"name": "HEAD", "commit": commits[1]}, "verdict": "regression", "override": {"reason": "checks a size", "by": "A. Author"},
                   "errors": [], "seconds": 200, "cases": cases}


def calibration():
    found = {"1": 12, "2": 31, "5": 39, "10": 40}
    by_measure = {"instructions": {size: {"found": 40, "trials": 40, "share": 1.0} for size in found},
                  "time": {size: {"found": times, "trials": 40, "share": times / 40} for size, times in found.items()}}
    return HEAD | {"kind": "calibration", "command": "scripts/iobuf calibrate", "build": BUILD, "aa_runs": 100, "aa_runs_time": 120, "aa_runs_instructions": 100, "aa_alarms_time": 1,
                   "aa_alarms_instructions": 0, "layout": {"trials": 30, "trials_instructions": 6, "alarms_time": 0, "alarms_instructions": 0},
                   "found": by_measure, "found_by_path": {"alloc": by_measure}}


def coverage():
    counts = {"lines": {"reached": 801, "of": 900, "named": 99}, "branches": {"reached": 610, "of": 700, "named": 88}}
    return HEAD | {"kind": "coverage", "command": "scripts/iobuf coverage", "wrong": [], "entries": 1, "not_named": [],
                   "builds": {"plain": counts | {"files": []}}}


def ci():
    failure = {"state": "new", "target": "slice", "check": "contents_equal", "op": "coalesce", "input": "build/fuzz/failures/slice/afl-0123"}
    return HEAD | {"kind": "fuzz-ci", "command": "scripts/iobuf fuzz --ci", "failures": [failure], "errors": []}


def mutants():
    """Three planted bugs: one that the engines find, one that AFL++ does not, one that none does."""
    def line(name, unit, replayed, libfuzzer, afl):
        return {"id": name, "class": "count", "kind": "curated", "equivalent": None, "unit_s": unit, "replay_s": replayed, "libfuzzer_s": libfuzzer,
                "afl_s": afl, "stages": ["unit", "replay", "libfuzzer", "afl"], "commit": "0123456789ab", "library": "lib", "change": name}
    return [line("found", 0.1, 0.2, 1.5, 4.5), line("seldom", 0.1, 0.2, 2.5, None), line("never", None, None, None, None)]


def history_lines(commits=24, works=("alloc_release", "frame"), sizes=("64", "1024"), machine=HEAD["machine"]):
    """Cases without noise, which all take a quarter more instructions and time from commit STEP_AT on."""
    lines = []
    for order in range(commits):
        for at, (work, size) in enumerate((work, size) for work in works for size in sizes):
            k = 1.25 if order >= STEP_AT else 1.0
            relative = (1.5 + at) * k + 0.01 * (order % 3)
            lines.append({"schema": 1, "kind": "history", "case": f"{work}/iobuf/{size}", "instructions": (20 + at) * k, "ns": 1.5, "relative": relative,
                          "relative_low": relative * 0.98, "relative_high": relative * 1.02, "rounds": 8, "reference": f"{work}/floor/{size}",
                          "commit": f"{order + 1:012x}", "commit_date": f"2024-05-{order % 28 + 1:02}T00:00:00+00:00", "order": order + 1,
                          "bench": "0123456789ab", "machine": machine, "build": BUILD, "date": HEAD["date"], "command": "scripts/iobuf track"})
    return lines


def write(folder, **changed):
    """The last run's results into a folder; a keyword replaces one of them, None leaves it out."""
    for kind, value in ({"replay": replay(), "fuzz": fuzz(), "bench": bench()} | changed).items():
        if value is not None:
            (folder / f"{kind}.json").write_text(json.dumps(value))


def write_all(folder, lines=None):
    """A result of every kind: the last run's into the folder, what is recorded into `recorded` there."""
    write(folder, peers=peers(), compare=compare(), coverage=coverage())
    (folder / "ci").mkdir()
    (folder / "ci" / "ci.json").write_text(json.dumps(ci()))
    recorded = folder / "recorded"
    for line in history_lines() if lines is None else lines:
        path = history.path(line["commit"], line["machine"], recorded / "history")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as out:
            out.write(json.dumps(line) + "\n")
    (recorded / "calibration.json").write_text(json.dumps(calibration()))
    for name, kept in {"compare": [compare(), compare()], "fuzz": [fuzz(), fuzz()], "mutants": mutants()}.items():
        (recorded / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
    return recorded
