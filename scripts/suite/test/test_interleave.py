"""iobuf_interleave: the library is clean under every kind of schedule, each planted race is found and replays, wrong use is told."""
import re
import subprocess

import pytest

from suite import build, mutants
from suite.paths import BUILD, ROOT

PATCHES = sorted((ROOT / "fuzz" / "interleave" / "mutants").glob("*.patch"))
FOLDER = BUILD / "release" / "fuzz" / "interleave"
PROGRAM = FOLDER / "iobuf_interleave"
HEAD = "iobuf-interleave 1\n"


@pytest.fixture(scope="module", autouse=True)
def built():
    build.ensure("release", ["iobuf_interleave", "interleave_mutants"])


def run(*args, program=PROGRAM):
    return subprocess.run([program, *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)


def needs_stale_values(patch):
    """x86 hides the bug, and so do runs in which each store is seen at once."""
    return "\nclass: weak memory\n" in patch.read_text()


def bounds(patch):
    """Of the program that the patch names, if it does, with one preemption more."""
    named = re.search(r"^program: (.*)", patch.read_text(), re.M)
    return ("--preemptions", 2, named[1]) if named else ("--preemptions", 1)


def reason(output):
    return re.search(r"^# .* fails: (.*)", output, re.M)[1]


class TestLibrary:
    def test_every_schedule_with_two_preemptions_is_clean(self):
        done = run("--exhaustive", "--preemptions", 2)
        assert done.returncode == 0, done.stdout
        schedules, known = map(int, re.search(r"(\d+) schedules to their end, (\d+) to a known state", done.stderr).groups())
        assert schedules > 10_000 and known > 10_000

    @pytest.mark.parametrize("args", [("--random", 1000), ("--pct", 3, 1000)], ids=["random", "pct"])
    def test_schedules_of_seeds_are_clean(self, args):
        done = run(*args)
        assert done.returncode == 0, done.stdout

    @pytest.mark.parametrize("args", [("--exhaustive", "--preemptions", 1, "--stale", 1), ("--random", 1000, "--stale", 3),
                                      ("--pct", 3, 1000, "--stale", 3)], ids=["exhaustive", "random", "pct"])
    def test_schedules_with_stale_values_are_clean(self, args):
        done = run(*args)
        assert done.returncode == 0, done.stdout

    def test_stale_values_make_more_schedules(self):
        without, some, more = (int(re.search(r"(\d+) schedules to their end", run("--exhaustive", "--stale", stale, "last-two-trim").stderr)[1])
                               for stale in (0, 1, 2))
        assert without < some < more

    def test_a_schedule_that_is_replayed_is_the_same_run(self, tmp_path):
        path = tmp_path / "program"
        path.write_text(HEAD + "pool 64 0 0\nbefore 0 init a0 0\nalloc a0 s0 16 | stats\nfree a0 | release s0\nschedule 0*5 1*3 0*2\n")
        assert run("--replay", path).stderr == run("--replay", path).stderr


class TestMutants:
    @pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
    def test_race_is_found_and_replays(self, patch, tmp_path):
        program = FOLDER / f"interleave_{patch.stem}"
        if needs_stale_values(patch):
            assert run("--exhaustive", *bounds(patch), program=program).returncode == 0
            done = run("--exhaustive", "--stale", 1, *bounds(patch), program=program)
        else:
            done = run("--exhaustive", "--preemptions", 2, program=program)
        assert done.returncode == 1, done.stderr
        assert bool(re.search(r"^schedule.*~", done.stdout, re.M)) == needs_stale_values(patch)
        path = tmp_path / "failure"
        path.write_text(done.stdout)
        again = run("--replay", path, program=program)
        assert again.returncode == 1 and reason(again.stdout) == reason(done.stdout)
        assert run("--replay", path).returncode == 0  # of the library as it is

    def test_each_is_a_patch_that_says_what_is_wrong(self, monkeypatch):
        monkeypatch.setattr(mutants, "PATCHES", PATCHES[0].parent)
        found = mutants.curated()
        assert len(found) >= 25 and len({mutant.digest for mutant in found}) == len(found)

    def test_seeds_find_what_they_found_before(self):
        program = FOLDER / "interleave_merged-decrement-and-test-are-two"
        for args in (("--random", 1000), ("--pct", 3, 1000), ("--random", 1000, "--stale", 2), ("--pct", 3, 1000, "--stale", 2)):
            first = run(*args, program=program)
            assert first.returncode == 1 and first.stdout == run(*args, program=program).stdout

    def test_seeds_may_begin_anywhere(self):
        program = FOLDER / "interleave_merged-decrement-and-test-are-two"
        first = run("--random", 1000, program=program)
        seed = int(re.search(r", random, seed (\d+), fails", first.stdout)[1])
        assert run("--random", 1, "--from", seed, program=program).stdout == first.stdout
        assert seed > 0 and run("--random", seed, program=program).returncode == 0
        assert run("--random", 1, "--from", "x").returncode == run("--from", 1).returncode == 2

    def test_a_schedule_that_is_printed_as_found_replays(self, tmp_path):
        program = FOLDER / "interleave_merged-decrement-and-test-are-two"
        found, simple = run("--as-found", "--random", 1000, program=program), run("--random", 1000, program=program)
        path = tmp_path / "failure"
        path.write_text(found.stdout)
        again = run("--replay", path, program=program)
        assert again.returncode == 1 and reason(again.stdout) == reason(found.stdout) == reason(simple.stdout)
        assert len(found.stdout) > len(simple.stdout)


class TestUse:
    @pytest.mark.parametrize("args", [(), ("--nothing",), ("--exhaustive", "--preemptions", "many"), ("--random", "0"), ("--random",), ("--exhaustive", "--stale", "101"), ("--pct", "3"),
                                      ("--pct", "17", "10"), ("--replay",), ("--replay", "a", "b")], ids=" ".join)
    def test_wrong_use_is_one_line_and_status_2(self, args):
        done = run(*args)
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "--help" in done.stderr

    @pytest.mark.parametrize("text, word", [
        ("", "no threads"), ("iobuf-program 1\n", "line 1"), (HEAD, "no threads"), (HEAD + "pool 64 65 0\n", "line 2"),
        (HEAD + "pool 64 0 0\nrelease s0\n", "line 3: the register holds nothing"), (HEAD + "close\nstats\n", "given up by `close`"),
        (HEAD + "stats | stats | stats | stats | stats\n", "more than 4 threads"), (HEAD + "alloc a0\n", "register is missing"),
        (HEAD + "init a9 0\n", "no such register"), (HEAD + "init a0 1000\n", "size"), (HEAD + "stats\nschedule 0*0\n", "schedule"),
        (HEAD + "stats\nschedule 9*1\n", "schedule"), (HEAD + "stats\nschedule 0*1~\n", "schedule"), (HEAD + "stale 101\nstats\n", "stale TIMES"),
        (HEAD + "stats\nschedule 0*1~1x\n", "schedule"), (HEAD + "frobnicate\n", "no such op"), (HEAD + "stats more\n", "more words"),
        (HEAD + "before 7 stats\n", "before THREAD OP"), (HEAD + "x" * 1000 + "\n", "too long"), (HEAD + "init a0 0\ninit a0 0\n", "something already"),
    ])
    def test_a_broken_file_is_named_with_its_line(self, text, word, tmp_path):
        path = tmp_path / "program"
        path.write_text(text)
        done = run("--replay", path)
        assert done.returncode == 3 and word in done.stderr and str(path) in done.stderr and len(done.stderr.splitlines()) == 1

    def test_a_file_that_is_not_there(self, tmp_path):
        done = run("--replay", tmp_path / "nothing")
        assert done.returncode == 3 and "cannot be read" in done.stderr
