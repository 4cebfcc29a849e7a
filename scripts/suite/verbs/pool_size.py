"""iobuf pool-size: which size of bufs fits the traffic of a trace?"""
import json
import pathlib
import time

import click

from suite import machine, options, pool_record, pool_regret, pool_sizes, say, stats, store
from suite.paths import RESULTS, shown


@click.command(short_help="Which size of bufs fits my traffic?")
@click.option("--trace", type=click.Path(path_type=pathlib.Path, dir_okay=False), help="A recorded trace; default: those in corpus/traces, or made-up ones.")
@click.option("--prefer", type=click.Choice(list(pool_sizes.PREFER)), default="balanced", show_default=True, help="What counts more.")
@click.option("--sizes", metavar="A,B,...", help="Bytes of a buf to try; default: 1 KiB to 4 MiB, powers of two and one between each.")
@click.option("--reserve", type=click.IntRange(0, 65536), help="Spare bytes in front of each slice, instead of those in the trace.")
@click.option("--cache", type=click.IntRange(min=0), help="Bytes of free bufs that the pool keeps; default: the library's 64 MiB.")
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="Threads that replay the trace at once, on one pool.")
@click.option("--pinned-below", type=click.IntRange(1, 100), default=25, show_default=True, help="A buf of which slices fill less than this percentage is pinned.")
@click.option("--partial", is_flag=True, help="Take what can be read of a trace that is cut off: of a program that was killed, say.")
@click.option("--mallocs", is_flag=True, help="Also replay through malloc, and each of jemalloc, mimalloc and tcmalloc that is installed.")
@click.option("--regret", is_flag=True, help="Instead: how much worse is what the search finds than the best of all sizes?")
@click.option("--orders", type=click.IntRange(min=1), default=100, show_default=True, help="With --regret: orders of the rounds that are tried.")
@click.option("--record", is_flag=True, help="Of the shipped traces: also write the result to results/pool-size.json, for the page, or to pool-size-regret.json.")
@options.results
@options.as_json
@options.verbose
def command(trace, prefer, sizes, reserve, cache, threads, pinned_below, partial, mallocs, regret, orders, record, results, as_json):
    """Replay a trace through the library for many sizes of bufs, and recommend one.

    \b
    Memory is counted to the byte and the same on every run. Time is measured in rounds, all sizes in
    each: the first for all, the others for those that may be the best at some weight. Which figure
    means what, and what to do when no size is good, is explained in bench/trace/GUIDE.md. With --threads
    it is the events of all threads per second that count, and memory differs a little from run to run.

    \b
    Examples:
      scripts/iobuf pool-size --trace server.trace
      scripts/iobuf pool-size --trace server.trace --prefer memory --json
      scripts/iobuf pool-size --trace server.trace --sizes 4096,8192,16384 --reserve 64
      scripts/iobuf pool-size --trace server.trace --threads 4
      scripts/iobuf pool-size                       the shipped traces
      scripts/iobuf pool-size --record              the same, for the page and everybody
      scripts/iobuf pool-size --regret              how good is the search? the shipped traces and made-up ones

    Exit status: 0 recommended, 1 with --regret: a search was off by more than 3 %, 2 wrong usage, 3 could not
    run: a trace that is cut off or wrong gets no recommendation.
    """
    tried = parse_sizes(sizes)
    if record and trace is not None:
        raise click.UsageError("--record is of the shipped traces, which everybody has: leave out --trace")
    if record and threads > 1 and not regret:
        raise click.UsageError("--record is of what one thread replays, of which all is known: leave out --threads")
    if mallocs and regret:
        raise click.UsageError("--regret is about sizes of bufs: --mallocs has none")
    if trace is not None and not trace.is_file():
        raise say.Stop(f"{trace}: there is no such file")
    arguments = ["--pinned-below", pinned_below]
    arguments += [] if reserve is None else ["--reserve", reserve]
    arguments += [] if cache is None else ["--cache", cache]
    arguments += ["--partial"] if partial else []
    words = ["scripts/iobuf pool-size", *([f"--trace {trace}"] if trace else []),
             *(["--regret", f"--orders {orders}"] if regret else [f"--prefer {prefer}"]), *([f"--sizes {sizes}"] if sizes else []),
             *([f"--threads {threads}"] if threads > 1 else []), *(str(word) for word in arguments), *(["--mallocs"] if mallocs else [])]
    if regret:
        return measure_regret(pool_regret.measure(trace, tried, orders, arguments, threads, " ".join(words)), results, record, as_json)
    start = time.monotonic()
    found = []
    for name, file in pool_sizes.traces(trace):
        replay = pool_sizes.Replay(file, arguments, threads)
        with say.step(f"pool-size: {name}, {len(tried)} sizes"):
            one = pool_sizes.recommend(replay, name, tried, prefer)
        if mallocs:
            one["mallocs"] = pool_sizes.mallocs(replay)
        found.append(one)
    result = machine.stamp(" ".join(words)) | {"kind": pool_sizes.KIND, "partial": partial, "seconds": round(time.monotonic() - start, 1)} | whole(found, prefer)
    store.write_json(results / ("pool-size.json" if threads == 1 else "pool-size-threads.json"), result)
    if record:
        store.write(RESULTS / "pool-size.json", pool_record.text(result))
        say.line(f"recorded in {shown(RESULTS / 'pool-size.json')}")
    if as_json:
        click.echo(json.dumps(result, indent=1))
    else:
        for one in found:
            show(one)
        if len(found) > 1:
            click.echo(result["reason"])
    return 0


def measure_regret(result, results, record, as_json):
    store.write_json(results / "pool-size-regret.json", result)
    if record:
        store.write_json(RESULTS / "pool-size-regret.json", result)
        say.line(f"recorded in {shown(RESULTS / 'pool-size-regret.json')}")
    if as_json:
        click.echo(json.dumps(result, indent=1))
    else:
        pool_regret.show(result)
    return 1 if result["worst"] > pool_regret.LIMIT else 0


def parse_sizes(text):
    if text is None:
        return pool_sizes.SIZES
    parts = text.split(",")
    if not all(part.isdigit() and pool_sizes.LEAST <= int(part) <= pool_sizes.MOST for part in parts):
        raise click.UsageError(f"--sizes: {text!r} is not a list of bytes, each from {pool_sizes.LEAST} to {pool_sizes.MOST}")
    tried = tuple(sorted({int(part) for part in parts}))
    if len(tried) < pool_sizes.FEWEST_SIZES:
        raise click.UsageError("--sizes: there is nothing to choose from one size")
    return tried


def whole(found, prefer):
    """One trace is the answer itself; of several, one size for all stands above them."""
    if len(found) == 1:
        return found[0]
    size = pool_sizes.together(found, pool_sizes.PREFER[prefer])
    each = ", ".join(f"{pool_sizes.human(one['recommended_bytes'])} for {one['name']}" for one in found)
    return {"recommended_bytes": size, "prefer": prefer, "threads": found[0]["threads"], "processors": found[0]["processors"],
            "reason": f"{pool_sizes.human(size)} costs least over all traces together; alone: {each}.", "traces": found}


def show(one):
    alone = one["threads"] == 1  # else nobody counted what holds the memory
    rows = [["->" if row["bytes"] == one["recommended_bytes"] else "", pool_sizes.human(row["bytes"]), "*" if row["on_front"] else "",
             speed(row, alone), interval(row), f"{row['held_per_live']:.2f}",
             pool_sizes.human_bytes(row["peak_held"]), *([worst(row["memory"])] if alone else []), tail(row)] for row in one["sizes"]]
    trace = one["trace"]
    say.table(f"{one['name']}: {trace['events']:,} events, {trace['allocs']:,} slices, {trace['threads']} threads",
              ["", ">buf", "front", SPEED[alone], ">against the choice, 95 %", ">held/live", ">most held",
               *(["largest waste then"] if alone else []), ">p99 alloc, release ns"], rows)
    if not alone:
        click.echo(f"Replayed by {one['threads']} threads at once on {one['processors']} processors.")
    click.echo(one["reason"])
    half, double = (pool_sizes.human(size) if size else "nothing left to replay" for size in (one["by_traffic"]["half"], one["by_traffic"]["double"]))
    click.echo(f"half the traffic: {half}; double: {double}. Weight of memory from 0 to 1: {by_weight(one['by_weight'])}.")
    click.echo(f"The search took {one['runs']['search']} replays of the {one['runs']['all']} that all sizes in full would take; "
               f"{one['runs']['made']} with intervals for the front, latency and other traffic.")
    if one["noise"] is not None and one["noise"] > stats.NOISE_LIMIT:
        click.echo(f"Time is known to ±{pool_sizes.share(one['noise'])} only: the machine did other things.{' Memory is exact.' if alone else ''}")
    if one["edge"]:
        click.echo(f"That is the {one['edge']} that was tried: --sizes can try beyond it.")
    for text in one["advice"]:
        click.echo(f"No size holds little: {text}.")
    if one.get("mallocs"):
        say.table("through malloc, each in a process of its own", ["malloc", SPEED[alone], ">held/live", ">most held", ">p99 alloc, release ns"],
                  [[row["malloc"], speed(row, alone), f"{row['held_per_live']:.2f}" if row["held_per_live"] is not None else "",
                    pool_sizes.human_bytes(row["peak_held"]), tail(row)] for row in one["mallocs"]])


SPEED = {True: ">ns/event", False: ">events/s"}


def speed(row, alone):
    return f"{row['ns']:.1f}" if alone else pool_sizes.rate(row["ns"])


def interval(row):
    if row["time_low"] is None:
        return f"{row['time_ratio']:.2f} (1 round)" if row["rounds"] == 1 else f"{row['time_ratio']:.2f}"
    return f"{row['time_ratio']:.2f} ({row['time_low']:.2f} to {row['time_high']:.2f})"


def worst(memory):
    waste = {part: size for part, size in memory["at_peak"].items() if part != "live"}
    part = max(waste, key=waste.get)
    return f"{part} {pool_sizes.share(waste[part] / memory['peak_held'])}"


def tail(row):
    return f"{row['latency']['alloc']['p99']:.0f}, {row['latency']['release']['p99']:.0f}" if row["latency"] else ""


def by_weight(moves):
    """Only where the answer changes."""
    parts = []
    for move in moves:
        if not parts or parts[-1][1] != move["bytes"]:
            parts.append((move["memory_weight"], move["bytes"]))
    return ", ".join(f"{pool_sizes.human(size)} from {weight:g}" for weight, size in parts)
