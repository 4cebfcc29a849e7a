"""Finds the steps in a history of one measure: E-divisive with the changes of Hunter, now Apache Otava.

Candidates are found by the energy statistic of Matteson and James (arXiv:1306.4933) in windows that overlap by half, each window being
cut again and again where its parts differ most, for as long as Student's t-test finds the cut likely. Of all those candidates the
weakest is dropped until all that are left are steps of the mean between their neighbours: by the t-test, by size, and by a permutation
test, which knows that the place was picked to fit and that noise need not be normal (Fleming et al., arXiv:2301.03034, dropped that
test for its cost and its randomness; asked last it costs little, and its seed is fixed).

A value that stands alone is no step: it is pulled back to its nearer neighbour before anything is asked, and a part between two steps
has some values at least. So a step is known one commit after it came at the earliest, in times two."""
import dataclasses

SPIKE = 4.0  # times the noise that a single value must differ from both of its neighbours to be taken for a spike
SEED = 20261125


@dataclasses.dataclass(frozen=True)
class Settings:
    max_p: float = 0.001  # of the t-test; ten times that for candidates
    least: float = 0.01  # a smaller change of the mean is of no interest
    window: int = 30
    permutations: int = 199  # 0: the permutation test is left out
    max_p_permuted: float = 0.05
    shortest: int = 2  # values that a part between two steps has
    spikes: bool = False  # single values count as they are
    before: int = 1  # when a cut is dropped, so many in front of it are asked again; Otava's merge(): only those behind it


# A count has next to no noise that could be permuted, and every half percent of it matters. Of times, two bad ones in a row are seen.
MEASURES = {"instructions": Settings(least=0.005, permutations=0), "relative": Settings(least=0.01, shortest=3)}


def find(values, settings=Settings()):
    """The steps, in order: at, the index of the first value after it; the means before and after, up to the next step; p."""
    import numpy
    values = numpy.asarray(values, float)
    calm = values if settings.spikes else without_spikes(values)
    cuts = strongest(calm, candidates(calm, settings), settings)
    return [{"at": cut, **step(calm, low, cut, high)} for low, cut, high in neighbours(cuts, len(calm))]


def without_spikes(values):
    """Each value that is far above or far below both of its neighbours is replaced by the nearer of them."""
    import numpy
    calm = values.copy()
    if len(values) < 3:
        return calm
    steps = numpy.diff(values)
    noise = numpy.median(numpy.abs(steps)) / 0.954  # so much of a normal distribution's deviation: the median of a difference of two
    before, after = -steps[:-1], steps[1:]  # from each inner value to its neighbours
    nearer = numpy.where(numpy.abs(before) < numpy.abs(after), before, after)
    alone = (before * after > 0) & (numpy.abs(nearer) > SPIKE * noise)
    calm[1:-1] += numpy.where(alone, nearer, 0)
    return calm


# -- where

def candidates(values, settings):
    found, start = set(), 0
    while start < len(values):
        of_window = cut_window(values[start:start + settings.window], settings)
        found.update(start + cut for cut in of_window)
        start = max([start + settings.window // 2, *(start + cut for cut in of_window[-1:])])
    return sorted(found)


def cut_window(values, settings):
    """Cuts the part with the largest statistic, for as long as the t-test finds the cut likely."""
    p = weak(settings.max_p)
    cuts, best = [], {}
    while True:
        parts = list(zip([0, *cuts], [*cuts, len(values)]))
        for low, high in parts:
            if (low, high) not in best and high - low >= 2:
                statistic, cut = energy(distances(values[low:high]))
                best[low, high] = (float(statistic), low + int(cut))
        statistic, cut, low, high = max(((*best[part], *part) for part in parts if part in best), default=(0, 0, 0, 0))
        if statistic <= 0 or not step(values, low, cut, high)["p"] < p:
            return cuts
        cuts = sorted([*cuts, cut])


def weak(p):
    return 10 * p if p < 0.05 else min(2 * p, 1)


def distances(values):
    import numpy
    return numpy.abs(values[:, None] - values[None, :])


def energy(distance):
    """The largest statistic between values[:cut] and values[cut:end] over all cuts and ends, and that cut. `distance` holds the
    distance of each value to each; with more than two dimensions, of many series at once."""
    import numpy
    n = distance.shape[-1]
    sums = numpy.zeros((*distance.shape[:-2], n + 1, n + 1))
    sums[..., 1:, 1:] = distance.cumsum(-1).cumsum(-2)  # sums[i, j]: over values[:i] and values[:j]
    cut, end = numpy.arange(n + 1)[:, None], numpy.arange(n + 1)[None, :]
    left, right = cut, end - cut
    own = numpy.diagonal(sums, axis1=-2, axis2=-1)
    left_own, all_own = own[..., :, None], own[..., None, :]
    between = sums - left_own
    right_own = all_own - 2 * sums + left_own
    with numpy.errstate(divide="ignore", invalid="ignore"):
        # Each sum within a part counts every pair twice.
        found = (2 * between - numpy.where(left > 1, right * left_own / (left - 1), 0)
                 - numpy.where(right > 1, left * right_own / (right - 1), 0)) / end
    found = numpy.where((left > 0) & (right > 0), found, -numpy.inf).reshape(*distance.shape[:-2], -1)
    at = found.argmax(-1)
    return numpy.take_along_axis(found, at[..., None], -1)[..., 0], at // (n + 1)


# -- whether

def strongest(values, cuts, settings):
    """Drops the weakest of the cuts, one by one, as each makes its neighbours' parts longer, until all hold."""
    cuts, chances = list(cuts), {}
    steps = [step(values, *part) for part in neighbours(cuts, len(values))]
    while cuts:
        worst = weakest(values, cuts, steps, chances, settings)
        if worst is None:
            break
        del cuts[worst], steps[worst]
        parts = neighbours(cuts, len(values))
        for at in range(max(0, worst - settings.before), min(len(cuts), worst + 2)):
            steps[at] = step(values, *parts[at])
    return cuts


def weakest(values, cuts, steps, chances, settings):
    """Which cut does not hold, and least of all; None when all do. What costs more is asked only of those that hold so far."""
    parts, all_cuts = neighbours(cuts, len(values)), range(len(cuts))
    short = next((at for at in all_cuts if min(parts[at][1] - parts[at][0], parts[at][2] - parts[at][1]) < settings.shortest), None)
    worst = max(all_cuts, key=lambda at: steps[at]["p"])
    if not steps[worst]["p"] < settings.max_p:
        return worst
    worst = min(all_cuts, key=lambda at: size(steps[at]))
    if not size(steps[worst]) > settings.least:
        return worst
    if short is not None or not settings.permutations:
        return short
    for part in parts:
        if part not in chances:
            chances[part] = by_chance(values, *part, settings)
    worst = max(all_cuts, key=lambda at: chances[parts[at]])
    return worst if chances[parts[worst]] > settings.max_p_permuted else None


def neighbours(cuts, n):
    """Each cut with the one before it and the one after."""
    return list(zip([0, *cuts[:-1]], cuts, [*cuts[1:], n]))


def step(values, low, cut, high):
    """The means on both sides of a cut, and p of Student's t-test that they are alike."""
    import numpy
    import scipy.stats
    left, right = values[low:cut], values[cut:high]
    before, after = float(left.mean()), float(right.mean())
    p = 1.0
    if high - low > 2 and before != after:
        with numpy.errstate(divide="ignore", invalid="ignore"):
            # The deviations are those of the values themselves, as Otava has them, not an estimate of what they come from.
            p = float(scipy.stats.ttest_ind_from_stats(before, left.std(), len(left), after, right.std(), len(right)).pvalue)
    return {"before": before, "after": after, "change": after / before - 1 if before else 0.0, "p": p}


def size(found):
    """The larger of the changes there and back."""
    small, large = sorted((abs(found["before"]), abs(found["after"])))
    return large / small - 1 if small else float("inf")


def by_chance(values, low, cut, high, settings):
    """The share of permutations of the values around a cut that can be cut as well as they are."""
    import numpy
    around = values[max(low, cut - settings.window):min(high, cut + settings.window)]
    distance = distances(around)
    drawn = numpy.random.default_rng(SEED)
    orders = numpy.array([drawn.permutation(len(around)) for _ in range(settings.permutations)])
    best, _ = energy(distance)
    others, _ = energy(distance[orders[:, :, None], orders[:, None, :]])
    return (1 + int((others >= best * (1 - 1e-9)).sum())) / (1 + settings.permutations)
