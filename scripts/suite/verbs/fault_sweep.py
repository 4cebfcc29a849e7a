"""iobuf fault-sweep: every allocation of every program of the corpus fails in turn, all checks on."""
import hashlib
import json
import pathlib
import re

import click

from suite import build, command as commands, options, say, store
from suite.paths import BUILD, ROOT, TARGETS, corpus, shown

FAILED = BUILD / "fuzz" / "failures"
# How lib/src asks for memory. check.c's tables are not among them: without those a checked build cannot go on, so none is to fail.
ASKS = re.compile(r"\b(?:calloc|malloc|posix_memalign|aligned_alloc|[>.]allocate|backing\.allocate)\s*\(")
LIBRARY = "/lib/src/"


@click.command(name="fault-sweep", short_help="Fail every allocation of the corpus in turn, with all checks.")
@click.argument("target", required=False, metavar="[TARGET]")
@click.argument("files", nargs=-1, type=click.Path(path_type=pathlib.Path))
@click.option("--preset", default="checked", show_default=True, help="Which build runs: checked, asan, debug, ...")
@options.as_json
@options.verbose
def command(target, files, preset, as_json):
    """For each allocation that each of TARGET's FILES makes (default: its corpus; without TARGET: every target's), run the program
    with that one failing, and once more with all after it failing too; then tell from which places in lib/src memory was refused.

    \b
    A place is a call stack within lib/src that asks for memory. One that no fault reached is named, and so
    is a line of lib/src that asks for memory and was never come to. A fault is an op (`fail_alloc 3 once`),
    so a failure is a program like any other: it is kept in build/fuzz/failures.

    \b
    Examples:
      scripts/iobuf fault-sweep
      scripts/iobuf fault-sweep reader --preset asan
      scripts/iobuf fault-sweep --json | jq .not_reached

    Exit status: 0 all reached and no check failed, 1 not so, 2 wrong usage, 3 could not run.
    """
    if target is not None and target not in TARGETS:
        raise click.UsageError(f"no target is called {target!r}: there are {', '.join(TARGETS)}")
    build.check_preset(preset)
    for path in files:
        if not path.exists():
            raise say.Stop(f"{path}: there is no such file")
    found = measure([target] if target else TARGETS, files, preset)
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        show(found)
    return 0 if not found["failed"] and not found["not_reached"] else 1


def measure(targets=TARGETS, files=(), preset="checked"):
    build.ensure(preset, ["replay"])
    replay = build.program(preset, "fuzz/replay")
    return sweep(replay, {target: files or corpus(target) for target in targets})


def sweep(replay, inputs):
    """`inputs`: a target's files and folders."""
    stacks, failed, programs, points = {}, [], 0, 0
    with say.Steps("fail every allocation in turn", len(inputs)) as steps:
        for at, (target, paths) in enumerate(inputs.items()):
            steps.at(at, target)
            status, output = commands.run([replay, target, "--fault-sweep", *paths], check=False)
            if status == 1 or status < 0:
                failed.append({"target": target, "file": shown(keep(target, output)), "output": output})
                continue
            if status != 0:
                raise say.Stop(output.strip().splitlines()[-1].removeprefix("replay: "))
            programs += int(re.search(r"^(\d+) programs", output, re.M)[1])
            points += int(re.search(r"(\d+) allocations", output)[1])
            for word, places in re.findall(r"^(refused|met) (.+)$", output, re.M):
                key = tuple(places.split())
                stacks[key] = stacks.get(key, False) or word == "refused"
    places = in_library(replay, stacks)
    lines = asking_lines()
    come_to = {place[0].split(" ")[1] for place in places if place}
    never = sorted(set(lines) - come_to)
    refused = sum(places.values())
    return {"programs": programs, "allocations": points, "places": len(places), "refused": refused,
            "lines": len(lines), "lines_refused": len({place[0].split(" ")[1] for place, was in places.items() if was} & set(lines)),
            "not_reached": [" < ".join(place) for place, was in sorted(places.items()) if not was]
            + [f"{line}: the corpus never comes to it: {lines[line]}" for line in never],
            "stacks": [" < ".join(place) for place in sorted(places)], "failed": failed}


def keep(target, output):
    """The program that failed, with its fault: it replays like any other."""
    program = output[output.rindex("iobuf-program"):] if "iobuf-program" in output else output
    program = "\n".join(text for text in program.splitlines() if not text.startswith("in ")) + "\n"
    copy = FAILED / target / f"fault-sweep-{hashlib.sha256(program.encode()).hexdigest()[:12]}"
    store.write(copy, program)
    return copy


def in_library(replay, stacks):
    """The stacks as "function file:line" of lib/src, inlined calls included; True where memory was refused."""
    places = sorted({place for stack in stacks for place in stack})
    if not places:
        return {}
    # A return address is behind its call.
    asked = [hex(int(place, 16) - 1) for place in places]
    output = commands.run(["addr2line", "-a", "-f", "-i", "-e", replay, *asked])[1]
    frames, at = {}, None
    words = output.splitlines()
    for index, text in enumerate(words):
        if re.fullmatch(r"0x[0-9a-f]+", text):
            at = frames.setdefault(int(text, 16) + 1, [])
        elif index + 1 < len(words) and at is not None and re.search(r":(\d+|\?)", words[index + 1]) and ":" not in text:
            path, line = words[index + 1].split(" ")[0].rsplit(":", 1)
            if LIBRARY in path:
                at.append(f"{text} lib/src/{path.rsplit('/', 1)[1]}:{line}")
    named = {}
    for stack, refused in stacks.items():
        of_library = tuple(frame for place in stack for frame in frames.get(int(place, 16), []))
        named[of_library] = named.get(of_library, False) or refused
    named.pop((), None)
    return named


def asking_lines():
    """The lines of lib/src that ask for memory, by the source."""
    lines = {}
    for path in sorted((ROOT / "lib" / "src").glob("*.c")):
        for number, text in enumerate(path.read_text().splitlines(), 1):
            if ASKS.search(text) and not text.lstrip().startswith(("*", "/*")):
                lines[f"{shown(path)}:{number}"] = text.strip()
    return lines


def show(found):
    for stack in found["stacks"]:
        click.echo(" < ".join(frame.split(" ")[0] for frame in stack.split(" < ")))
    for place in found["not_reached"]:
        click.echo(f"not reached: {place}")
    for failure in found["failed"]:
        click.echo(f"FAILED {failure['target']}: {failure['file']}\n{failure['output'].rstrip()}")
    click.echo(f"{found['programs']} programs, {found['allocations']} allocations failed in turn, once and from then on; "
               f"{found['refused']} of {found['places']} call stacks and {found['lines_refused']} of {found['lines']} lines reached")
