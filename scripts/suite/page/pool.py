"""The pool's size: what pool-size found for each trace. The heat map's cells and all that the script draws are computed here."""
import math
import re

from suite import pool_record, pool_sizes, stats
from suite.page import texts

MEASURES = ("cost", "time", "memory")
LEVELS = (0.01, 0.05, 0.10, 0.25, 0.50, 1.00)  # by how much a cell may exceed the least for each colour but the last
CAUSES = {"pinned": "pinned", "freed": "freed", "open": "open", "tail": "tail", "rounding": "rounding", "reserve": "reserve", "cut_off": "cut off",
          "cached": "cached", "bookkeeping": "bookkeeping"}
WEIGHTS = {0.0: "time alone", 1.0: "memory alone"} | {weight: name for name, weight in pool_sizes.PREFER.items()}
TRAFFIC = {"half": "half the traffic", "same": "as recorded", "double": "double the traffic"}
UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "\N{MICRO SIGN}s"), (1, "ns"))


def part(result):
    """The section; None without a result."""
    if not result:
        return None
    traces = pool_record.traces(result)
    weight = pool_sizes.PREFER[result["prefer"]]
    sizes = [row["bytes"] for row in traces[0]["sizes"]]
    points = pool_record.points(result)
    recommended = pool_sizes.human(result["recommended_bytes"])
    return {"recommended": recommended, "reason": without_size(result["reason"]),
            "prefer": result["prefer"], "traces": [said(trace) for trace in traces], "sizes": [pool_sizes.human(size) for size in sizes],
            "columns": columns(result, traces, sizes, weight), "levels": [texts.share(level) for level in LEVELS],
            "first": max(range(len(traces)), key=lambda at: traces[at]["trace"]["events"]), "moves": moves(traces, weight),
            "drawn": [drawn(trace, points) for trace in traces], "date": result["date"]}


def said(trace):
    """A trace in words: what it is, and its answer."""
    facts = trace["trace"]
    remarks = [f"No size holds little: {advice}." for advice in trace["advice"]]
    if trace["edge"]:
        remarks.append(f"That is the {trace['edge']} that was tried: --sizes can try beyond it.")
    noisy = trace["noise"] is not None and trace["noise"] > stats.NOISE_LIMIT
    reason = without_size(trace["reason"])
    return {"name": trace["name"], "recommended": pool_sizes.human(trace["recommended_bytes"]), "reason": reason[0].upper() + reason[1:],
            "remarks": remarks, "noise": pool_sizes.share(trace["noise"]) if noisy else None, "events": facts["events"], "allocs": facts["allocs"], "threads": facts["threads"]}


def without_size(reason):
    """The sentence begins with the size, which the page writes before it."""
    return re.sub(r"^[\d.]+ (bytes|KiB|MiB):? ", "", reason)


# ---- the heat map: a column for each trace, before them one for all where there are several

def columns(result, traces, sizes, weight):
    found = [{"name": trace["name"], "trace": at, **column(logarithms(trace, weight), sizes, trace["recommended_bytes"]),
              "titles": [title(row) for row in trace["sizes"]]} for at, trace in enumerate(traces)]
    if len(traces) > 1:
        each = [logarithms(trace, weight) for trace in traces]
        mean = {measure: above_least({size: sum(one[measure][size] for one in each) / len(each) for size in sizes}) for measure in MEASURES}
        found.insert(0, {"name": "all", "trace": None, **column(mean, sizes, result["recommended_bytes"]),
                         "titles": ["geometric mean of the traces"] * len(sizes)})
    for one in found:
        ratios = [", ".join(f"{measure} {text}" for measure, (text, _) in zip(MEASURES, cells)) for cells in one["cells"]]
        one["titles"] = [f"{pool_sizes.human(size)}, {one['name']}: {text}; {ratio}" for size, text, ratio in zip(sizes, one["titles"], ratios)]
    return found


def column(logs, sizes, recommended):
    return {"cells": [[cell(logs[measure][size]) for measure in MEASURES] for size in sizes], "chosen": sizes.index(recommended)}


def logarithms(trace, weight):
    """{measure: {size: logarithm of how many times the least of all sizes}}."""
    table = {row["bytes"]: {"rounds_ns": [row["ns"]], "memory": row["memory"]} for row in trace["sizes"]}
    weights = {"cost": weight, "time": 0, "memory": 1}
    return {measure: above_least(pool_sizes.weighed(table, table, weights[measure])) for measure in MEASURES}


def above_least(costs):
    least = min(costs.values())
    return {size: cost - least for size, cost in costs.items()}


def cell(log):
    """[what it says, its colour]"""
    ratio = math.exp(log)
    text = texts.change(ratio) if ratio < 1.0995 else f"+{100 * (ratio - 1):.0f} %" if ratio < 2 else f"{texts.times(ratio)} ×"
    return [text, sum(ratio - 1 > level for level in LEVELS)]


def title(row):
    rounds = f"{row['rounds']} rounds" if row["rounds"] > 1 else "1 round only"
    return f"{texts.nanoseconds(row['ns'])} ns for an event ({rounds}), {texts.times(row['held_per_live'])} bytes held per live one"


# ---- how the answer moves

def moves(traces, weight):
    """A row for each weight and each traffic, in it the answer for each trace."""
    rows = []
    for at, move in enumerate(traces[0]["by_weight"]):
        each = move["memory_weight"]
        rows.append({"label": f"{each:g}" + (f", {WEIGHTS[each]}" if each in WEIGHTS else ""), "now": each == weight,
                     "sizes": [pool_sizes.human(trace["by_weight"][at]["bytes"]) for trace in traces]})
    for key, name in TRAFFIC.items():
        sizes = [trace["by_traffic"][key] for trace in traces]
        rows.append({"label": name, "now": key == "same",
                     "sizes": [pool_sizes.human(size) if size else "nothing left" for size in sizes]})
    return rows


# ---- what is drawn of one trace

def drawn(trace, points):
    facts, sizes = trace["trace"], [row["bytes"] for row in trace["sizes"]]
    duration = facts["duration_ns"]
    unit, name = unit_of(duration)
    return {"name": trace["name"], "chosen": sizes.index(trace["recommended_bytes"]), "octaves": octaves(facts["octaves"]),
            "over": {"title": name, "scale": duration / unit / 1000} if duration else {"title": "% of the events", "scale": 0.1},
            "rows": [drawn_row(row, duration, points) for row in trace["sizes"]]}


def drawn_row(row, duration, points):
    memory = row["memory"]
    series = pool_record.thinned(memory["series"], points)
    return {"held": round(row["held_per_live"], 4), "peak": row["peak_held"], "ns": texts.nanoseconds(row["ns"]), "rounds": row["rounds"],
            "time": [value and round(value, 4) for value in (row["time_ratio"], row["time_low"], row["time_high"])], "front": row["on_front"],
            "live": memory["at_peak"]["live"], "waste": [memory["at_peak"][cause] for cause in CAUSES],
            "pinned": pool_sizes.human_bytes(memory["most_pinned"]), "pinners": [pinner(one) for one in memory["pinners"][:pool_record.PINNERS]],
            "series": moments(series, duration, row["peak_held"])}


def moments(series, duration, peak):
    """[moment, held, live, pinned], each in thousandths of the whole: finer than a screen, and short."""
    last = max(1, len(series) - 1)
    return [[round(1000 * time / duration) if duration else round(1000 * at / last), *(round(1000 * size / peak) for size in sizes)]
            for at, (time, *sizes) in enumerate(series)]


def pinner(one):
    bufs = f"{one['bufs']:,} buf{'s' if one['bufs'] != 1 else ''}"
    return {"name": one["name"] or (f"call site {one['site']}" if one["site"] else "no call site"),
            "text": f"{pool_sizes.human_bytes(one['bytes'])} in {bufs}, for {span(one['median_age_ns'])} (median)"}


def span(nanoseconds):
    unit, name = unit_of(nanoseconds)
    return f"{nanoseconds / unit:.3g} {name}"


def unit_of(nanoseconds):
    return next((unit for unit in UNITS if nanoseconds >= unit[0]), UNITS[-1])


def octaves(counts):
    """From the first size that occurs: where an octave begins, what it holds, how many slices, and their share in percent."""
    first = next((at for at, count in enumerate(counts) if count), 0)
    total = max(1, sum(counts))
    return [{"from": texts.size_name(2**at if at else 0), "text": f"{2**at if at else 0:,} to {2 ** (at + 1) - 1:,} bytes", "count": counts[at],
             "share": round(100 * counts[at] / total, 3)} for at in range(first, len(counts))]


def chart(found):
    """What the script needs of it: its heat, a cell after the other, row by row, and the traces."""
    if not found:
        return None
    heat = [column["cells"][at] for at in range(len(found["sizes"])) for column in found["columns"]]
    return {"sizes": found["sizes"], "causes": list(CAUSES.values()), "heat": heat, "traces": found["drawn"]}
