"""The picture for the README: time against size of each peer, both axes logarithmic, from the JSON of bench --peers."""
import io
import re

from suite import say
from suite.goals import OURS, PEERS

WORK = "alloc_release"
# Of middle lightness, so that they stand out from white and from black.
COLOURS = {OURS: "#e5484d", "iobuf_so": "#e5484d", "floor": "#8a8f98", "glibc": "#c27803", "jemalloc": "#0f9d8f",
           "mimalloc": "#a05cf0", "tcmalloc": "#3b82f6", "dpdk": "#3f9b3f", "libevent": "#d6409f", "go_port": "#8d6e63"}
BROKEN = {"iobuf_so", "floor"}  # lines that are no competitor
NAMES = {"iobuf_so": "iobuf, not inlined", "floor": "floor: bump and count", "go_port": "the Go package in C"}
# Stand-ins in what matplotlib writes, made variables of a style sheet that knows dark pages.
INK, PAPER, GRID = "#010203", "#fdfcfb", "#040506"
STYLE = """<style>
svg { --ink: #1f2328; --paper: #ffffff; --grid: #d8dee4 }
@media (prefers-color-scheme: dark) { svg { --ink: #e6edf3; --paper: #0d1117; --grid: #30363d } }
</style>"""


def svg(summary):
    """The picture as text, the same for the same JSON; None when there is nothing to draw."""
    lines = series(summary)
    if not lines:
        return None
    try:
        import matplotlib
    except ImportError:
        raise say.Stop("Python's matplotlib is missing, so there is no plot: run scripts/setup peers") from None
    matplotlib.use("svg")
    from matplotlib import pyplot
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "iobuf", "font.family": "sans-serif", "font.size": 11,
                                "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK,
                                "ytick.color": INK, "grid.color": GRID}):
        figure, axes = pyplot.subplots(figsize=(8, 5), facecolor=PAPER)
        draw(axes, lines, summary)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, facecolor=PAPER)
        pyplot.close(figure)
    return themed(text.getvalue())


def series(summary):
    found = {}
    for case in summary["cases"]:
        if case["work"] == WORK and case["size"].isdigit():
            found.setdefault(case["peer"], []).append((int(case["size"]), case["ns"]))
    return {peer: sorted(found[peer]) for peer in (OURS, *PEERS) if len(found.get(peer, ())) > 1}


def draw(axes, lines, summary):
    for peer, points in lines.items():
        sizes, times = zip(*points)
        ours = peer == OURS
        axes.plot(sizes, times, color=COLOURS[peer], linewidth=3.5 if ours else 1.8, linestyle="--" if peer in BROKEN else "-",
                  marker="o", markersize=5 if ours else 3, zorder=3 if ours else 2, gid=f"line-{peer}")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_facecolor(PAPER)
    axes.grid(True, linewidth=0.7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    sizes = sorted({size for points in lines.values() for size, _ in points})
    axes.set_xticks(sizes, [size_name(size) for size in sizes])
    axes.minorticks_off()
    low, high = axes.get_ylim()
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000) if low <= tick <= high]
    axes.set_yticks(ticks, [f"{tick:g} ns" for tick in ticks])
    last = {peer: points[-1] for peer, points in lines.items()}
    for peer, height in apart({peer: time for peer, (_, time) in last.items()}, low, high, 0.05).items():
        axes.annotate(NAMES.get(peer, peer), xy=last[peer], xytext=(sizes[-1] * 1.35, height), textcoords="data", va="center",
                      color=COLOURS[peer], fontweight="bold" if peer == OURS else "normal", annotation_clip=False,
                      arrowprops={"arrowstyle": "-", "color": COLOURS[peer], "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4,
                                  "relpos": (0, 0.5)})
    axes.set_title("take a buffer, write to it, release it: time against size (lower is better)", loc="left", fontsize=12)
    axes.set_xlabel(f"{summary['machine']['cpu']}, {summary['date'][:10]}, commit {summary['commit']}", fontsize=9)
    axes.figure.subplots_adjust(left=0.09, right=0.77, top=0.92, bottom=0.12)


def apart(heights, low, high, share):
    """Moves labels on a logarithmic axis until any two are `share` of its length apart, in the order of their lines."""
    import math
    span = math.log(high / low)
    gap = share * span
    order = sorted(heights, key=heights.get)
    at = [math.log(heights[name] / low) for name in order]
    for _ in range(200):  # pushes each pair that is too near apart by half of what it lacks
        moved = False
        for lower in range(len(at) - 1):
            lack = gap - (at[lower + 1] - at[lower])
            if lack > 1e-6:
                at[lower] -= lack / 2
                at[lower + 1] += lack / 2
                moved = True
        if not moved:
            break
    return {name: low * math.exp(height) for name, height in zip(order, at)}


def themed(text):
    for colour, name in ((INK, "ink"), (PAPER, "paper"), (GRID, "grid")):
        text = text.replace(colour, f"var(--{name})")
    return re.sub(r"(<svg [^>]*>)", rf"\1\n{STYLE}", text, count=1)


def size_name(size):
    return f"{size // 1024} KiB" if size >= 1024 else f"{size} B"
