"""The trend of each case over the commits that were measured, and the steps in it."""
import contextlib

from suite import changepoints, history, say
from suite.page import texts

MEASURES = {"instructions": "instructions", "relative": "time, relative to the floor"}
RECENT = 20  # commits that the summary speaks of
MANY = 3000  # points whose steps take long enough to find that something should be said


def part(folder, commits, problems):
    lines, wrong = history.read(folder)
    problems += wrong
    found = history.series(lines)
    if not found:
        return None
    points = {point["commit"]: point for of_case in found.values() for point in of_case}
    timeline = sorted(points.values(), key=lambda point: (point["order"], point["commit_date"], point["commit"]))
    places = {point["commit"]: at for at, point in enumerate(timeline)}
    machines = names({history.machine_key(line["machine"]): line["machine"] for line in lines})
    used = sorted({machine for _, _, machine in found}, key=list(machines).index)
    entries = [commits.entry(point["commit"]) | {"date": texts.day(point["commit_date"])} for point in timeline]
    series = []
    with progress(sum(map(len, found.values())), len(found)) as steps:
        for at, ((case, measure, machine), of_case) in enumerate(sorted(found.items(), key=lambda item: texts.natural(item[0][0]))):
            steps(at, case)
            series.append(one(case, measure, machine, of_case, places))
    failed = [{"commit": commits.entry(commit), "machine": machines[machine], "why": why}
              for (commit, machine), why in history.failed(lines).items()]
    return {"series": series, "commits": entries, "machines": [{"key": key, "name": machines[key]} for key in used], "lines": len(lines),
            "measures": {measure: MEASURES[measure] for measure in MEASURES if any(row["measure"] == measure for row in series)},
            "changes": by_commit(series, entries, machines), "failed": failed, "recent": recent(series, len(entries)),
            "first": entries[0], "last": entries[-1]}


def names(machines):
    """What a machine is called; with its key where two would be called the same."""
    said = {key: f"{facts.get('cpu')}, {facts.get('cpus')} processor{'s' if facts.get('cpus') != 1 else ''}" for key, facts in machines.items()}
    return {key: name if list(said.values()).count(name) == 1 else f"{name} ({key})" for key, name in said.items()}


@contextlib.contextmanager
def progress(points, total):
    if points < MANY:
        yield lambda at, note: None
    else:
        with say.Steps("look for change points", total) as steps:
            yield steps.at


def one(case, measure, machine, points, places):
    """One series as the script draws it: x counts the commits that have been measured, each in its place."""
    values = [point["value"] for point in points]
    steps = [{"x": places[points[step["at"]]["commit"]], "before": step["before"], "after": step["after"], "change": step["change"],
              "text": texts.change(1 + step["change"]), "from": texts.figures(step["before"]), "to": texts.figures(step["after"])}
             for step in changepoints.find(values, changepoints.MEASURES[measure])]
    intervals = any(point["low"] is not None and point["high"] is not None for point in points)
    return {"case": case, "measure": measure, "machine": machine, "x": [places[point["commit"]] for point in points],
            "y": values, "low": [point["low"] for point in points] if intervals else None,
            "high": [point["high"] for point in points] if intervals else None, "steps": steps, "now": texts.figures(values[-1]),
            "all": texts.change(values[-1] / values[0])}


def by_commit(series, entries, machines):
    """The steps of all cases that begin at one commit, the newest commit first."""
    found = {}
    for row in series:
        for step in row["steps"]:
            found.setdefault(step["x"], []).append({"case": row["case"], "measure": row["measure"], "machine": row["machine"],
                                                    "machine_name": machines[row["machine"]], **step})
    return [{"commit": entries[at], "steps": sorted(found[at], key=lambda step: -abs(step["change"])),
             "worse": sum(step["change"] > 0 for step in found[at]), "better": sum(step["change"] < 0 for step in found[at])}
            for at in sorted(found, reverse=True)]


def recent(series, count):
    """How many cases stepped up or down in the last commits: by instructions where they were counted, which are exact, else by time."""
    measure = next((name for name in MEASURES if any(row["measure"] == name for row in series)))
    since = max(0, count - RECENT)
    rows = [row for row in series if row["measure"] == measure]
    changed = {kind: {row["case"] for row in rows for step in row["steps"] if step["x"] >= since and (step["change"] > 0) == (kind == "worse")}
               for kind in ("worse", "better")}
    return {"measure": MEASURES[measure], "cases": len({row["case"] for row in rows}), "commits": min(RECENT, count),
            "worse": len(changed["worse"]), "better": len(changed["better"])}


def chart(found):
    """What the script needs of it."""
    if not found:
        return None
    return {name: found[name] for name in ("series", "commits", "machines", "measures")}
