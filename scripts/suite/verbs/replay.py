"""iobuf replay: runs corpus files, or others, once through library and model, comparing everything after each op."""
import pathlib

import click

from suite import build, command as commands, machine, options, say, store
from suite.paths import TARGETS, corpus


@click.command(short_help="Run the corpus, or other inputs, once, with all checks.")
@click.argument("target", required=False, metavar="[TARGET]")
@click.argument("files", nargs=-1, type=click.Path(path_type=pathlib.Path))
@click.option("--print", "as_printed", is_flag=True, help="Print each op with its result.")
@click.option("--text", is_flag=True, help="Print the program as text and do not run it.")
@click.option("--preset", default="release", show_default=True, help="Which build replays: release, asan, msan, tsan, ...")
@options.results
@options.verbose
def command(target, files, as_printed, text, preset, results):
    """Run TARGET's FILES (default: its corpus; without TARGET: every target's) and check everything after each op.

    \b
    Examples:
      scripts/iobuf replay                                    the whole corpus
      scripts/iobuf replay slice --preset asan                one target's, under AddressSanitizer
      scripts/iobuf replay pool build/fuzz/failures/pool/*    inputs that failed
      scripts/iobuf replay slice --text corpus/slice/seeds     its seeds, as programs to read

    Exit status: 0 fine, 1 a check failed, 2 wrong usage, 3 could not run.
    """
    if target is not None and target not in TARGETS:
        raise click.UsageError(f"no target is called {target!r}: there are {', '.join(TARGETS)}")
    build.check_preset(preset)
    for path in files:
        if not path.exists():
            raise say.Stop(f"{path}: there is no such file")
    if target is None and (as_printed or text):
        raise click.UsageError("--print and --text need a target")
    build.ensure(preset, ["replay"])
    if target is None:
        summary = replay(preset)
        store.write_json(results / "replay.json", summary)
        show(summary)
        return 1 if summary["failed"] else 0
    forms = (["--print"] if as_printed else []) + (["--text"] if text else [])
    status, output = run(preset, target, [*forms, *(files or corpus(target))])
    if forms or status != 0:
        click.echo(output, nl=False)
    if status == 1 or status < 0:
        say.error(f"{target}: a check failed, {commands.ended(status)}; the output above names it")
        return 1
    if status != 0:
        raise say.Stop(f"replay could not run, {commands.ended(status)}; the output above says why")
    if not forms:
        click.echo(f"{count(files or corpus(target))} files of {target} replayed by the {preset} build, no check failed")
    return 0


def replay(preset):
    """Every target's corpus; a check that fails is named and the other targets still run."""
    files, failed = 0, []
    with say.Steps(f"replay the corpus ({preset})", len(TARGETS)) as steps:
        for at, target in enumerate(TARGETS):
            steps.at(at, target)
            status, output = run(preset, target, corpus(target))
            files += count(corpus(target))
            if status == 1 or status < 0:
                failed.append(target)
                say.error(f"{target}: a check failed, {commands.ended(status)}:\n{output}")
            elif status != 0:
                raise say.Stop(f"replay could not run, {commands.ended(status)}:\n{output}")
    words = "scripts/iobuf replay" + ("" if preset == "release" else f" --preset {preset}")
    return machine.stamp(words) | {"kind": "replay", "preset": preset, "files": files, "failed": failed}


def show(summary):
    outcome = f"FAILED: {', '.join(summary['failed'])}" if summary["failed"] else "no check failed"
    click.echo(f"{summary['files']} files of the corpus replayed by the {summary['preset']} build, {outcome}")


def run(preset, target, args):
    return commands.run([build.program(preset, "fuzz/replay"), target, *args], check=False)


def count(paths):
    return sum(1 if path.is_file() else sum(inner.is_file() for inner in path.rglob("*")) for path in paths)
