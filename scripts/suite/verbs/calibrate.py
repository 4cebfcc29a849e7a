"""iobuf calibrate: how often is compare's alarm false, and which slowdowns does it find?"""
import contextlib
import json
import pathlib

import click

from suite import calibration, options, revision, say, store
from suite.paths import shown


@click.command(short_help="How often is compare's alarm false, and what does it find?")
@click.option("--aa", type=click.IntRange(min=0), default=100, show_default=True, help="Comparisons of a commit with itself, of each measure.")
@click.option("--trials", type=click.IntRange(min=0), default=10, show_default=True, help="Of each planted slowdown: four paths, four sizes.")
@click.option("--layouts", type=click.IntRange(min=0), default=10, show_default=True, help="Of each change of the code's layout alone.")
@click.option("--measure", "measures", multiple=True, type=click.Choice(calibration.MEASURES), help="Only this measure.")
@click.option("--percent", "percents", multiple=True, type=click.Choice([str(each) for each in calibration.PERCENTS]),
              help="Only slowdowns of this size.")
@click.option("--part", metavar="K/N", help="Only every N-th trial, from the K-th on, so that N processes share the work.")
@click.option("--commit", "name", default="HEAD", show_default=True, help="Whose library and benchmarks.")
@click.option("--show", "show_only", is_flag=True, help="Make no trial; sum up what is recorded.")
@click.option("--record", type=click.Path(path_type=pathlib.Path, dir_okay=False), default=calibration.TRIALS,
              show_default="results/calibration-trials.jsonl", help="File of the trials: one line each, only added to.")
@click.option("--summary", type=click.Path(path_type=pathlib.Path, dir_okay=False), default=calibration.SUMMARY,
              show_default="results/calibration.json", help="File of what they come to.")
@options.as_json
@options.verbose
def command(aa, trials, layouts, measures, percents, part, name, show_only, record, summary, as_json):
    """Make the comparison of `compare --gate` many times where the answer is known, and count how often it was right.

    \b
    A commit with itself, and with its code laid out otherwise, must give no alarm. A slowdown of 1, 2, 5
    or 10 percent, planted in alloc, release, coalesce or the reader by a patch of bench/slowdowns, must
    be found. Each trial is recorded when it ends: Ctrl-C loses the one at work, and the same command
    goes on from there. Time wants a machine that does little else; instructions do not care.

    \b
    Examples:
      scripts/iobuf calibrate                               all of it, some hours
      scripts/iobuf calibrate --measure instructions        those that may run beside other work
      scripts/iobuf calibrate --measure time --percent 5    from this size on, time should find them
      scripts/iobuf calibrate --part 1/2 & scripts/iobuf calibrate --part 2/2
      scripts/iobuf calibrate --show

    Exit status: 0 measured, 2 wrong usage, 3 could not run, or nothing is recorded.
    """
    first, every = share(part)
    head = revision.resolve(name)
    setup = calibration.setup(head)
    measures = measures or calibration.MEASURES
    done = calibration.read(record, setup)
    todo = [] if show_only else [trial for trial in list(calibration.plan(aa, trials, layouts))[first::every]
                                 if trial.measure in measures and (not percents or str(trial.percent) in percents) and trial.key() not in done]
    if todo:
        make(todo, head, setup, record)
    rows = list(calibration.read(record, setup).values())
    if not rows:
        raise say.Stop(f"{shown(record)} has no trial of this library, these benchmarks and this way to compare")
    calibration.write(rows, setup, summary)
    found = json.loads(summary.read_text())
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        show(found)
    return 0


def make(todo, head, setup, record):
    with say.Steps(f"{len(todo)} trials", len(todo)) as steps:
        for at, trial in enumerate(todo):
            steps.at(at, " ".join(str(word) for word in (trial.what, trial.measure, trial.path, trial.percent, trial.number) if word is not None))
            with silence():
                row = calibration.run(trial, head, setup)
            store.append_line(record, row)


@contextlib.contextmanager
def silence():
    """Without the progress of each single comparison."""
    before, say.quiet = say.quiet, True
    try:
        yield
    finally:
        say.quiet = before


def share(part):
    if part is None:
        return 0, 1
    number, _, every = part.partition("/")
    if not (number.isdigit() and every.isdigit() and 1 <= int(number) <= int(every)):
        raise click.UsageError(f"--part: {part!r} is not K/N with K from 1 to N")
    return int(number) - 1, int(every)


def show(found):
    say.table("alarms where nothing is slower", ["measure", "a commit with itself", "another layout"],
              [[measure, f"{found['aa_alarms_' + measure]} of {found['aa_runs_' + measure]}",
                f"{found['layout']['alarms_' + measure]} of {found['layout']['trials' if measure == 'time' else 'trials_instructions']}"]
               for measure in calibration.MEASURES])
    rows = []
    for path, by_measure in [("all", found["found"]), *found["found_by_path"].items()]:
        for measure in calibration.MEASURES:
            rows.append([path, measure, *(f"{cell['found']} of {cell['trials']}" for cell in by_measure[measure].values())])
    say.table("slowdowns that were found, by their size", ["path", "measure", *(f">{percent} %" for percent in calibration.PERCENTS)], rows)
