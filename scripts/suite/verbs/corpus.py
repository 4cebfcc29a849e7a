"""iobuf corpus: what the corpus's upkeep takes. Each sub-command leaves the corpus as it was, or right."""
import importlib.util
import json
import pathlib
import shutil
import tempfile

import click

from suite import archive, build, cases, command as commands, engines, options, programs, say, store
from suite.paths import BUILD, CORPUS, ROOT, TARGETS, shown
from suite.verbs import coverage

BUDGET = 256 << 10  # bytes of all programs, in git
IMPORTED = BUILD / "fuzz" / "imported"
EDGES_ALONE = ("-use_counters=0", "-use_cmp=0")  # of what libFuzzer tells inputs apart by


@click.group(short_help="Merge, prune, check, migrate, import; keep a crash as a case.")
def command():
    """Look after corpus/: the programs that every target begins with, and the cases of bugs found.

    \b
    Examples:
      scripts/iobuf corpus check                            names, duplicates, size
      scripts/iobuf corpus merge                            take in what the engines found
      scripts/iobuf corpus prune --dry-run                  what could go
      scripts/iobuf corpus add-regression CRASH short-read-loses-a-byte
      scripts/iobuf corpus import their-corpus.zip && scripts/iobuf corpus merge
      scripts/iobuf corpus migrate --from HEAD~1            after PROGRAM_VERSION or the op list changed

    The environment's IOBUF_CORPUS names another folder than corpus/.

    Exit status: 0 fine, 1 found something, 2 wrong usage, 3 could not run.
    """


def targets_of(names):
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        raise click.UsageError(f"no target is called {unknown[0]!r}: there are {', '.join(TARGETS)}")
    return list(dict.fromkeys(names)) or list(TARGETS)


# ---- check


@command.command(short_help="Names, duplicates, encodings and size.")
@options.as_json
@options.verbose
def check(as_json):
    """Check that corpus/ is what it should be: shortest encodings without duplicates, named by their content or by a person,
    regressions as text with a comment, and no more than 256 KiB of programs.

    \b
    Examples:
      scripts/iobuf corpus check
      scripts/iobuf corpus check --json | jq .wrong

    Exit status: 0 fine, 1 something is wrong, 2 wrong usage, 3 could not run.
    """
    wrong, size, count = cases.problems(BUDGET)
    if as_json:
        click.echo(json.dumps({"files": count, "bytes": size, "budget": BUDGET, "wrong": wrong}, indent=1))
    else:
        for text in wrong:
            click.echo(text)
        click.echo(f"{count} programs, {size:,} of {BUDGET:,} bytes, {len(wrong) or 'nothing'} wrong")
    return 1 if wrong else 0


# ---- merge


@command.command(short_help="Take in what the engines found.")
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option("--from", "sources", multiple=True, type=click.Path(path_type=pathlib.Path, exists=True, file_okay=False),
              help="Another folder of inputs, for one TARGET; may be given again.")
@click.option("--counts", is_flag=True, help="Also what goes through an edge another number of times, or compares other values: much more.")
@click.option("--dry-run", is_flag=True, help="Say what would be added.")
@options.verbose
def merge(targets, sources, counts, dry_run):
    """Add to corpus/TARGET/seeds what libFuzzer and AFL++ kept in build/fuzz, and what `corpus import` read, as far as it reaches
    edges of the library that the corpus does not; minimised by libFuzzer's -merge=1, each file in its shortest encoding.

    \b
    Examples:
      scripts/iobuf fuzz --seconds 600 && scripts/iobuf corpus merge
      scripts/iobuf corpus merge slice --from /tmp/queue --dry-run

    Exit status: 0 fine, 1 an input fails a check, 2 wrong usage, 3 could not run.
    """
    if sources and len(targets) != 1:
        raise click.UsageError("--from needs one TARGET, whose inputs it holds")
    targets, added, failing = targets_of(targets), 0, 0
    build.ensure("libfuzzer", [f"fuzz_{target}" for target in targets])
    replay = programs.replay_of()
    for target in targets:
        found = [*found_by_engines(target), *sources]
        if not found:
            say.line(f"{target}: nothing was found yet: scripts/iobuf fuzz {target}")
            continue
        for content, clean in merged(replay, target, found, () if counts else EDGES_ALONE):
            failing += not clean
            if clean and not (CORPUS / target / "seeds" / programs.hash_name(content)).exists():
                added += 1
                if not dry_run:
                    cases.add(target, "seeds", programs.hash_name(content), content)
    click.echo(f"{added} programs {'would be ' if dry_run else ''}added" + (f", {failing} fail a check and were left out" if failing else ""))
    return 1 if failing else 0


def found_by_engines(target):
    kept = [kind.kept_programs(target) for kind in engines.ENGINES.values()]
    kept += [path for path in engines.KEPT.glob(f"afl/{target}/out/*/queue")] + [IMPORTED / target]
    return [folder for folder in dict.fromkeys(kept) if folder.is_dir() and any(path.is_file() for path in folder.iterdir())]


def merged(replay, target, found, flags):
    """(content, whether it runs clean) of each program that libFuzzer's merge adds to the target's corpus."""
    with tempfile.TemporaryDirectory() as work:
        old = pathlib.Path(work) / "corpus"
        old.mkdir()
        for part in ("seeds", "regressions"):
            for path in programs.files(target, part):
                shutil.copyfile(path, old / path.name)
        before = set(old.iterdir())
        with say.step(f"merge {target}"):
            minimise(target, old, found, flags)
        for path in sorted(set(old.iterdir()) - before):
            if programs.can_be_read(replay, target, path):  # begins as text, and is none: the targets take it for an empty program
                yield reencoded(replay, target, path)


def minimise(target, into, found, flags=()):
    program = build.program("libfuzzer", f"fuzz/fuzz_{target}")
    commands.run([program, "-merge=1", f"-timeout={engines.PROGRAM_SECONDS}", *flags, into, *found],
                 log=build.log("libfuzzer", f"merge-{target}"))


def reencoded(replay, target, path):
    """The shortest form, which must do the same."""
    content = programs.shortest(replay, target, path)
    short = path.with_name(path.name + ".short")
    short.write_bytes(content)
    try:
        same = programs.trace(replay, target, path) == programs.trace(replay, target, short)
    except say.Stop as stop:
        say.line(f"{target}: a found input fails: {stop}")
        return content, False
    finally:
        short.unlink()
    if not same:
        raise say.Stop(f"{target}: {path.name} does something else in its shortest encoding: the codec is wrong", 1)
    return content, True


# ---- prune


@command.command(short_help="Drop what reaches nothing of its own, with proof.")
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option("--mutants", "with_mutants", is_flag=True, help="A second proof: replay must kill the same curated mutants. Takes minutes.")
@click.option("--dry-run", is_flag=True, help="Say what would go.")
@options.as_json
@options.verbose
def prune(targets, with_mutants, dry_run, as_json):
    """Drop the seeds of TARGETs (default: all) that add no edge, and no number of times through one, to the rest, as libFuzzer's
    -merge=1 judges. Cases with a name stay. Then llvm-cov measures the corpus with and without them: if a line or a
    branch of lib/src is lost, nothing is dropped.

    \b
    Examples:
      scripts/iobuf corpus prune --dry-run
      scripts/iobuf corpus prune slice reader
      scripts/iobuf corpus prune --mutants

    Exit status: 0 fine, 1 it would lose something and nothing was dropped, 2 wrong usage, 3 could not run.
    """
    targets = targets_of(targets)
    if with_mutants and not importlib.util.find_spec("suite.verbs.mutants"):
        raise click.UsageError("--mutants needs the verb mutants, which this checkout does not have")
    build.ensure("libfuzzer", [f"fuzz_{target}" for target in targets])
    useless = {target: not_needed(target) for target in targets}
    dropped = {target: {path.name for path in paths} for target, paths in useless.items()}
    proof = prove(dropped)
    if with_mutants and not proof["lost"]:
        prove_kills(dropped, proof)
    count = sum(len(paths) for paths in useless.values())
    proof |= {"dropped": {target: [path.name for path in paths] for target, paths in useless.items()}}
    if not proof["lost"] and not dry_run:
        for path in (path for paths in useless.values() for path in paths):
            path.unlink()
    if as_json:
        click.echo(json.dumps(proof, indent=1))
    else:
        for place in proof["lost"]:
            click.echo(f"would be lost: {place}")
        for kind, number in proof.get("killed", {}).items():
            click.echo(f"mutants killed by replay {kind}: {number}")
        done = "kept, all" if proof["lost"] else "would be dropped" if dry_run else "dropped"
        click.echo(f"{count} programs {done}; lines {proof['before']['lines']} -> {proof['after']['lines']}, "
                   f"branches {proof['before']['branches']} -> {proof['after']['branches']} of lib/src")
    return 1 if proof["lost"] else 0


def not_needed(target):
    """Those seeds with no name of their own that a merge onto all others leaves out."""
    nameless = [path for path in programs.files(target, "seeds") if programs.HASH.fullmatch(path.name)]
    with tempfile.TemporaryDirectory() as work:
        kept, rest = pathlib.Path(work) / "kept", pathlib.Path(work) / "rest"
        kept.mkdir()
        rest.mkdir()
        for part in ("seeds", "regressions"):
            for path in programs.files(target, part):
                shutil.copyfile(path, (rest if path in nameless else kept) / path.name)
        with say.step(f"prune {target}"):
            minimise(target, kept, [rest])
        contents = {path.read_bytes() for path in kept.iterdir()}
    return [path for path in nameless if path.read_bytes() not in contents]


def prove(dropped):
    """What of lib/src the corpus reaches with and without the files named in `dropped`, by llvm-cov."""
    before, after = coverage.reached(), coverage.reached(dropped)
    lost = sorted((before["lines"] - after["lines"]) | (before["branches"] - after["branches"]))
    return {"lost": lost, "before": {kind: len(places) for kind, places in before.items()},
            "after": {kind: len(places) for kind, places in after.items()}}


def prove_kills(dropped, proof):
    """Adds which curated mutants a replay of the corpus kills with, and not without, the files named in `dropped`."""
    with tempfile.TemporaryDirectory() as work:
        rest = pathlib.Path(work) / "corpus"
        shutil.copytree(CORPUS, rest, ignore=lambda folder, names: dropped.get(pathlib.Path(folder).parent.name, ())
                        if pathlib.Path(folder).name == "seeds" else ())
        with say.step("mutants, with and without"):
            before, after = killed(CORPUS, work), killed(rest, work)
    proof["killed"] = {"before": len(before), "after": len(after)}
    proof["lost"] += [f"mutant {name}" for name in sorted(before - after)]


def killed(folder, work):
    words = ["mutants", "--kind", "curated", "--stages", "replay", "--again", "--json", "--output", pathlib.Path(work) / "lines"]
    status, output = commands.run([ROOT / "scripts" / "iobuf", *words], env={"IOBUF_CORPUS": str(folder)}, check=False)
    if status not in (0, 1):
        raise say.Stop(f"the mutants could not be run, {commands.ended(status)}:\n{output[-1500:]}")
    return {row["id"] for row in json.loads(output)["mutants"] if row["replay_s"] is not None}


# ---- migrate


@command.command(short_help="Carry the corpus over to a new encoding, through text.")
@click.option("--from", "revision", help="The git revision whose encoding the corpus is in.")
@click.option("--old", type=click.Path(path_type=pathlib.Path, exists=True, dir_okay=False),
              help="A replay program built from it; built from --from if not given.")
@click.option("--dry-run", is_flag=True, help="Say what would change.")
@options.verbose
def migrate(revision, old, dry_run):
    """Re-encode every program of corpus/ when PROGRAM_VERSION, the op list or the codec has changed: the old replay prints it as text,
    the new one reads that and must print the same. If one cannot be carried over, nothing is changed.

    \b
    Examples:
      scripts/iobuf corpus migrate --from HEAD~1
      scripts/iobuf corpus migrate --old ../old/build/release/fuzz/replay --dry-run

    Exit status: 0 fine, 1 some cannot be carried over, 2 wrong usage, 3 could not run.
    """
    if (revision is None) == (old is None):
        raise click.UsageError("either --from REVISION or --old REPLAY is needed")
    old = old or replay_at(revision)
    new, changed, lost = programs.replay_of(), [], []
    every = programs.every()
    with say.Steps(f"migrate {len(every)} programs", len(every)) as steps:
        for at, (target, part, path) in enumerate(every):
            steps.at(at, shown(path))
            try:
                content = cases.carried_over(old, new, target, path)
            except say.Stop as stop:
                lost.append(f"{shown(path)}: {stop}")
                continue
            if content != path.read_bytes():
                changed.append((target, part, path, content))
    for text in lost:
        click.echo(f"cannot be carried over: {text}")
    if lost:
        click.echo(f"{len(lost)} of {len(every)} programs cannot be carried over; nothing was changed")
        return 1
    for target, part, path, content in changed if not dry_run else ():
        name = programs.hash_name(content) if programs.HASH.fullmatch(path.name) else path.name
        if name != path.name:
            path.unlink()
        cases.add(target, part, name, content)
    click.echo(f"{len(changed)} of {len(every)} programs {'would change' if dry_run else 'changed'}")
    return 0


def replay_at(revision):
    """The replay program of a revision, built in a folder of its own."""
    git = ["git", "-c", "safe.directory=*"]
    status, name = commands.run([*git, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}"], check=False)
    if status != 0:
        raise say.Stop(f"git knows no revision {revision!r}", 2)
    place = BUILD / "migrate" / name.strip()
    program = place / "build" / "fuzz" / "replay"
    if not program.is_file():
        with say.step(f"build replay of {revision}"):
            shutil.rmtree(place, ignore_errors=True)
            (place / "source").mkdir(parents=True)
            commands.run([*git, "archive", "-o", place / "source.tar", name.strip()])
            commands.run(["tar", "-xf", place / "source.tar", "-C", place / "source"])
            commands.run(["cmake", "-S", place / "source", "-B", place / "build", "-G", "Ninja", "-DIOBUF_BUILD_BENCH=OFF",
                          "-DIOBUF_BUILD_TESTS=OFF"], log=place / "configure.log")
            commands.run(["cmake", "--build", place / "build", "--target", "replay"], log=place / "build.log")
    return program


# ---- add-regression


@command.command("add-regression", short_help="Keep a crash as a named case.")
@click.argument("crash", type=click.Path(path_type=pathlib.Path))
@click.argument("name")
@click.option("--target", help="Which target's it is, where its path does not tell.")
@click.option("--comment", help="What went wrong, in a line; the check that fails if not given.")
@click.option("--preset", default="checked", show_default=True, help="The build that must fail on it, or at least run it.")
@options.verbose
def add_regression(crash, name, target, comment, preset):
    """Write CRASH, an input or a text program, to corpus/TARGET/regressions/NAME: as text, with a comment that says what it shows.

    \b
    Examples:
      scripts/iobuf corpus add-regression build/fuzz/failures/slice/afl-0123456789ab split-of-a-shared-slice-leaks
      scripts/iobuf corpus add-regression crash-1f2e short-read-repeats-a-byte --target reader --preset asan

    Exit status: 0 it is a case now, 1 there is such a case, 2 wrong usage, 3 could not run.
    """
    build.check_preset(preset)
    programs.name_of_a_person(name)
    content = read_crash(crash)
    target = target or programs.target_of(crash.absolute(), content)
    if target not in TARGETS:
        raise click.UsageError(f"which target is {crash} of? --target {'|'.join(TARGETS)}")
    place = CORPUS / target / "regressions" / name
    if place.exists():
        raise say.Stop(f"{shown(place)} is there already", 1)
    replay = programs.replay_of(preset)
    status, output = commands.run([replay, target, crash], check=False, timeout=engines.PROGRAM_SECONDS)
    failed = cases.failed_check(output)
    if status not in (0, 1) and status >= 0:
        raise say.Stop(output.strip().splitlines()[-1] if output.strip() else f"replay could not run, {commands.ended(status)}")
    seen = failed or (f"fails, {commands.ended(status)}" if status else f"runs clean at {short_commit()}")
    cases.add(target, "regressions", name, cases.with_comment(programs.text(replay, target, crash), content, comment or seen))
    say.line(f"the {preset} build: {seen}")
    click.echo(shown(place))
    return 0


def read_crash(path):
    if path.is_dir():
        raise say.Stop(f"{path} is a folder; name one input")
    content = path.read_bytes()
    if len(content) > archive.FILE_BYTES:
        raise say.Stop(f"{path} has {len(content):,} bytes: that is no program")
    return content


def short_commit():
    status, name = commands.run(["git", "-c", "safe.directory=*", "rev-parse", "--short=12", "HEAD"], check=False)
    return name.strip() if status == 0 else "an unknown commit"


# ---- import


@command.command("import", short_help="Read somebody else's corpus: zip, tar or folder.")
@click.argument("source", type=click.Path(path_type=pathlib.Path), metavar="ARCHIVE")
@click.option("--target", help="Which target's inputs they are, where the folders in it do not tell.")
@click.option("--into", type=click.Path(path_type=pathlib.Path, file_okay=False), default=IMPORTED,
              show_default="build/fuzz/imported", help="Folder for what is read, with one inside for each target.")
@options.as_json
@options.verbose
def import_(source, target, into, as_json):
    """Read the inputs in ARCHIVE, a zip or tar file or a folder, into build/fuzz/imported/TARGET, from where `corpus merge` takes what
    is worth it. Files are named by their content, never by what the archive says; links, devices, names that lead
    outside, and what is too large are left out and named.

    \b
    Examples:
      scripts/iobuf corpus import slice-corpus.zip --target slice
      scripts/iobuf corpus import oss-fuzz.tar.gz && scripts/iobuf corpus merge

    Exit status: 0 fine, 1 something was left out, 2 wrong usage, 3 could not run.
    """
    if target is not None:
        targets_of([target])
    files, left_out = archive.read(source)
    taken = {}
    for name, content in files:
        place = target or programs.target_of(name, content)
        if place is None:
            left_out.append((name, "no target is named by its folders: --target"))
        else:
            taken.setdefault(place, {})[programs.hash_name(content)] = content
    if not taken:
        for name, why in left_out[:10]:
            say.line(f"left out: {name}: {why}")
        raise say.Stop(f"{source} holds no inputs" if not left_out else f"nothing in {source} could be taken; the first: {left_out[0][1]}")
    for place, contents in taken.items():
        for name, content in contents.items():
            store.write_bytes(into / place / name, content)
    counts = {place: len(contents) for place, contents in taken.items()}
    if as_json:
        click.echo(json.dumps({"imported": counts, "left_out": [{"name": name, "why": why} for name, why in left_out]}, indent=1))
    else:
        for name, why in left_out:
            click.echo(f"left out: {name}: {why}")
        click.echo(", ".join(f"{count} inputs to {shown(into / place)}" for place, count in counts.items()))
    return 1 if left_out else 0
