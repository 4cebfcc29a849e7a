"""iobuf soak: frame servers and their clients on loopback, for as long as is asked for, each byte compared."""
import json
import os
import signal
import subprocess
import time

import click

from suite import build, command as commands, machine, options, say, store
from suite.paths import BUILD, RESULTS, ROOT, shown
from suite.verbs.fuzz import undisturbed

PROGRAM = "lib/test/soak/iobuf_soak"
PHASES = 6  # of one round: lib/test/soak/main.c
# What each round has to bring about, or the soak is not what it says.
HAPPENS = ("reset", "abandoned", "oversize", "half_closed", "audited", "passed", "wrapped", "joined", "short_writes", "starved", "refused")
# So that what each thread would keep of freed chunks does not count as in use, and the heap's size is exact.
EXACT_HEAP = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}


@click.command(short_help="Servers and clients that are slow and get killed, every byte compared.")
@click.option("--seconds", type=click.IntRange(min=1), help="How long; 60, if nothing else is said.")
@click.option("--minutes", type=click.IntRange(min=1), help="The same in minutes.")
@click.option("--connections", type=click.IntRange(min=1), help="Stop after so many connections: what is done does not depend on speed.")
@click.option("--per-phase", type=click.IntRange(min=1), default=300, show_default=True, help="Connections until the next look at memory.")
@click.option("--servers", type=click.IntRange(1, 16), default=3, show_default=True, help="Threads with a server each.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Of frames and tempers; by default a new one.")
@click.option("--preset", default="release", show_default=True, help="Which build: release, asan, tsan, checked, ...")
@click.option("--record", is_flag=True, help="Also append the result to results/soak.jsonl.")
@options.results
@options.as_json
@options.verbose
def command(seconds, minutes, connections, per_phase, servers, seed, preset, record, results, as_json):
    """Run frame servers (lib/example) on several threads, and clients that compare each byte of the answers, read late and a few
    bytes at a time, end half-way, are reset, and send nonsense; with the pool at its limit, and without memory.

    \b
    Each few hundred connections everything comes to rest, and then all bufs must be back in the pool, its
    bookkeeping and the process no larger than before, no descriptor open; at the end the backing has all back.
    Ctrl-C ends it behind the connections that are under way; the summary is that of a run that short.

    \b
    Examples:
      scripts/iobuf soak                                 a minute
      scripts/iobuf soak --minutes 30 --record           what is done each night, kept in results/soak.jsonl
      scripts/iobuf soak --connections 900 --preset tsan

    Exit status: 0 fine, 1 something is wrong, 2 wrong usage, 3 could not run.
    """
    build.check_preset(preset)
    if seconds and minutes:
        raise click.UsageError("--seconds or --minutes, not both")
    seconds = minutes * 60 if minutes else seconds or (None if connections else 60)
    seed = int.from_bytes(os.urandom(4), "big") if seed is None else seed
    build.ensure(preset, ["iobuf_soak"])
    args = [word for name, value in (("seconds", seconds), ("connections", connections), ("per-phase", per_phase), ("servers", servers),
                                     ("seed", seed)) if value is not None for word in (f"--{name}", str(value))]
    summary = machine.stamp(" ".join(["scripts/iobuf soak", *args, *(["--preset", preset] if preset != "release" else [])])) | {
        "kind": "soak", "build": build.compiler(preset), "seed": seed} | soak([build.program(preset, PROGRAM), *args], seconds, connections)
    store.write_json(results / "soak.json", summary)
    if record:
        store.append_line(RESULTS / "soak.jsonl", summary)
    if as_json:
        click.echo(json.dumps(summary, indent=1))
    else:
        show(summary)
    return 1 if summary["failed"] else 0


def soak(line, seconds, connections):
    """Runs the program to its end; on Ctrl-C to the end that it then makes."""
    log = BUILD / "soak" / "stderr.log"
    found = {"interrupted": False, "failed": None}
    last, resting, start = {}, [], time.monotonic()
    say.command(line, EXACT_HEAP)
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as err, say.Steps("soak", connections or seconds) as steps:
        process = subprocess.Popen(line, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, text=True,
                                   env=os.environ | EXACT_HEAP, start_new_session=True)

        def follow():
            for text in process.stdout:
                said = json.loads(text)
                if "failed" in said:
                    found["failed"] = said["failed"]
                    continue
                last.update(said)
                if "phase" in said:
                    resting.append((said["heap"], said["rss"]))
                    done = said["connections"] if connections else time.monotonic() - start
                    steps.at(min(done, connections or seconds), note(said))
            return process.wait()

        try:
            status = follow()
        except KeyboardInterrupt:
            found["interrupted"] = True
            say.line("interrupted: the connections under way come to their end")
            with undisturbed():
                process.send_signal(signal.SIGINT)
                status = follow()
        except BaseException:
            commands.stop_group(process, signal.SIGKILL)
            process.wait()
            raise
    return verdict(status, last, resting, found, log)


def verdict(status, last, resting, found, log):
    if status == 2:
        raise say.Stop(f"iobuf_soak did not take its options: {log.read_text().strip()}")
    if status == -signal.SIGINT and found["interrupted"]:  # before it could say anything
        status = 0
    if status != 0 and found["failed"] is None:
        reason = next((text for text in log.read_text(errors="replace").splitlines() if "ERROR" in text or "WARNING" in text or "iobuf:" in text), "")
        found["failed"] = f"it ended by itself, {commands.ended(status)}; {shown(log)}: {reason.strip()}"
    counts = {key: value for key, value in last.items() if key not in ("summary", "phase", "heap", "rss")}
    if found["failed"] is None and counts.get("phases", 0) >= PHASES and not found["interrupted"]:
        missing = [name for name in HAPPENS if counts[name] == 0]
        if missing:
            found["failed"] = f"this never happened, so that nothing was tested by it: {', '.join(missing)}"
    for name, sizes in zip(("heap", "rss"), zip(*resting)):
        counts |= {f"{name}_warm": max(sizes[:2 * PHASES]), f"{name}_most": max(sizes), f"{name}_end": sizes[-1]}
    return found | counts


def note(said):
    return f"{said['phase']}: {said['connections']:,} connections, {said['killed']:,} killed, {said['bytes'] / 2**20:,.0f} MiB compared"


def show(summary):
    if "heap_end" in summary:
        rows = (
            ("connections", "connections"), ("of them killed", "killed"), ("ended half-way by the client", "half_closed"),
             ("frames answered", "frames"), ("bytes compared", "bytes"), ("frames compared on another thread", "audited"),
             ("slices released on another thread", "passed"), ("answers joined to the one before", "joined"),
             ("short writes", "short_writes"), ("times that reading stopped for want of memory", "starved"),
             ("allocations refused", "refused"), ("connections dropped for want of memory", "shed"))
        say.table(f"{summary['phases']} phases in {summary['seconds']:.0f} s", ["what", ">count"],
                  [[text, f"{summary[key]:,}"] for text, key in rows])
        for name, text in (("heap", "not freed"), ("rss", "resident")):
            warm, most, last = (summary[f"{name}_{when}"] / 2**10 for when in ("warm", "most", "end"))
            click.echo(f"memory {text}, KiB: {warm:,.0f} when it was warm, {most:,.0f} at most, {last:,.0f} at the end")
    if summary["failed"]:
        click.echo(f"FAILED: {summary['failed']}")
        click.echo(f"again, as far as threads allow: {summary['command']}")
    else:
        click.echo("every byte was right, and all memory came back" + (" (interrupted)" if summary["interrupted"] else ""))
