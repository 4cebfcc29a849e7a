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
