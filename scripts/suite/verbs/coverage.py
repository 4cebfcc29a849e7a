"""iobuf coverage: which lines and branches of the library the corpus reaches, and which it does not, by llvm-cov."""
import json
import re
import shutil

import click

from suite import build, command as commands, options, say
from suite.paths import BUILD, ROOT, TARGETS, corpus, shown

AT_LEAST = 95.0  # percent of the lines of lib/src


@click.command(short_help="Which lines and branches of the library the corpus reaches.")
@options.results
@options.as_json
@options.verbose
def command(results, as_json):
    """Replay the corpus, and nothing else, on an instrumented library; name every line that was not reached, and count the branches.
    The source with its counts goes to results/latest/coverage/index.html.

    \b
    Examples:
      scripts/iobuf coverage
      scripts/iobuf coverage --json | jq '.files[] | {file, missed}'

    Exit status: 0 at least 95 % of the lines of lib/src, 1 less or a check failed, 2 wrong usage, 3 could not run.
    """
    found = measure(results / "coverage")
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        show(found)
        click.echo(f"source with counts: {shown(results / 'coverage' / 'index.html')}")
    return 0 if found["percent"] >= AT_LEAST else 1


def measure(html=None):
    files = sorted((of_file(record) for record in records(replayed(html=html))), key=lambda one: one["file"])
    total = {key: sum(one[key] for one in files) for key in ("reached", "lines", "branches_reached", "branches")}
    return {"percent": round(100 * total["reached"] / total["lines"], 2),
            "branches_percent": round(100 * total["branches_reached"] / max(1, total["branches"]), 2)} | total | {"files": files}


def reached(without=None):
    """The places, as text, of the lines and branches of lib/src that the corpus reaches without the seeds that are named, by target."""
    lines, branches = set(), set()
    for record in records(replayed(without)):
        name = shown(re.search(r"^SF:(.*)", record, re.M)[1])
        lines |= {f"{name}:{line}" for line, count in re.findall(r"^DA:(\d+),(\d+)", record, re.M) if int(count)}
        branches |= {f"{name}:{line}: branch {block}.{branch}"
                     for line, block, branch, count in re.findall(r"^BRDA:(\d+),(\d+),(\d+),(\d+)", record, re.M) if int(count)}
    return {"lines": lines, "branches": branches}


def replayed(without=None, html=None):
    """What llvm-cov says, as lcov, of a replay of the corpus; and as pages in the folder `html`."""
    build.ensure("coverage", ["replay"])
    replay = build.program("coverage", "fuzz/replay")
    profiles = BUILD / "coverage" / "profiles"
    shutil.rmtree(profiles, ignore_errors=True)
    with say.Steps("replay the corpus (coverage)", len(TARGETS)) as steps:
        for at, target in enumerate(TARGETS):
            steps.at(at, target)
            gone = (without or {}).get(target, ())
            inputs = [path for folder in corpus(target) for path in sorted(folder.iterdir()) if folder.name != "seeds" or path.name not in gone]
            status, output = commands.run([replay, target, *inputs], check=False,
                                          env={"LLVM_PROFILE_FILE": str(profiles / f"{target}.profraw")})
            if status != 0:
                raise say.Stop(f"{target}: replay failed, {commands.ended(status)}:\n{output}", 1)
    merged = profiles / "all.profdata"
    commands.run(["llvm-profdata", "merge", "-sparse", *sorted(profiles.glob("*.profraw")), "-o", merged])
    if html:
        commands.run(["llvm-cov", "show", "-format=html", "-show-branches=count", f"-output-dir={html}", f"-instr-profile={merged}",
                      replay, ROOT / "lib" / "src"])
    return commands.run(["llvm-cov", "export", "-format=lcov", f"-instr-profile={merged}", replay, ROOT / "lib" / "src"])[1]


def records(lcov):
    """Of each file of lib/src."""
    found = [record for record in lcov.split("end_of_record\n") if "SF:" in record and re.search(r"^DA:", record, re.M)]
    if not found:
        raise say.Stop("llvm-cov found no line of lib/src")
    return found


def show(found):
    say.table("lines and branches of lib/src that the corpus reaches",
              ["file", ">lines", ">of", ">%", ">branches", ">of", ">%", "lines not reached"],
              [[one["file"], one["reached"], one["lines"], f"{100 * one['reached'] / max(1, one['lines']):.1f}",
                one["branches_reached"], one["branches"], f"{100 * one['branches_reached'] / max(1, one['branches']):.1f}",
                ", ".join(one["missed"])] for one in found["files"]])
    click.echo(f"{found['percent']:.1f} % of {found['lines']} lines, {found['branches_percent']:.1f} % of {found['branches']} branches")


def of_file(record):
    """Of one file: its lines that have code, those reached, and the others as ranges."""
    counts = {int(line): int(count) for line, count in re.findall(r"^DA:(\d+),(\d+)", record, re.M)}
    branches = re.findall(r"^BRDA:(\d+),\d+,\d+,(.*)", record, re.M)
    return {"branches": len(branches), "branches_reached": sum(count not in ("-", "0") for _, count in branches),
            "branches_missed": sorted({int(line) for line, count in branches if count in ("-", "0")}), "file": shown(re.search(r"^SF:(.*)", record, re.M)[1]), "lines": len(counts),
            "reached": sum(1 for count in counts.values() if count), "missed": ranges(line for line in sorted(counts) if not counts[line])}


def ranges(lines):
    found = []
    for line in lines:
        if found and found[-1][1] == line - 1:
            found[-1][1] = line
        else:
            found.append([line, line])
    return [f"{first}" if first == last else f"{first}-{last}" for first, last in found]
