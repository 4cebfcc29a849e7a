"""iobuf compare: what did a change cost? Two commits, or one and the working tree, measured against each other."""
import json
import pathlib
import re
import time

import click

from suite import compare, machine, options, pull_request, revision, say, store
from suite.paths import RESULTS, shown

GATE = {compare.FINE: 0, compare.SLOWER: 1, compare.COULD_NOT: 3, compare.FASTER: 4}
TRAILER = "Accept-regression"


@click.command(short_help="What did a change cost, in instructions and in time?")
@click.argument("base")
@click.argument("head", required=False)
@click.option("--gate", is_flag=True, help="For continuous integration: the exit status tells the verdict.")
@click.option("--filter", "pattern", help="Only the cases whose name (work/peer/size) matches this regular expression.")
@click.option("--rounds", type=click.IntRange(min=compare.FEWEST_ROUNDS), default=compare.ROUNDS, show_default=True, help="Of timing.")
@click.option("--instructions/--no-instructions", default=True, help="Count instructions, by callgrind.")
@click.option("--time/--no-time", "timed", default=True, help="Measure time.")
@click.option("--accept", metavar="REASON", help=f"Take a regression, for this reason, which the result keeps. A line \"{TRAILER}: "
              "REASON\" in the message of HEAD's commit does the same.")
@click.option("--markdown", type=click.Path(dir_okay=False), metavar="FILE", help="Also write a short table for a pull request; - is stdout.")
@click.option("--record", is_flag=True, help="Also append the result to results/compare.jsonl.")
@options.results
@options.as_json
@options.verbose
def command(base, head, gate, pattern, rounds, instructions, timed, accept, markdown, record, results, as_json):
    """Compare the library of BASE with that of HEAD (default: the working tree) under HEAD's benchmarks.

    \b
    Instructions are counted by callgrind and exact; a case that needs more than its budget in
    bench/budgets.toml is a regression. Time is measured in rounds, both programs linked anew in each
    with their functions in a random order, since where code lies is worth some percent; what
    looks different is measured a second time before it counts. How often this gives a false
    alarm, and what it finds, is measured: results/calibration.json, made by scripts/iobuf calibrate.

    \b
    Examples:
      scripts/iobuf compare main                       what the working tree costs against main
      scripts/iobuf compare HEAD~5 HEAD --filter '^coalesce/'
      scripts/iobuf compare v1.0 HEAD --no-time        instructions alone, half a minute
      scripts/iobuf compare origin/main --gate --markdown -
      scripts/iobuf compare main --gate --accept 'checks a size that came from the network'

    Exit status: 0 compared; 2 wrong usage; 3 could not measure. With --gate: 0 fine, or accepted;
    1 a regression; 4 an improvement and no regression; 3 could not measure all of it.
    """
    if not (instructions or timed):
        raise click.UsageError("--no-instructions and --no-time leave nothing to measure")
    if accept is not None and not accept.strip():
        raise click.UsageError("--accept needs a reason")
    if pattern is not None:
        try:
            re.compile(pattern)
        except re.error as error:
            raise click.UsageError(f"--filter: {error}") from None
    chosen = compare.cases(pattern)
    words = ["scripts/iobuf compare", base, *([head] if head else []), *(["--gate"] if gate else []), *([f"--filter '{pattern}'"] if pattern else []),
             *([f"--rounds {rounds}"] if rounds != compare.ROUNDS else []), *([] if instructions else ["--no-instructions"]),
             *([] if timed else ["--no-time"])]
    result = measure(revision.resolve(base), revision.resolve(head), chosen, rounds, instructions, timed, " ".join(words))
    result["override"] = override(result, accept)
    store.write_json(results / "compare.json", result)
    if record:
        store.append_line(RESULTS / "compare.jsonl", result)
    if markdown == "-":
        click.echo(pull_request.table(result))
    elif markdown:
        store.write(pathlib.Path(markdown), pull_request.table(result))
    if as_json:
        click.echo(json.dumps(result, indent=1))
    elif markdown != "-":
        show(result)
    for error in result["errors"]:
        say.error(f"{error['case']}: {error['message']}")
    return status(result, gate)


def measure(base, head, chosen, rounds, instructions, timed, words):
    """The result, of schema 1."""
    start = time.monotonic()
    budget = compare.budgets()
    errors, notes = [], []
    programs = built(base, head, notes)
    sides = [compare.Side(program) for program in programs]
    counted = compare.instructions(*sides, chosen, budget, errors) if instructions else {}
    took = compare.times(*sides, chosen, budget, rounds, errors) if timed else {}
    rows = [row for row in compare.together(chosen, counted, took) if row["instructions"] or row["time"]]
    return machine.stamp(words) | {
        "kind": "compare", "base": {"name": base.name, "commit": base.commit}, "head": {"name": head.name, "commit": head.commit},
        "commit": head.commit, "build": revision.built_by(programs[1]), "rounds": rounds, "verdict": compare.verdict(rows, errors),
        "override": None, "cases": rows, "errors": errors, "notes": notes, "seconds": round(time.monotonic() - start)}


def built(base, head, notes):
    """Both under the benchmarks of HEAD, so that only the library differs; where its interface was another, under its own."""
    after = revision.bench_of(head)
    try:
        return revision.bench_of(base, head), after
    except say.Stop as stop:
        before = revision.bench_of(base)
        notes.append(f"{base.name} was measured under its own benchmarks: under those of {head.name} it does not build")
        say.line(f"{notes[-1]}: {stop}")
        return before, after


def override(result, accept):
    """Why a regression was taken, and where that was said; None when none was."""
    if result["verdict"] != compare.SLOWER:
        return None
    if accept:
        return {"reason": accept.strip(), "by": "--accept"}
    if result["head"]["name"] == revision.TREE:
        return None
    message = revision.git("log", "-1", "--format=%B", result["head"]["commit"], check=False)[1]
    found = re.search(rf"^{TRAILER}: *(\S.*)$", message, re.M)
    return {"reason": found[1].strip(), "by": f"the message of {result['head']['commit']}"} if found else None


def status(result, gate):
    if gate:
        return 0 if result["override"] and not result["errors"] else GATE[result["verdict"]]
    return 3 if result["verdict"] == compare.COULD_NOT else 0


def show(result):
    base, head = result["base"], result["head"]
    rows = []
    for row in result["cases"]:
        counted, took = row["instructions"], row["time"]
        rows.append([row["case"], *pull_request.instructions(counted), *pull_request.times(took)])
    say.table(f"{head['name']} ({head['commit']}) over {base['name']} ({base['commit']}): above 1 it costs more",
              ["case", ">instructions", ">before", ">ratio", "verdict", ">time", ">95 % interval", ">ns", "verdict"], rows)
    for note in result["notes"]:
        click.echo(note)
    click.echo(f"{result['verdict']}, in {result['seconds']} s" +
               (f"; accepted by {result['override']['by']}: {result['override']['reason']}" if result["override"] else ""))
    click.echo(f"result: {shown(RESULTS / 'latest' / 'compare.json')}")
