"""The two fuzzing engines behind one small interface: start, poll, stop, result.

What an engine finds is kept in build/fuzz/<engine>/<target>, so the next run goes on from there."""
import re
import shutil
import signal
import time

from suite import build, command, say
from suite.paths import KEPT, corpus, shown

PROGRAM_SECONDS = 20  # one program that takes longer is a failure: it hangs
SCHEDULES = ("explore", "coe", "fast", "rare", "exploit", "lin", "quad")  # of AFL++, for processes beside the main one


class Fuzzer:
    """One engine at work on one target. `seconds` or `runs`, whichever comes first; None is no limit. It uses the mutators of
    fuzz/mutate besides its own, unless `own_mutators`: then its own alone. `member`: its number among several processes that share
    what they find, see team.py; None: alone."""

    name = preset = plain = programs = None  # plain: the build without checks; programs: where in its folder it keeps what it found

    def __init__(self, target, seconds, runs, own_mutators=False, preset=None, member=None):
        self.target, self.seconds, self.runs, self.own_mutators = target, seconds, runs, own_mutators
        self.preset, self.member = preset or self.preset, member
        self.folder = KEPT / self.name / target
        self.log = self.folder / self.own("log")
        self.process, self.program, self.stopped, self.kept = None, None, False, []

    def own(self, name):
        """The name of a file that members do not share."""
        return f"{name}-{self.member}" if self.member else name

    @property
    def title(self):
        return f"{self.name} {self.target}"

    @classmethod
    def kept_programs(cls, target):
        return KEPT / cls.name / target / cls.programs

    def start(self):
        program = self.program or build.program(self.preset, f"fuzz/fuzz_{self.target}")
        args, env = self.prepare(program)
        self.started = time.time()
        self.process = command.start(args, self.log, env)

    def running(self):
        return self.process.poll() is None

    def ask_to_stop(self):
        """Both engines write down what they have."""
        self.stopped = True
        command.stop_group(self.process, signal.SIGINT)

    def stop(self):
        self.ask_to_stop()
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
    name, preset, plain, programs = "libfuzzer", "libfuzzer", "libfuzzer-plain", "corpus"

    def prepare(self, program):
        kept, self.found = self.folder / self.programs, self.folder / self.own("failures")
        kept.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.found, ignore_errors=True)  # those of the last run were copied
        self.found.mkdir()
        reload = 0 if self.member is None else 1  # every second: what others wrote into the folder
        args = [program, kept, *corpus(self.target), "-print_final_stats=1", f"-artifact_prefix={self.found}/", f"-reload={reload}",
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
    name, preset, plain, programs = "afl", "afl", "afl-plain", "out/default/queue"

    @property
    def instance(self):
        """Its folder in out, where AFL++ looks for other instances: the main one goes on where one alone has stopped."""
        return f"second-{self.member}" if self.member else "default"

    swept = False  # AFL++ that ends early can leave its target behind, stopped and in a session of its own

    def prepare(self, program):
        self.out = self.folder / "out"
        seeds = self.seeds()
        self.before = self.stats()
        limit = PROGRAM_SECONDS * 1000
        env = {"AFL_SKIP_CPUFREQ": "1", "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1", "AFL_NO_UI": "1",
               "AFL_NO_COLOR": "1", "AFL_TRY_AFFINITY": "1", "AFL_AUTORESUME": "1", "AFL_BENCH_UNTIL_CRASH": "1",
               "AFL_NO_CRASH_README": "1", "AFL_HANG_TMOUT": str(limit), "AFL_FORKSRV_INIT_TMOUT": "60000"}
        env |= {} if self.own_mutators else afl_mutator(self.target, self.preset)
        args = ["afl-fuzz", "-i", seeds, "-o", self.out, "-t", limit]
        args += ["-V", self.seconds] if self.seconds else []
        args += ["-E", self.runs + self.before.get("execs_done", 0)] if self.runs else []
        if self.member is not None:
            args += self.among_others()
            env |= {"AFL_IMPORT_FIRST": "1", "AFL_SYNC_TIME": "1"}  # minutes, of which the main one takes half
        return [*args, "--", program], env

    def seeds(self):
        """A copy of the corpus in one folder, as AFL++ wants it; the main process makes it for all."""
        seeds = self.folder / "in"
        if not self.member:
            shutil.rmtree(seeds, ignore_errors=True)
            seeds.mkdir(parents=True)
            for folder in corpus(self.target):
                for seed in folder.iterdir():
                    shutil.copyfile(seed, seeds / seed.name)
        return seeds

    def among_others(self):
        """The main process takes in what the others find, and what libFuzzer does; the others take it from the main one. Each of them
        chooses what to mutate in another way."""
        if self.member:
            return ["-S", self.instance, "-p", SCHEDULES[(self.member - 1) % len(SCHEDULES)]]
        theirs = LibFuzzer.kept_programs(self.target)
        theirs.mkdir(parents=True, exist_ok=True)
        return ["-M", self.instance, "-F", theirs]

    def running(self):
        at_work = super().running()
        if not at_work and not self.swept:
            self.swept = True
            command.kill_those_with(f"__AFL_OUT_DIR={self.out / self.instance}")
        return at_work

    def stop(self):
        super().stop()
        self.running()

    def stats(self):
        path = self.out / self.instance / "fuzzer_stats"
        pairs = re.findall(r"^(\w+)\s*: ([\d.]+)", path.read_text(errors="replace") if path.is_file() else "", re.M)
        return {name: float(value) if "." in value else int(value) for name, value in pairs}

    def state(self):
        stats = self.stats()
        programs, corpus, edges = (stats.get(name, 0) for name in ("execs_done", "corpus_count", "edges_found"))
        plot = self.out / self.instance / "plot_data"  # written more often than fuzzer_stats
        last = plot.read_text(errors="replace").splitlines()[-1:] if plot.is_file() else []
        fields = last[0].split(",") if last and not last[0].startswith("#") else []
        if self.running() and len(fields) >= 13 and int(fields[11]) > programs:
            programs, corpus, edges = int(fields[11]), int(fields[3]), int(fields[12])
        return {"programs": max(0, programs - self.before.get("execs_done", 0)), "corpus": corpus, "edges": edges,
                "stability": stats.get("stability")}

    def failures(self):
        found = [path for kind in ("crashes", "hangs") for path in (self.out / self.instance / kind).glob("id:*")
                 if path.stat().st_mtime >= self.started - 1]
        return sorted(str(path) for path in found)


def afl_mutator(target, preset=Afl.preset):
    """What makes AFL++ use the mutators on programs besides its own: they are built with the target."""
    return {"AFL_CUSTOM_MUTATOR_LIBRARY": str(build.program(preset, f"fuzz/mutate_{target}.so"))}


ENGINES = {"libfuzzer": LibFuzzer, "afl": Afl}
