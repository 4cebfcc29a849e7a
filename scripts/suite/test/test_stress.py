"""iobuf_stress: it makes every public call, it finds a planted race, and wrong use is told."""
import re
import subprocess

import pytest

from suite import build, mutants, races
from suite.paths import BUILD, ROOT

HEADER = ROOT / "lib" / "include" / "iobuf" / "iobuf.h"
PROGRAM = BUILD / "release" / races.STRESS


@pytest.fixture(scope="module", autouse=True)
def built():
    build.ensure("release", ["iobuf_stress"])


def run(*args, program=PROGRAM):
    return subprocess.run([program, *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)


def public_calls():
    """Those that the header declares or defines: names that end in _ are private."""
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S)
    return set(re.findall(r"\b(?:IOBUF_API|static inline)\b[^;{()]*?\b(iobuf_\w*[a-z])\(", text))


def counted(text):
    return {name: int(number) for name, number in re.findall(r"^(iobuf_\w+) (\d+)$", text, re.M)}


class TestCalls:
    def test_the_header_has_the_calls_that_everyone_knows(self):
        assert {"iobuf_strerror", "iobuf_slice_data", "iobuf_alloc", "iobuf_reader_read", "iobuf_slice_wrap"} <= public_calls()
        assert len(public_calls()) >= 37 and not any(name.endswith("_") for name in public_calls())

    def test_each_public_call_is_made(self):
        done = run("--rounds", 50, "--calls")
        assert done.returncode == 0, done.stderr
        calls = counted(done.stdout)
        assert set(calls) == public_calls()  # a new one: fuzz/stress/calls.h, and an op that makes it
        assert [name for name, number in calls.items() if number == 0] == []


class TestFindings:
    def test_a_planted_race_is_found_and_its_round_is_named(self, tmp_path):
        race = next(race for race in races.planted() if race.id == "refill-does-not-look-at-shared")
        with mutants.Plant(race, mutants.Processes(), tmp_path / "planted") as plant:
            done = run("--threads", 4, "--rounds", 2000, program=plant.program("release", races.STRESS))
        assert done.returncode == 1 and done.stdout == ""
        assert re.fullmatch(r"iobuf_stress: --threads 4 --ops 400 --seed \d+, thread \d, op \d+ \([a-z ]+\): .*\n", done.stderr), done.stderr

    def test_one_seed_makes_the_same_calls(self):
        """Apart from what depends on which thread came first."""
        first, second = (counted(run("--threads", 2, "--rounds", 3, "--seed", 5, "--calls").stdout) for _ in range(2))
        fixed = ("iobuf_reader_init_fd", "iobuf_slice_wrap", "iobuf_coalesce", "iobuf_slice_borrow", "iobuf_slices_to_iovec")
        assert [first[name] for name in fixed] == [second[name] for name in fixed] and first["iobuf_coalesce"] > 0


class TestUse:
    @pytest.mark.parametrize("args", [("--nothing",), ("more",), ("--threads",), ("--threads", "1"), ("--threads", "65"), ("--rounds", "0"),
                                      ("--seconds", "-1"), ("--ops", "many"), ("--seed", "1x"), ("--rounds", "9" * 30)], ids=" ".join)
    def test_wrong_use_is_one_line_and_status_2(self, args):
        done = run(*args)
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "--help" in done.stderr

    def test_help(self):
        done = run("--help")
        assert done.returncode == 0 and "Exit status" in done.stdout
