"""iobuf coverage: which lines and branches of the library the corpus reaches, and which it does not, by llvm-cov."""
import collections
import json
import pathlib
import shutil

import click

from suite import build, command as commands, machine, options, reach, say, store
from suite.paths import BUILD, ROOT, TARGETS, corpus, shown

BUILDS = {"plain": "coverage", "checked": "coverage-checked"}  # the library as shipped, and what only checked builds have
KINDS = ("lines", "branches")
SOURCES = (ROOT / "lib" / "src", ROOT / "lib" / "include")


@click.command(short_help="Which lines and branches of the library the corpus reaches.")
@click.option("--unreachable", type=click.Path(path_type=pathlib.Path, exists=True, dir_okay=False), default=reach.LIST,
              show_default="fuzz/unreachable.json", help="The list of places that no program can reach.")
@options.results
@options.as_json
@options.verbose
def command(unreachable, results, as_json):
    """Replay the corpus, and nothing else, on an instrumented library, as shipped and checked. Every line and both sides of every branch
    of lib/ must be reached in each of the two, or be named in a list with the reason why no program can; what is named and reached, or
    not there any more, is wrong as well. The source with its counts goes to results/latest/coverage/, a folder for each build.

    \b
    Examples:
      scripts/iobuf coverage
      scripts/iobuf coverage --json | jq .wrong

    Exit status: 0 all is reached or named, 1 not so or a check failed, 2 wrong usage, 3 could not run.
    """
    found = measure(unreachable, results / "coverage")
    store.write_json(results / "coverage.json", machine.stamp("scripts/iobuf coverage") | {"kind": "coverage"} | found)
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        show(found)
        click.echo(f"source with counts: {', '.join(shown(results / 'coverage' / name / 'index.html') for name in BUILDS)}")
    return 1 if found["wrong"] else 0


def measure(unreachable=reach.LIST, html=None):
    entries = reach.read(unreachable)
    found = replayed(html=html)
    wrong, named = reach.judge(found, entries)
    builds = {name: tally(places, named[name]) for name, places in found.items()}
    return {"wrong": wrong, "entries": len(entries), "builds": builds,
            "not_named": [place.entry() | {"build": name} for name, places in found.items()
                          for place, (count, _) in places.items() if not count and place not in named[name]]}


def tally(places, named):
    """How many are reached, there, and named: of all, and of each file."""
    def nothing():
        return {kind: {"reached": 0, "of": 0, "named": 0} for kind in KINDS}
    total, files = nothing(), collections.defaultdict(nothing)
    for place, (count, _) in places.items():
        for counts in (total, files[place.file]):
            counts = counts["branches" if place.side else "lines"]
            counts["reached"] += bool(count)
            counts["of"] += 1
            counts["named"] += place in named
    return total | {"files": [{"file": file} | counts for file, counts in sorted(files.items())]}


def reached(without=None):
    """The places, as text, of the lines and branches of the library that the corpus reaches without the seeds named, by target."""
    found = {"lines": set(), "branches": set()}
    for name, places in replayed(without).items():
        for place, (count, number) in places.items():
            if count:
                found["branches" if place.side else "lines"].add(f"{name}, line {number}: {place}")
    return found


def replayed(without=None, html=None):
    """{build: {Place: (count, line)}} of a replay of the corpus; and llvm-cov's pages in the folder `html`."""
    return reach.counted({name: replayed_in(name, preset, without, html and html / name) for name, preset in BUILDS.items()})


def replayed_in(name, preset, without, html):
    build.ensure(preset, ["replay"])
    replay = build.program(preset, "fuzz/replay")
    profiles = BUILD / preset / "profiles"
    shutil.rmtree(profiles, ignore_errors=True)
    with say.Steps(f"replay the corpus ({preset})", len(TARGETS)) as steps:
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
                      replay, *SOURCES])
    exported = commands.run(["llvm-cov", "export", "-format=text", "-skip-expansions", f"-instr-profile={merged}", replay])[1]
    found = reach.places(exported, int(name == "checked"))
    if not found[0]:
        raise say.Stop("llvm-cov found no line of the library")
    return found


def show(found):
    for name, of_build in found["builds"].items():
        say.table(f"{name} build: what the corpus reaches",
                  ["file", ">lines", ">of", ">named", ">branches", ">of", ">named"],
                  [[row["file"], *(row[kind][word] for kind in KINDS for word in ("reached", "of", "named"))] for row in of_build["files"]])
        click.echo(", ".join(f"{100 * counts['reached'] / counts['of']:.1f} % of {counts['of']} {kind}, "
                             f"{100 * counts['reached'] / (counts['of'] - counts['named']):.1f} % without the {counts['named']} named"
                             for kind, counts in ((kind, of_build[kind]) for kind in KINDS)))
    for text in found["wrong"]:
        click.echo(text)
    click.echo(f"{found['entries']} places named, {len(found['wrong'])} mistakes")
