"""Measures iobuf beside its peers, in rounds, and says what came out in one JSON summary.

A ratio is taken between two cases of one process only: the two stand in one binary, under one malloc, interleaved at random.
So each malloc that is preloaded has processes of its own, in which iobuf is measured too; all other peers share glibc's."""
import dataclasses
import random
import re

import click

from suite import build, callgrind, command, gbench, goals, machine, say, stats
from suite.goals import BEST, MALLOCS, OURS
from suite.paths import shown

ROUNDS, MIN_TIME = 12, 0.02
QUICK_ROUNDS, QUICK_MIN_TIME = 6, 0.005
REPETITIONS = 3  # of each case in a process, spread over it; their median is the round's time
EXTRA = 2  # times the rounds, at most, are added for pairs that are too noisy

PLAIN = "glibc"  # the malloc of the processes without a preload
# By what the loader finds them; the first that serves the process is used.
PRELOADS = {"jemalloc": ["libjemalloc.so.2"], "mimalloc": ["libmimalloc.so.2", "libmimalloc.so.2.0", "libmimalloc.so.3"],
            "tcmalloc": ["libtcmalloc_minimal.so.4", "libtcmalloc.so.4"]}
NOT_HERE = ("pool_size",)  # a sweep of one peer, which is bench's
CONSTANTS = "constant"  # of the machine: what an atomic, a lock, a copy cost


@dataclasses.dataclass
class Group:
    """The processes under one malloc: what they need, and the cases that are measured in them, by work."""
    name: str
    library: str | None
    works: dict
    version: str | None = None

    @property
    def args(self):
        return ["--malloc", self.name]

    @property
    def env(self):
        return {"LD_PRELOAD": self.library} if self.library else None


@dataclasses.dataclass
class Sample:
    """What one process measured: nanoseconds and counters by (work, peer, size)."""
    group: str
    times: dict
    counters: dict


def group_of(peer):
    return peer if peer in PRELOADS else PLAIN


# -- what there is to measure

def find(program, pattern, against):
    """The groups with their cases, and the peers that are not installed, each with the reason."""
    wanted = [peer for peer in goals.PEERS if not against or peer in against or "malloc" in against and peer in MALLOCS]
    listing = command.run([program, "--malloc", PLAIN, "--benchmark_list_tests"])[1]
    names, groups, absent = {PLAIN: gbench.names(listing)}, {}, []
    libraries = {PLAIN: None}
    for peer in wanted:
        if peer in PRELOADS:
            found = preloaded(program, peer)
            if isinstance(found, str):
                absent.append({"peer": peer, "why": found})
            else:
                libraries[peer], names[peer] = found
        elif not any(gbench.split(name)[1] == peer for name in names[PLAIN]):
            reason = re.search(rf"without {peer}: (.*)", listing)  # it is there, and cannot work on this machine
            absent.append({"peer": peer, "why": reason[1] if reason else "is not installed"})
    for name, library in libraries.items():
        works = chosen(names[name], name, wanted, pattern, bool(against))
        if works:
            groups[name] = Group(name, library, works)
    return groups, absent


def versions(program):
    """What each peer that is compiled in says of itself."""
    return dict(text.split(maxsplit=1) for text in command.run([program, "--list-peers"])[1].splitlines() if len(text.split()) > 1)


def preloaded(program, malloc):
    """(library, names of the cases) under the malloc, which the program has proven to be the one that serves it; or why not."""
    reason = "is not installed"
    for library in PRELOADS[malloc]:
        status, output = command.run([program, "--malloc", malloc, "--benchmark_list_tests"], env={"LD_PRELOAD": library},
                                     check=False)
        if "cannot be preloaded" in output:
            continue
        if status == 0:
            return library, gbench.names(output)
        reason = (output.strip().splitlines() or ["it ended without a word"])[-1]
    return reason


def chosen(names, group, wanted, pattern, only_wanted):
    """The cases of a group by work. Under a preloaded malloc only what is compared with it is worth measuring again."""
    parts = {name: gbench.split(name) for name in names if pattern is None or re.search(pattern, name)}
    theirs = {(work, size) for work, peer, size in parts.values() if peer in wanted and group_of(peer) == group}
    ours = {(goal.work, goal.size, goal.ours) for goal in goals.GOALS if goal.against == group or
            goal.against == BEST and group in MALLOCS}
    works = {}
    for name, (work, peer, size) in parts.items():
        paired = (work, size) in theirs and (peer == OURS or (work, size, peer) in ours or peer in wanted and group_of(peer) == group)
        alone = group == PLAIN and (work == CONSTANTS or not only_wanted)  # or iobuf against itself
        if work not in NOT_HERE and (paired or alone):
            works.setdefault(work, []).append(name)
    return works


# -- measuring

def measure(pattern, quick, rounds, against, save):
    """Measures round by round; `save` gets the summary after each, so that little is lost when something stops it."""
    if pattern is not None:
        try:
            re.compile(pattern)
        except re.error as error:
            raise click.UsageError(f"--filter: {error}") from None
    build.ensure("release", ["iobuf_bench"], configure=True)  # a peer may have been installed since
    program = build.program("release", gbench.PROGRAM)
    groups, absent = find(program, pattern, against)
    for row in absent:
        say.line(f"left out: {row['peer']}: {row['why']} (scripts/setup peers installs the peers)")
    if not groups:
        raise click.UsageError(f"no benchmark matches: {shown(program)} --benchmark_list_tests names them")
    rounds = rounds or (QUICK_ROUNDS if quick else ROUNDS)
    min_time = QUICK_MIN_TIME if quick else MIN_TIME
    words = ["scripts/iobuf bench --peers", *(["--quick"] if quick else []), f"--rounds {rounds}",
             *(f"--against {peer}" for peer in against), *([f"--filter '{pattern}'"] if pattern else [])]
    head = machine.stamp(" ".join(words)) | {"kind": "peers", "build": build.compiler("release"), "min_time": min_time,
                                             "repetitions": REPETITIONS, "rounds_wanted": rounds, "absent": absent,
                                             "versions": versions(program)}
    samples, errors, counts, done, interrupted = [], [], [], 0, False

    def summary():
        return summarise(head | {"mallocs": {group.name: {"library": group.library, "version": group.version}
                                             for group in groups.values()}},
                         samples, errors, counts, done, interrupted, against)

    def one(group, names):
        samples.append(one_process(program, group, names, min_time, errors))

    plan = [(group, work) for group in groups.values() for work in group.works]
    total = sum(len(group.works[work]) for group, work in plan)
    try:
        with say.Steps(f"bench --peers: {total} cases in {len(plan)} processes, {rounds} rounds", rounds * len(plan)) as steps:
            for _ in range(rounds):
                for at, (group, work) in enumerate(random.sample(plan, len(plan))):
                    steps.at(done * len(plan) + at, f"round {done + 1} of {rounds}: {work} under {group.name}")
                    one(group, group.works[work])
                done += 1
                save(summary())
        more_for_noise(summary, groups, one, EXTRA * rounds)
        save(summary())
        callgrind.count_all(program, groups, quick, counts)
    except KeyboardInterrupt:
        if not done:
            raise
        interrupted = True
        say.line(f"interrupted: the result has {done} of {rounds} rounds and {len(counts)} counts of instructions")
    final = summary()
    save(final)
    return final


def one_process(program, group, names, min_time, errors):
    """Runs these cases in one process under the group's malloc; adds to `errors` why a case has no result."""
    document = gbench.run(program, names, min_time, group.args, group.env, REPETITIONS)
    group.version = document.get("context", {}).get("malloc", group.version)
    times, counters = {}, {}
    for run in document["benchmarks"]:
        if run.get("error_occurred"):
            if run["name"] not in {error["case"] for error in errors}:
                errors.append({"case": run["name"], "message": run.get("error_message", "")})
            continue
        key = gbench.split(run["name"])
        times.setdefault(key, []).append(gbench.nanoseconds(run))
        counters[key] = {name: run[name] for name in ("bytes_per_second", "held_per_live", "buf_bytes") if name in run}
    return Sample(group.name, {key: stats.median(values) for key, values in times.items()}, counters)


def more_for_noise(summary, groups, one, rounds):
    """Further rounds for those pairs of the table that are too noisy, and nothing else, until none is or the rounds are used up.
    Only the width of an interval decides, never where it lies: nothing is measured until it pleases."""
    noisy = too_noisy(summary())
    if not noisy or not rounds:
        return
    with say.Steps(f"bench --peers: up to {rounds} more rounds of what was too noisy", rounds) as steps:
        for at in range(rounds):
            steps.at(at, ", ".join(sorted({f"{work} under {group}" for group, work in noisy})))
            for group_name, work in random.sample(sorted(noisy), len(noisy)):
                names = [name for name in groups[group_name].works[work] if gbench.split(name) in noisy[group_name, work]]
                one(groups[group_name], names)
            noisy = too_noisy(summary())
            if not noisy:
                return


def too_noisy(summary):
    """The cases of the pairs of the table that are too noisy, by (group, work)."""
    noisy = {}
    for row in summary["goals"]:
        if row["refused"]:
            noisy.setdefault((group_of(row["peer"]), row["work"]), set()).update(
                {(row["work"], row["ours"], row["size"]), (row["work"], row["peer"], row["against_size"])})
    return noisy


# -- what it comes to

def summarise(head, samples, errors, counts, done, interrupted, against):
    compared = every_pair(samples)
    judged = judge_goals(samples, counts, against)
    cases = every_case(samples)
    return head | {"rounds": done, "interrupted": interrupted, "errors": errors, "goals": judged, "memory": memory(cases),
                   "compared": compared, "cases": cases, "instructions": counts}


def pair(samples, ours, theirs, group):
    """The ratio of two cases over all processes that measured both; None where there was none."""
    both = [(sample.times[ours], sample.times[theirs]) for sample in samples
            if sample.group == group and ours in sample.times and theirs in sample.times]
    return judged_ratio([mine for mine, _ in both], [other for _, other in both]) if both else None


def judged_ratio(ours, theirs):
    """Ours over theirs with its interval; without either where it must not be reported."""
    sure = stats.median_ratio(ours, theirs)
    noise = stats.noise(sure)
    refused = stats.refusal(len(ours), noise or 0)
    if refused:
        sure = {"ratio": None, "low": None, "high": None}
    return sure | {"noise": noise, "pairs": len(ours), "refused": refused, "ours_ns": stats.median(ours),
                   "peer_ns": stats.median(theirs), "rounds_ns": [list(both) for both in zip(ours, theirs)]}


def judge_goals(samples, counts, against):
    rows = []
    for goal in goals.GOALS:
        peer = goal.against if goal.against != BEST else best_malloc(samples, goal)
        if peer is None or against and not taken(goal, against):
            continue
        found = pair(samples, (goal.work, goal.ours, goal.size), (goal.work, peer, goal.other_size), group_of(peer))
        if found is None:
            continue
        count = next((row for row in counts if (row["work"], row["peer"], row["size"]) == (goal.work, goal.ours, goal.size)),
                     {"count": None})
        rows.append({"work": goal.work, "size": goal.size, "ours": goal.ours, "against": goal.against, "peer": peer,
                     "against_size": goal.other_size, **found, "at_most": goal.at_most, "instructions": count["count"],
                     "instructions_at_most": goal.instructions, "verdict": verdict(goal, found, count)})
    return rows


def taken(goal, against):
    return goal.against in against or goal.against in (BEST, *MALLOCS) and "malloc" in against


def best_malloc(samples, goal):
    """The malloc that leaves iobuf the least advantage. By ratios, since times of two processes do not compare."""
    ratios = {}
    for malloc in MALLOCS:
        found = [(sample.times[goal.work, goal.ours, goal.size], sample.times[goal.work, malloc, goal.size]) for sample in samples
                 if {(goal.work, goal.ours, goal.size), (goal.work, malloc, goal.size)} <= sample.times.keys()]
        if found:
            ratios[malloc] = stats.median_ratio([mine for mine, _ in found], [other for _, other in found])["ratio"]
    return max(ratios, key=ratios.get, default=None)


def verdict(goal, found, count):
    """Of both bounds: a missed one decides, then a ratio that was refused, then one that is not sure."""
    by_count = ""
    if count["count"] is not None:
        low = count["count"] * (1 - callgrind.SLACK) if count["varies"] else None
        by_count = goals.judge(count["count"], goal.instructions, low)
    by_time = "refused" if found["refused"] else goals.judge(found["ratio"], goal.at_most, found["low"], found["high"])
    if goal.at_most is None:
        return by_time if by_time == "refused" else ""
    for worst in ("not reached", "refused", "not sure"):
        if worst in (by_time, by_count):
            return worst
    return "reached" if by_count or not goal.instructions else "reached in time"  # nothing was counted


def every_pair(samples):
    """iobuf against each peer in each case that both have."""
    keys = sorted({(key, sample.group) for sample in samples for key in sample.times if key[1] in goals.PEERS})
    rows = []
    for (work, peer, size), group in keys:
        found = pair(samples, (work, OURS, size), (work, peer, size), group) if group == group_of(peer) else None
        if found:
            rows.append({"work": work, "size": size, "peer": peer, **found})
    return rows


def every_case(samples):
    """Times of iobuf come from the processes under glibc where there are any, those of a peer from its own."""
    found = {}
    for sample in samples:
        for key in sample.times:
            found.setdefault(key, {}).setdefault(sample.group, []).append(sample)
    rows = []
    for (work, peer, size), by_group in found.items():
        own = by_group.get(group_of(peer)) or next(iter(by_group.values()))
        times = [sample.times[work, peer, size] for sample in own]
        row = {"work": work, "peer": peer, "size": size, "ns": stats.median(times), "rounds_ns": times}
        for counter in ("bytes_per_second", "held_per_live", "buf_bytes"):
            values = [sample.counters[work, peer, size][counter] for sample in own if counter in sample.counters[work, peer, size]]
            row[counter] = stats.median(values) if values else None
        rows.append(row)
    return sorted(rows, key=lambda row: (row["work"], len(row["size"]), row["size"], row["peer"]))


def memory(cases):
    """Bytes held per byte live, iobuf's against the Go package's way, for each size of bufs."""
    held = {(case["work"], case["peer"], case["size"]): case for case in cases if case["held_per_live"] is not None}
    rows = []
    for (work, peer, size), ours in held.items():
        theirs = held.get((work, goals.MEMORY_AGAINST, size))
        if work in goals.MEMORY_WORKS and peer == OURS and theirs:
            rows.append({"work": work, "size": size, "iobuf": ours["held_per_live"], goals.MEMORY_AGAINST: theirs["held_per_live"],
                         "iobuf_ns": ours["ns"], f"{goals.MEMORY_AGAINST}_ns": theirs["ns"],
                         "verdict": goals.judge(ours["held_per_live"], theirs["held_per_live"])})
    return rows


def status(summary):
    """1: a case's own check failed, or a bound is surely missed. 3: there is something to report, and all of it was too noisy."""
    rows = summary["goals"] or summary["compared"]
    if summary["errors"] or any(row["verdict"] == "not reached" for row in summary["goals"] + summary["memory"]):
        return 1
    return 3 if rows and all(row["refused"] for row in rows) else 0


def for_record(summary):
    """Without what each round measured: that is large, and in the file it came from."""
    return summary | {part: [{name: value for name, value in row.items() if name != "rounds_ns"} for row in summary[part]]
                      for part in ("goals", "compared", "cases")}
