"""Libraries with a planted bug: lib/ is copied, patched and compiled as a preset compiles it, and that preset's programs are linked
with it. The harness is not compiled again, since it sees the public header alone."""
import hashlib
import json
import re
import shlex
import shutil

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
    folder = BUILD / "planted" / preset / patch.stem
    archive, stamp = folder / "libiobuf.a", folder / "stamp"
    if archive.is_file() and stamp.is_file() and stamp.read_text() == state.hexdigest():
        return archive
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "lib" / "src", folder / "lib" / "src")
    shutil.copytree(ROOT / "lib" / "include", folder / "lib" / "include")
    apply(patch, folder)
    objects = []
    for entry in commands.values():
        made = folder / (re.search(r"/lib/src/(\w+)\.c$", entry["file"])[1] + ".o")
        words = [word.replace(f"{ROOT}/lib/", f"{folder}/lib/") for word in shlex.split(entry["command"])]
        words[words.index("-o") + 1] = str(made)
        command.run(words)
        objects.append(made)
    command.run(["ar", "rcs", archive, *objects])
    stamp.write_text(state.hexdigest())
    return archive


def apply(patch, folder):
    status, output = command.run(["patch", "-s", "-p1", "-d", folder, "-i", patch], check=False)
    if status != 0:
        raise say.Stop(f"{shown(patch)} does not apply: {output.strip().splitlines()[-1]}")
    if any("lib/include" in text for text in patch.read_text().splitlines() if text.startswith("+++")):
        raise say.Stop(f"{shown(patch)} changes the public header, which the harness is compiled with")


def program(patch, preset, path, ensured=True):
    """A program of the preset, fuzz/replay say, linked with the library that has the bug."""
    if ensured:
        build.ensure(preset, [path.rsplit("/", 1)[1]])
    archive = library(patch, preset)
    made = archive.parent / path.rsplit("/", 1)[1]
    link = command.run(["ninja", "-C", BUILD / preset, "-t", "commands", path])[1].strip().splitlines()[-1]
    inputs = [BUILD / preset / "fuzz" / name for name in ("libfuzz_execute.a", "libfuzz_program.a")]
    if made.is_file() and made.stat().st_mtime > max(path.stat().st_mtime for path in [archive, *inputs, BUILD / preset / path]):
        return made
    for old, new in ((f"-o {path}", f"-o {shlex.quote(str(made))}"), ("lib/libiobuf.a", shlex.quote(str(archive)))):
        if old not in link:
            raise say.Stop(f"{path} of the {preset} build is linked in an unexpected way: {link}")
        link = link.replace(old, new)
    command.run(["sh", "-c", f"cd {shlex.quote(str(BUILD / preset))} && {link}"])
    return made
