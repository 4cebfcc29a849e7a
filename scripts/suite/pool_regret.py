"""What pool-size's shortcut costs: all sizes are measured in full once; the search then gets its figures out of that table, the rounds in
many orders. Its regret is by what share the size it finds costs more than the best of all sizes."""
import random

from suite import build, machine, pool_sizes, say, stats
from suite.paths import BUILD

KIND = "pool-size-regret"
LIMIT = 0.03  # no search should be off by more
SEED = 3  # of the orders

# Traffic that nothing was tuned on, small enough for all sizes in full.
MADE = {
    "messages": ("--sizes", "log:32:4096", "--lifetimes", "log:1:3000"),
    "bodies": ("--sizes", "two:200:40000:70", "--lifetimes", "uniform:1:300"),
    "pinning": ("--sizes", "uniform:100:900", "--lifetimes", "log:1:20", "--forever", "2"),
    "threads": ("--sizes", "log:64:8192", "--threads", "4", "--handover", "30", "--reserve", "32", "--coalesce", "4"),
}
MADE_ALLOCS, MADE_SEED = 20_000, 77


def make(folder):
    """{name: file} of the made-up traces."""
    pool_sizes.program()
    folder.mkdir(parents=True, exist_ok=True)
    maker = build.program("release", pool_sizes.MAKER)
    for name, arguments in MADE.items():
        pool_sizes.output(maker, ["--allocs", MADE_ALLOCS, "--seed", MADE_SEED, *arguments, folder / name])
    return {name: folder / name for name in MADE}


def traces(given):
    """(name, file) of each trace to try: the one given; else those of the corpus, and the made-up ones."""
    if given:
        return pool_sizes.traces(given)
    made = make(BUILD / "pool-size" / "regret")
    return [*pool_sizes.shipped(), *((f"{name}, made up with seed {MADE_SEED}", file) for name, file in made.items())]


def in_full(replay, sizes=pool_sizes.SIZES):
    """The table of all sizes, every round of each."""
    return replay(sizes, "memory,time", pool_sizes.ROUNDS)[0]


def search(full, sizes, weight, order):
    """What the search finds where the rounds come in this order."""
    left, runs = list(order), 0

    def measure(wanted, what, rounds=1):
        nonlocal runs
        runs += len(wanted) * rounds
        if what == "memory":
            return full, None
        mine = [left.pop() for _ in range(rounds)]
        return {size: {"rounds_ns": [full[size]["rounds_ns"][at] for at in mine]} for size in wanted}, None

    table, alive, _ = pool_sizes.sweep(measure, sizes)
    found = pool_sizes.best(table, alive, weight)
    return {"bytes": found, "regret": pool_sizes.regret(full, found, sizes, weight), "runs": runs}


def of_table(full, sizes, prefer, orders, generator):
    """One preference, the rounds in so many orders."""
    weight = pool_sizes.PREFER[prefer]
    found = [search(full, sizes, weight, generator.sample(range(pool_sizes.ROUNDS), pool_sizes.ROUNDS)) for _ in range(orders)]
    costs = pool_sizes.weighed(full, sizes, weight)
    regrets = [one["regret"] for one in found]
    times = {size: sum(one["bytes"] == size for one in found) for size in sizes}
    return {"prefer": prefer, "orders": orders, "median": stats.median(regrets), "worst": max(regrets),
            "over_limit": sum(regret > LIMIT for regret in regrets), "best_bytes": min(sizes, key=costs.get),
            "found": [{"bytes": size, "times": count} for size, count in times.items() if count],
            "most_runs": max(one["runs"] for one in found)}


def measure(given, sizes, orders, options, threads, reproduce):
    generator, rows = random.Random(SEED), []
    for name, file in traces(given):
        replay = pool_sizes.Replay(file, options, threads)
        with say.step(f"pool-size --regret: {name}, {len(sizes)} sizes in full"):
            full = in_full(replay, sizes)
        for prefer in pool_sizes.PREFER:
            rows.append({"trace": name, "runs_in_full": replay.runs} | of_table(full, sizes, prefer, orders, generator))
    return machine.stamp(reproduce) | {"kind": KIND, "threads": threads, "processors": build.cpus(), "sizes": list(sizes), "limit": LIMIT,
                                       "seed": SEED, "worst": max(row["worst"] for row in rows), "rows": rows}


def show(result):
    say.table("what the search costs more than the best of all sizes, over orders of the rounds",
              ["trace", "prefer", ">orders", ">median", ">worst", f">over {pool_sizes.share(LIMIT)}", ">best", "found", ">replays", ">of"],
              [[row["trace"], row["prefer"], row["orders"], percent(row["median"]), percent(row["worst"]), row["over_limit"] or "",
                pool_sizes.human(row["best_bytes"]), ", ".join(f"{pool_sizes.human(one['bytes'])} {one['times']}x" for one in row["found"]),
                row["most_runs"], row["runs_in_full"]] for row in result["rows"]])


def percent(value):
    return f"{100 * value:.1f} %"
