"""One engine against one planted bug: CPU seconds and executions until it finds it, from seeds that do not show it.

CPU seconds, because the machine is shared, and AFL++ and its target take turns: those of all processes of the trial together."""
import hashlib
import os
import pathlib
import re
import resource
import shutil
import signal
import tempfile
import time

from suite import build, command, engines, say, store
from suite.paths import BUILD, ROOT, corpus, shown

PATCHES = ROOT / "fuzz" / "mutants"
MUTATORS = ("programs", "bytes")
EVERY = 0.2  # seconds between two looks at a trial
PROGRAM_SECONDS = 2  # many times what a program takes; a bug that makes one run for ever is found when it has
CLOCK = os.sysconf("SC_CLK_TCK")


def names():
    return sorted(path.stem for path in PATCHES.glob("*.patch"))


def prepare(engine, mutants, target):
    """Builds the engine's program for each mutant, and the one without any."""
    preset = engines.ENGINES[engine].preset
    build.ensure(preset, [f"fuzz_{target}", *(f"fuzz_trial_{mutant}" for mutant in mutants)],
                 [f"IOBUF_TRIAL_MUTANTS={';'.join(mutants)}", f"IOBUF_TRIAL_TARGET={target}"])


def setup(trial):
    """What a trial's result depends on, as a hash: results of different setups are not to be mixed. AFL++ by itself has nothing of
    the mutators; libFuzzer calls its own through them."""
    folders = ["lib/src", "lib/include", "fuzz/program", "fuzz/model", "fuzz/execute", "fuzz/targets"]
    if (trial.engine, trial.mutators) != ("afl", "bytes"):
        folders.append("fuzz/mutate")
    parts = [ROOT / "CMakePresets.json", PATCHES / f"{trial.mutant}.patch"]
    parts += [path for folder in folders for path in sorted((ROOT / folder).rglob("*")) if path.is_file()]
    parts += [] if trial.empty else [path for folder in corpus(trial.target) for path in sorted(folder.iterdir())]
    digest = hashlib.sha256()
    for path in parts:
        digest.update(f"{shown(path)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


class Trial:
    """Runs in a folder of its own, which goes afterwards."""

    def __init__(self, engine, mutant, target, mutators, seed, limit, empty):
        self.engine, self.mutant, self.target, self.mutators = engine, mutant, target, mutators
        self.seed, self.limit, self.empty = seed, limit, empty

    @property
    def sort(self):
        return self.mutant, self.engine, self.mutators

    def key(self, setup_hash):
        return (self.engine, self.mutant, self.target, self.mutators, self.seed, self.limit, self.empty, setup_hash)

    def programs(self):
        """The fuzzing program with the bug, and without."""
        preset = engines.ENGINES[self.engine].preset
        return (build.program(preset, f"fuzz/fuzz_trial_{self.mutant}"), build.program(preset, f"fuzz/fuzz_{self.target}"))

    def run(self, seeds):
        mutated, sound = self.programs()
        with tempfile.TemporaryDirectory(prefix="iobuf-trial-") as name:
            folder = pathlib.Path(name)
            shutil.copytree(seeds, folder / "in")
            args, env = getattr(self, self.engine)(mutated, folder)
            before, started = children_cpu(), time.monotonic()
            process = command.start(args, folder / "log", env)
            reached, seen = self.watch(process)
            cpu = max(seen, children_cpu() - before)
            row = {"found": False, "cpu_s": round(cpu, 2), "wall_s": round(time.monotonic() - started, 2),
                   "programs": self.count(folder)}
            found = sorted([*folder.glob("found-*"), *(folder / "out").glob("default/crashes/id*"),
                            *(folder / "out").glob("default/hangs/id*")])
            if found:
                self.judge(found[0], mutated, sound)
                row["found"] = True
            elif not reached:
                log = BUILD / "logs" / "mutator-trial.log"
                store.write(log, (folder / "log").read_text(errors="replace"))
                raise say.Stop(f"{self.engine} on {self.mutant} ended without a finding, {command.ended(process.returncode)}: "
                               f"see {shown(log)}")
            return row

    def watch(self, process):
        """Waits for the end, or the limit: whether that was reached, and the CPU seconds that were seen."""
        seen, reached = 0.0, False
        try:
            while process.poll() is None:
                seen = max(seen, tree_cpu(process.pid))
                reached = seen >= self.limit
                if reached:
                    break
                time.sleep(EVERY)
        finally:
            if process.poll() is None:
                end(process)
        return reached, seen

    def libfuzzer(self, program, folder):
        args = [program, folder / "in", f"-seed={self.seed}", "-print_final_stats=1", f"-artifact_prefix={folder}/found-",
                "-reload=0", f"-timeout={PROGRAM_SECONDS}"]
        return args, {"IOBUF_BYTE_MUTATORS": "1"} if self.mutators == "bytes" else {}

    def afl(self, program, folder):
        limit = str(PROGRAM_SECONDS * 1000)
        env = {"AFL_SKIP_CPUFREQ": "1", "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1", "AFL_NO_UI": "1", "AFL_NO_COLOR": "1",
               "AFL_NO_AFFINITY": "1", "AFL_BENCH_UNTIL_CRASH": "1", "AFL_NO_CRASH_README": "1", "AFL_HANG_TMOUT": limit,
               "AFL_FORKSRV_INIT_TMOUT": "60000"}
        if self.mutators == "programs":
            env |= engines.afl_mutator(self.target)
        return ["afl-fuzz", "-i", folder / "in", "-o", folder / "out", "-t", limit, "-s", self.seed, "--", program], env

    def count(self, folder):
        """Executions, as the engine counts them, those of the seeds included."""
        stats = folder / "out" / "default" / "fuzzer_stats"
        where = (stats, r"^execs_done\s*: (\d+)") if self.engine == "afl" else \
            (folder / "log", r"^stat::number_of_executed_units:\s*(\d+)")
        found = re.search(where[1], where[0].read_text(errors="replace"), re.M) if where[0].is_file() else None
        return int(found[1]) if found else None

    def judge(self, found, mutated, sound):
        """What was found must fail with the bug, and only with it."""
        if not fails(mutated, found):
            raise say.Stop(f"{self.engine} stopped at an input on which {self.mutant} does not fail again: {self.keep(found)}")
        if fails(sound, found):
            raise say.Stop(f"{self.engine} found an input that fails without {self.mutant}: {self.keep(found)}", 1)

    def keep(self, found):
        copy = engines.KEPT / "failures" / self.target / f"{self.engine}-trial-{hashlib.sha256(found.read_bytes()).hexdigest()[:12]}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(found, copy)
        return shown(copy)


def fails(program, *paths):
    return command.run([program, *paths], check=False, timeout=2 * PROGRAM_SECONDS)[0] != 0


def failing(program, paths):
    """Those of the inputs that fail, each by itself: all at once, then those halves that do."""
    if not paths or not fails(program, *paths):
        return []
    if len(paths) == 1:
        return paths
    half = len(paths) // 2
    return failing(program, paths[:half]) + failing(program, paths[half:])


def seeds_for(trial, folder):
    """Those inputs of the corpus that do not show the bug, in a folder; or an empty program alone."""
    if folder.is_dir():
        return folder
    mutated, _ = trial.programs()
    folder.mkdir(parents=True)
    if trial.empty:
        (folder / "empty").write_bytes(b"\1")
        return folder
    inputs = [path for source in corpus(trial.target) for path in sorted(source.iterdir())]
    shown_by = failing(mutated, inputs)
    for path in inputs:
        if path not in shown_by:
            shutil.copyfile(path, folder / path.name)
    if not any(folder.iterdir()):
        raise say.Stop(f"every input of the corpus shows {trial.mutant}: --empty starts without them")
    return folder


def end(process):
    command.stop_group(process, signal.SIGINT)
    try:
        process.wait(timeout=20)
    except command.subprocess.TimeoutExpired:
        command.stop_group(process, signal.SIGKILL)
        process.wait()


def children_cpu():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def tree_cpu(root):
    """CPU seconds of a process, of all that come of it and of those that they have waited for. By parents and not by session, since
    AFL++ gives its fork server one of its own."""
    parents, ticks = {}, {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if len(fields) > 14:
            pid = int(path.parent.name)
            parents[pid], ticks[pid] = int(fields[1]), sum(int(field) for field in fields[11:15])
    tree = {root}
    while more := {pid for pid, parent in parents.items() if parent in tree} - tree:
        tree |= more
    return sum(ticks.get(pid, 0) for pid in tree) / CLOCK
