"""iobuf bench: measures iobuf against malloc, or with --peers against everything, in rounds, and says how sure each ratio is."""
import json
import pathlib
import random
import re

import click

from suite import build, gbench, goals, machine, options, peers as beside, peertable, plot, say, stats, store
from suite.paths import RESULTS, shown

OURS, THEIRS = "iobuf", "malloc"
FOR_PEERS = ("live", "threads")  # they compare iobuf with itself
ROUNDS, MIN_TIME = 12, 0.05
QUICK_ROUNDS, QUICK_MIN_TIME = 5, 0.01
FEWEST_ROUNDS = 3  # with fewer, an interval says nothing


@click.command(short_help="Measure iobuf against malloc, or against all its peers.")
@click.option("--filter", "pattern", help="Only the benchmarks whose name (work/peer/size) matches this regular expression.")
@click.option("--quick", is_flag=True, help=f"{QUICK_ROUNDS} short rounds, {beside.QUICK_ROUNDS} with --peers, instead of {ROUNDS}: wider intervals.")
@click.option("--rounds", type=click.IntRange(min=FEWEST_ROUNDS), help="How many rounds.")
@click.option("--record", is_flag=True, help="Also append a summary to results/bench.jsonl; with --peers to peers.jsonl, and draw peers.svg.")
@click.option("--peers", is_flag=True, help="Against every peer that is installed, judged by targets; counts instructions too.")
@click.option("--against", multiple=True, type=click.Choice([*goals.PEERS, "malloc"]), metavar="PEER",
              help=f"With --peers: only this peer, again for more: {', '.join(goals.PEERS)}; malloc: every malloc.")
@click.option("--show", "show_only", is_flag=True, help="With --peers: measure nothing, show the last result.")
@click.option("--markdown", is_flag=True, help="With --peers: print the table as Markdown, with where it comes from.")
@click.option("--plot", "picture", type=click.Path(path_type=pathlib.Path), metavar="FILE.svg",
              help="With --peers: draw time against size into this file too.")
@options.results
@options.as_json
@options.verbose
def command(pattern, quick, rounds, record, peers, against, show_only, markdown, picture, results, as_json):
    """Measure iobuf against malloc and print a ratio with its 95 % confidence interval for each work and size.

    \b
    Every round starts each work anew, in random order, and measures iobuf and malloc next to each
    other, interleaved at random; a ratio is taken within a round only, so that a machine that is
    slow for a while slows both. A machine that does nothing else gives narrower intervals.

    \b
    With --peers: against glibc's malloc, jemalloc, mimalloc, tcmalloc, DPDK, libevent, the Go package in
    C and the floor of the machine, as far as installed. A malloc is preloaded, proven to be the one
    that serves, and iobuf measured in the same process. A ratio whose interval is wider than +-10 % after
    extra rounds is not reported.

    \b
    Examples:
      scripts/iobuf bench                                  everything, about 3 minutes
      scripts/iobuf bench --quick --filter '^(frame|window)/'
      scripts/iobuf bench --rounds 30 --filter alloc_release
      scripts/iobuf bench --json | jq '.compared[] | {work, size, ratio}'
      scripts/iobuf bench --peers                          against all, about 17 minutes
      scripts/iobuf bench --peers --against tcmalloc --filter '^alloc_release/'
      scripts/iobuf bench --peers --show --markdown        the last result, for a README

    Exit status: 0 measured, 1 a benchmark's own check failed or, with --peers, a target is missed for
    sure, 2 wrong usage, 3 could not run, or no ratio could be reported for noise.
    """
    if peers:
        return command_peers(pattern, quick, rounds, record, against, show_only, markdown, picture, results, as_json)
    for name, given in (("--against", against), ("--show", show_only), ("--markdown", markdown), ("--plot", picture)):
        if given:
            raise click.UsageError(f"{name} needs --peers")
    summary = bench(pattern, quick, rounds, lambda partial: store.write_json(results / "bench.json", partial))
    if record:
        append(summary)
    if as_json:
        click.echo(json.dumps(summary, indent=1))
    else:
        show(summary)
    return 1 if summary["errors"] else 0


def command_peers(pattern, quick, rounds, record, against, show_only, markdown, picture, results, as_json):
    path = results / "peers.json"
    if show_only:
        summary = store.read_json(path, "peers", "scripts/iobuf bench --peers")
        if summary is None:
            raise say.Stop(f"{shown(path)} is not there yet: run scripts/iobuf bench --peers")
    else:
        if rounds and rounds < stats.FEWEST_PAIRS:
            raise click.UsageError(f"--rounds: with --peers at least {stats.FEWEST_PAIRS}, else no ratio can be reported")
        summary = beside.measure(pattern, quick, rounds, against, lambda partial: store.write_json(path, partial))
    if record:
        store.append_line(RESULTS / "peers.jsonl", beside.for_record(summary))
    try:
        draw(summary, [results / "peers.svg", *([RESULTS / "peers.svg"] if record else []), *([picture] if picture else [])])
        if as_json:
            click.echo(json.dumps(summary, indent=1))
        elif markdown:
            click.echo(peertable.markdown(summary))
        else:
            peertable.show(summary)
        for error in summary["errors"]:
            say.error(f"{error['case']}: {error['message']}")
        return beside.status(summary)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise say.Stop(f"{shown(path)} lacks what the table needs ({error!r}): run scripts/iobuf bench --peers again") from None


def draw(summary, paths):
    try:
        text = plot.svg(summary)
    except say.Stop as stop:  # the figures are worth having without a picture
        say.line(str(stop))
        return
    for path in paths if text else ():
        store.write(path, text)
        say.line(f"plot: {shown(path)}")


def bench(pattern, quick, rounds, save):
    """Measures round by round; `save` gets the summary after each, so that little is lost when something stops it."""
    if pattern is not None:
        try:
            re.compile(pattern)
        except re.error as error:
            raise click.UsageError(f"--filter: {error}") from None
    build.ensure("release", ["iobuf_bench"])
    program = build.program("release", gbench.PROGRAM)
    cases = [case for case in of_this_bench(gbench.listed(program)) if pattern is None or re.search(pattern, case)]
    if not cases:
        raise click.UsageError(f"no benchmark matches {pattern!r}: {shown(program)} --benchmark_list_tests names them")
    rounds = rounds or (QUICK_ROUNDS if quick else ROUNDS)
    min_time = QUICK_MIN_TIME if quick else MIN_TIME
    words = ["scripts/iobuf bench", *(["--quick"] if quick else []), f"--rounds {rounds}",
             *([f"--filter '{pattern}'"] if pattern else [])]
    head = machine.stamp(" ".join(words)) | {"kind": "bench", "build": build.compiler("release"), "min_time": min_time}
    works = {}
    for case in cases:
        works.setdefault(case.split("/")[0], []).append(case)
    plan = [order_of_round(works, at, rounds) for at in range(rounds)]
    measured, errors, done, runs = {case: [] for case in cases}, [], 0, 0
    with say.Steps(f"bench: {len(cases)} cases, {rounds} rounds", sum(map(len, plan))) as steps:
        try:
            for order in plan:
                for work in order:
                    steps.at(runs, f"round {done + 1} of {rounds}: {work}")
                    one_round(program, works[work], min_time, measured, errors)
                    runs += 1
                done += 1
                if done >= FEWEST_ROUNDS:
                    save(summarise(head, measured, errors, done, rounds))
        except KeyboardInterrupt:
            if done < FEWEST_ROUNDS:
                raise
            say.line(f"interrupted after {done} of {rounds} rounds: the result has those")
    summary = summarise(head, measured, errors, done, rounds)
    save(summary)
    return summary


def of_this_bench(names):
    """iobuf and malloc where both do the work, and the sweep of pool sizes; all else is for --peers."""
    peers = {}
    for name in names:
        work, peer, _ = gbench.split(name)
        peers.setdefault(work, set()).add(peer)
    works = {work for work, found in peers.items() if found >= {OURS, THEIRS} and work not in FOR_PEERS}
    return [name for name in names if gbench.split(name)[0] in works and gbench.split(name)[1] in (OURS, THEIRS)]


def order_of_round(works, at, rounds):
    """All works in random order; one that is not compared with a peer, pool_size, only in the first half of the rounds."""
    paired = [work for work, cases in works.items() if len({gbench.split(case)[2] for case in cases}) < len(cases)]
    order = [work for work in works if work in paired or at < max(FEWEST_ROUNDS, rounds // 2)]
    return random.sample(order, len(order))


def append(summary):
    """Without what each round measured: that is large, and in the file it came from."""
    cases = [{name: value for name, value in case.items() if name != "rounds_ns"} for case in summary["cases"]]
    store.append_line(RESULTS / "bench.jsonl", summary | {"cases": cases})


def one_round(program, names, min_time, measured, errors):
    """Runs these cases once, in one process; adds a measurement to each, or to `errors` why there is none."""
    for run in gbench.run(program, names, min_time)["benchmarks"]:
        if run.get("error_occurred"):
            if run["name"] not in {error["case"] for error in errors}:
                errors.append({"case": run["name"], "message": run.get("error_message", "")})
        else:
            measured[run["name"]].append(run)


def summarise(head, measured, errors, done, rounds):
    cases, pairs = [], {}
    for case, runs in measured.items():
        runs = runs[:done]
        if not runs:
            continue
        work, peer, size = gbench.split(case)
        times = [gbench.nanoseconds(run) for run in runs]
        row = {"work": work, "peer": peer, "size": size, "ns": stats.median(times), "rounds_ns": times}
        for counter in ("bytes_per_second", "held_per_live", "buf_bytes"):
            values = [run[counter] for run in runs if counter in run]
            row[counter] = stats.median(values) if values else None
        cases.append(row)
        pairs.setdefault((work, size), {})[peer] = row
    compared = [compare(work, size, peers) for (work, size), peers in pairs.items()
                if OURS in peers and THEIRS in peers and len(peers[OURS]["rounds_ns"]) == len(peers[THEIRS]["rounds_ns"])]
    return head | {"rounds": done, "rounds_wanted": rounds, "errors": errors, "compared": compared, "cases": cases}


def compare(work, size, peers):
    ours, theirs = peers[OURS], peers[THEIRS]
    sure = stats.ratio(ours["rounds_ns"], theirs["rounds_ns"])
    return {"work": work, "size": size, "iobuf_ns": ours["ns"], "malloc_ns": theirs["ns"], **sure, "verdict": verdict(sure),
            "iobuf_held_per_live": ours["held_per_live"], "malloc_held_per_live": theirs["held_per_live"]}


def verdict(sure):
    if sure["low"] is None or sure["low"] <= 1 <= sure["high"]:
        return "no difference seen"
    return "faster" if sure["low"] > 1 else "slower"


def show(summary):
    rows = []
    for row in summary["compared"]:
        held = [f"{row[name]:.2f}" if row[name] else "" for name in ("iobuf_held_per_live", "malloc_held_per_live")]
        rows.append([row["work"], row["size"], f"{row['iobuf_ns']:.1f}", f"{row['malloc_ns']:.1f}", f"{row['ratio']:.2f}",
                     f"{row['low']:.2f} to {row['high']:.2f}", row["verdict"], *held])
    say.table(f"iobuf against malloc, {summary['rounds']} rounds, times per buffer",
              ["work", ">size", ">iobuf ns", ">malloc ns", ">times faster", "95 % interval", "verdict", ">held/live iobuf",
               ">malloc"], rows)
    pairs = {(row["work"], row["size"]) for row in summary["compared"]}
    alone = [case for case in summary["cases"] if (case["work"], case["size"]) not in pairs]
    if alone:
        say.table("measured without a pair", ["work", "peer", ">size", ">ns", ">held/live"],
                  [[case["work"], case["peer"], case["size"], f"{case['ns']:.1f}",
                    f"{case['held_per_live']:.2f}" if case["held_per_live"] else ""] for case in alone])
    for error in summary["errors"]:
        say.error(f"{error['case']}: {error['message']}")
