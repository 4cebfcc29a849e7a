"""Which size of bufs fits the traffic of a trace: sweeps sizes through the replay program, and weighs time against memory."""
import gzip
import json
import lzma
import math
import zlib

from suite import build, command, peers, say, stats, store
from suite.paths import BUILD, CORPUS, shown

PROGRAM = "bench/iobuf_replay_trace"
MAKER = "bench/iobuf_synthesise_trace"
KIND = "pool-size"

SIZES = tuple(size for power in range(10, 22) for size in (1 << power, 3 << power - 1)) + (1 << 22,)
LEAST, MOST = 64, 1 << 30  # of a buf; the program's own bounds
FEWEST_SIZES = 2

# How much a doubling of the memory counts beside a doubling of the time.
PREFER = {"memory": 0.8, "balanced": 0.5, "speed": 0.2}
WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

# Rounds of time, and by how much the cost of a size may exceed the best at every weight and still get them: all sizes get the
# first round; each further stage at most half of them, those that may win at some weight. Memory is exact and needs one run.
STAGES = ((1, None), (3, 0.20), (4, 0.08))
ROUNDS = sum(rounds for rounds, _ in STAGES)
SAME = 0.01  # costs that differ by less are alike: the smaller buf is taken then
MOVES = 0.05  # with other traffic, of which few rounds are measured, the answer moves only for more than this
SCALED_ROUNDS = 3

# Where no trace is given or shipped: what servers do, made up.
WORKLOADS = {
    "small messages": ("--sizes", "log:64:2048", "--lifetimes", "log:1:200"),
    "mixed, some live long": ("--sizes", "log:64:16384", "--lifetimes", "log:1:4000", "--threads", "2", "--handover", "20"),
    "large bodies": ("--sizes", "two:300:65536:50", "--lifetimes", "log:1:100", "--reserve", "64"),
    "a few pin much": ("--sizes", "uniform:200:1500", "--lifetimes", "log:1:50", "--forever", "1", "--forever-sizes", "constant:100"),
}
MADE_ALLOCS = 50_000


def program():
    build.ensure("release", [PROGRAM.rpartition("/")[2], MAKER.rpartition("/")[2]])
    return build.program("release", PROGRAM)


def make(name, arguments, allocs=MADE_ALLOCS):
    """A made-up trace as a file, made again only where it is not there."""
    program()
    folder = BUILD / "pool-size"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (name.replace(" ", "-").replace(",", "") + ".trace")
    output(build.program("release", MAKER), ["--allocs", allocs, *arguments, path])
    return path


def output(file, args, env=None):
    """What the program says; its own line where it refuses."""
    status, said = command.run([file, *args], env=env, check=False)
    if status != 0:
        line = said.strip().splitlines()[-1] if said.strip() else command.ended(status)
        raise say.Stop(line.removeprefix(f"{file.name}: "), 2 if status == 2 else 3)
    return said


class Replay:
    """The measurements of one trace under one set of options, by so many threads at once."""

    def __init__(self, trace, options=(), threads=1):
        self.file, self.trace, self.options, self.threads = program(), trace, (*options, "--threads", threads), threads
        self.runs, self.seed = 0, 0

    def __call__(self, sizes, measure, rounds=1, scale="same"):
        """{size: its run} as the program prints it, and what it says of the trace."""
        self.seed += 1
        found = json.loads(output(self.file, ["--sizes", ",".join(map(str, sizes)), "--measure", measure, "--rounds", rounds, "--scale", scale,
                                              "--seed", self.seed, *self.options, self.trace]))
        self.runs += len(sizes) * (("memory" in measure) + ("latency" in measure) + ("time" in measure) * rounds)
        return {run["buf_bytes"]: run for run in found["runs"]}, found["trace"]

    def malloc(self, name, library):
        env = {"LD_PRELOAD": library} if library else None
        said = output(self.file, ["--malloc", name, "--rounds", SCALED_ROUNDS, *self.options, self.trace], env)
        return json.loads(said[said.index("{"):])


def sweep(measure, sizes, stages=STAGES):
    """The table of all sizes: memory once, time in stages. `measure` is a Replay, or what answers as one."""
    memory, trace = measure(sizes, "memory")
    table = {size: {"bytes": size, "memory": memory[size]["memory"], "rounds_ns": [], "rounds": []} for size in sizes}
    alive = list(sizes)
    for rounds, margin in stages:
        if margin is not None:
            alive = survivors(table, alive, margin)
        more_time(measure, table, alive, rounds)
    return table, alive, trace


def more_time(measure, table, sizes, rounds):
    """Further rounds of these; each round has a number, by which those of two sizes are paired."""
    first = 1 + max((number for row in table.values() for number in row["rounds"]), default=-1)
    timed, _ = measure(sizes, "time", rounds)
    for size in sizes:
        table[size]["rounds_ns"] += timed[size]["rounds_ns"]
        table[size]["rounds"] += range(first, first + rounds)


def survivors(table, alive, margin):
    """The half of them whose cost comes nearest to the least at some weight, and none that is further from it than the margin."""
    excess = dict.fromkeys(alive, math.inf)
    for weight in WEIGHTS:
        costs = weighed(table, alive, weight)
        least = min(costs.values())
        excess = {size: min(excess[size], costs[size] - least) for size in alive}
    bound = sorted(excess.values())[(len(alive) - 1) // 2]
    return [size for size in alive if excess[size] <= min(bound, margin)]


def nanoseconds(row):
    return stats.median(row["rounds_ns"])


def held(row):
    return row["memory"]["peak_held"]


def weighed(table, sizes, weight):
    """Cost of each size: logarithms of its time and memory over the least of each, so that only ratios count."""
    fastest = min(nanoseconds(table[size]) for size in sizes)
    least = min(held(table[size]) for size in sizes)
    return {size: (1 - weight) * math.log(nanoseconds(table[size]) / fastest) + weight * math.log(held(table[size]) / least) for size in sizes}


def best(table, sizes, weight, now=None):
    """The size that costs least, the smallest of those that are alike. `now` keeps its place where no other is clearly better."""
    costs = weighed(table, sizes, weight)
    if now is not None and costs[now] <= min(costs.values()) + MOVES:
        return now
    bound = min(costs.values()) + SAME
    return min(size for size in sizes if costs[size] <= bound)


def regret(table, size, sizes, weight):
    """By what share the size's cost, as a ratio, is above that of the best of all."""
    costs = weighed(table, sizes, weight)
    return math.exp(costs[size] - min(costs.values())) - 1


def front(table, sizes):
    """Those that no other size beats in time and memory both."""
    def beaten(one):
        return any(nanoseconds(table[other]) <= nanoseconds(table[one]) and held(table[other]) <= held(table[one]) and
                   (nanoseconds(table[other]), held(table[other])) != (nanoseconds(table[one]), held(table[one])) for other in sizes)
    return [size for size in sizes if not beaten(size)]


def recommend(replay, name, sizes=SIZES, prefer="balanced"):
    """The whole answer for one trace."""
    weight = PREFER[prefer]
    table, alive, trace = sweep(replay, sizes)
    chosen = best(table, alive, weight)
    by_weight = [{"memory_weight": each, "bytes": best(table, alive, each)} for each in WEIGHTS]
    runs = {"search": replay.runs, "all": len(sizes) * (1 + ROUNDS)}
    scarce = [size for size in front(table, sizes) if len(table[size]["rounds"]) < stats.FEWEST_PAIRS]
    if scarce:  # no part in the choice: for their intervals
        more_time(replay, table, [*scarce, chosen], stats.FEWEST_PAIRS)
    on_front = front(table, sizes)
    latencies, _ = replay(sorted({*on_front, chosen}), "latency")
    moves = {scale: scaled(replay, sizes, alive, weight, scale, chosen) for scale in ("half", "double")}
    rows = [row(table, size, on_front, chosen, latencies) for size in sizes]
    return {"name": name, "trace": trace, "threads": replay.threads, "processors": build.cpus(), "prefer": prefer, "memory_weight": weight,
            "recommended_bytes": chosen, "reason": reason(table, alive, chosen, prefer, replay.threads), "advice": advice(table, chosen),
            "edge": edge(sizes, chosen), "front": on_front,
            "by_traffic": {"half": moves["half"], "same": chosen, "double": moves["double"]},
            "by_weight": by_weight,
            "runs": runs | {"made": replay.runs}, "noise": noise(rows, chosen), "sizes": rows}


def scaled(replay, sizes, alive, weight, scale, now):
    """The answer for other traffic: of the sizes that are near the front now, and their neighbours. None where nothing is left of it."""
    sizes = list(sizes)
    near = {sizes[at] for size in alive for at in (sizes.index(size) - 1, sizes.index(size), sizes.index(size) + 1) if 0 <= at < len(sizes)}
    try:
        runs, _ = replay(sorted(near), "memory,time", SCALED_ROUNDS, scale)
    except say.Stop:
        if scale == "half":  # the one buffer there was may be left out
            return None
        raise
    return best(runs, sorted(near), weight, now)


def row(table, size, on_front, chosen, latencies):
    """What is known of one size. Ratios are those of rounds in which both were measured."""
    of = table[size]
    ours, theirs = (dict(zip(table[each]["rounds"], table[each]["rounds_ns"])) for each in (size, chosen))
    both = sorted(ours.keys() & theirs.keys())
    sure = stats.median_ratio([ours[number] for number in both], [theirs[number] for number in both])
    memory = of["memory"]
    return {"bytes": size, "ns": nanoseconds(of), "events_per_second": 1e9 / nanoseconds(of), "time_ratio": sure["ratio"], "time_low": sure["low"],
            "time_high": sure["high"], "rounds": len(of["rounds_ns"]), "held_per_live": memory["held_per_live"], "peak_held": memory["peak_held"],
            "memory_ratio": held(of) / held(table[chosen]), "on_front": size in on_front, "latency": latencies[size]["latency"] if size in latencies else None,
            "memory": memory}


def noise(rows, chosen):
    """Half the width of the intervals, as a share: the median over the sizes that have one, without the choice itself."""
    widths = [stats.noise({"low": row["time_low"], "high": row["time_high"]}) for row in rows
              if row["bytes"] != chosen and row["time_low"] is not None]
    return stats.median(widths) if widths else None


def share(value):
    return f"{100 * value:.0f} %"


def rate(ns):
    """Events a second, of which each takes so long."""
    return f"{1e3 / ns:.1f} million"


def human(size):
    """4096 as 4 KiB; exact."""
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size % (unit // 2) == 0 and size >= unit:
            return f"{size / unit:g} {name}"
    return f"{size} bytes"


def human_bytes(size):
    """A size that need not be round."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"


def reason(table, alive, chosen, prefer, threads=1):
    """One sentence: what the size costs, against the fastest and the smallest. Of several threads nobody knows when what lives is most."""
    fastest = min(alive, key=lambda size: nanoseconds(table[size]))
    least = min(table, key=lambda size: (held(table[size]), size))
    time = nanoseconds(table[chosen]) / nanoseconds(table[fastest]) - 1
    memory = held(table[chosen]) / held(table[least]) - 1
    peak = "at the peak" if threads == 1 else f"if {threads} threads had their peak at once"
    said = [f"it holds {table[chosen]['memory']['held_per_live']:.2f} bytes for each live one {peak}"]
    said.append("the least of all sizes" if memory == 0 else f"{share(memory)} more than the least ({human(least)})")
    if threads == 1:
        said.append(f"and takes {nanoseconds(table[chosen]):.1f} ns for an event")
        said.append("the fastest of all sizes" if time == 0 else f"{share(time)} more than the fastest ({human(fastest)})")
    else:
        said.append(f"and {threads} threads together get through {rate(nanoseconds(table[chosen]))} events a second")
        said.append("the most of all sizes" if time == 0 else f"{share(time / (1 + time))} fewer than the most ({human(fastest)})")
    by = {"memory": "memory counting four times as much as time", "speed": "time counting four times as much as memory",
          "balanced": "time and memory counting alike"}[prefer]
    return f"{human(chosen)}: " + ", ".join(said) + f"; with {by}, no size that was tried costs less by more than 1 %."


def edge(sizes, chosen):
    """Whether the answer may lie beyond what was tried: "least", "most" or None."""
    return "least" if chosen == min(sizes) else "most" if chosen == max(sizes) else None


MUCH, MOST_OF = 2.0, 0.25  # bytes held per byte live, and the share of the held bytes that one cause must have to be named


def advice(table, chosen):
    """What to do where even the least memory is much. Of several threads it is not known what holds it."""
    least = min(table, key=lambda size: (held(table[size]), size))
    if table[least]["memory"]["held_per_live"] < MUCH or "at_peak" not in table[chosen]["memory"]:
        return []
    parts, whole = table[chosen]["memory"]["at_peak"], held(table[chosen])
    words = {"pinned": "long-lived slices pin bufs: give them a pool of their own, or compact them (iobuf_slice_compact)",
             "freed": "lives of different length share bufs: split the pool by lifetime", "reserve": "the reserve is large beside the slices: lower it",
             "tail": "slices do not divide the buf: try a size that is a multiple of the most frequent one",
             "rounding": "slices larger than a buf are rounded up: give large ones a pool of their own",
             "cached": "free bufs are kept: lower max_cached_bytes, or trim when traffic falls"}
    largest = max(words, key=parts.get)
    return [text for part, text in words.items() if part == largest or parts[part] >= MOST_OF * whole]


def mallocs(replay):
    """What malloc, and each malloc that is installed and proves itself, makes of the trace. Each is a process of its own, so that its
    time compares with others only roughly."""
    rows = []
    for name, libraries in {"glibc": (None,), **peers.PRELOADS}.items():
        for library in libraries:
            try:
                found = replay.malloc(name, library)
            except (say.Stop, ValueError):
                continue  # it is not installed; bench --peers names the reason
            run, = found["runs"]
            memory = run["memory"]
            rows.append({"malloc": found["malloc"], "ns": stats.median(run["rounds_ns"]), "peak_held": memory["peak_held"],
                         "held_per_live": memory["peak_held"] / memory["peak_live"] if memory["peak_live"] else None, "latency": run["latency"],
                         "minor_faults": memory["minor_faults"], "samples": memory["samples"]})
            break
    return rows


TRACE, XZ, GZIP = (b"IOBUFTRC", b"iobuf-trace "), b"\xfd7zXZ\0", b"\x1f\x8b"


def unpacked(path):
    """The file itself, or what is packed in it, as a file."""
    with path.open("rb") as file:
        first = file.read(12)
    if not first.startswith((XZ, GZIP)):
        return path
    try:
        content = (lzma if first.startswith(XZ) else gzip).decompress(path.read_bytes())
    except (lzma.LZMAError, EOFError, OSError, zlib.error) as error:
        raise say.Stop(f"{shown(path)} cannot be unpacked: {error}") from None
    plain = BUILD / "pool-size" / path.with_suffix("").name
    store.write_bytes(plain, content)
    return plain


def shipped():
    """The traces of the corpus, by their first bytes."""
    folder = CORPUS / "traces"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_file():
            plain = unpacked(path)
            with plain.open("rb") as file:
                if file.read(12).startswith(TRACE):
                    yield path.name.partition(".")[0], plain


def traces(given):
    """(name, file) of each trace to sweep."""
    if given:
        return [(shown(given), unpacked(given))]
    found = list(shipped())
    return found or [(name, make(name, arguments)) for name, arguments in WORKLOADS.items()]


def together(results, weight):
    """One size for several traces: the one whose costs over all of them sum up to the least."""
    sums = {}
    for result in results:
        rows = {row["bytes"]: row for row in result["sizes"]}
        fastest, least = min(row["ns"] for row in rows.values()), min(row["peak_held"] for row in rows.values())
        for size, row in rows.items():
            sums[size] = sums.get(size, 0) + (1 - weight) * math.log(row["ns"] / fastest) + weight * math.log(row["peak_held"] / least)
    bound = min(sums.values()) + SAME * len(results)
    return min(size for size, cost in sums.items() if cost <= bound)
