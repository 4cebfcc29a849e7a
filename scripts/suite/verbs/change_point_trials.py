"""iobuf change-point-trials: histories with steps that are known, under noise that is known: how many steps are found, how soon, and
how many that are none."""
import json
import statistics

import click

from suite import changepoints, machine, options, say, store
from suite.paths import RESULTS, shown

LENGTH = 100  # commits
STEPS = 2  # in each history, up or down
APART = 15  # commits at least, between two steps and from both ends
TOLERANCE = 2  # commits: so far from where the step is, it counts as found
SPIKES = 0.03  # of the values, where there are any, are
SPIKE = 0.30  # higher than they should be, as when something else took the processor
SIZES = (0.0, 0.02, 0.05, 0.10)
NOISES = {0.0: "instructions", 0.01: "relative", 0.03: "relative"}  # and the measure that has such noise
WATCHED = 30  # commits that are waited for a step to be seen
SEED = 1


@click.command(short_help="How many steps of a known history are found, how soon, and how many that are none.")
@click.option("--trials", type=click.IntRange(min=1), default=50, show_default=True, help="Histories for each noise and size of step.")
@click.option("--record", is_flag=True, help="Also write the result to results/change-points.json.")
@click.option("--markdown", is_flag=True, help="Print the table as Markdown.")
@options.results
@options.as_json
@options.verbose
def command(trials, record, markdown, results, as_json):
    """Make up histories of 100 commits with two steps each, under normal noise, and look for the steps as `track --show` does.

    \b
    Precision: the share of the steps found that are some, at most 2 commits off. Recall: the share of the
    steps that are found. Delay: how many commits after a step, the history having come commit by commit, it is
    seen first. Half of all histories have spikes too: 3 % of the values are 30 % higher. The random numbers are
    the same each time.

    \b
    Examples:
      scripts/iobuf change-point-trials                    about 3 minutes
      scripts/iobuf change-point-trials --trials 5 --json

    Exit status: 0 measured, 2 wrong usage, 3 could not run.
    """
    summary = measure(trials)
    store.write_json(results / "change-points.json", summary)
    if record:
        store.write_json(RESULTS / "change-points.json", summary)
        say.line(f"recorded in {shown(RESULTS / 'change-points.json')}")
    if as_json:
        click.echo(json.dumps(summary, indent=1))
    else:
        show(summary["rows"], markdown)
    return 0


KINDS = tuple((noise, size, spikes) for noise in NOISES for size in SIZES for spikes in (False, True))


def measure(trials, kinds=KINDS):
    rows = []
    with say.Steps(f"{len(kinds) * trials} histories", len(kinds) * trials) as steps:
        for at, kind in enumerate(kinds):
            one_by_one = []
            for trial in range(trials):
                steps.at(at * trials + trial, f"noise {kind[0]:.0%}, steps of {kind[1]:.0%}")
                one_by_one.append(of_history(*kind, (SEED, at, trial)))
            rows.append(together(*kind, one_by_one))
    return machine.stamp(f"scripts/iobuf change-point-trials --trials {trials}") | {
        "kind": "change-points", "trials": trials, "length": LENGTH, "tolerance": TOLERANCE, "spike_share": SPIKES, "spike_size": SPIKE,
        "rows": rows}


def of_history(noise, size, spikes, seed):
    import numpy
    drawn = numpy.random.default_rng(seed)
    places = where(drawn) if size else []
    values = numpy.full(LENGTH, 100.0)
    for place in places:
        values[place:] *= 1 + size if drawn.random() < 0.5 else 1 / (1 + size)
    values *= 1 + noise * drawn.standard_normal(LENGTH)
    if spikes:
        values[drawn.random(LENGTH) < SPIKES] *= 1 + SPIKE
    settings = changepoints.MEASURES[NOISES[noise]]
    found = [step["at"] for step in changepoints.find(values, settings)]
    right = matched(places, found)
    return {"steps": len(places), "found": len(found), "right": len(right),
            "delays": [delay(values, place, settings) for place in places]}


def where(drawn):
    """Places for the steps, all that are far enough apart being alike."""
    while True:
        places = sorted(int(place) for place in drawn.integers(APART, LENGTH - APART, STEPS))
        if all(later - earlier >= APART for earlier, later in zip(places, places[1:])):
            return places


def matched(places, found):
    """The steps that have one of those found near them, none being counted for two."""
    left, right = set(found), []
    for place in places:
        near = [at for at in left if abs(at - place) <= TOLERANCE]
        if near:
            left.remove(min(near, key=lambda at: abs(at - place)))
            right.append(place)
    return right


def delay(values, place, settings):
    """How many commits after the step it is seen first; None: in all that are watched it is not. The next step is not waited for."""
    for later in range(min(WATCHED, APART, len(values) - place)):
        found = changepoints.find(values[:place + later + 1], settings)
        if any(abs(step["at"] - place) <= TOLERANCE for step in found):
            return later
    return None


def together(noise, size, spikes, histories):
    steps, found, right = (sum(one[name] for one in histories) for name in ("steps", "found", "right"))
    delays = [wait for one in histories for wait in one["delays"]]
    seen = sorted(wait for wait in delays if wait is not None)
    return {"noise": noise, "step": size, "spikes": spikes, "measure": NOISES[noise], "steps": steps, "found": found, "right": right,
            "precision": round(right / found, 3) if found and steps else None, "recall": round(right / steps, 3) if steps else None,
            "false_per_1000": round(1000 * (found - right) / (LENGTH * len(histories)), 2),
            "seen_in_time": len(seen), "delay_median": statistics.median(seen) if seen else None,
            "delay_90": seen[int(0.9 * (len(seen) - 1))] if seen else None}


def show(rows, markdown):
    columns = ["noise", "step", "spikes", ">precision", ">recall", ">false in 1000 commits", ">delay, median", ">delay, 90 %"]
    cells = [[percent(row["noise"]), percent(row["step"]) if row["step"] else "none", f"{SPIKES:.0%}".replace("%", " %") if row["spikes"] else "",
              *("" if row[name] is None else f"{row[name]:.2f}" for name in ("precision", "recall", "false_per_1000")),
              *("" if row[name] is None else f"{row[name]:g}" for name in ("delay_median", "delay_90"))] for row in rows]
    if markdown:
        click.echo("| " + " | ".join(name.lstrip(">") for name in columns) + " |")
        click.echo("|" + "|".join(" --: " if name.startswith(">") else " --- " for name in columns) + "|")
        for row in cells:
            click.echo("| " + " | ".join(row) + " |")
    else:
        say.table(f"steps in histories of {LENGTH} commits", columns, cells)


def percent(share):
    return f"{100 * share:g} %"
