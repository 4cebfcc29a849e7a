"""iobuf prove: proves the arithmetic of slices, coalescing and allocators with Frama-C."""
import collections
import json
import pathlib

import click

from suite import machine, options, proof, say, store
from suite.paths import ROOT


@click.command(short_help="Prove the library's arithmetic, by Frama-C and two provers.")
@click.argument("names", nargs=-1, metavar="[FUNCTION]...")
@click.option("--lib", type=click.Path(path_type=pathlib.Path, exists=True, file_okay=False), default=ROOT / "lib", show_default="lib",
              help="Another copy of the library, with a change.")
@click.option("--unproved", type=click.Path(path_type=pathlib.Path, exists=True, dir_okay=False), default=proof.LIST,
              show_default="lib/proof/unproved.json", help="The list of what is not proved.")
@click.option("--file", "files", multiple=True, type=click.Choice([proof.name_of(unit) for unit in proof.UNITS]),
              help="Only the functions of this file. May be given again.")
@options.results
@options.as_json
@options.verbose
def command(names, lib, unproved, files, results, as_json):
    """Prove that no sum wraps, that nothing out of bounds is reached and that on an error nothing changes, in the functions of
    slice.c, coalesce.c, allocator.c and iobuf.h, or in the FUNCTIONs named, for all arguments that the contracts in lib/proof allow. What
    is not proved must be in a list with the reason; what is there and proved is wrong as well. Provers are limited in steps, not in
    time. Frama-C's words are in build/proof.

    \b
    Examples:
      scripts/iobuf prove
      scripts/iobuf prove iobuf_slice_split join
      scripts/iobuf prove --file slice.c
      scripts/iobuf prove --json | jq .wrong

    Exit status: 0 proved, or named; 1 not so; 2 wrong usage; 3 could not run.
    """
    there = {name for _, name in proof.functions(lib, proof.of_files(files))}
    unknown = [name for name in names if name not in there]
    if unknown:
        raise click.UsageError(f"no function is called {unknown[0]!r} in what is proved: {', '.join(sorted(there))}")
    found = measure(names, lib.absolute(), unproved, files)
    if not names and not files and lib == ROOT / "lib":
        store.write_json(results / "proof.json", machine.stamp("scripts/iobuf prove") | {"kind": "proof"} | found)
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        show(found)
    return 1 if found["wrong"] else 0


def measure(names=(), lib=ROOT / "lib", unproved=proof.LIST, files=()):
    of = proof.of_files(files)
    entries = {entry: why for entry, why in proof.read(unproved).items() if entry[0] in of or not files}
    tools = proof.versions()
    found = proof.prove(set(names) or None, lib, entries, of)
    rows = []
    for (unit, function), goals in found.items():
        by = collections.Counter(prover for prover in goals.values() if prover)
        rows.append({"file": proof.UNITS[unit].file, "function": function, "goals": len(goals), "proved": sum(by.values()), "by": dict(by)})
    return {"wrong": proof.judge(found, entries, set(names) or None), "goals": sum(row["goals"] for row in rows),
            "proved": sum(row["proved"] for row in rows), "named": len(entries), "tools": tools, "functions": rows}


def show(found):
    say.table("what is proved", ["file", "function", ">goals", ">proved", ">Qed", ">Z3", ">CVC4"],
              [[row["file"], row["function"], row["goals"] or "-", row["proved"] or "-", *(row["by"].get(name, 0) or "-" for name in ("Qed", "Z3", "CVC4"))]
               for row in found["functions"]])
    for text in found["wrong"]:
        click.echo(text)
    click.echo(f"{found['proved']} of {found['goals']} goals proved, {found['named']} places named, {len(found['wrong'])} mistakes")
