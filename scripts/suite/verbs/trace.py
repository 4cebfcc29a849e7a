"""iobuf trace: records what a program takes from malloc or from iobuf, and looks at, converts and cuts traces."""
import os
import pathlib
import signal
import subprocess

import click

from suite import build, command as commands, options, say
from suite.paths import BUILD, shown

LARGEST = 1 << 30  # TRACE_LARGEST in bench/trace/trace.h
LEAST = 256  # of malloc, where it is not given
PRESET = "release"
PATIENCE = 2  # seconds


@click.group(short_help="Record a program's buffers; look at, convert and cut traces.")
def command():
    """Record what a program takes from malloc, or from this library, and gives back, and work with such traces.
    bench/trace/FORMAT.md describes them.

    \b
    Examples:
      scripts/iobuf trace record -o nginx.trace -- nginx -g 'daemon off; master_process off;'
      scripts/iobuf trace info nginx.trace                  how many, how large, how long, is it whole?
      scripts/iobuf trace cut nginx.trace small.trace --events 100000
      scripts/iobuf trace text nginx.trace | less
      scripts/iobuf trace binary edited.txt edited.trace

    Exit status: 0 fine, 1 found something, 2 wrong usage, 3 could not run.
    """


def program():
    """What looks at a trace takes no time: only a first build is worth a line."""
    quiet = say.quiet
    say.quiet = quiet or (BUILD / PRESET / "bench/iobuf_trace").is_file()
    try:
        build.ensure(PRESET, ["iobuf_trace"])
    finally:
        say.quiet = quiet
    return build.program(PRESET, "bench/iobuf_trace")


def call(*args):
    """iobuf_trace with the terminal's own output, of which there may be much; its one line of complaint as the suite's."""
    line = [str(arg) for arg in (program(), *args)]
    say.command(line)
    try:
        done = subprocess.run(line, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
    except FileNotFoundError:
        raise commands.missing(line[0]) from None
    for text in done.stderr.splitlines():
        say.error(text.removeprefix("iobuf_trace: "))
    if done.returncode == -signal.SIGPIPE:
        return 0  # whoever reads has read enough
    if done.returncode < 0:
        raise say.Stop(f"iobuf_trace {commands.ended(done.returncode)}")
    return done.returncode


FILE = click.argument("file", type=click.Path(path_type=pathlib.Path, exists=True, dir_okay=False))


# ---- record


@command.command(short_help="Run a program and record its malloc.", context_settings={"ignore_unknown_options": True})
@click.option("-o", "--output", type=click.Path(path_type=pathlib.Path, dir_okay=False), default="iobuf.trace", show_default=True,
              help="Where the trace goes; a child that the program forks writes OUTPUT.PID.")
@click.option("--iobuf", "traced", is_flag=True, help="Record iobuf's slices instead: PROGRAM is linked with iobuf_traced.")
@click.option("--min", "least", type=click.IntRange(0, LARGEST), show_default=f"{LEAST}, with --iobuf 0", help="Least size to record, in bytes.")
@click.option("--max", "most", type=click.IntRange(0, LARGEST), default=LARGEST, show_default=True, help="Largest size to record, in bytes.")
@click.option("--limit", type=click.IntRange(min=1), help="Stop recording after so many events; the program goes on.")
@click.option("--no-sites", is_flag=True, help="Leave out which code allocated.")
@click.argument("program_line", metavar="-- PROGRAM [ARGS]...", nargs=-1, required=True, type=click.UNPROCESSED)
@options.verbose
def record(output, traced, least, most, limit, no_sites, program_line):
    """Run PROGRAM with a recorder in front of its malloc. A server is recorded until it ends: Ctrl-C ends it as without the
    recorder. If it is killed, what each thread did last (100 ms of it, or 16 KiB) is missing, and the rest can be read.

    \b
    A program whose malloc is recorded must not be linked statically, nor run with more rights than its
    caller's (setuid). One that is linked with iobuf_traced (bench/trace/GUIDE.md says how) is recorded with
    --iobuf, which leaves malloc alone; without, both are recorded, and the second recorder to write
    something writes OUTPUT.PID. A server's workers must be allowed to write in the folder of OUTPUT.

    \b
    Examples:
      scripts/iobuf trace record -- sort big.txt
      scripts/iobuf trace record -o redis.trace --min 1024 --limit 1000000 -- redis-server --port 7000
      scripts/iobuf trace record -o mine.trace --iobuf -- ./my-server

    Exit status: 0 recorded, whatever the program's own status, 2 wrong usage, 3 there is no trace.
    """
    least = (0 if traced else LEAST) if least is None else least
    if least > most:
        raise click.UsageError(f"--min {least} is above --max {most}: nothing would be recorded")
    if not output.absolute().parent.is_dir():
        raise click.UsageError(f"{shown(output.absolute().parent)} is no folder: --output cannot be written")
    build.ensure(PRESET, ["iobuf_trace"] if traced else ["iobuf_trace", "iobuf_record"])
    environment = {"IOBUF_TRACE": str(output.absolute()), "IOBUF_TRACE_MIN": str(least), "IOBUF_TRACE_MAX": str(most),
                   "IOBUF_TRACE_LIMIT": str(limit or ""), "IOBUF_TRACE_SITES": "0" if no_sites else "1"}
    if not traced:
        recorder = str(build.program(PRESET, "bench/iobuf_record.so"))
        environment["LD_PRELOAD"] = ":".join(filter(None, [recorder, os.environ.get("LD_PRELOAD")]))
    output.unlink(missing_ok=True)
    older = of_children(output)
    status = run(program_line, environment)
    if status != 0:
        say.line(f"{program_line[0]} {commands.ended(status)}")
    written = ([output] if output.is_file() else []) + sorted(of_children(output) - older)
    if not written:
        raise say.Stop(f"{program_line[0]} left no trace: it took nothing of {least} to {most} bytes, "
                       f"it is {'not linked with iobuf_traced' if traced else 'linked statically'}, or the recorder could not write")
    for path in written:
        say.line(f"{shown(path)}: {path.stat().st_size:,} bytes")
    return 0


def of_children(output):
    return set(output.absolute().parent.glob(f"{output.name}.[0-9]*"))


def run(line, environment):
    """Its input, output and signals are the caller's own."""
    say.command(line, environment)
    try:
        process = subprocess.Popen(line, env=os.environ | environment)
    except OSError as error:
        raise say.Stop(f"{line[0]} cannot be run: {error.strerror}") from None
    try:
        return process.wait()
    except KeyboardInterrupt:  # a terminal sends it to the program as well, and some programs take a second signal for impatience
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.terminate()
            return process.wait()


# ---- info, text, binary, cut


@command.command(short_help="What is in a trace, and whether it is whole.")
@FILE
@options.as_json
@options.verbose
def info(file, as_json):
    """Count what is in FILE: events, threads, sizes, the most that lived at once, what was released by another thread.

    \b
    Examples:
      scripts/iobuf trace info iobuf.trace
      scripts/iobuf trace info iobuf.trace --json | jq .live_bytes_peak

    Exit status: 0 fine, 1 it is damaged or contradicts itself, 2 wrong usage, 3 it cannot be read.
    """
    return call("info", *(["--json"] if as_json else []), file)


@command.command(short_help="As text, to standard output.")
@FILE
@options.verbose
def text(file):
    """Print FILE as text, one event a line, in the order of their times.

    \b
    Examples:
      scripts/iobuf trace text iobuf.trace | head

    Exit status: 0 fine, 1 a part of it is lost, 2 wrong usage, 3 could not run.
    """
    return call("text", file)


@command.command(short_help="Text as binary.")
@FILE
@click.argument("out", type=click.Path(path_type=pathlib.Path, dir_okay=False))
@options.verbose
def binary(file, out):
    """Write FILE, usually text, as the binary OUT.

    \b
    Examples:
      scripts/iobuf trace binary edited.txt edited.trace

    Exit status: 0 fine, 1 it is damaged or contradicts itself, 2 wrong usage, 3 could not run.
    """
    return call("binary", file, out)


@command.command(short_help="A piece of a trace that stands for itself.")
@FILE
@click.argument("out", type=click.Path(path_type=pathlib.Path, dir_okay=False))
@click.option("--events", type=click.IntRange(min=1), required=True, help="How many.")
@click.option("--from", "first", type=click.IntRange(min=0), default=0, show_default=True, help="How many to leave out before them.")
@options.verbose
def cut(file, out, events, first):
    """Write some EVENTS of FILE to OUT. What lives when they begin is allocated in front of them, in the size that it has then.

    \b
    Examples:
      scripts/iobuf trace cut nginx.trace small.trace --events 100000 --from 20000

    Exit status: 0 fine, 1 it is damaged or contradicts itself, 2 wrong usage, 3 could not run.
    """
    return call("cut", file, out, "--events", events, "--from", first)


for part in (record, info, text, binary, cut):
    command.add_command(part)
