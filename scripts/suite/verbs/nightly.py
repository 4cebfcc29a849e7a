"""iobuf nightly: what takes too long for the tests."""
import json
import pathlib

import click

from suite import nightly, options, say
from suite.paths import RESULTS

DEFAULT = RESULTS / "nightly.jsonl"
SAID = 100  # characters of what a program said, in the table


@click.command(short_help="What takes too long for the tests: stress, interleavings, each for minutes.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True),
              help="For all stages together, shared as the table has it; a stage that has begun ends its part.")
@click.option("--only", multiple=True, metavar="STAGE", help="This stage; may be given several times.")
@click.option("--again", is_flag=True, help="Also what is finished, from its beginning.")
@click.option("--list", "list_only", is_flag=True, help="Name the stages, with their minutes; build nothing.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=pathlib.Path), default=DEFAULT, show_default="results/nightly.jsonl",
              help="Where a line for each stage is added.")
@options.as_json
@options.verbose
def command(minutes, only, again, list_only, output, as_json):
    """Run the stages that take long, one after the other: the library under many threads with sanitizers, and under schedules by the
    million.

    \b
    A stage is run in parts. Ctrl-C loses the part at work, at most a minute or so; the same command goes
    on from there. A stage that has had its time on this commit is not run again. One that finds something
    ends, and the others go on; its line says how to see it again.

    \b
    Examples:
      scripts/iobuf nightly                            all, as long as --list says
      scripts/iobuf nightly --minutes 10               all, ten minutes in all
      scripts/iobuf nightly --only tsan-16 --minutes 30

    Exit status: 0 all were clean, 1 some found something, 2 wrong usage, 3 some could not run, and none found anything.
    """
    chosen = choose(only)
    if list_only:
        for stage in chosen:
            click.echo(f"{stage.name:12} {stage.minutes:4g} min  {stage.text}")
        return 0
    share = 1 if minutes is None else minutes / sum(stage.minutes for stage in chosen)
    rows, errors = run(chosen, share, again, output)
    if as_json:
        click.echo(json.dumps({"stages": rows, "errors": errors}, indent=1))
    else:
        say.table("", ["stage", ">asked s", ">ran s", ">parts", "", "said last"],
                  [[row["stage"], f"{row['asked_s']:.0f}", f"{row['seconds']:.0f}", row["parts"], row["status"], row["said"][:SAID]] for row in rows])
        for row in rows:
            if row["status"] == "found":
                click.echo(f"{row['stage']} found something, see {row['log']}; again: {row['again']}")
    for error in errors:
        say.error(error)
    return 1 if any(row["status"] == "found" for row in rows) else 3 if errors else 0


def choose(only):
    names = [stage.name for stage in nightly.STAGES]
    for name in only:
        if name not in names:
            raise click.UsageError(f"no stage is called {name!r}: there are {', '.join(names)}")
    return [stage for stage in nightly.STAGES if not only or stage.name in only]


def run(chosen, share, again, output):
    """(rows of the stages, those that were finished before among them; what could not run)."""
    of, rows, errors, done = nightly.key(), [], [], 0.0
    seconds = {stage.name: 60 * stage.minutes * share for stage in chosen}
    before = {} if again else {stage.name: nightly.finished(stage, seconds[stage.name], output, of) for stage in chosen}
    if again:
        nightly.forget(chosen)
    with say.Steps(f"{len(chosen)} stages", sum(seconds.values())) as steps:
        for stage in chosen:
            asked = seconds[stage.name]
            try:
                rows.append(before.get(stage.name) or nightly.run(stage, asked, output, of, lambda used, done=done, stage=stage: steps.at(done + used, stage.name)))
            except say.Stop as stop:
                errors.append(str(stop))
            done += asked
    return rows, errors
