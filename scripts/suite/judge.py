"""Whether an input fails, time after time, and whether it did before the change.

No verdict depends on how busy the machine is: a program that does not end is stopped after seconds of its own on the processor, or when
all its threads sleep; one that only had no turn until then is neither clean nor a failure."""
import filecmp
import functools
import pathlib
import resource
import shutil
import signal
import subprocess
import tempfile

from suite import cases, command, say, store
from suite.paths import BUILD, ROOT
from suite.touched import GIT

TIMES = 10
CPU_SECONDS = 20  # programs take microseconds
WALL_SECONDS = 60
CLEAN, UNKNOWN, UNREADABLE = "clean", "no verdict", "cannot be read"
BASE = BUILD / "ci" / "base"


def once(replay, target, *paths):
    """CLEAN, UNREADABLE, UNKNOWN, or what failed."""
    return look(replay, target, *paths)[0]


def look(replay, target, *paths, cpu=None):
    """What `once` says, and the output; after `cpu` seconds on the processor it does not end."""
    cpu = cpu or CPU_SECONDS
    args = [str(arg) for arg in (replay, target, "--quiet", *paths)]
    say.command(args)
    process = subprocess.Popen(args, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True, preexec_fn=functools.partial(bounded, cpu))
    try:
        output = process.communicate(timeout=WALL_SECONDS)[0].decode(errors="replace")
    except subprocess.TimeoutExpired:
        asleep = sleeps(process.pid)
        command.stop_group(process, signal.SIGKILL)
        process.communicate()
        return "program_ends: all threads sleep" if asleep else UNKNOWN, ""
    if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"program_ends: still at work after {cpu} s" if process.returncode == -signal.SIGXCPU else UNKNOWN, output
    if process.returncode == 0:
        return CLEAN, output
    if process.returncode in (2, 3):
        return UNREADABLE, output
    return cases.failed_check(output) or f"library_does_not_crash: {command.ended(process.returncode)}", output


def bounded(cpu):
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def sleeps(pid):
    """Whether no thread of a process runs or waits for its turn."""
    states = []
    for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            states.append(stat.read_text().rpartition(") ")[2][:1])
        except OSError:
            continue
    return bool(states) and all(state == "S" for state in states)


def fails(said):
    return said not in (CLEAN, UNKNOWN, UNREADABLE)


def repeated(replay, target, path):
    """(how many of TIMES runs fail, what the first of those says)."""
    said = [once(replay, target, path) for _ in range(TIMES)]
    failed = [text for text in said if fails(text)]
    return len(failed), failed[0] if failed else None


def take_over(new, old):
    """Makes the tree `old` the same as `new`, but for `build` in it. Files that stay are not touched, those that change are as of now:
    so that what is built of them is built again, and nothing else."""
    wanted = {path.relative_to(new) for path in new.rglob("*") if not path.is_dir() or path.is_symlink()}
    for path in sorted(old.rglob("*"), reverse=True) if old.is_dir() else ():
        name = path.relative_to(old)
        if name.parts[0] == "build" or name in wanted and not path.is_dir():
            continue
        if not path.is_dir() or path.is_symlink():
            path.unlink()
        elif not any(path.iterdir()):
            path.rmdir()
    for name in sorted(wanted):
        if not (old / name).is_file() or not filecmp.cmp(new / name, old / name, shallow=False):
            (old / name).parent.mkdir(parents=True, exist_ok=True)
            (old / name).unlink(missing_ok=True)
            shutil.copy(new / name, old / name, follow_symlinks=False)  # with its mode, and without its time


class Base:
    """The revision before the change, in a tree of its own, built when a failure asks for it. The tree stays from run to run, and so does
    what was built of files that the next base has too."""

    def __init__(self, commit):
        self.commit, self.folder, self.failed = commit, BASE, {}

    def replay(self, preset):
        """Its replay; stops if it does not build."""
        if preset in self.failed:
            raise say.Stop(self.failed[preset])
        source = self.folder / "source"
        try:
            self.unpack(source)
            with say.step(f"build the base {self.commit[:12]} ({preset})"):
                here = ["env", "-C", source]
                command.run([*here, "cmake", "--preset", preset, "-DIOBUF_BUILD_BENCH=OFF", "-DIOBUF_BUILD_TESTS=OFF"],
                            log=self.folder / f"{preset}-configure.log")
                command.run([*here, "cmake", "--build", source / "build" / preset, "--target", "replay"],
                            log=self.folder / f"{preset}-build.log")
        except say.Stop as stop:
            self.failed[preset] = f"the base {self.commit[:12]} does not build, so what fails cannot be compared with it: {stop}"
            raise say.Stop(self.failed[preset]) from None
        return source / "build" / preset / "fuzz" / "replay"

    def unpack(self, source):
        """The files of the commit alone; git's own list of worktrees is left as it is."""
        named = self.folder / "commit"  # there when all of its files are
        if named.is_file() and named.read_text() == self.commit:
            return
        named.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory() as beside:
            new = pathlib.Path(beside) / "source"
            new.mkdir()
            command.run([*GIT, "archive", "-o", f"{beside}/source.tar", self.commit])
            command.run(["tar", "-xf", f"{beside}/source.tar", "-C", new])
            take_over(new, source)
        store.write(named, self.commit)

    def said(self, preset, target, path, replay):
        """What the base says of an input: it is carried over as text, since the encoding may have changed. A failure in one of
        TIMES runs is enough: what the base may do is not new."""
        old = self.replay(preset)
        text = self.folder / "program.txt"
        status, written = command.run([replay, target, "--text", path], check=False)
        if status != 0:
            return UNREADABLE
        (self.folder / "empty").write_bytes(b"")
        status, empty = command.run([old, target, "--text", self.folder / "empty"], check=False)
        if status != 0:
            return UNREADABLE
        text.write_text("\n".join([empty.splitlines()[0], *written.splitlines()[1:], ""]))
        worst = CLEAN
        for _ in range(TIMES):
            said = once(old, target, text)
            if fails(said):
                return said
            worst = said if said != CLEAN else worst
        return worst
