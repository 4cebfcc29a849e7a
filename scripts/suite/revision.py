"""Any commit, or the working tree, as a benchmark program built outside the tree: its library under its own benchmarks or under those
of another, with the same compiler and flags whoever asks."""
import contextlib
import dataclasses
import fcntl
import hashlib
import pathlib
import re
import shutil
import tempfile

from suite import build, command, gbench, machine, say
from suite.paths import BUILD, ROOT, shown

FOLDER = BUILD / "revisions"
TREE = "the working tree"
# Peers of other projects are not built: they cost time, and what is compared is iobuf. Each function and variable has a section of
# its own, so that the linker can place them anew: see linked_anew.
OPTIONS = ("-GNinja", "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_C_COMPILER=gcc", "-DCMAKE_CXX_COMPILER=g++", "-DIOBUF_BUILD_TESTS=OFF",
           "-DIOBUF_BUILD_FUZZ=OFF", "-DCMAKE_DISABLE_FIND_PACKAGE_PkgConfig=ON")
FLAGS = "-ffunction-sections -fdata-sections"
COMMIT_LENGTH = 12


@dataclasses.dataclass(frozen=True)
class Revision:
    name: str  # as it was asked for
    commit: str  # its id; with "+changes" for a working tree that differs from it
    content: str  # names what it holds: the commit, or a hash of the tree's files
    tree: bool = False


def git(*args, check=True):
    return command.run(["git", "-c", "safe.directory=*", *args], check=check)


def resolve(name=None):
    """A commit by any name that git knows; None is the working tree."""
    if name is None or name == TREE:
        return Revision(TREE, machine.commit(), "tree-" + tree_hash(), True)
    if name.startswith("-"):
        raise say.Stop(f"{name!r} is no name of a commit", 2)
    status, output = git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", check=False)
    if status != 0:
        raise say.Stop(f"git knows no commit {name!r}" + (": this is no git repository" if "not a git" in output else ""), 2)
    commit = output.strip().splitlines()[-1][:COMMIT_LENGTH]
    return Revision(name, commit, commit)


def tree_files():
    """What git would take of the working tree, changes and new files included."""
    output = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", "lib", "bench", "corpus/traces", "CMakeLists.txt")[1]
    return [name for name in sorted(set(output.split("\0"))) if name and (ROOT / name).is_file()]


def tree_hash():
    found = hashlib.sha256()
    for name in tree_files():
        content = (ROOT / name).read_bytes()
        found.update(f"{name}\0{len(content)}\0".encode() + content)
    return found.hexdigest()[:COMMIT_LENGTH]


def export(revision, folder, parts):
    """Writes these parts of the revision into a folder."""
    if revision.tree:
        for name in tree_files():
            if any(name == part or name.startswith(part + "/") for part in parts):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, folder / name)
        return
    there = [part for part in parts if git("cat-file", "-e", f"{revision.commit}:{part}", check=False)[0] == 0]
    if not there:
        return
    with tempfile.TemporaryDirectory() as beside:
        archive = pathlib.Path(beside) / "archive.tar"
        git("archive", f"--output={archive}", revision.commit, "--", *there)
        command.run(["tar", "-xf", archive, "-C", folder])


def bench_of(library, bench=None, patch=None):
    """The benchmark program of a revision's library under the benchmarks of `bench` (default: its own), built unless it is there.
    With a patch for the library. Stops with one line when it does not build."""
    bench = bench or library
    what = [library.content, bench.content, patch.read_text() if patch else "", " ".join([*OPTIONS, FLAGS])]
    # All of one length: paths are in the program and on its stack, and move what lies behind them.
    folder = FOLDER / hashlib.sha256("\0".join(what).encode()).hexdigest()[:16]
    program = folder / "build" / gbench.PROGRAM
    with alone(folder):
        if not (folder / "complete").is_file():
            make(folder, library, bench, patch)
    return program


@contextlib.contextmanager
def alone(folder):
    """While another process builds the same, this one waits."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make(folder, library, bench, patch):
    shutil.rmtree(folder, ignore_errors=True)
    source = folder / "source"
    source.mkdir(parents=True)
    export(bench, source, ("CMakeLists.txt", "bench", "corpus/traces"))
    export(library, source, ("lib",))
    # Only lib is the library's own; without tests the rest of the tree is not asked for.
    if patch:
        command.run(["patch", "-p1", "--quiet", "--no-backup-if-mismatch", "-d", source, "-i", patch], log=folder / "patch.log")
    with say.step(f"build {library.name}" + (f" with {patch.stem}" if patch else "")):
        ready(library, folder / "configure.log", ["cmake", "-S", source, "-B", folder / "build", *OPTIONS,
                                                  f"-DCMAKE_C_FLAGS={FLAGS}", f"-DCMAKE_CXX_FLAGS={FLAGS}"])
        ready(library, folder / "build.log", ["cmake", "--build", folder / "build", "-j", build.cpus(), "--target", "iobuf_bench"])
    (folder / "complete").touch()


def built_by(program):
    """Compiler, its version, and the flags that the library was built with."""
    return build.compiler_in(program.parents[1], "compare")


def ready(library, log, args):
    status, output = command.run(args, log=log, check=False)
    if status != 0:
        why = re.search(r"^.*\b(?:[Ee]rror\b|undefined reference).*", output, re.M)
        raise say.Stop(f"{library.name} ({library.commit}) does not build: {why[0].strip() if why else command.ended(status)} "
                       f"(all of it: {shown(log)})")


def linked_anew(program, seed, out):
    """Links the program again, its functions and variables in an order of their own: speed depends by some percent on where they come
    to lie, and a comparison of two programs would take that for a difference between them."""
    folder = program.parents[1]
    commands = folder / "link"
    if not commands.is_file():
        text = command.run(["ninja", "-C", folder, "-t", "commands", "iobuf_bench"])[1].strip().splitlines()[-1]
        commands.write_text(text)
    shuffled = " ".join(f"'-Wl,--shuffle-sections={kind}*={seed}'" for kind in (".text", ".rodata", ".data", ".bss"))
    words = commands.read_text().removeprefix(": && ").removesuffix(" && :")
    words = words.replace(f" -o {gbench.PROGRAM}", f" -fuse-ld=lld {shuffled} -o {out}")
    command.run(["sh", "-c", f"cd '{folder}' && {words}"])
    return out
