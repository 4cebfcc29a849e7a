"""iobuf mutator-trials: does mutating programs pay? Time until each engine finds a planted bug, with the mutators and without."""
import json
import math
import os
import pathlib
import tempfile

import click

from suite import engines, machine, options, say, stats, store, trials
from suite.paths import RESULTS, TARGETS, shown

RECORD = RESULTS / "mutator-trials.jsonl"


@click.command(short_help="Time to find planted bugs, mutating programs against mutating bytes.")
@click.argument("mutants", nargs=-1, metavar="[MUTANT]...")
@click.option("--engine", type=click.Choice(["both", *engines.ENGINES]), default="both", show_default=True)
@click.option("--mutators", type=click.Choice(["both", *trials.MUTATORS]), default="both", show_default=True,
              help="Which trials to make; those of the other sort may be there already.")
@click.option("--target", type=click.Choice(TARGETS), default="all", show_default=True, help="What is fuzzed.")
@click.option("--trials", "count", type=click.IntRange(min=0), default=10, show_default=True,
              help="How many for each mutant, engine and mutator; 0 shows the table of those that are recorded.")
@click.option("--seconds", type=click.IntRange(min=1), default=60, show_default=True, help="CPU seconds until a trial is given up.")
@click.option("--empty", is_flag=True, help="Start from an empty program, not from the corpus.")
@click.option("--record", type=click.Path(path_type=pathlib.Path, dir_okay=False), default=RECORD,
              show_default="results/mutator-trials.jsonl", help="File of the trials: one line each, only added to.")
@options.as_json
@options.verbose
def command(mutants, engine, mutators, target, count, seconds, empty, record, as_json):
    """Plant each MUTANT (a patch of fuzz/mutants; canary by default) and see how long each engine takes to find it: with the
    mutators on programs besides its own, and with its own alone.

    \b
    The trials start from those inputs of the corpus that do not show the bug, each with another seed
    of random numbers, one trial at a time on one processor. Each is recorded when it ends: Ctrl-C
    loses the one that runs, and the same command goes on from there. Trials of another state of the
    sources or of another limit are left out.
    A12 is the chance that a trial with the mutators is quicker than one without (Vargha and Delaney):
    0.5 no difference, 1 always. p is that of the Mann-Whitney test. A bug that was not found counts
    as later than all that were.

    \b
    Examples:
      scripts/iobuf mutator-trials                                   the canary, ten trials of each
      scripts/iobuf mutator-trials canary share-range-wraps --trials 20
      scripts/iobuf mutator-trials --trials 0                        the table alone

    Exit status: 0 fine, 1 an input failed without the bug, 2 wrong usage, 3 could not run.
    """
    mutants = list(dict.fromkeys(mutants)) or ["canary"]
    unknown = [name for name in mutants if name not in trials.names()]
    if unknown:
        raise click.UsageError(f"no mutant is called {unknown[0]!r}: they are the patches in {shown(trials.PATCHES)}")
    names = list(engines.ENGINES) if engine == "both" else [engine]
    sorts = trials.MUTATORS if mutators == "both" else [mutators]
    setups = {(mutant, name, sort): trials.setup(trials.Trial(name, mutant, target, sort, 0, seconds, empty))
              for mutant in mutants for name in names for sort in trials.MUTATORS}
    wanted = [trials.Trial(name, mutant, target, sort, seed, seconds, empty)
              for seed in range(1, count + 1) for mutant in mutants for name in names for sort in sorts]
    done = read(record)
    missing = [trial for trial in wanted if trial.key(setups[trial.sort]) not in done]
    if missing:
        run(missing, mutants, names, target, setups, record)
        done = read(record)
    rows = table([row for row in done.values() if row["mutant"] in mutants and row["engine"] in names and row["target"] == target and
                  row["limit_s"] == seconds and row["empty"] == empty and
                  row["setup"] == setups[row["mutant"], row["engine"], row["mutators"]]], seconds)
    if not rows and missing:
        say.line("recorded: for the table, trials of the other sort are missing")
        return 0
    if not rows:
        raise say.Stop("no trial of these is recorded: --trials 10 makes some")
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    else:
        show(rows, seconds)
    return 0


def read(path):
    """The trials of a file, by what makes each the same as another."""
    done = {}
    try:
        lines = path.read_text().splitlines() if path.exists() else []
    except UnicodeDecodeError:
        raise say.Stop(f"{shown(path)} is not text: move it away") from None
    for number, text in enumerate(lines, 1):
        try:
            row = json.loads(text)
            key = tuple(row[name] for name in ("engine", "mutant", "target", "mutators", "seed", "limit_s", "empty", "setup"))
            if row["schema"] != 1 or row["kind"] != "mutator-trial" or not isinstance(row["found"], bool) or row["cpu_s"] < 0:
                raise ValueError
            done[key] = row
        except (ValueError, KeyError, TypeError):
            raise say.Stop(f"{shown(path)}:{number} is no trial: take the line out") from None
    return done


def run(missing, mutants, names, target, setups, record):
    for name in names:
        trials.prepare(name, mutants, target)
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})  # the engines inherit it; AFL++ is twice as fast when it shares a processor with its target
    try:
        with tempfile.TemporaryDirectory(prefix="iobuf-trials-") as folder, say.Steps(f"{len(missing)} trials", len(missing)) as steps:
            for at, trial in enumerate(missing):
                steps.at(at, f"{trial.mutant}, {trial.engine}, {trial.mutators}, seed {trial.seed}")
                seeds = trials.seeds_for(trial, pathlib.Path(folder) / f"{trial.mutant}-{trial.engine}")
                store.append_line(record, line(trial, setups[trial.sort], trial.run(seeds)))
    except KeyboardInterrupt:
        say.line("interrupted: the trials that ended are recorded, the same command goes on")
    finally:
        os.sched_setaffinity(0, allowed)


def line(trial, setup, result):
    words = f"scripts/iobuf mutator-trials {trial.mutant} --engine {trial.engine} --target {trial.target} --seconds {trial.limit}"
    return machine.stamp(words + (" --empty" if trial.empty else "")) | {
        "kind": "mutator-trial", "mutant": trial.mutant, "engine": trial.engine, "target": trial.target,
        "mutators": trial.mutators, "seed": trial.seed, "limit_s": trial.limit, "empty": trial.empty, "setup": setup} | result


def table(done, limit):
    """A row for each mutant and engine of which both sorts of trial are there."""
    rows = []
    for mutant, engine in sorted({(row["mutant"], row["engine"]) for row in done}):
        of = {mutators: [row for row in done if (row["mutant"], row["engine"], row["mutators"]) == (mutant, engine, mutators)]
              for mutators in trials.MUTATORS}
        if not all(of.values()):
            continue
        row = {"mutant": mutant, "engine": engine, "limit_s": limit}
        for mutators, these in of.items():
            found = [one for one in these if one["found"]]
            row[mutators] = {"trials": len(these), "found": len(found), "cpu_s": middle(these, "cpu_s"),
                             "programs": middle([one for one in these if one["programs"] is not None], "programs")}
        seconds = {mutators: [one["cpu_s"] if one["found"] else math.inf for one in these] for mutators, these in of.items()}
        rows.append(row | stats.vargha_delaney(seconds["programs"], seconds["bytes"]))
    return rows


def middle(these, what):
    """The median where an unfound bug is later than all; None where that is the median."""
    value = stats.median([one[what] if one["found"] else math.inf for one in these]) if these else math.inf
    return round(value, 2) if math.isfinite(value) else None


def show(rows, limit):
    def cell(value, number):
        return f"{value:,.{number}f}" if value is not None else "not found"

    say.table(f"median until found, of at most {limit} CPU seconds: mutating programs, bytes alone",
              ["mutant", "engine", ">trials", ">found", ">CPU s", ">bytes", ">programs run", ">bytes", ">A12", ">p"],
              [[row["mutant"], row["engine"], f"{row['programs']['trials']}, {row['bytes']['trials']}",
                f"{row['programs']['found']}, {row['bytes']['found']}",
                cell(row["programs"]["cpu_s"], 1), cell(row["bytes"]["cpu_s"], 1),
                cell(row["programs"]["programs"], 0), cell(row["bytes"]["programs"], 0),
                f"{row['a12']:.2f}", f"{row['p']:.3f}"] for row in rows])
    for engine in sorted({row["engine"] for row in rows}):
        of = [row for row in rows if row["engine"] == engine]
        better, worse = (sum(1 for row in of if sign * (row["a12"] - 0.5) > 0) for sign in (1, -1))
        sure = [sum(1 for row in of if sign * (row["a12"] - 0.5) > 0 and row["p"] < 0.05) for sign in (1, -1)]
        click.echo(f"{engine}: quicker with the mutators on {better} of {len(of)} ({sure[0]} with p < 0.05), slower on {worse} ({sure[1]}); "
                   f"mean A12 {sum(row['a12'] for row in of) / len(of):.2f}")
