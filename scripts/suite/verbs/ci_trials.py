"""iobuf ci-trials: how often is fuzz --ci red on a tree in which nothing changed? It must never be."""
import json
import pathlib
import time

import click

from suite import command as commands, machine, options, say, store, touched
from suite.paths import BUILD, RESULTS, ROOT, TARGETS, shown

RECORD = RESULTS / "ci-trials.jsonl"
OUT = BUILD / "ci" / "trial"


@click.command(short_help="Is fuzz --ci ever red without a cause?")
@click.option("--runs", type=click.IntRange(min=0), default=50, show_default=True,
              help="How many in all, those that are recorded included; 0 only counts.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), default=0.1, show_default=True, help="Of each run, for all engines.")
@click.option("--record", type=click.Path(path_type=pathlib.Path, dir_okay=False), default=RECORD, show_default="results/ci-trials.jsonl",
              help="File of the runs: one line each, only added to.")
@options.as_json
@options.verbose
def command(runs, minutes, record, as_json):
    """Run `fuzz --ci` on all targets against the commit itself, time after time, and count how often it is not clean.

    \b
    Each run is recorded when it ends: Ctrl-C loses the one at work, and the same command goes on from
    there. Runs of another commit or another number of minutes are left out. Inputs that a run keeps
    are there for the next one, as in continuous integration.

    \b
    Examples:
      scripts/iobuf ci-trials                          fifty runs, half an hour
      scripts/iobuf ci-trials --runs 0                 counts those that are recorded

    Exit status: 0 all were clean, 1 some were not, 2 wrong usage, 3 could not run.
    """
    head = touched.revision("HEAD")
    if runs and changed(record):
        raise say.Stop("the tree differs from its commit: commit first, or use a clone; what is measured is an unchanged tree", 2)
    done = [row for row in read(record) if (row["base"], row["minutes"]) == (head, minutes)]
    with say.Steps(f"{max(0, runs - len(done))} runs of fuzz --ci", max(1, runs)) as steps:
        while len(done) < runs:
            steps.at(len(done), f"{len(done)} done, {sum(row['status'] != 0 for row in done)} not clean")
            done.append(trial(head, minutes))
            store.append_line(record, done[-1])
    if not done:
        raise say.Stop("no run of this commit is recorded: --runs 50 makes some")
    summary = {"runs": len(done), "red": sum(row["status"] == 1 for row in done), "known": sum(row["status"] == 4 for row in done),
               "could_not_run": sum(row["status"] not in (0, 1, 4) for row in done), "unstable": sum(row["unstable"] for row in done),
               "programs": sum(row["programs"] for row in done), "seconds": round(sum(row["seconds"] for row in done))}
    if as_json:
        click.echo(json.dumps(summary | {"trials": done}, indent=1))
    else:
        click.echo("{runs} runs on an unchanged tree: {red} red, {known} known failures only, {could_not_run} could not run; {unstable} unstable "
                   "inputs, {programs:,} programs, {seconds:,} s".format(**summary))
    return 0 if all(row["status"] == 0 for row in done) else 1


def changed(record):
    """Whether the tree differs from its commit by more than what is recorded here."""
    lines = commands.run([*touched.GIT, "status", "--porcelain", "--untracked-files=all"])[1].splitlines()
    return [line for line in lines if line[3:] != shown(record.absolute())]


def trial(head, minutes):
    words = ["fuzz", "--ci", *TARGETS, "--minutes", f"{minutes:g}", "--base", head]
    start = time.monotonic()
    report = OUT / "ci" / "ci.json"
    report.unlink(missing_ok=True)
    status, output = commands.run([ROOT / "scripts" / "iobuf", *words, "--results", OUT], check=False, log=OUT / "log")
    took = time.monotonic() - start
    if status == 2 or not report.is_file():
        raise say.Stop(f"fuzz --ci wrote no report, {commands.ended(status)}: {output.strip()[-500:]}")
    found = json.loads(report.read_text())
    states = [failure["state"] for failure in found["failures"]]
    programs = [step["note"].split()[0] for step in found["steps"] if step["note"].endswith(" programs")]
    return machine.stamp(f"scripts/iobuf ci-trials --minutes {minutes:g}") | {
        "kind": "ci-trial", "commit": head[:12], "base": head, "minutes": minutes, "status": status, "seconds": round(took, 1),
        "programs": sum(int(number.replace(",", "")) for number in programs), "kept": sum(map(len, found["kept"].values())),
        "canary_s": {step["name"].split()[1]: step["seconds"] for step in found["steps"] if step["name"].startswith("canary ")},
        "new": states.count("new"), "known": states.count("known"), "unstable": states.count("unstable"), "errors": found["errors"]}


def read(path):
    rows = []
    try:
        lines = path.read_text().splitlines() if path.exists() else []
    except UnicodeDecodeError:
        raise say.Stop(f"{shown(path)} is not text: move it away") from None
    for number, text in enumerate(lines, 1):
        try:
            row = json.loads(text)
            if row["schema"] != 1 or row["kind"] != "ci-trial" or not all(isinstance(row[name], int) for name in ("status", "programs", "unstable")):
                raise ValueError
            rows.append(row | {"base": str(row["base"]), "minutes": float(row["minutes"]), "seconds": float(row["seconds"])})
        except (ValueError, KeyError, TypeError):
            raise say.Stop(f"{shown(path)}:{number} is no run: take the line out") from None
    return rows
