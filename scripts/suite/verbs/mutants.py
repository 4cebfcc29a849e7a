"""iobuf mutants: plants bugs in the library, one at a time, and measures which stage finds each, and how soon."""
import concurrent.futures
import fnmatch
import json
import pathlib
import statistics

import click

from suite import build, machine, mutants, mutate, options, say, stages as all_stages, store
from suite.paths import RESULTS

DEFAULT = RESULTS / "mutants.jsonl"


def read_stages(_ctx, _param, value):
    names = [name.strip() for name in value.split(",") if name.strip()]
    unknown = [name for name in names if name not in all_stages.STAGES]
    if unknown or not names:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(all_stages.STAGES)}" if unknown else "there must be one at least")
    return list(dict.fromkeys(names))


@click.command(short_help="Plant bugs in the library: which stage finds each, how soon?")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--kind", type=click.Choice(["curated", "mechanical", "both"]), default="both", show_default=True)
@click.option("--stages", default=",".join(all_stages.STAGES), show_default=True, callback=read_stages, help="What to try, in this order.")
@click.option("--engine", type=click.Choice(["both", "libfuzzer", "afl"]), default="both", show_default=True,
              help="Of the stages that are engines, one or both.")
@click.option("--seconds", type=click.IntRange(min=1), default=60, show_default=True, help="How long an engine looks for one.")
@click.option("--jobs", type=click.IntRange(min=1), help="How many at once; as many as there are processors.")
@click.option("--sample", type=click.IntRange(min=1), default=mutate.SAMPLE, show_default=True,
              help="How many mechanical ones, of all that can be made.")
@click.option("--until-killed", is_flag=True, help="Leave out the stages behind the one that kills.")
@click.option("--again", is_flag=True, help="Measure also what was measured on this version of the library; with --until-killed, what survived.")
@click.option("--list", "list_only", is_flag=True, help="Name the mutants, with their class; build nothing.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=pathlib.Path), default=DEFAULT, show_default="results/mutants.jsonl",
              help="Where a line for each mutant is added.")
@options.as_json
@options.verbose
def command(ids, kind, stages, engine, seconds, jobs, sample, until_killed, again, list_only, output, as_json):
    """Build a library with each bug of fuzz/mutants (or the IDs; * and ? match) and each mechanical one, and try to kill it.

    \b
    Stages: unit, the unit tests; replay, the corpus; libfuzzer and afl, each engine, from those seeds
    that do not show the bug. A crash or a hang kills as a failed check does. The seconds do not count
    building. What was measured on this version of the library is not measured again: Ctrl-C loses
    nothing but the mutants at work.

    \b
    Examples:
      scripts/iobuf mutants                                      all, all stages; takes hours
      scripts/iobuf mutants --kind curated --stages replay       does the corpus show them? minutes
      scripts/iobuf mutants --stages libfuzzer,afl 'coalesce-*'  those, by both engines
      scripts/iobuf mutants --kind mechanical --stages replay,unit --until-killed

    Exit status: 0 each was killed by some stage, 1 some survived (or an equivalent one was killed), 2 wrong usage, 3 could not run.
    """
    stages = [stage for stage in stages if engine == "both" or stage in ("unit", "replay", engine)]
    if not stages:
        raise click.UsageError("--engine leaves none of the --stages")
    chosen = choose(ids, kind, sample)
    if list_only:
        for mutant in chosen:
            click.echo(f"{mutant.id:60} {mutant.kind:10} {mutant.group:18} {mutant.file}")
        return 0
    if not chosen:
        raise click.UsageError("there is no mutant of that kind")
    rows = run(chosen, stages, seconds, jobs or build.cpus(), until_killed, again, output)
    summary = summarize(rows, stages)
    if as_json:
        click.echo(json.dumps(summary | {"mutants": rows}, indent=1))
    else:
        show(rows, summary, stages)
    return 1 if summary["survivors"] or summary["wrongly_equivalent"] else 0


def choose(ids, kind, sample):
    found = mutants.curated() if kind != "mechanical" else []
    found += mutants.mechanical(sample) if kind != "curated" else []
    if not ids:
        return found
    for name in ids:
        if not any(fnmatch.fnmatchcase(mutant.id, name) for mutant in found):
            raise click.UsageError(f"no mutant is called {name!r}: --list names them")
    return [mutant for mutant in found if any(fnmatch.fnmatchcase(mutant.id, name) for name in ids)]


def measured(path, library):
    """The last line of each mutant, of those made on this version of the library."""
    found = {}
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return found
    except UnicodeDecodeError:
        raise say.Stop(f"{path} is not text: move it away, or name another --output") from None
    for number, text in enumerate(lines, 1):
        try:
            row = json.loads(text)
            if row["library"] == library:
                found[row["id"], row["change"]] = row
        except (ValueError, KeyError, TypeError):
            raise say.Stop(f"{path}:{number} is no line of this verb: move the file away, or name another --output") from None
    return found


def run(chosen, stages, seconds, jobs, until_killed, again, output):
    """The rows of all the chosen, those that were measured before among them; those that do not compile are left out."""
    library, commit, arguments = mutants.library(), machine.commit(), mutants.equivalent()
    before = measured(output, library)
    rows, waiting = {}, []
    for mutant in chosen:
        old = before.get((mutant.id, mutant.digest))
        argument = arguments.get(mutant.id)
        if old is None:
            old = {"id": mutant.id, "class": mutant.group, "kind": mutant.kind, "equivalent": argument,
                   **{f"{stage}_s": None for stage in all_stages.STAGES},
                   "commit": commit, "library": library, "change": mutant.digest, "stages": []}
        elif argument and not old["equivalent"]:
            old = old | {"equivalent": argument}
            store.append_line(output, old)
        rows[mutant.id] = old
        same = old["equivalent"] and (mutant.id, mutant.digest) in before  # as known: by its argument, or its code
        if until_killed and is_killed(old) or same and not again:
            continue
        missing = [stage for stage in stages if again or stage not in old["stages"]]
        if missing:
            rows[mutant.id] = old | {"commit": commit}
            waiting.append((mutant, missing))
    if waiting:
        all_stages.prepare(stages, [mutant for mutant, _ in waiting])
    left_out = drive(waiting, rows, jobs, output, merged,
                     lambda mutant, missing, processes: all_stages.measure(mutant, missing, seconds, until_killed, processes))
    if left_out:
        say.line(f"{len(left_out)} do not compile and are left out")
    return [row for name, row in rows.items() if name not in left_out]


def drive(waiting, rows, jobs, output, merge, measure, processes=None):
    """Measures all that wait, some at once, and adds a line for each when it is done. Returns the ids of those that do not compile."""
    processes, left_out, done = processes or mutants.Processes(), set(), 0
    with say.Steps(f"{len(waiting)} mutants", max(1, len(waiting))) as steps, concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        at_work = {pool.submit(measure, mutant, missing, processes): mutant for mutant, missing in waiting}
        try:
            for future in concurrent.futures.as_completed(at_work):
                mutant, done = at_work[future], done + 1
                steps.at(done, mutant.id)
                try:
                    found = future.result()
                except mutants.DoesNotCompile as why:
                    if mutant.kind != "mechanical":
                        raise say.Stop(f"{mutant.id} does not compile:\n{why}") from None
                    left_out.add(mutant.id)
                    continue
                row = rows[mutant.id] = merge(rows[mutant.id], *found)
                store.append_line(output, row)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            processes.stop()
            raise
    return left_out


def merged(row, found, argument):
    new = row | {f"{stage}_s": None if took is None else round(took, 3) for stage, took in found.items()}
    new["stages"] = [stage for stage in all_stages.STAGES if stage in found or stage in row["stages"]]
    return new | ({"equivalent": argument} if argument else {})


def is_killed(row):
    return any(row[f"{stage}_s"] is not None for stage in all_stages.STAGES)


def summarize(rows, stages):
    """Shares and times of each kind and stage, among those that are no equivalents."""
    parts = []
    for kind in ("curated", "mechanical"):
        real = [row for row in rows if row["kind"] == kind and not row["equivalent"]]
        for stage in stages:
            tried = [row for row in real if stage in row["stages"]]
            times = sorted((row[f"{stage}_s"], row["id"]) for row in tried if row[f"{stage}_s"] is not None)
            if tried:
                parts.append({"kind": kind, "stage": stage, "tried": len(tried), "killed": len(times),
                              "share": round(100 * len(times) / len(tried), 1),
                              "median_s": round(statistics.median(took for took, _ in times), 2) if times else None,
                              "slowest_s": times[-1][0] if times else None, "slowest": times[-1][1] if times else None})
    survivors = [row["id"] for row in rows if not row["equivalent"] and row["stages"] and not is_killed(row)]
    return {"parts": parts, "equivalent": [row["id"] for row in rows if row["equivalent"]], "survivors": survivors,
            "wrongly_equivalent": [row["id"] for row in rows if row["equivalent"] and is_killed(row)],
            "survivors_by_stage": {stage: [row["id"] for row in rows if not row["equivalent"] and stage in row["stages"]
                                           and row[f"{stage}_s"] is None] for stage in stages}}


def show(rows, summary, stages):
    def number(value):
        return "" if value is None else f"{value:.2f}"
    say.table("", ["kind", "stage", ">tried", ">killed", ">%", ">median s", ">slowest s", "slowest"],
              [[part["kind"], part["stage"], part["tried"], part["killed"], f"{part['share']:.1f}", number(part["median_s"]),
                number(part["slowest_s"]), part["slowest"] or ""] for part in summary["parts"]])
    for stage in stages:
        of_stage = summary["survivors_by_stage"][stage]
        if of_stage:
            click.echo(f"{stage} did not kill {len(of_stage)}: {', '.join(of_stage)}")
    if summary["wrongly_equivalent"]:
        click.echo(f"listed as equivalent, and killed all the same: {', '.join(summary['wrongly_equivalent'])}")
    click.echo(f"{len(rows)} mutants, {len(summary['equivalent'])} of them equivalent; "
               f"{len(summary['survivors'])} survived every stage that was tried"
               + (f": {', '.join(summary['survivors'])}" if summary["survivors"] else ""))
