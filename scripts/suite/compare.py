"""Two builds of the benchmarks against each other, case by case: instructions, which are exact, and time, for what they do not see.

Time: each round links both programs anew, their functions in a random order, and measures each case in a process of either, one
right after the other, the two and the cases in random order. A process's time is the least of some short repetitions: what disturbs it
only ever adds. So a round's ratio has in it all that differs from run to run without a cause in the source, where code and data lie
first of all, and what is the same in most of the rounds has one.

A case is suspected when Wilcoxon's signed-rank test says so after Bonferroni's correction for the number of cases, and the median
of the ratios is beyond its budget. It is a verdict only when a second run of rounds, which knows nothing of the first, says the same.
A case whose ratio is not known well enough by then gets more rounds; the width of its interval alone decides that."""
import concurrent.futures
import dataclasses
import pathlib
import random
import re
import tempfile
import tomllib

from suite import build, callgrind, gbench, revision, say, stats, tracked
from suite.paths import ROOT, shown

ROUNDS, MIN_TIME = 20, 0.0005
MOST_ROUNDS = 3  # times those, at most, for a case whose interval reaches further than WIDTH
WIDTH = 0.015
FEWEST_ROUNDS = 12  # with fewer, the test cannot reach the level that so many cases need
LEVEL = 0.05  # of one false suspicion in all cases of a run; of two runs that agree, the product
BUDGETS = ROOT / "bench" / "budgets.toml"
SAME, FASTER, SLOWER, UNCONFIRMED, NOT_MEASURED = "same", "improvement", "regression", "not confirmed", "not measured"
NO_DIFFERENCE = "no difference"
FINE, COULD_NOT = "fine", "could not measure"


@dataclasses.dataclass
class Side:
    program: pathlib.Path
    env: dict | None = None


def cases(pattern=None):

    found = [case for case in tracked.TRACKED if (case.counted or case.timed) and (not pattern or re.search(pattern, case.case))]
    if not found:
        raise say.Stop(f"no case that is compared matches {pattern!r}: there are " + ", ".join(case.case for case in cases()), 2)
    return found


# ---- budgets


def budgets(path=BUDGETS):
    """Of each case, and of the rest by the name "default": the share of its cost that it may grow by."""
    try:
        found = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise say.Stop(f"{shown(path)} cannot be read: {error}", 2) from None
    known = {case.case for case in tracked.TRACKED} | {"default"}
    for name, row in found.items():
        if name not in known or not isinstance(row, dict) or not row.keys() <= {"instructions", "time"}:
            raise say.Stop(f"{shown(path)}: [{name}] is no case with instructions and time", 2)
        if any(isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1000 for value in row.values()):
            raise say.Stop(f"{shown(path)}: [{name}] is to hold percents", 2)
    if found.get("default", {}).keys() != {"instructions", "time"}:
        raise say.Stop(f"{shown(path)}: [default] is to have instructions and time", 2)
    return {case.case: {measure: (found.get(case.case, {}) | {}).get(measure, found["default"][measure]) / 100
                        for measure in ("instructions", "time")} for case in tracked.TRACKED}


# ---- instructions


def instructions(base, head, chosen, budget, errors):
    """{case: what is in the result} of the counted cases. Each is counted of both sides, on all processors: a count is the same
    whatever else runs."""
    todo = [(case, side) for case in chosen if case.counted for side in (base, head)]
    if not todo:
        return {}
    counts = {}
    with say.Steps(f"instructions: {len(todo)} counts", len(todo)) as steps, \
            concurrent.futures.ThreadPoolExecutor(build.cpus()) as pool:
        waiting = {pool.submit(one_count, side, case.case): (case.case, side is head) for case, side in todo}
        try:
            for at, done in enumerate(concurrent.futures.as_completed(waiting)):
                counts[waiting[done]] = done.result()
                steps.at(at + 1, waiting[done][0])
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    found = {}
    for case in (case.case for case in chosen if case.counted):
        before, after = counts[case, False], counts[case, True]
        bad = [f"{name}: {count}" for name, count in (("base", before), ("head", after)) if isinstance(count, str) or count <= 0]
        errors += [{"case": case, "message": f"instructions of the {text}"} for text in bad]
        found[case] = judge_count(None if bad else before, None if bad else after, budget[case]["instructions"])
    return found


def one_count(side, case):
    return callgrind.count(side.program, case, env=side.env, digits=3)


def judge_count(before, after, budget):
    row = {"base": before, "head": after, "ratio": None, "budget": budget, "verdict": NOT_MEASURED}
    if before is not None:
        ratio = after / before
        row |= {"ratio": ratio, "verdict": SLOWER if ratio > 1 + budget else FASTER if ratio < 1 / (1 + budget) else SAME}
    return row


# ---- time


def times(base, head, chosen, budget, rounds, errors, randomly=random):
    """{case: what is in the result} of the timed cases."""
    todo = [case for case in chosen if case.timed]
    if not todo:
        return {}
    first = measured(base, head, todo, rounds, errors, "time", randomly)
    found = {case.case: judge_time(first[case.case], budget[case.case]["time"], len(todo)) for case in todo}
    suspected = [case for case in todo if found[case.case]["verdict"] in (SLOWER, FASTER)]
    if suspected:
        again = measured(base, head, suspected, rounds, errors, f"time again: {', '.join(case.case for case in suspected)}", randomly)
    for case in suspected:
        row = found[case.case]
        second = judge_time(again[case.case], budget[case.case]["time"], len(todo))
        row["confirmed"] = {key: second[key] for key in ("ratio", "low", "high", "p")}
        if second["verdict"] != row["verdict"]:
            row["verdict"] = UNCONFIRMED
    return found


def measured(base, head, todo, rounds, errors, title, randomly):
    """{case: [(ns of base, ns of head)]}, a pair for each round that went well."""
    pairs = {case.case: [] for case in todo}
    with tempfile.TemporaryDirectory(dir=revision.FOLDER) as place, say.Steps(f"{title}: {rounds} rounds", rounds) as steps:
        for at in range(MOST_ROUNDS * rounds):
            todo = [case for case in todo if not any(error["case"] == case.case for error in errors)]
            if at >= rounds:
                todo = [case for case in todo if (stats.noise(stats.median_ratio(*zip(*pairs[case.case]))) or 0) > WIDTH]
            if not todo:
                break
            steps.at(min(at, rounds - 1), f"round {at + 1}" + (f": {', '.join(case.case for case in todo)}" if at >= rounds else ""))
            linked = [revision.linked_anew(side.program, randomly.randrange(1, 2**31), pathlib.Path(place) / f"side{number}")
                      for number, side in enumerate((base, head))]
            for case in randomly.sample(todo, len(todo)):
                try:
                    pairs[case.case].append(one_pair(linked, (base, head), case, randomly))
                except say.Stop as stop:
                    errors.append({"case": case.case, "message": " ".join(str(stop).split())})
                    pairs[case.case] = []  # what it measured before is no result of a program that breaks
    return pairs


def one_pair(linked, sides, case, randomly):
    took = {}
    for number in randomly.sample((0, 1), 2):
        try:
            took[number] = least(linked[number], sides[number].env, case)
        except say.Stop as stop:
            raise say.Stop(f"time of the {('base', 'head')[number]}: {stop}") from None
    return took[0], took[1]


def least(program, env, case):
    document = gbench.run(program, [case.case], MIN_TIME, env=env, repetitions=case.repetitions)
    wrong = next((run for run in document["benchmarks"] if run.get("error_occurred")), None)
    if wrong or not document["benchmarks"]:
        raise say.Stop(wrong["error_message"] if wrong else "there is no such case")
    return min(gbench.nanoseconds(run) for run in document["benchmarks"])


def judge_time(pairs, budget, cases_in_all):
    row = {"ratio": None, "low": None, "high": None, "base_ns": None, "head_ns": None, "p": None, "rounds": len(pairs), "budget": budget,
           "confirmed": None, "verdict": NOT_MEASURED}
    if not pairs:
        return row
    before, after = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    sure = stats.median_ratio(after, before)
    p = stats.signed_rank(after, before)
    differs = p * cases_in_all < LEVEL
    verdict = SLOWER if differs and sure["ratio"] > 1 + budget else FASTER if differs and sure["ratio"] < 1 / (1 + budget) else NO_DIFFERENCE
    return row | sure | {"base_ns": stats.median(before), "head_ns": stats.median(after), "p": p, "verdict": verdict}


# ---- both


def together(chosen, by_instructions, by_time):
    return [{"case": case.case, "instructions": by_instructions.get(case.case), "time": by_time.get(case.case)} for case in chosen]


def verdict(rows, errors):
    """Of a whole comparison. A regression that is known outweighs what is not known; what is not known outweighs all else."""
    parts = [row[measure]["verdict"] for row in rows for measure in ("instructions", "time") if row[measure]]
    if SLOWER in parts:
        return SLOWER
    if errors or not parts or NOT_MEASURED in parts:
        return COULD_NOT
    return FASTER if FASTER in parts else FINE
