"""Libraries with a planted bug: lib/ is copied, patched and compiled as a preset compiles it, and that preset's programs are linked
with it. The harness is not compiled again, since it sees the public header alone."""
import contextlib
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import tempfile

from suite import build, command, say
from suite.paths import BUILD, ROOT, shown

FOLDERS = (ROOT / "fuzz" / "mutants", ROOT / "fuzz" / "test" / "planted")


def patches():
    return sorted((path for folder in FOLDERS for path in folder.glob("*.patch")), key=lambda path: path.stem)


def library(patch, preset):
    """The library with the bug, as this preset builds it."""
    commands = json.loads((BUILD / preset / "compile_commands.json").read_text())
    commands = {entry["command"]: entry for entry in commands if entry["file"].startswith(f"{ROOT}/lib/src/")
                and "iobuf_static.dir" in entry["command"]}
    state = hashlib.sha256(patch.read_bytes() + "".join(commands).encode())
    for path in sorted([*(ROOT / "lib" / "src").iterdir(), *(ROOT / "lib" / "include" / "iobuf").iterdir()]):
        state.update(path.read_bytes())
    folder = BUILD / "planted" / preset / patch.stem / state.hexdigest()[:16]
    archive = folder / "libiobuf.a"
    if archive.is_file():
        return archive
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = pathlib.Path(tempfile.mkdtemp(dir=folder.parent, prefix=".build-"))  # another run may build the same
    try:
        compile_in(beside, patch, commands.values())
        with contextlib.suppress(OSError):  # the other one was first
            beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    for old in folder.parent.iterdir():  # of other versions of the library
        if old != folder and not old.name.startswith("."):
            shutil.rmtree(old, ignore_errors=True)
    return archive


def compile_in(folder, patch, entries):
    shutil.copytree(ROOT / "lib" / "src", folder / "lib" / "src")
    shutil.copytree(ROOT / "lib" / "include", folder / "lib" / "include")
    apply(patch, folder)
    objects = []
    for entry in entries:
        made = folder / (re.search(r"/lib/src/(\w+)\.c$", entry["file"])[1] + ".o")
        words = [word.replace(f"{ROOT}/lib/", f"{folder}/lib/") for word in shlex.split(entry["command"])]
        words[words.index("-o") + 1] = str(made)
        command.run(words)
        objects.append(made)
    command.run(["ar", "rcs", folder / "libiobuf.a", *objects])


def apply(patch, folder):
    status, output = command.run(["patch", "-s", "-p1", "-d", folder, "-i", patch], check=False)
    if status != 0:
        raise say.Stop(f"{shown(patch)} does not apply: {output.strip().splitlines()[-1]}")
    if any("lib/include" in text for text in patch.read_text().splitlines() if text.startswith("+++")):
        raise say.Stop(f"{shown(patch)} changes the public header, which the harness is compiled with")


def program(patch, preset, path):
    """A program of the preset, fuzz/replay say, linked with the library that has the bug."""
    build.ensure(preset, [path.rsplit("/", 1)[1]])
    archive = library(patch, preset)
    made = archive.parent / path.rsplit("/", 1)[1]
    link = command.run(["ninja", "-C", BUILD / preset, "-t", "commands", path])[1].strip().splitlines()[-1]
    inputs = [BUILD / preset / "fuzz" / name for name in ("libfuzz_execute.a", "libfuzz_program.a")]
    if made.is_file() and made.stat().st_mtime > max(path.stat().st_mtime for path in [archive, *inputs, BUILD / preset / path]):
        return made
    beside = made.with_name(f".{made.name}-{os.getpid()}")
    for old, new in ((f"-o {path}", f"-o {shlex.quote(str(beside))}"), ("lib/libiobuf.a", shlex.quote(str(archive)))):
        if old not in link:
            raise say.Stop(f"{path} of the {preset} build is linked in an unexpected way: {link}")
        link = link.replace(old, new)
    command.run(["sh", "-c", f"cd {shlex.quote(str(BUILD / preset))} && {link}"])
    os.replace(beside, made)
    return made
