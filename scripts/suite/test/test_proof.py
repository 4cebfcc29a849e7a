"""iobuf prove: planted bugs break the proof, and the list of what is not proved is checked both ways."""
import json
import pathlib
import shutil
import subprocess

import pytest

from suite import proof
from suite.test.test_cli import ROOT, check, check_one_line, iobuf

KEY = ("slice", "f")


def judge(goals, entries=(), wanted=None):
    return proof.judge({KEY: goals}, {(*KEY, goal): "why" for goal in entries}, wanted)


class TestJudge:
    def test_what_is_proved_is_right(self):
        assert judge({"ensures": "Z3", "assigns": "Qed"}) == []

    def test_what_is_not_proved_must_be_named(self):
        assert judge({"ensures": None}) == ["is neither proved nor named: slice, f: ensures"]
        assert judge({"ensures": None}, ["ensures"]) == []

    def test_what_is_named_must_not_be_proved(self):
        assert judge({"ensures": "Z3"}, ["ensures"]) == ["is named, but proved by Z3: slice, f: ensures"]

    def test_what_is_named_must_be_there(self):
        assert judge({"ensures": "Z3"}, ["assigns"]) == ["is named, and not there: slice, f: assigns"]
        assert proof.judge({KEY: {"ensures": "Z3"}}, {("slice", "g", None): "why"}, None) == ["is named, and not there: slice, g"]

    def test_a_function_without_a_proof_must_be_named(self):
        assert judge({}) == ["has no proof and is not named: slice, f"]
        assert judge({}, [None]) == []
        assert judge({"ensures": "Z3"}, [None]) == ["is named as without a proof, and has one: slice, f"]

    def test_of_some_functions_only_theirs_count(self):
        assert proof.judge({KEY: {"ensures": "Z3"}}, {("slice", "g", None): "why"}, {"f"}) == []


def test_every_function_with_a_body_is_found(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "slice.c").write_text("int f(void)\n{\n}\nstatic __attribute__((noinline)) int g(int a,\n  int b)\n{\n}\nint h(void);\n")
    assert proof.UNITS["slice"].functions(tmp_path) == ["f", "g"]


def test_each_function_is_in_one_process_and_the_longest_begin_first():
    keys = proof.functions()
    jobs = list(proof.shares(keys))
    assert set(proof.LONGEST) <= set(keys) and [(unit, names[0]) for unit, names in jobs][:len(proof.LONGEST)] == list(proof.LONGEST)
    assert sorted((unit, name) for unit, names in jobs for name in names) == sorted(keys)
    assert all(len(names) <= proof.AT_ONCE for _, names in jobs)


def test_the_functions_of_a_file():
    done = iobuf("prove", "--json", "--file", "pool.c")
    check(done, 0)
    found = json.loads(done.stdout)
    assert [(row["file"], row["function"]) for row in found["functions"]] == [("src/pool.c", "round_up")] and found["named"] == 0


def test_a_contract_holds_for_the_library():
    done = iobuf("prove", "--json", "iobuf_slice_truncate_back")
    check(done, 0)
    found = json.loads(done.stdout)
    assert found["wrong"] == [] and [row["function"] for row in found["functions"]] == ["iobuf_slice_truncate_back"]
    assert found["proved"] == found["goals"] > 10


@pytest.mark.parametrize("bug, function", [
    ("slice-partly-own-counts-as-own", "slice_owns_all"),
    ("alloc-restarts-without-the-reserve", "set_bound"),
])
def test_a_planted_bug_breaks_the_proof(tmp_path, bug, function):
    shutil.copytree(ROOT / "lib", tmp_path / "lib")
    subprocess.run(["patch", "-s", "-p1", "-F0", "-d", tmp_path, "-i", ROOT / "fuzz" / "mutants" / f"{bug}.patch"], check=True)
    check(iobuf("prove", "--lib", tmp_path / "lib", function), 1, f"{function}: ", "is neither proved nor named")


@pytest.mark.parametrize("content", ["", "nothing", "[{}]", "[1]", '[{"because": "", "not_proved": [{"unit": "slice", "function": "f"}]}]',
                                     '[{"because": "x", "not_proved": [{"unit": "slice"}]}]'])
def test_a_list_that_is_none(tmp_path, content):
    path = tmp_path / "list.json"
    path.write_text(content)
    check_one_line(iobuf("prove", "--unproved", path), 3, "is no list of goals")


def test_wrong_use(tmp_path):
    check_one_line(iobuf("prove", "nothing"), 2, "no function is called 'nothing'")
    check_one_line(iobuf("prove", "--file", "slice.c", "round_up"), 2, "no function is called 'round_up'")
    check_one_line(iobuf("prove", "--file", "nothing"), 2, "--file")
    check_one_line(iobuf("prove", "--unproved", tmp_path / "nothing"), 2, "does not exist")
    check_one_line(iobuf("prove", "--lib", ROOT / "README.md"), 2, "is a file")


def test_a_missing_prover_names_setup(tmp_path):
    for name in ("sh", "env", "python3"):
        (tmp_path / name).symlink_to(pathlib.Path("/usr/bin") / name)
    check_one_line(iobuf("prove", env={"PATH": str(tmp_path)}), 3, "frama-c was not found: run scripts/setup")
