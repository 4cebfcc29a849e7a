"""Programs with a planted bug. Built as suite.mutants builds those that it measures: what the change concerns is compiled anew from a
copy of lib, and that is the harness too where the public header is changed. They are kept in build/planted until the patch, the
library or the harness changes."""
import dataclasses
import hashlib
import os
import pathlib
import re
import shutil
import tempfile

from suite import build, mutants, say, store
from suite.paths import BUILD, ROOT, shown

HEADER = mutants.LIB / "include" / "iobuf" / "iobuf.h"
OBJECTS = BUILD / "planted" / "objects"
TOGETHER = BUILD / "planted" / "together"
FOLDERS = (mutants.PATCHES, ROOT / "fuzz" / "test" / "planted")


def patches():
    return sorted((path for folder in FOLDERS for path in folder.glob("*.patch")), key=lambda path: path.stem)


def group(patch):
    """The class of bug that a patch says it is."""
    found = re.search(r"^class: (.+)$", patch.read_text(), re.M)
    if not found:
        raise say.Stop(f"{shown(patch)} does not say of which class it is")
    return found[1].strip()


def of_each_group(found, count):
    """The first `count` of each class by name: a choice that no result has a part in."""
    by_group = {}
    for patch in found:
        by_group.setdefault(group(patch), []).append(patch)
    kept = {patch for members in by_group.values() for patch in members[:count]}
    return [patch for patch in found if patch in kept]


def together(first, second):
    """A patch that plants both."""
    path = TOGETHER / f"{first.stem}+{second.stem}.patch"
    store.write(path, first.read_text() + second.read_text())
    return path


@dataclasses.dataclass(frozen=True)
class Planted:
    """What Plant asks of a mutant. `shipped`: everything is compiled anew with the library's code as it is shipped, in a build that
    has it with checks: so that a sanitizer shows the stack of what only that code does."""
    patch: pathlib.Path
    shipped: bool

    @property
    def id(self):
        return self.patch.stem

    @property
    def file(self):
        return "include/" if self.shipped else self.changed

    @property
    def changed(self):
        """The files that it changes; several where it is several bugs at once."""
        found = set(re.findall(r"^\+\+\+ b/lib/(\S+)", self.patch.read_text(), re.M))
        if not found or len(found) > 1 and self.patch.parent != TOGETHER:
            raise say.Stop(f"{shown(self.patch)} must change one file of lib, and changes {len(found)}")
        return " ".join(sorted(found))

    @property
    def in_header(self):
        return "include/" in self.changed

    def plant(self, folder):
        shutil.copytree(mutants.LIB, folder / "lib", dirs_exist_ok=True)
        mutants.apply_patch(self.patch, folder)


class Plant(mutants.Plant):
    def moved(self, word):
        return "-DIOBUF_CHECKED=0" if self.mutant.shipped and word == "-DIOBUF_CHECKED=1" else super().moved(word)

    def compiled(self, preset, source, to, words):
        """The harness knows the public header alone: one object of it serves all bugs that leave that as it is."""
        if not self.mutant.shipped or source.startswith(str(mutants.LIB)) or self.mutant.in_header:
            return super().compiled(preset, source, to, words)
        parts = [repr(words).encode(), HEADER.read_bytes(), (BUILD / preset / to).read_bytes()]
        kept = OBJECTS / f"{hashlib.sha256(b''.join(parts)).hexdigest()[:16]}.o"
        if not kept.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            os.replace(super().compiled(preset, source, to, words), kept)
        self.objects[preset, to] = kept
        return kept


def program(patch, preset, path, shipped=False):
    """A program of the preset, fuzz/replay say, with the bug."""
    name = path.rsplit("/", 1)[1]
    build.ensure(preset, [name])
    folder = BUILD / "planted" / (f"{preset}-shipped" if shipped else preset) / patch.stem
    made = folder / f"{name}-{state(patch, preset, path)}"
    if made.is_file():
        return made
    folder.mkdir(parents=True, exist_ok=True)
    beside = pathlib.Path(tempfile.mkdtemp(dir=folder, prefix=".build-"))  # another run may build the same
    processes = mutants.Processes()
    try:
        with Plant(Planted(patch, shipped), processes, beside) as plant:
            os.replace(plant.program(preset, path), made)
    except mutants.DoesNotCompile as why:
        raise say.Stop(f"{shown(patch)} does not compile:\n{why}") from None
    finally:
        processes.stop()
        shutil.rmtree(beside, ignore_errors=True)
    for old in folder.glob(f"{name}-*"):  # of other versions
        if old != made:
            old.unlink(missing_ok=True)
    return made


def state(patch, preset, path):
    """A hash of what a program with the bug is made of: the one without has in it what the harness and the flags are."""
    digest = hashlib.sha256(patch.read_bytes() + repr(mutants.recipe(preset, path)).encode())
    for part in [*sorted((mutants.LIB / "src").iterdir()), *sorted((mutants.LIB / "include" / "iobuf").iterdir()), BUILD / preset / path]:
        digest.update(hashlib.sha256(part.read_bytes()).digest())
    return digest.hexdigest()[:16]
