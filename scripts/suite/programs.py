"""Files that hold programs, as bytes or as text: what replay makes of them, and the names that the corpus gives them."""
import hashlib
import pathlib
import re
import tempfile

from suite import build, command, say
from suite.paths import CORPUS, TARGETS

HEAD = b"iobuf-program"  # a text program begins with it
WORDS = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")  # a name that a person gave
HASH = re.compile(r"[0-9a-f]{12}")  # one made from the content: the first half of what libFuzzer calls it


def replay_of(preset="release"):
    build.ensure(preset, ["replay"])
    return build.program(preset, "fuzz/replay")


def is_text(content):
    return content.startswith(HEAD)


def hash_name(content):
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()[:12]


def given_by_a_person(name):
    return bool(WORDS.fullmatch(name)) and not HASH.fullmatch(name)


def run(replay, target, *args):
    """Output of replay, which must find that the file is a program."""
    status, output = command.run([replay, target, *args], check=False, timeout=120)
    if status != 0:
        raise say.Stop(output.strip().splitlines()[-1] if output.strip() else f"replay failed, {command.ended(status)}")
    return output


def shortest(replay, target, path):
    """The shortest encoding of the program in a file."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out"
        run(replay, target, "--encode", out, path)
        return out.read_bytes()


def can_be_read(replay, target, path):
    return not is_text(path.read_bytes()) or command.run([replay, target, "--text", path], check=False)[0] == 0


def text(replay, target, path):
    return run(replay, target, "--text", path)


def trace(replay, target, path):
    """The hash of all results of a run, which must be clean."""
    return run(replay, target, "--hash", "--quiet", path).split()[0]


def files(target, part):
    folder = CORPUS / target / part
    return sorted(path for path in folder.iterdir()) if folder.is_dir() else []


def every():
    """(target, part, path) of each file of the corpus that is a program."""
    return [(target, part, path) for target in TARGETS for part in ("seeds", "regressions") for path in files(target, part)]


def name_of_a_person(name):
    if not given_by_a_person(name) or "-" not in name or len(name) > 80:
        raise say.Stop(f"{name!r} is no name for a case: some words in lower case with hyphens, as in claim-prefix-of-an-empty-slice", 2)


def target_of(path, content):
    """Of a text program as its first line says, else of the folder that the path leads through; None if neither tells."""
    if is_text(content):
        words = content.split(b"\n", 1)[0].decode(errors="replace").split()
        return words[2] if len(words) == 3 and words[2] in TARGETS else None
    return next((part for part in reversed(pathlib.PurePath(path).parts[:-1]) if part in TARGETS), None)
