"""Mutants: what they are, how one is built, and what each stage does with it.

A mutant is built from the commands that ninja knows for an unmutated program: what a changed file goes into is compiled anew from
a copy of lib, and linked with the objects that are there. So a mutant costs one or two compilations and a link per program, and
whatever another part of the build adds to a program is in the mutant's too."""
import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from suite import build, command, mutate, say
from suite.paths import BUILD, CORPUS, ROOT, TARGETS, corpus, shown

LIB = ROOT / "lib"
PATCHES = ROOT / "fuzz" / "mutants"
EQUIVALENT = PATCHES / "equivalent.json"
WORK = BUILD / "mutants"
STAGES = ("unit", "replay", "libfuzzer", "afl")
TEST_SECONDS, REPLAY_SECONDS = 60, 10  # what takes longer hangs
PROGRAM_SECONDS = 5  # one program of an engine

# A build as it is shipped, and one with checks: each has code that the other has not. A stage uses those whose code a mutant changes.
PRESETS = {"unit": ("release", "checked"), "replay": ("release", "asan"), "libfuzzer": ("libfuzzer-plain", "libfuzzer"),
           "afl": ("afl-plain", "afl")}
# Which programs can meet a change of a file; of any other, all can.
TARGET_OF = {"slice.c": "slice", "coalesce.c": "slice", "writev.c": "slice", "allocator.c": "slice", "reader.c": "reader",
             "pool.c": "pool", "freelist.c": "pool"}


@dataclasses.dataclass(frozen=True)
class Mutant:
    id: str
    kind: str  # curated or mechanical
    group: str  # the class of bug
    file: str  # in lib
    target: str
    digest: str  # of the change
    change: object = None  # a mutate.Change; None: a patch

    def plant(self, folder):
        """A copy of lib with the change."""
        shutil.copytree(LIB, folder / "lib", dirs_exist_ok=True)
        if self.change is None:
            apply_patch(PATCHES / f"{self.id}.patch", folder)
            return
        path = folder / "lib" / self.file
        lines = path.read_text().split("\n")
        lines[self.change.line - 1] = self.change.after
        path.write_text("\n".join(lines))


def apply_patch(patch, folder):
    """Without fuzz: a patch whose surroundings have changed may be another bug by now."""
    status, output = command.run(["patch", "-s", "-p1", "-F0", "--no-backup-if-mismatch", "-d", folder, "-i", patch], check=False)
    if status != 0:
        raise say.Stop(f"{shown(patch)} does not apply any more: write it anew for the library as it is\n{output.strip()}")


def curated():
    """Those of fuzz/mutants: the first line says what is wrong and why it matters, `class: `, `like: ` and perhaps `target: ` follow."""
    found = []
    for path in sorted(PATCHES.glob("*.patch")):
        text = path.read_text()
        head, _, diff = text.partition("\n--- a/lib/")
        fields = dict(line.split(": ", 1) for line in head.split("\n")[1:] if ": " in line)
        if not diff or not head.split("\n")[0].strip() or not fields.get("class") or not fields.get("like"):
            raise say.Stop(f"{shown(path)} is no mutant: it needs a first line that says what is wrong, class:, like:, and a patch of lib")
        file = diff.split("\n", 1)[0].strip()
        target = fields.get("target") or TARGET_OF.get(file.rpartition("/")[2], "all")
        if target not in TARGETS:
            raise say.Stop(f"{shown(path)}: no target is called {target!r}: there are {', '.join(TARGETS)}")
        found.append(Mutant(path.stem, "curated", fields["class"], file, target, digest(diff)))
    return found


def mechanical(count=mutate.SAMPLE):
    return [Mutant(change.id, "mechanical", change.kind, f"src/{change.file}", TARGET_OF.get(change.file, "all"),
                   digest(change.after), change) for change in mutate.sample(mutate.everything(), count)]


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def library():
    """Names the version of the library that was mutated."""
    names = sorted(path for part in ("src", "include") for path in (LIB / part).rglob("*") if path.suffix in (".c", ".h"))
    return digest("".join(f"{path.relative_to(LIB)}\0{path.read_text()}\0" for path in names))


def equivalent():
    """Mutants that behave as the library does, each with the argument why."""
    try:
        found = json.loads(EQUIVALENT.read_text())
    except (OSError, ValueError) as error:
        raise say.Stop(f"{shown(EQUIVALENT)} cannot be read: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(why, str) and why.strip() for why in found.values()):
        raise say.Stop(f"{shown(EQUIVALENT)} must give an argument for each id")
    return found


class DoesNotCompile(Exception):
    pass


class Processes:
    """Those at work, so that an interruption can end them from the main thread."""

    def __init__(self):
        self.lock, self.active, self.stopped = threading.Lock(), set(), False

    def run(self, args, cwd=ROOT, timeout=None, env=None):
        """(status or None if it took too long, seconds, output)."""
        args = [str(arg) for arg in args]
        say.command(args, env)
        start = time.monotonic()
        with self.lock:
            if self.stopped:
                raise KeyboardInterrupt
            try:
                process = subprocess.Popen(args, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                           env=os.environ | (env or {}), start_new_session=True)
            except FileNotFoundError:
                raise command.missing(args[0]) from None
            self.active.add(process)
        try:
            output, status = process.communicate(timeout=timeout)[0], process.returncode
        except subprocess.TimeoutExpired:
            command.stop_group(process, signal.SIGKILL)
            output, status = process.communicate()[0], None
        finally:
            with self.lock:
                self.active.discard(process)
        if self.stopped:
            raise KeyboardInterrupt
        return status, time.monotonic() - start, output.decode(errors="replace")

    def stop(self):
        with self.lock:
            self.stopped = True
            for process in self.active:
                command.stop_group(process, signal.SIGKILL)


@functools.lru_cache(None)
def recipe(preset, target):
    """How ninja makes a program: ([(source, object, words)], words of the link). Paths of objects are as in the build's folder."""
    _, output = command.run(["ninja", "-C", BUILD / preset, "-t", "commands", target])
    compilations, link = [], None
    for text in output.splitlines():
        words = [word for word in shlex.split(text) if word not in (":", "&&")] if text.startswith(": ") else shlex.split(text)
        if "-c" in words and "-o" in words:
            compilations.append((words[words.index("-c") + 1], words[words.index("-o") + 1], words))
        elif "-o" in words:
            link = words
    if not compilations or link is None:
        raise say.Stop(f"ninja does not say how {target} of {preset} is made:\n{output[-500:]}")
    return compilations, link


def concerns(file, source):
    """Whether a change of `file`, in lib, can change what `source` compiles to."""
    if file.endswith(".c"):
        return source == str(LIB / file)
    return file.startswith("include/") or source.startswith(str(LIB))


class Plant:
    """A mutant and what was built of it."""

    def __init__(self, mutant, processes, folder=None):
        self.mutant, self.processes = mutant, processes
        self.folder = folder or WORK / re.sub(r"[^\w.-]", "-", mutant.id)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        mutant.plant(self.folder)
        self.objects = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def moved(self, word):
        return word.replace(f"{LIB}/", f"{self.folder}/lib/").replace(f"{LIB} ", f"{self.folder}/lib ")

    def compiled(self, preset, source, to, words):
        """The object of a source that the change concerns."""
        if (preset, to) in self.objects:
            return self.objects[preset, to]
        out = self.folder / f"{preset}-{len(self.objects)}.o"
        args, drop = [], 0
        for word in words:
            if drop or word == "-MD":
                drop = 0
            elif word in ("-MT", "-MF"):
                drop = 1
            else:
                args.append(str(out) if word == to else self.moved(word))
        status, _, output = self.processes.run([*args, "-Wno-error", "-w"], cwd=BUILD / preset, timeout=120)
        if status != 0:
            raise DoesNotCompile(output[-2000:])
        self.objects[preset, to] = out
        return out

    def changed(self, preset, target):
        """Whether the change is in this build's code at all: not in what is compiled to the same instructions."""
        for source, to, words in recipe(preset, target)[0]:
            if concerns(self.mutant.file, source):
                if code(BUILD / preset / to) != code(self.compiled(preset, source, to, words)):
                    return True
        return False

    def program(self, preset, target):
        """The program with the mutant in place of the library."""
        compilations, link = recipe(preset, target)
        words, in_archives = list(link), []
        for source, to, compilation in compilations:
            if concerns(self.mutant.file, source):
                mutated = str(self.compiled(preset, source, to, compilation))
                if to in words:
                    words[words.index(to)] = mutated
                else:
                    in_archives.append(mutated)
        archive = next((at for at, word in enumerate(words) if word.endswith(".a")), len(words))
        words[archive:archive] = in_archives  # what they define is not looked for in the archives any more
        out = self.folder / f"{preset}-{os.path.basename(target)}"
        words[words.index("-o") + 1] = str(out)
        status, _, output = self.processes.run(words, cwd=BUILD / preset, timeout=120)
        if status != 0:
            raise DoesNotCompile(output[-2000:])
        return out


def code(path):
    """What of an object file is not about lines and files of the source."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "o"
        done = subprocess.run(["objcopy", "--strip-debug", "--remove-section=.comment", str(path), str(out)], capture_output=True)
        if done.returncode != 0:
            raise say.Stop(f"objcopy failed on {shown(path)}: {done.stderr.decode(errors='replace').strip()}")
        return out.read_bytes()


# ---- stages: each returns the seconds until the mutant was killed, or None; building does not count

@functools.lru_cache(None)
def unit_tests(preset):
    """(name, target, arguments) of each unit test."""
    listed = json.loads(command.run(["ctest", "--test-dir", BUILD / preset, "--show-only=json-v1"])[1])
    found = []
    for test in listed["tests"]:
        if {"name": "LABELS", "value": ["unit"]} in test["properties"]:
            words = test["command"]
            found.append((test["name"], os.path.relpath(words[-1], BUILD / preset), words[:-1]))
    if not found:
        raise say.Stop(f"the {preset} build has no unit tests")
    return found


def unit(plant, presets, _seconds):
    stem, total = os.path.basename(plant.mutant.file).partition(".")[0], 0.0
    for preset in presets:
        tests = sorted(unit_tests(preset), key=lambda test: (not test[0].startswith(f"test_{stem}"), "threads" in test[0]))
        for _, target, launcher in tests:
            status, took, _ = plant.processes.run([*launcher, plant.program(preset, target)], timeout=TEST_SECONDS,
                                                  env={"IOBUF_TEST_SCALE": "16"})
            total += took
            if status != 0:
                return total
    return None


def replay(plant, presets, _seconds):
    total = 0.0
    for preset in presets:
        program = plant.program(preset, "fuzz/replay")
        for target in sorted(TARGETS, key=lambda target: target != plant.mutant.target):
            status, took, output = plant.processes.run([program, target, "--quiet", *reversed(corpus(target))], timeout=REPLAY_SECONDS)
            total += took
            if status in (2, 3):
                raise say.Stop(f"replay of {target} could not run:\n{output[-500:]}")
            if status != 0:
                return total
    return None


def clean_seeds(plant, preset):
    """Copies of those seeds that do not show the mutant, so that an engine has to find it by itself."""
    checked = preset in ("libfuzzer", "afl")
    folder = plant.folder / ("seeds-checked" if checked else "seeds")
    if folder.is_dir():
        return folder
    folder.mkdir()
    program = plant.program("asan" if checked else "release", "fuzz/replay")
    left = sorted((CORPUS / plant.mutant.target / "seeds").iterdir())
    while left:
        status, _, output = plant.processes.run([program, plant.mutant.target, "--quiet", *left], timeout=REPLAY_SECONDS)
        named = re.findall(r"^in (.*)$", output, re.M)
        good = len(left) if status == 0 else next((at for at, path in enumerate(left) if named and str(path) == named[-1]), 0)
        for path in left[:good]:
            shutil.copyfile(path, folder / path.name)
        left = left[good + 1:]
    if not any(folder.iterdir()):
        (folder / "empty").write_bytes(b"\x01")
    return folder


def check_not_ours(plant, found):
    """What kills the mutant must run clean on the library as it is; else it is not the mutant that was found."""
    for path in found:
        status, _, output = plant.processes.run([build.program("release", "fuzz/replay"), plant.mutant.target, path], timeout=REPLAY_SECONDS)
        if status != 0:
            raise say.Stop(f"an engine stopped at an input that fails without {plant.mutant.id} too:\n{output[-2000:]}", 1)


def in_turn(look, plant, presets, seconds):
    """An engine on each build, for its part of the time."""
    total = 0.0
    for preset in presets:
        took, found = look(plant, preset, max(1, seconds // len(presets)))
        total += took
        if found:
            return total
    return None


def libfuzzer(plant, preset, seconds):
    program = plant.program(preset, f"fuzz/fuzz_{plant.mutant.target}")
    seeds, kept, found = clean_seeds(plant, preset), plant.folder / f"{preset}-kept", plant.folder / f"{preset}-found"
    kept.mkdir()
    found.mkdir()
    status, took, output = plant.processes.run(
        [program, kept, seeds, f"-max_total_time={seconds}", f"-artifact_prefix={found}/", f"-timeout={PROGRAM_SECONDS}", "-reload=0"],
        timeout=seconds + 60)
    check_not_ours(plant, found.iterdir())
    if status == 0:
        return took, False
    if status is None or any(found.iterdir()) or "ERROR: libFuzzer" in output or "Sanitizer" in output:
        return took, True
    raise say.Stop(f"libFuzzer could not run on {plant.mutant.id}:\n{output[-500:]}")


AFL_ENV = {"AFL_SKIP_CPUFREQ": "1", "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1", "AFL_NO_UI": "1", "AFL_NO_COLOR": "1",
           "AFL_TRY_AFFINITY": "1", "AFL_BENCH_UNTIL_CRASH": "1", "AFL_NO_CRASH_README": "1", "AFL_FAST_CAL": "1",
           "AFL_HANG_TMOUT": str(PROGRAM_SECONDS * 1000)}
# A seed that the build for AFL++ fails on, and replay does not.
AFL_SEED = r"results in a (crash|hang)|Test case .* (crash|hang)|Fork server crashed|Unable to communicate|all test cases time out"


def afl(plant, preset, seconds):
    program = plant.program(preset, f"fuzz/fuzz_{plant.mutant.target}")
    out = plant.folder / f"{preset}-out"
    status, took, output = plant.processes.run(
        ["afl-fuzz", "-i", clean_seeds(plant, preset), "-o", out, "-t", PROGRAM_SECONDS * 1000, "-V", seconds, "--", program],
        timeout=seconds + 60, env=AFL_ENV)
    found = [*out.glob("default/crashes/id*"), *out.glob("default/hangs/id*")]
    check_not_ours(plant, found)
    if found or status is None or re.search(AFL_SEED, output):
        return took, True
    if status == 0:
        return took, False
    raise say.Stop(f"AFL++ could not run on {plant.mutant.id}:\n{output[-800:]}")


RUN = {"unit": unit, "replay": replay, "libfuzzer": functools.partial(in_turn, libfuzzer), "afl": functools.partial(in_turn, afl)}


def prepare(stages, mutants):
    """Builds the unmutated programs whose objects and commands are used."""
    targets = sorted({mutant.target for mutant in mutants})
    for preset in ("release", "checked"):  # these tell whether a change is in the code at all
        build.ensure(preset, ["replay"])
    if set(stages) - {"unit"}:
        build.ensure("asan", ["replay"])
    if "unit" in stages:
        for preset in PRESETS["unit"]:
            build.ensure(preset, ["lib/test/all"])
    for stage in ("libfuzzer", "afl"):
        if stage in stages:
            for preset in PRESETS[stage]:
                build.ensure(preset, [f"fuzz_{target}" for target in targets])


def measure(mutant, stages, seconds, until_killed, processes):
    """{stage: seconds or None} for the stages that were run, and the argument if the change is none; raises DoesNotCompile."""
    with Plant(mutant, processes) as plant:
        builds = [plain for plain in (0, 1) if plant.changed(PRESETS["unit"][plain], "fuzz/replay")]
        if not builds:
            return {}, "compiles to the same code as the library, with and without checks"
        found = {}
        for stage in stages:
            found[stage] = RUN[stage](plant, [PRESETS[stage][at] for at in builds], seconds)
            if until_killed and found[stage] is not None:
                break
        return found, None
