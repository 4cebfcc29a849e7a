"""Mutants: what they are, and how one is built.

A mutant is built from the commands that ninja knows for an unmutated program: what a changed file goes into is compiled anew from
a copy of lib, and linked with the objects that are there. So a mutant costs one or two compilations and a link per program, and
whatever another part of the build adds to a program is in the mutant's too."""
import contextlib
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

from suite import command, mutate, say
from suite.paths import BUILD, ROOT, TARGETS, shown

LIB = ROOT / "lib"
PATCHES = ROOT / "fuzz" / "mutants"
EQUIVALENT = PATCHES / "equivalent.json"
WORK = BUILD / "mutants"
COMPILE_SECONDS = 1200  # a bound against hanging: a busy machine takes minutes
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


def parts(path):
    """Of a patch: its first line, which says what is wrong and why it matters; the fields below it, `class: ` and `like: ` among
    them; the file of lib that it changes, and the change."""
    text = path.read_text()
    head, _, diff = text.partition("\n--- a/lib/")
    why, *lines = head.split("\n")
    fields = dict(line.split(": ", 1) for line in lines if ": " in line)
    if not diff or not why.strip() or not fields.get("class") or not fields.get("like"):
        raise say.Stop(f"{shown(path)} is no mutant: it needs a first line that says what is wrong, class:, like:, and a patch of lib")
    return why, fields, diff.split("\n", 1)[0].strip(), diff


def curated():
    """Those of fuzz/mutants; perhaps with `target: `."""
    found = []
    for path in sorted(PATCHES.glob("*.patch")):
        _, fields, file, diff = parts(path)
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
    """Names the version of the library that was mutated; comments and blanks are no part of it."""
    names = sorted(path for part in ("src", "include") for path in (LIB / part).rglob("*") if path.suffix in (".c", ".h"))
    return digest("".join(f"{path.relative_to(LIB)}\0{' '.join(mutate.masked(path.read_text()).split())}\0" for path in names))


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
            end(process)
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
                end(process)


def end(process):
    """First politely: AFL++ has processes in a session of their own, which only it can end."""
    command.stop_group(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=3)
    command.stop_group(process, signal.SIGKILL)


@functools.lru_cache(None)
def recipe(preset, target):
    """How ninja makes a program: ([(source, object, words)], words of the link). Paths of objects are as in the build's folder."""
    _, output = command.run(["ninja", "-C", BUILD / preset, "-t", "commands", target])
    compilations, links = [], []
    for text in output.splitlines():
        words = [word for word in shlex.split(text) if word not in (":", "&&")] if text.startswith(": ") else shlex.split(text)
        if "-c" in words and "-o" in words:
            compilations.append((words[words.index("-c") + 1], words[words.index("-o") + 1], words))
        elif "-o" in words:
            links.append(words)
    if not compilations or not links:
        raise say.Stop(f"ninja does not say how {target} of {preset} is made:\n{output[-500:]}")
    *others, link = links  # such as AFL++'s mutators, which are built along with a program and are no part of it
    elsewhere = {word for words in others for word in words} - set(link)
    return [compilation for compilation in compilations if compilation[1] not in elsewhere], link


def concerns(files, source):
    """Whether a change of `files`, names in lib, can change what `source` compiles to."""
    return any(source == str(LIB / file) if file.endswith(".c") else file.startswith("include/") or source.startswith(str(LIB))
               for file in files.split())


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
        if word == f"-I{LIB}":
            return f"-I{self.folder}/lib"
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
        status, _, output = self.processes.run([*args, "-Wno-error", "-w"], cwd=BUILD / preset, timeout=COMPILE_SECONDS)
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
        status, _, output = self.processes.run(words, cwd=BUILD / preset, timeout=COMPILE_SECONDS)
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
