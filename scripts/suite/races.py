"""Races to plant in the library, those of fuzz/interleave/mutants, and the methods that look for them: each runs until it finds the race or
has had its seconds of the processor. Seconds are the processor's, of all threads and processes of the method, so that other work on the
machine is not counted."""
import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from suite import build, command, mutants, say
from suite.paths import ROOT, shown
from suite.stages import AFL_ENV, PROGRAM_SECONDS
from suite.trials import CLOCK, tree_cpu

# Of a class that says for itself why it matters, and what the explorer needs besides.
WEAK = {"class": "weak memory", "matters": "x86 hides it; a processor that lets stores be seen late does not",
        "explore": "--stale 1 --preemptions 1"}
PATCHES = ROOT / "fuzz" / "interleave" / "mutants"
THREADS = 4  # of a stress
PREEMPTIONS, DEPTH = 2, 3  # of all schedules, of PCT
WITHOUT_END = 2**32 - 1
STRESS, EXPLORER, TARGET = "fuzz/stress/iobuf_stress", "fuzz/interleave/iobuf_interleave", "fuzz/interleave/fuzz_interleave"


@dataclasses.dataclass(frozen=True)
class Race(mutants.Mutant):
    matters: str = ""
    explore: tuple = ()  # options that the explorer needs besides, to meet this race at all
    program: str = ""  # the one in all of whose schedules, with PREEMPTIONS of them, it is sought; else all programs

    def plant(self, folder):
        shutil.copytree(mutants.LIB, folder / "lib", dirs_exist_ok=True)
        mutants.apply_patch(PATCHES / f"{self.id}.patch", folder)


def planted():
    """First what is wrong; `class: `; `like: `; `matters: `, what it would do to a user; perhaps `explore: ` with options of
    iobuf_interleave, which count in place of those of a method, and `program: `."""
    found = []
    for path in sorted(PATCHES.glob("*.patch")):
        _, fields, file, diff = mutants.parts(path)
        fields = (WEAK if fields["class"] == WEAK["class"] else {}) | fields
        if not fields.get("matters"):
            raise say.Stop(f"{shown(path)} does not say why it matters: it needs a line `matters: `")
        found.append(Race(path.stem, "race", fields["class"], file, "all", mutants.digest(diff), None, fields["matters"],
                          tuple(fields.get("explore", "").split()), fields.get("program", "")))
    return found


@dataclasses.dataclass(frozen=True)
class Method:
    text: str
    preset: str
    target: str
    run: object  # (race, program, folder) -> words, environment
    engine: bool = False
    explores: bool = True  # the interleaving target's: one of these must find each race


def stress(_race, program, _folder):
    return [program, "--threads", THREADS, "--seconds", WITHOUT_END], {}


def explorer(*words):
    return lambda race, program, _folder: ([program, *words, *race.explore], {})


def exhaustive(race, program, _folder):
    one = ["--preemptions", PREEMPTIONS, race.program] if race.program else []
    return [program, "--exhaustive", "--preemptions", PREEMPTIONS, *race.explore, *one], {}


def libfuzzer(_race, program, folder):
    (folder / "in").mkdir()
    return [program, folder / "in", f"-artifact_prefix={folder}/found-", f"-timeout={PROGRAM_SECONDS}", "-reload=0", "-seed=1"], {}


def afl(_race, program, folder):
    (folder / "in").mkdir()
    (folder / "in" / "empty").write_bytes(b"\1")
    return ["afl-fuzz", "-i", folder / "in", "-o", folder / "out", "-t", PROGRAM_SECONDS * 1000, "-s", 1, "--", program], AFL_ENV


METHODS = {
    "stress": Method("threads, as shipped", "release", STRESS, stress, explores=False),
    "tsan": Method("the same under ThreadSanitizer", "tsan", STRESS, stress, explores=False),
    "random": Method("schedules at random", "release", EXPLORER, explorer("--as-found", "--random", WITHOUT_END)),
    "pct": Method("schedules by priorities", "release", EXPLORER, explorer("--as-found", "--pct", DEPTH, WITHOUT_END)),
    "exhaustive": Method("all schedules of small programs", "release", EXPLORER, exhaustive),
    "libfuzzer": Method("programs and schedules, by libFuzzer", "libfuzzer-plain", TARGET, libfuzzer, engine=True),
    "afl": Method("the same by AFL++", "afl-plain", TARGET, afl, engine=True),
}
# What runs an engine's findings without a race: AFL++'s driver makes calls of the system for a file, which the harness does not know.
JUDGE = ("libfuzzer-plain", TARGET)


def prepare(methods):
    """Builds the programs without a race, whose objects and commands are used."""
    wanted = {(METHODS[name].preset, METHODS[name].target) for name in methods}
    if any(METHODS[name].engine for name in methods):
        wanted.add(JUDGE)
    for preset, target in sorted(wanted):
        build.ensure(preset, [os.path.basename(target)])


class Processes(mutants.Processes):
    def measure(self, args, seconds, log, env, family):
        """Runs until it ends or has used `seconds` of the processor: (status or None, those used, output). `family`: its processes, too."""
        args = [str(arg) for arg in args]
        say.command(args, env)
        with open(log, "wb") as out, self.lock:
            if self.stopped:
                raise KeyboardInterrupt
            try:
                process = subprocess.Popen(args, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                           env=os.environ | env, start_new_session=True)
            except FileNotFoundError:
                raise command.missing(args[0]) from None
            self.active.add(process)
        seen, reached, pause = 0.0, False, 0.005
        try:
            while True:
                try:
                    pid, status, used = os.wait4(process.pid, os.WNOHANG)
                except ChildProcessError:  # stop has waited for it
                    raise KeyboardInterrupt from None
                if pid != 0:
                    process.returncode = os.waitstatus_to_exitcode(status)
                    break
                seen = max(seen, tree_cpu(process.pid) if family else own_cpu(process.pid))
                if seen >= seconds and not reached:
                    reached = True
                    command.stop_group(process, signal.SIGINT)  # AFL++ has processes that only it can end
                    asked = time.monotonic()
                elif reached and time.monotonic() - asked > 5:
                    command.stop_group(process, signal.SIGKILL)
                time.sleep(pause)
                pause = min(0.1, pause * 1.2)
        finally:
            with self.lock:
                self.active.discard(process)
        if self.stopped:
            raise KeyboardInterrupt
        return None if reached else process.returncode, max(seen, used.ru_utime + used.ru_stime), \
            pathlib.Path(log).read_text(errors="replace")


def own_cpu(pid):
    """Of all its threads; it has not been waited for."""
    return sum(map(int, pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])) / CLOCK


def look(name, race, plant, seconds):
    """Seconds until a method found the race, or None."""
    method = METHODS[name]
    program, folder = plant.program(method.preset, method.target), plant.folder / f"run-{name}"
    folder.mkdir()
    words, env = method.run(race, program, folder)
    status, used, output = plant.processes.measure(words, seconds, folder / "log", env, method.engine)
    if method.engine:
        found = sorted([*folder.glob("found-*"), *(folder / "out").glob("default/crashes/id*"), *(folder / "out").glob("default/hangs/id*")])
        if not found and status is not None:
            raise say.Stop(f"{name} ended without finding {race.id}, {command.ended(status)}:\n{output[-800:]}")
        check_not_ours(race, found, plant)
        return used if found else None
    if status in (2, 3):
        raise say.Stop(f"{name} could not run on {race.id}:\n{output[-500:]}")
    return used if status else None


def check_not_ours(race, found, plant):
    for path in found:
        status, _, output = plant.processes.run([build.program(*JUDGE), path])
        if status != 0:
            raise say.Stop(f"an engine found an input that fails without {race.id} too:\n{output[-2000:]}", 1)


def measure(race, methods, seconds, processes):
    """{method: seconds or None}."""
    mutants.WORK.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(dir=mutants.WORK, prefix=f"{race.id}-"))  # another run may measure the same
    with mutants.Plant(race, processes, folder) as plant:
        return {name: look(name, race, plant, seconds) for name in methods}
