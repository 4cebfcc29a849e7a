"""Counts instructions per buffer with Valgrind's callgrind: exact where time is not, and the same on every machine of a kind.

Everything in the process is counted, for two numbers of iterations; the difference of the counts over the difference of the
iterations leaves the loop alone: start, warm-up and the writing of results are the same in both. The benchmark's own instructions in
the loop, which touch the buffer and hide its size from the compiler, are in it for every peer.

cross_thread has two threads, of which Valgrind runs one at a time, a turn each: one fills the ring, the other empties it. What is
counted is both sides' work, the ring's own instructions, and looking at a ring that is full or empty before the turn is given away;
under --iterations the benchmark does not spin. That last part depends on the schedule and only ever adds, so that the least of some
runs is taken, and a bound that is passed by less than SLACK is not called missed. The floor's count of the same work says how much
the ring is."""
import re

from suite import command, gbench, goals, say

VALGRIND = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--fair-sched=yes")
FIRST, SECOND = 2**16, 2**18  # iterations; their difference is many turns of any plan of sizes
RUNS = {"cross_thread": 3}  # of which the least is taken; else 1, as nothing varies
SLACK = 0.05  # of the count of such a work: runs differ by 1 %
WORKS = tuple(dict.fromkeys(goal.work for goal in goals.GOALS if goal.instructions))


def count_all(program, groups, quick, rows):
    """Adds a row for each case of the works with a bound on instructions; with `quick` only for what is bound."""
    todo = {}
    for group in groups.values():
        for name in (name for work in WORKS for name in group.works.get(work, ())):
            if wanted(*gbench.split(name), quick):
                todo.setdefault(gbench.split(name), (group, name))  # once, in the first group that has it
    if not todo or not available():
        return
    with say.Steps(f"instructions: {len(todo)} cases under callgrind", len(todo)) as steps:
        for at, ((work, peer, size), (group, name)) in enumerate(todo.items()):
            steps.at(at, name)
            found = count(program, name, group.args, group.env, RUNS.get(work, 1))
            if isinstance(found, str):
                say.line(f"{name}: its instructions were not counted: {found}")
            rows.append({"work": work, "peer": peer, "size": size, "count": None if isinstance(found, str) else found,
                         "note": found if isinstance(found, str) else None, "varies": work in RUNS})


def wanted(work, peer, size, quick):
    bound = {(goal.work, goal.ours, goal.size) for goal in goals.GOALS if goal.instructions}
    sizes = {goal.size for goal in goals.GOALS if goal.work == work and goal.instructions}
    return size in sizes and ((work, peer, size) in bound or not quick)


def available():
    try:
        command.run(["valgrind", "--version"])
    except say.Stop as stop:
        say.line(f"instructions are not counted: {stop}")
        return False
    return True


def count(program, name, args=(), env=None, runs=1, digits=1):
    """Instructions per iteration of a case; or, as text, why there is no count."""
    least = {}
    for iterations in (FIRST, SECOND):
        for _ in range(runs):
            try:
                document, output = gbench.outcome(program, [name], [*args, "--iterations", str(iterations)], env, VALGRIND)
            except say.Stop as stop:
                own = [text.strip() for text in str(stop).splitlines() if not text.strip().startswith("==")]
                return own[-1]
            done, total = sum(run["iterations"] for run in document["benchmarks"]), collected(output)
            if not done or total is None or any(run.get("error_occurred") for run in document["benchmarks"]):
                return "the case does not run under Valgrind"
            least[iterations] = min(least.get(iterations, (total, done)), (total, done))
    (first, few), (second, many) = least[FIRST], least[SECOND]
    return round((second - first) / (many - few), digits)


def collected(output):
    """The total of the first process that Valgrind names: the program's own, not one that it forked to count memory."""
    pid = re.search(r"^==(\d+)== Callgrind", output, re.MULTILINE)
    total = pid and re.search(rf"^=={pid[1]}== Collected *: (\d+)", output, re.MULTILINE)
    return int(total[1]) if total else None
