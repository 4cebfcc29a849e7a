"""iobuf track: measures what bench/ tracks at a commit and adds it to the history; fills in past commits; says where it changed."""
import collections
import datetime
import json
import os
import pathlib
import re

import click

from suite import callgrind, changepoints, gbench, history, machine, options, revision, say, stats, store, tracked
from suite.goals import OURS
from suite.paths import shown

ROUNDS, MIN_TIME, REPETITIONS = 6, 0.005, 4
OF_BENCH = ("CMakeLists.txt", "bench", "corpus/traces", ":!bench/budgets.toml")  # what is built besides the library
OF_LIBRARY = ("lib/src", "lib/include", "lib/CMakeLists.txt")
LIBRARIES = (OURS, "iobuf_so")  # the peers whose figures are this library's
COUNTERS = ("instructions", "relative", "relative_low", "relative_high")


@click.command(short_help="Keep the history of the benchmarks, and find the commits that changed them.")
@click.option("--since", metavar="REV", help="Fill in what the history lacks: REV and each commit behind it that changes the library.")
@click.option("--dirty", is_flag=True, help="Measure the working tree although it differs from the commit.")
@click.option("--filter", "pattern", help="Only the cases whose name matches this regular expression.")
@click.option("--rounds", type=click.IntRange(min=1), default=ROUNDS, show_default=True,
              help=f"How many processes are timed; with fewer than {stats.FEWEST_PAIRS} there is no interval.")
@click.option("--show", "show_only", is_flag=True, help="Measure nothing; name the steps in the history, with their commits.")
@click.option("--import", "imported", type=click.Path(path_type=pathlib.Path), metavar="FILE",
              help="Add what google-benchmark wrote elsewhere, as JSON.")
@click.option("--export", "exported", type=click.Path(path_type=pathlib.Path), metavar="FILE",
              help="Write the history of a commit on this machine as google-benchmark's JSON.")
@click.option("--commit", metavar="REV", help="The commit that is exported (else HEAD), or that FILE is of (else what it says itself).")
@click.option("--history", "folder", type=click.Path(path_type=pathlib.Path), default=history.FOLDER, show_default="results/history",
              help="Folder of the history.")
@options.as_json
@options.verbose
def command(since, dirty, pattern, rounds, show_only, imported, exported, commit, folder, as_json):
    """Measure the current commit, and add one line for each case of suite/tracked.py to results/history.

    \b
    Instructions are counted by callgrind. Time is that of the case over that of its reference (what
    does the least for the same work) in the same process; each round links the program anew, so that
    code lies elsewhere. What the history holds of this commit, machine and benchmarks is not measured
    again, so a run that was stopped goes on.

    \b
    --show finds the steps by E-divisive (suite/changepoints.py), for each case and machine. A value that
    stands alone is no step: one in instructions is known one commit later, one in time two or more.

    \b
    Examples:
      scripts/iobuf track                                  the current commit, about 2 minutes
      scripts/iobuf track --since v1.0                     every change of the library since
      scripts/iobuf track --show
      scripts/iobuf track --show --json | jq '.steps[] | {case, commit, change}'
      scripts/iobuf track --import arm.json --commit main
      scripts/iobuf track --export now.json                for google-benchmark's compare.py

    Exit status: 0 fine, 1 a case could not be measured or a line of the history could not be used (each is
    named, the rest is used), 2 wrong usage, 3 could not run. A past commit that does not build is no failure:
    it is recorded as such.
    """
    given = [name for name, value in (("--since", since), ("--show", show_only), ("--import", imported), ("--export", exported)) if value]
    if len(given) > 1:
        raise click.UsageError(f"{given[0]} and {given[1]} are two different things")
    if dirty and given:
        raise click.UsageError(f"--dirty measures the working tree, {given[0]} does not")
    if commit and given not in (["--import"], ["--export"]):
        raise click.UsageError("--commit needs --import or --export")
    chosen = choose(pattern)
    lines, problems = history.read(folder)
    for problem in problems:
        say.error(problem)
    if show_only:
        result = steps(lines, {case.case for case in chosen} if pattern else None)
        bad = 0
        click.echo(json.dumps(result | {"problems": problems}, indent=1)) if as_json else show(result)
    elif imported:
        result, bad = take(imported, commit, lines, folder), 0
    elif exported:
        result, bad = give(exported, commit or "HEAD", lines), 0
    elif since:
        result, bad = fill_in(since, chosen, rounds, lines, folder)
    else:
        result, bad = current(dirty, chosen, rounds, lines, folder)
    if not show_only:
        click.echo(json.dumps(result | {"problems": problems}, indent=1) if as_json else result["text"])
    return 1 if problems or bad else 0


def choose(pattern):
    try:
        chosen = [case for case in tracked.TRACKED if not pattern or re.search(pattern, case.case)]
    except re.error as error:
        raise click.UsageError(f"--filter: {error}") from None
    if not chosen:
        raise click.UsageError(f"no tracked case matches {pattern!r}: there are " + ", ".join(case.case for case in tracked.TRACKED))
    return chosen


# -- which commits

def bench_of_head():
    """The commit that last changed the benchmarks: all commits since have the same."""
    return resolve(revision.git("log", "-1", "--format=%H", "--", *OF_BENCH)[1].strip())


def resolve(name):
    found = revision.resolve(name)
    return revision.Revision(found.commit, found.commit, found.content)


def changed():
    """Files of the working tree that are in what is measured, and differ from the commit."""
    return revision.git("status", "--porcelain", "--", *OF_LIBRARY, *OF_BENCH)[1].splitlines()


def current(dirty, chosen, rounds, lines, folder):
    differs = changed()
    if differs and not dirty:
        raise say.Stop(f"the working tree differs from its commit ({len(differs)} files, {differs[0].split()[-1]} first): commit, or "
                       "measure it as it is with --dirty", 2)
    head = resolve("HEAD")
    if differs:
        tree = revision.resolve()
        todo, bench = revision.Revision(tree.name, f"{head.commit}+changes", tree.content, True), None
    else:
        todo, bench = head, bench_of_head()
    done, bad = measure(todo, bench, missing(todo, bench, chosen, lines), rounds, folder)
    if done is None:
        raise say.Stop(bad)
    text = f"{todo.commit}: {done} cases measured" + (f", {len(chosen) - done} are in the history already" if len(chosen) > done else "")
    return {"text": text, "commit": todo.commit, "measured": done, "failed": bad}, bad


def fill_in(since, chosen, rounds, lines, folder):
    if changed():
        say.line("the working tree differs from its commit: what is measured is the commits")
    first = resolve(since)
    line = revision.git("rev-list", "--first-parent", "HEAD")[1].split()
    behind = line[:next((at for at, commit in enumerate(line) if commit.startswith(first.commit)), -1)]
    if len(behind) == len(line) - 1 and not line[-1].startswith(first.commit):
        raise say.Stop(f"{since} is not on the first-parent line of HEAD: name a commit that is", 2)
    changing = set(revision.git("rev-list", "--first-parent", "HEAD", "--", *OF_LIBRARY)[1].split())
    commits = [resolve(commit) for commit in behind if commit in changing] + [first]
    bench = bench_of_head()
    say.line(f"{len(behind) + 1} commits, of which {len(commits)} have a library of their own; the others have that of the one before")
    plan = [(commit, todo) for commit in spread(commits) if (todo := missing(commit, bench, chosen, lines))]
    total, bad, broken, at = 0, 0, 0, 0
    try:
        for at, (commit, todo) in enumerate(plan):
            say.line(f"commit {at + 1} of {len(plan)}: {commit.commit}, {len(todo)} cases")
            done, why = measure(commit, bench, todo, rounds, folder)
            if done is None:
                say.line(f"recorded as not built: {why}")
                broken += 1
            else:
                total, bad = total + done, bad + why
    except KeyboardInterrupt:
        say.line(f"stopped in commit {at + 1} of {len(plan)}; all that was measured is in {shown(folder)}, the same command goes on")
        raise
    text = f"{len(plan) - broken} commits measured, {total} cases; {broken} do not build; {len(commits) - len(plan)} were in the history"
    return {"text": text, "measured": total, "commits": len(plan) - broken, "not_built": broken, "failed": bad}, bad


def spread(commits):
    """The last, the first, then what halves the gaps between: a run that is stopped has seen the whole span."""
    ordered, gaps = [commits[0], *commits[1:][-1:]], [(0, len(commits) - 1)]
    for low, high in gaps:
        if high - low > 1:
            middle = (low + high) // 2
            ordered.append(commits[middle])
            gaps += [(low, middle), (middle, high)]
    return ordered


def missing(commit, bench, chosen, lines):
    """The cases that the history lacks for this commit under these benchmarks on this machine."""
    if bench is None:
        return chosen  # a working tree is another one each time
    key = history.machine_key(here())
    there = [line for line in lines if line["commit"] == commit.commit and line["bench"] == bench.commit
             and history.machine_key(line["machine"]) == key]
    if any(line["case"] is None for line in there):
        return []
    return [case for case in chosen if case.case not in {line["case"] for line in there}]


# -- measuring

def measure(commit, bench, todo, rounds, folder):
    """Adds a line for each case as soon as it is measured: (cases, how many failed); or (None, why the commit does not build)."""
    if not todo:
        return 0, 0
    head = describe(commit, bench)
    file = history.path(commit.commit, head["machine"], folder)
    try:
        program = revision.bench_of(commit, bench)
    except say.Stop as stop:
        if "does not build" not in str(stop) or "No space left" in str(stop):
            raise
        why = str(stop).splitlines()[0]
        history.append(file, [head | {"case": None, "error": why}])
        return None, why
    head["build"] = {name: value for name, value in revision.built_by(program).items() if name != "preset"}
    times, errors = timed(program, todo, rounds)
    counting = callgrind.available()
    failed = 0
    with say.Steps(f"instructions: {len(todo)} cases", len(todo)) as steps_done:
        for at, case in enumerate(todo):
            steps_done.at(at, case.case)
            line = head | {"case": case.case, "instructions": None, "reference": case.reference} | by_time(times, case)
            count = callgrind.count(program, case.case, runs=callgrind.RUNS.get(case.case.split("/")[0], 1), digits=2) if counting else None
            if isinstance(count, str):
                errors.setdefault(case.case, f"its instructions were not counted: {count}")
            else:
                line["instructions"] = count
            if case.case in errors:
                failed += 1
                line["error"] = errors[case.case]
                say.error(f"{commit.commit}: {case.case}: {errors[case.case]}")
            history.append(file, [line])
    return len(todo), failed


def describe(commit, bench):
    of_commit = commit.commit.removesuffix("+changes")
    return {"schema": history.SCHEMA, "kind": "history", "commit": commit.commit,
            "commit_date": revision.git("show", "-s", "--format=%cI", of_commit)[1].strip(),
            "order": int(revision.git("rev-list", "--first-parent", "--count", of_commit)[1]),
            "bench": bench.commit if bench else commit.commit, "machine": here(), "date": machine.now(),
            "command": f"scripts/iobuf track --since {commit.commit}" if bench else "scripts/iobuf track --dirty"}


def here():
    """This machine, with all its processors, however many this process may use."""
    return machine.facts() | {"cpus": os.cpu_count()}


def timed(program, todo, rounds):
    """({case: its time in each round, or None}, {case: why it failed}), references included."""
    times, errors = collections.defaultdict(list), {}
    names = list(dict.fromkeys(name for case in todo for name in (case.case, case.reference)))
    with say.Steps(f"time: {rounds} rounds", rounds) as steps_done:
        for at in range(rounds):
            steps_done.at(at, f"round {at + 1}")
            linked = revision.linked_anew(program, at + 1, program.with_name(f"{program.name}-anew"))
            names = [name for name in names if name not in errors]
            of_round = one_process(linked, names, errors)
            for name in names:
                times[name].append(of_round.get(name))
    return times, errors


def one_process(program, names, errors):
    """{case: the least of its repetitions: what disturbs one only ever adds}. When the process ends halfway, each case has one of
    its own with its reference, so that one that crashes takes no other with it."""
    if not names:
        return {}
    try:
        document = gbench.run(program, names, MIN_TIME, repetitions=REPETITIONS)
    except say.Stop as stop:
        if len(names) == 1:
            errors[names[0]] = "it ends halfway: " + " ".join(str(stop).split()[:12])
            return {}
        halves = names[:len(names) // 2], names[len(names) // 2:]
        return {name: time for half in halves for name, time in one_process(program, half, errors).items()}
    least = {}
    for run in document["benchmarks"]:
        name = "/".join(gbench.split(run["name"]))
        if run.get("error_occurred"):
            errors[name] = run.get("error_message") or "its own check failed"
        else:
            least[name] = min(least.get(name, float("inf")), gbench.nanoseconds(run))
    for name in names:
        if name not in least:
            errors.setdefault(name, "there is no such case")
    return least


def by_time(times, case):
    both = [(ours, theirs) for ours, theirs in zip(times.get(case.case, ()), times.get(case.reference, ())) if ours and theirs]
    row = {"ns": None, "relative": None, "relative_low": None, "relative_high": None, "rounds": len(both)}
    if both:
        sure = stats.median_ratio([ours for ours, _ in both], [theirs for _, theirs in both])
        row |= {"ns": round(stats.median([ours for ours, _ in both]), 3), "relative": round(sure["ratio"], 4),
                "relative_low": sure["low"] and round(sure["low"], 4), "relative_high": sure["high"] and round(sure["high"], 4)}
    return row


# -- google-benchmark's own JSON

def take(file, name, lines, folder):
    """Adds the library's cases of a file that google-benchmark wrote, its machine being the one that the file names."""
    try:
        document = json.loads(file.read_text())
        context, runs = document["context"], [run for run in document["benchmarks"] if run.get("run_type", "iteration") == "iteration"]
        commit = name or context.get("iobuf_commit", "unknown").removesuffix("+changes")
        if commit == "unknown":
            raise say.Stop(f"{shown(file)} does not say what commit it is of: name it with --commit")
        head = describe(resolve(commit), None) | of_context(context) | {"command": f"scripts/iobuf track --import {file.name}"}
        found = of_runs(runs, head)
    except OSError as error:
        raise say.Stop(f"{shown(file)}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise say.Stop(f"{shown(file)} is not what google-benchmark writes with --benchmark_out_format=json: {error!r}") from None
    if not found:
        raise say.Stop(f"{shown(file)} has no case work/iobuf/size that went well")
    known = {(line["case"], line["commit"], line["date"], history.machine_key(line["machine"])) for line in lines}
    new = [line for line in found if (line["case"], line["commit"], line["date"], history.machine_key(line["machine"])) not in known]
    if new:
        history.append(history.path(head["commit"], head["machine"], folder), new)
    text = f"{head['commit']}: {len(new)} cases of {head['machine']['cpu']} added" + (
        f", {len(found) - len(new)} are in the history already" if len(found) > len(new) else "")
    return {"text": text, "commit": head["commit"], "added": len(new)}


def of_context(context):
    cpus = int(context["num_cpus"])
    own = context.get("iobuf_machine")
    found = json.loads(own) if own else {"cpu": context.get("cpu") or f"{context.get('mhz_per_cpu', '?')} MHz", "cpus": cpus, "memory_gib": None,
                                         "virtual": None, "system": context.get("system"), "kernel": None, "host": context.get("host_name")}
    when = datetime.datetime.fromisoformat(context["date"]).astimezone(datetime.timezone.utc)
    return {"machine": found, "date": when.isoformat(timespec="seconds"), "bench": context.get("iobuf_bench", "unknown"),
            "build": {"compiler": context.get("compiler", ""), "build_type": context.get("library_build_type", ""), "flags": context.get("flags", "")}}


def of_runs(runs, head):
    by_name = collections.defaultdict(list)
    for run in runs:
        if run["name"].count("/") >= 2 and not run.get("error_occurred"):
            by_name["/".join(gbench.split(run["name"]))].append(run)
    references = {case.case: case.reference for case in tracked.TRACKED}
    found = []
    for name, own in by_name.items():
        if name.split("/")[1] not in LIBRARIES:
            continue
        times = {each: [gbench.nanoseconds(run) for run in by_name.get(each, ())] for each in (name, references.get(name))}
        line = head | {"case": name, "instructions": None, "reference": references.get(name)}
        line |= by_time(times, tracked.Tracked(name, references.get(name)))
        line |= {"ns": round(stats.median(times[name]), 3), "rounds": len(own)}
        line |= {counter: own[0][counter] for counter in COUNTERS if counter in own[0]}
        why = history.wrong(line)
        if why:
            raise ValueError(f"{name}: {why}")
        found.append(line)
    return found


def give(file, name, lines):
    commit, key = resolve(name).commit, history.machine_key(here())
    own = [line for line in lines if line["commit"] == commit and line["case"] and history.machine_key(line["machine"]) == key]
    if not own:
        raise say.Stop(f"the history has nothing of {commit} on this machine: scripts/iobuf track measures it")
    latest = {line["case"]: line for line in sorted(own, key=lambda line: line["date"]) if line["ns"] is not None}
    last = max(latest.values(), key=lambda line: line["date"])
    context = {"date": last["date"], "host_name": "", "executable": "iobuf_bench", "num_cpus": last["machine"]["cpus"], "mhz_per_cpu": 0,
               "cpu_scaling_enabled": False, "caches": [], "load_avg": [], "library_build_type": "release", "iobuf_commit": commit,
               "iobuf_bench": last["bench"], "iobuf_machine": json.dumps(last["machine"]), "cpu": last["machine"]["cpu"],
               "compiler": last["build"]["compiler"], "flags": last["build"]["flags"]}
    runs = [{"name": case, "run_name": case, "run_type": "iteration", "repetitions": 1, "repetition_index": 0, "threads": 1,
             "family_index": at, "per_family_instance_index": 0, "iterations": line["rounds"], "real_time": line["ns"],
             "cpu_time": line["ns"], "time_unit": "ns"} | {name: line[name] for name in COUNTERS if line[name] is not None}
            for at, (case, line) in enumerate(latest.items())]
    store.write_json(file, {"context": context, "benchmarks": runs})
    return {"text": f"{shown(file)}: {len(runs)} cases of {commit}", "commit": commit, "written": len(runs)}


# -- showing

def steps(lines, only):
    """Every step of every series, newest first."""
    found, all_series = [], history.series(lines)
    machines = {history.machine_key(line["machine"]): line["machine"].get("cpu") for line in lines}
    for (case, measure, key), points in all_series.items():
        if only is not None and case not in only:
            continue
        for step in changepoints.find([point["value"] for point in points], changepoints.MEASURES[measure]):
            before, point = points[step["at"] - 1], points[step["at"]]
            found.append({"case": case, "measure": measure, "machine": key, "commit": point["commit"], "commit_date": point["commit_date"],
                          "order": point["order"], "after_commit": before["commit"], "benchmarks_changed": point["bench"] != before["bench"],
                          "before": step["before"], "after": step["after"], "change": step["change"], "p": step["p"]})
    found.sort(key=lambda step: (-step["order"], step["case"], step["measure"]))
    failed = [{"commit": commit, "machine": key, "error": why} for (commit, key), why in sorted(history.failed(lines).items())]
    return {"steps": found, "series": len(all_series), "points": sum(map(len, all_series.values())), "machines": machines, "not_built": failed}


def show(result):
    if not result["series"]:
        click.echo("the history is empty: scripts/iobuf track --since REV fills it")
        return
    if not result["steps"]:
        click.echo(f"no step in {result['points']} points of {result['series']} series")
    several = len(result["machines"]) > 1
    if result["steps"]:
        say.table(f"steps in {result['points']} points of {result['series']} series", ["commit", "date", "case", "measure", ">before", ">after", ">change", ""],
                  [[step["commit"], step["commit_date"][:10], step["case"], step["measure"], f"{step['before']:.2f}", f"{step['after']:.2f}",
                    f"{100 * step['change']:+.1f} %", " ".join([*(["benchmarks changed too"] if step["benchmarks_changed"] else []),
                                                                *([f"on {step['machine']}"] if several else [])])]
                   for step in result["steps"]])
    for row in result["not_built"]:
        click.echo(f"{row['commit']}: {row['error']}")
