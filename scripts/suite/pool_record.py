"""What of a result of pool-size is kept in results/ and drawn: all of the answer, the memory over time thinned to what a picture shows."""
import json

POINTS, POINTS_OF_ALL, FEWEST_POINTS = 60, 6000, 10  # of one size of one trace; of all of them; where there are very many
PINNERS = 3
LEFT_OUT = ("events_per_second",)  # what other figures tell too
LEFT_OUT_OF_MEMORY = ("mean", "cache_misses", "backing_allocations", "backing_deallocations", "pool_peak")


def traces(result):
    """Of one trace the result is the answer itself."""
    return result.get("traces", [result])


def points(result):
    """How many moments are kept of each size, so that many traces cost no more than a few."""
    return max(FEWEST_POINTS, min(POINTS, POINTS_OF_ALL // sum(len(trace["sizes"]) for trace in traces(result))))


def thinned(series, count):
    """Of each stretch the moment at which most was held, as the series itself is made: the peak stays."""
    if len(series) <= count:
        return series
    bounds = [len(series) * at // count for at in range(count + 1)]
    return [max(series[first:last], key=lambda moment: moment[1]) for first, last in zip(bounds, bounds[1:])]


def lean(result):
    """The result with what is kept."""
    count = points(result)
    if "traces" in result:
        return result | {"traces": [trace | {"sizes": [lean_row(row, count) for row in trace["sizes"]]} for trace in result["traces"]]}
    return result | {"sizes": [lean_row(row, count) for row in result["sizes"]]}


def lean_row(row, count):
    memory = {name: value for name, value in row["memory"].items() if name not in LEFT_OUT_OF_MEMORY}
    memory |= {"series": thinned(memory["series"], count), "pinners": memory["pinners"][:PINNERS]}
    return {name: value for name, value in row.items() if name not in LEFT_OUT} | {"memory": memory}


def text(result):
    """As it is kept: without blanks, which of so many numbers would be half of the file."""
    return json.dumps(lean(result), separators=(",", ":")) + "\n"
