"""The two fuzzing engines behind one small interface: start, poll, stop, result.

What an engine finds is kept in build/fuzz/<engine>/<target>, so the next run goes on from there."""
import re
import shutil
import signal
import time

from suite import build, command, say
from suite.paths import BUILD, corpus, shown

KEPT = BUILD / "fuzz"
PROGRAM_SECONDS = 20  # one program that takes longer is a failure: it hangs


class Fuzzer:
    """One engine at work on one target. `seconds` or `runs`, whichever comes first; None is no limit. It uses the mutators of
    fuzz/mutate besides its own, unless `own_mutators`: then its own alone."""

    name = preset = programs = None  # programs: where in its folder it keeps what it found

    def __init__(self, target, seconds, runs, own_mutators=False):
        self.target, self.seconds, self.runs, self.own_mutators = target, seconds, runs, own_mutators
        self.folder = KEPT / self.name / target
        self.log = self.folder / "log"
        self.process, self.stopped, self.kept = None, False, []

    @classmethod
    def kept_programs(cls, target):
        return KEPT / cls.name / target / cls.programs

    def start(self):
        program = build.program(self.preset, f"fuzz/fuzz_{self.target}")
        args, env = self.prepare(program)
        self.started = time.time()
        self.process = command.start(args, self.log, env)

    def running(self):
        return self.process.poll() is None

    def stop(self):
        """Asks the engine to finish; both write down what they have."""
        self.stopped = True
        command.stop_group(self.process, signal.SIGINT)
        try:
            self.process.wait(timeout=20)
        except command.subprocess.TimeoutExpired:
            command.stop_group(self.process, signal.SIGKILL)
            self.process.wait()

    def elapsed(self):
        return time.time() - self.started

    def output(self):
        """The end of the log: enough for the last line of progress and the closing statistics."""
        if not self.log.is_file():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 65536))
            return log.read().decode(errors="replace")

    def result(self, elapsed):
        """What came out, once the process has ended; stops when the engine itself could not run."""
        state = self.state()
        failures = self.failures()
        if self.process.returncode != 0 and not failures and not self.stopped:
            tail = "\n".join("  " + text for text in self.output().strip().splitlines()[-15:])
            raise say.Stop(f"{self.name} on {self.target} could not run, {command.ended(self.process.returncode)} "
                           f"({shown(self.log)}):\n{tail}")
        return {"engine": self.name, "target": self.target, "build": self.preset, "seconds": round(elapsed, 1),
                "programs": state["programs"], "programs_per_second": round(state["programs"] / max(round(elapsed, 1), 0.1)),
                "corpus": state["corpus"], "edges": state["edges"], "stability": state.get("stability"),
                "failures": failures}


class LibFuzzer(Fuzzer):
    name, preset, programs = "libfuzzer", "libfuzzer", "corpus"

    def prepare(self, program):
        kept, self.found = self.folder / self.programs, self.folder / "failures"
        kept.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.found, ignore_errors=True)  # those of the last run were copied
        self.found.mkdir()
        args = [program, kept, *corpus(self.target), "-print_final_stats=1", f"-artifact_prefix={self.found}/", "-reload=0",
                f"-timeout={PROGRAM_SECONDS}"]
        args += [f"-max_total_time={self.seconds}"] if self.seconds else []
        args += [f"-runs={self.runs}"] if self.runs else []
        return args, {"IOBUF_BYTE_MUTATORS": "1"} if self.own_mutators else {}

    def state(self):
        output = self.output()
        lines = re.findall(r"^#(\d+)\s+\w+\s+(.*)", output, re.M)
        programs, rest = lines[-1] if lines else ("0", "")
        total = re.search(r"stat::number_of_executed_units:\s*(\d+)", output)
        edges, corpus = re.search(r"cov: (\d+)", rest), re.search(r"corp: (\d+)", rest)
        return {"programs": int(total[1] if total else programs), "edges": int(edges[1]) if edges else 0,
                "corpus": int(corpus[1]) if corpus else 0}

    def failures(self):
        return sorted(str(path) for path in self.found.iterdir())


class LibFuzzerFast(LibFuzzer):
    """Without sanitizers: several times the programs, but only the model and the library's own checks watch."""

    preset = "libfuzzer-fast"


class Afl(Fuzzer):
    name, preset, programs = "afl", "afl", "out/default/queue"

    def prepare(self, program):
        seeds, self.out = self.folder / "in", self.folder / "out"
        shutil.rmtree(seeds, ignore_errors=True)
        seeds.mkdir(parents=True)
        for folder in corpus(self.target):
            for seed in folder.iterdir():
                shutil.copyfile(seed, seeds / seed.name)
        self.before = self.stats()
        limit = PROGRAM_SECONDS * 1000
        env = {"AFL_SKIP_CPUFREQ": "1", "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1", "AFL_NO_UI": "1",
               "AFL_NO_COLOR": "1", "AFL_TRY_AFFINITY": "1", "AFL_AUTORESUME": "1", "AFL_BENCH_UNTIL_CRASH": "1",
               "AFL_NO_CRASH_README": "1", "AFL_HANG_TMOUT": str(limit), "AFL_FORKSRV_INIT_TMOUT": "60000"}
        env |= {} if self.own_mutators else afl_mutator(self.target)
        args = ["afl-fuzz", "-i", seeds, "-o", self.out, "-t", limit]
        args += ["-V", self.seconds] if self.seconds else []
        args += ["-E", self.runs + self.before.get("execs_done", 0)] if self.runs else []
        return [*args, "--", program], env

    def stats(self):
        path = self.out / "default" / "fuzzer_stats"
        pairs = re.findall(r"^(\w+)\s*: ([\d.]+)", path.read_text(errors="replace") if path.is_file() else "", re.M)
        return {name: float(value) if "." in value else int(value) for name, value in pairs}

    def state(self):
        stats = self.stats()
        programs, corpus, edges = (stats.get(name, 0) for name in ("execs_done", "corpus_count", "edges_found"))
        plot = self.out / "default" / "plot_data"  # written more often than fuzzer_stats
        last = plot.read_text(errors="replace").splitlines()[-1:] if plot.is_file() else []
        fields = last[0].split(",") if last and not last[0].startswith("#") else []
        if self.running() and len(fields) >= 13 and int(fields[11]) > programs:
            programs, corpus, edges = int(fields[11]), int(fields[3]), int(fields[12])
        return {"programs": max(0, programs - self.before.get("execs_done", 0)), "corpus": corpus, "edges": edges,
                "stability": stats.get("stability")}

    def failures(self):
        found = [path for kind in ("crashes", "hangs") for path in (self.out / "default" / kind).glob("id:*")
                 if path.stat().st_mtime >= self.started - 1]
        return sorted(str(path) for path in found)


def afl_mutator(target):
    """What makes AFL++ use the mutators on programs besides its own: they are built with the target."""
    return {"AFL_CUSTOM_MUTATOR_LIBRARY": str(build.program(Afl.preset, f"fuzz/mutate_{target}.so"))}


ENGINES = {"libfuzzer": LibFuzzer, "afl": Afl}
