"""The last comparisons of two commits, and how far such a comparison can be trusted: the calibration."""
from suite.page import texts

MEASURES = ("instructions", "time")
SHOWN = 12
NOT_MEASURED = {"base": None, "head": None, "ratio": None, "low": None, "high": None, "verdict": "not measured"}


def last(result, commits):
    """The cases of a comparison, those that differ or could not be measured first."""
    if not result:
        return None
    rows = [whole(row) for row in result["cases"]]
    return {"base": named(result["base"], commits), "head": named(result["head"], commits), "verdict": result["verdict"],
            "date": result["date"], "command": result["command"], "override": result["override"], "errors": result["errors"],
            "loud": [row for row in rows if loud(row)], "quiet": [row for row in rows if not loud(row)], "count": tally(result)}


def whole(row):
    """A case with both measures; one that was not asked for is not measured."""
    return row | {measure: NOT_MEASURED | (row[measure] or {}) for measure in MEASURES}


def loud(row):
    """What a reader has to see: a case that differs, or was not measured at all."""
    verdicts = {row["instructions"]["verdict"], row["time"]["verdict"]}
    return bool(verdicts & {"regression", "improvement"}) or verdicts <= {"not measured"}


def named(side, commits):
    return {"name": side["name"], "commit": commits.entry(side["commit"])}


def tally(result):
    """How many cases differ, in either measure."""
    rows = [whole(row) for row in result["cases"]]
    return {verdict: sum(verdict in (row["instructions"]["verdict"], row["time"]["verdict"]) for row in rows)
            for verdict in ("regression", "improvement")} | {"cases": len(rows)}


def good(result):
    """Whether all is there that the page shows; what it does not know may be beside it."""
    cases = all(row["case"] and all(row[measure] is None or row[measure]["verdict"] for measure in MEASURES) for row in result["cases"])
    sides = all(result[side]["name"] and result[side]["commit"] for side in ("base", "head"))
    return cases and sides and {"verdict", "date", "command", "errors", "machine", "override"} <= result.keys()


def before(sources, commits):
    """The recorded comparisons, the last one first, as a line each."""
    lines = sources.lines("compare", lambda line: line["kind"] == "compare" and line["schema"] == 1 and good(line))
    return [{"date": line["date"], "base": named(line["base"], commits), "head": named(line["head"], commits), "verdict": line["verdict"],
             "override": line["override"], "count": tally(line)} for line in reversed(lines[-SHOWN:])]


def calibration(result):
    """The alarms between a commit and itself, each with what the true rate may be, and the share of the slowdowns found."""
    if not result:
        return None
    alarms = [alarm(result, measure) for measure in MEASURES]
    sizes = sorted({size for measure in MEASURES for size in result["found"][measure]}, key=float)
    paths = {"all": result["found"], **result.get("found_by_path", {})}
    found = [{"path": path, "measure": measure, "cells": [of_path[measure].get(size) for size in sizes]} for path, of_path in paths.items()
             for measure in MEASURES]
    layout = result.get("layout")
    return {"alarms": alarms, "sizes": sizes, "found": found[:len(MEASURES)], "by_path": found[len(MEASURES):], "result": result,
            "layout": layout and [{"measure": measure, "alarms": layout[f"alarms_{measure}"],
                                   "trials": layout.get(f"trials_{measure}", layout["trials"])} for measure in MEASURES]}


def alarm(result, measure):
    count, runs = result[f"aa_alarms_{measure}"], result.get(f"aa_runs_{measure}", result["aa_runs"])
    return {"measure": measure, "alarms": count, "runs": runs, "at_most": bound(count, runs)}


def bound(count, trials):
    """The upper end of the 95 % interval of a share, by Clopper and Pearson."""
    import scipy.stats
    return float(scipy.stats.binomtest(count, trials).proportion_ci(0.95).high) if trials else None


FILTERS = {"interval": lambda row: f"{texts.change(row['low'])} to {texts.change(row['high'])}" if row.get("low") is not None else ""}
