"""Runs programs: shows them with -v, keeps their output in a log, and says in one line when one is missing or fails."""
import contextlib
import os
import pathlib
import signal
import subprocess

from suite import say
from suite.paths import ROOT, shown


def missing(program):
    return say.Stop(f"{program} was not found: run scripts/setup")


def run(args, log=None, env=None, check=True, timeout=None):
    """Runs to the end and returns (status, output); the output goes to the file `log` as well. With `check`, any status
    but 0 stops with the last lines of the output."""
    args = [str(arg) for arg in args]
    say.command(args, env)
    try:
        process = subprocess.Popen(args, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, env=os.environ | (env or {}), start_new_session=True)
    except FileNotFoundError:
        raise missing(args[0]) from None
    try:
        output = process.communicate(timeout=timeout)[0].decode(errors="replace")
        status = process.returncode
    except subprocess.TimeoutExpired:
        stop_group(process, signal.SIGKILL)
        output = process.communicate()[0].decode(errors="replace") + f"\nstopped after {timeout} s\n"
        status = -signal.SIGKILL
    except KeyboardInterrupt:
        stop_group(process, signal.SIGKILL)
        raise
    if log:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(output)
    if check and status != 0:
        tail = "\n".join("  " + text for text in output.strip().splitlines()[-15:])
        where = f" (all of it: {shown(log)})" if log else ""
        raise say.Stop(f"{args[0]} failed, {ended(status)}{where}:\n{tail}")
    return status, output


def start(args, log, env=None):
    """Starts a program that goes on in the background, its output in `log`."""
    args = [str(arg) for arg in args]
    say.command(args, env)
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(log, "wb") as output:
            return subprocess.Popen(args, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                    env=os.environ | (env or {}), start_new_session=True)
    except FileNotFoundError:
        raise missing(args[0]) from None


def stop_group(process, number):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def kill_those_with(setting):
    """Ends the processes whose environment has NAME=VALUE, which must name something that only they use."""
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended by itself, or is another user's
            if setting.encode() in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)


def ended(status):
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"
