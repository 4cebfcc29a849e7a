"""Statistics on paired measurements, by SciPy."""


def ratio(ours, theirs):
    """How many times faster ours is: the geometric mean over rounds of theirs / ours, with a 95 % confidence interval
    (Student's t on the logarithms). Each pair was measured in the same round."""
    import numpy
    import scipy.stats
    logs = numpy.log(numpy.asarray(theirs, float) / numpy.asarray(ours, float))
    mean = float(logs.mean())
    if len(logs) < 2:
        return {"ratio": float(numpy.exp(mean)), "low": None, "high": None}
    spread = float(scipy.stats.sem(logs)) * float(scipy.stats.t.ppf(0.975, len(logs) - 1))
    return {"ratio": float(numpy.exp(mean)), "low": float(numpy.exp(mean - spread)), "high": float(numpy.exp(mean + spread))}


def median(values):
    import numpy
    return float(numpy.median(values))


def geometric_mean(values):
    import numpy
    return float(numpy.exp(numpy.log(values).mean()))


def median_ratio(ours, theirs):
    """Ours / theirs, the median over rounds, with the interval between two of its values that covers the true median in at least 95 %
    of runs, whatever the distribution (the sign test's). A round in which something else took the processor widens it no more
    than any other, where a mean would be lost to it for good."""
    import numpy
    import scipy.stats
    ratios = numpy.sort(numpy.asarray(ours, float) / numpy.asarray(theirs, float))
    at = int(scipy.stats.binom.ppf(0.025, len(ratios), 0.5)) - 1  # so many values lie outside at either end
    low, high = (float(ratios[at]), float(ratios[-1 - at])) if at >= 0 else (None, None)
    return {"ratio": float(numpy.median(ratios)), "low": low, "high": high}


def signed_rank(ours, theirs):
    """p of Wilcoxon's signed-rank test, both sides, that the ratios of the pairs lie about 1."""
    import numpy
    import scipy.stats
    logs = numpy.log(numpy.asarray(ours, float) / numpy.asarray(theirs, float))
    logs = logs[logs != 0]  # ties say nothing
    return float(scipy.stats.wilcoxon(logs).pvalue) if len(logs) else 1.0


# A ratio that is known no better than this is not reported: its 95 % interval reaches further than +-10 %, or it comes from fewer
# rounds than such an interval needs.
NOISE_LIMIT = 0.10
FEWEST_PAIRS = 6


def noise(sure):
    """Half the width of a ratio's interval, as a share of the ratio: 0.1 is +-10 %. None where there is no interval."""
    if sure["low"] is None:
        return None
    return (sure["high"] / sure["low"]) ** 0.5 - 1


def refusal(pairs, share):
    """Why a ratio of so many pairs with such noise must not be reported; None when it may be."""
    if pairs < FEWEST_PAIRS:
        return f"too few: {pairs} of {FEWEST_PAIRS} rounds"
    return f"too noisy: ±{share:.0%}".replace("%", " %") if share > NOISE_LIMIT else None


def vargha_delaney(ours, theirs):
    """A12: the chance that one of ours is smaller than one of theirs, ties counting half; and p of the Mann-Whitney test that both
    are alike. Infinity is larger than all else, and ties with itself."""
    import numpy
    import scipy.stats
    ranks = scipy.stats.rankdata(numpy.concatenate([ours, theirs]))  # SciPy's test itself takes no infinities
    test = scipy.stats.mannwhitneyu(ranks[len(ours):], ranks[:len(ours)], alternative="two-sided")
    return {"a12": float(test.statistic) / (len(ours) * len(theirs)), "p": 1.0 if len(set(ranks)) == 1 else float(test.pvalue)}
