"""iobuf race-mutants: plants races in the library, one at a time, and measures which method finds each, and how soon."""
import fnmatch
import json
import pathlib
import statistics

import click

from suite import build, machine, mutants, options, races, say
from suite.paths import RESULTS
from suite.verbs.mutants import drive, measured

DEFAULT = RESULTS / "race-mutants.jsonl"


def read_methods(_ctx, _param, value):
    names = [name.strip() for name in value.split(",") if name.strip()]
    unknown = [name for name in names if name not in races.METHODS]
    if unknown or not names:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(races.METHODS)}" if unknown else "there must be one at least")
    return [name for name in races.METHODS if name in names]


@click.command(short_help="Plant races in the library: which method finds each, how soon?")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--methods", default=",".join(races.METHODS), show_default=True, callback=read_methods, help="What looks for them.")
@click.option("--seconds", type=click.IntRange(min=1), default=20, show_default=True,
              help="Of the processor, for each method and race.")
@click.option("--jobs", type=click.IntRange(min=1), help="How many at once; as many as there are processors.")
@click.option("--again", is_flag=True, help="Measure also what was measured on this version of the library.")
@click.option("--list", "list_only", is_flag=True, help="Name the races, with their class; build nothing.")
@click.option("--markdown", is_flag=True, help="Print the table as fuzz/README.md has it.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=pathlib.Path), default=DEFAULT, show_default="results/race-mutants.jsonl",
              help="Where a line for each race is added.")
@options.as_json
@options.verbose
def command(ids, methods, seconds, jobs, again, list_only, markdown, output, as_json):
    """Build a library with each race of fuzz/interleave/mutants (or the IDs; * and ? match), and look for it.

    \b
    Methods: stress, threads on the library as shipped; tsan, the same under ThreadSanitizer; random, pct
    and exhaustive, schedules of iobuf_interleave; libfuzzer and afl, each engine on fuzz_interleave, from
    nothing. The seconds are the processor's, of all threads together, and do not count building. What was
    measured on this version of the library is not measured again, but what was not found in fewer
    seconds: Ctrl-C loses nothing but the races at work.

    \b
    Examples:
      scripts/iobuf race-mutants                                     all, by all methods; half an hour
      scripts/iobuf race-mutants --methods exhaustive                are all found? a minute
      scripts/iobuf race-mutants --methods stress,tsan --seconds 300 'lock-*'

    Exit status: 0 each was found by the interleaving target (random, pct, exhaustive, libfuzzer or afl) where one of these was
    tried, 1 some were not, 2 wrong usage, 3 could not run.
    """
    chosen = choose(ids)
    if list_only:
        for race in chosen:
            click.echo(f"{race.id:38} {race.group:16} {race.file:24} {race.matters}")
        return 0
    rows = run(chosen, methods, seconds, jobs or build.cpus(), again, output)
    summary = summarize(rows, methods)
    if as_json:
        click.echo(json.dumps(summary | {"races": rows}, indent=1))
    elif markdown:
        show_markdown(rows, methods)
    else:
        show(rows, summary, methods)
    return 1 if summary["missed"] else 0


def choose(ids):
    found = races.planted()
    for name in ids:
        if not any(fnmatch.fnmatchcase(race.id, name) for race in found):
            raise click.UsageError(f"no race is called {name!r}: --list names them")
    return [race for race in found if not ids or any(fnmatch.fnmatchcase(race.id, name) for name in ids)]


def run(chosen, methods, seconds, jobs, again, output):
    """The rows of all the chosen, those that were measured before among them."""
    library, commit = mutants.library(), machine.commit()
    before = measured(output, library)
    rows, waiting = {}, []
    for race in chosen:
        row = before.get((race.id, race.digest))
        if row is None:
            row = {"id": race.id, "class": race.group, "kind": race.kind, "equivalent": None, **{f"{name}_s": None for name in races.METHODS},
                   "commit": commit, "library": library, "change": race.digest, "stages": [], "limit_s": {}}
        rows[race.id] = row
        missing = [name for name in methods if again or is_to_do(row, name, seconds)]
        if missing:
            rows[race.id] = row | {"commit": commit, "limit_s": row["limit_s"] | dict.fromkeys(missing, seconds)}
            waiting.append((race, missing))
    if waiting:
        races.prepare({name for _, missing in waiting for name in missing})
        drive(waiting, rows, jobs, output, merged, lambda race, missing, processes: (races.measure(race, missing, seconds, processes),),
              races.Processes())
    return list(rows.values())


def is_to_do(row, name, seconds):
    return name not in row["stages"] or row[f"{name}_s"] is None and row["limit_s"].get(name, 0) < seconds


def merged(row, found):
    new = row | {f"{name}_s": None if took is None else round(took, 3) for name, took in found.items()}
    return new | {"stages": [name for name in races.METHODS if name in found or name in row["stages"]]}


def summarize(rows, methods):
    parts = []
    for name in methods:
        tried = [row for row in rows if name in row["stages"]]
        times = sorted((row[f"{name}_s"], row["id"]) for row in tried if row[f"{name}_s"] is not None)
        if tried:
            parts.append({"method": name, "text": races.METHODS[name].text, "tried": len(tried), "found": len(times),
                          "median_s": round(statistics.median(took for took, _ in times), 2) if times else None,
                          "slowest_s": times[-1][0] if times else None, "slowest": times[-1][1] if times else None,
                          "not_found": [row["id"] for row in tried if row[f"{name}_s"] is None]})
    exploring = [name for name, method in races.METHODS.items() if method.explores]
    return {"parts": parts, "missed": [row["id"] for row in rows if any(name in row["stages"] for name in exploring)
                                       and all(row[f"{name}_s"] is None for name in exploring)]}


def number(value):
    return "" if value is None else f"{value:.2f}"


def show(rows, summary, methods):
    say.table("seconds of the processor until each is found", ["race", "class", *(f">{name}" for name in methods)],
              [[row["id"], row["class"], *(cell(row, name) for name in methods)] for row in rows])
    say.table("", ["method", "", ">tried", ">found", ">median s", ">slowest s", "slowest"],
              [[part["method"], part["text"], part["tried"], part["found"], number(part["median_s"]), number(part["slowest_s"]),
                part["slowest"] or ""] for part in summary["parts"]])
    if summary["missed"]:
        click.echo(f"not found by the interleaving target: {', '.join(summary['missed'])}")


def cell(row, name):
    return "" if name not in row["stages"] else number(row[f"{name}_s"]) or "-"


def show_markdown(rows, methods):
    click.echo(f"| race | class | {' | '.join(methods)} |\n|---|---|{'--:|' * len(methods)}")
    for row in rows:
        click.echo(f"| {row['id']} | {row['class']} | {' | '.join(cell(row, name) for name in methods)} |")
    click.echo(f"| found, of {len(rows)} | | {' | '.join(str(sum(row[f'{name}_s'] is not None for row in rows)) for name in methods)} |")
