"""Comparing two commits, and what its calibration counts. What is judged is made up here; the last tests build the library and measure
it for real, by instructions, which any machine counts alike."""
import json
import random
import subprocess

import pytest

from suite import calibration, compare, pull_request, revision, say, stats, tracked
from suite.paths import ROOT
from suite.test import sample
from suite.test.test_cli import check, check_one_line, iobuf
from suite.verbs import calibrate
from suite.verbs import compare as verb

ONE = next(case for case in tracked.TRACKED if case.case == "coalesce/iobuf/1024")


def pairs(ratio, spread=0.02, rounds=20, seed=1):
    chance = random.Random(seed)
    return [(base, base * ratio * chance.uniform(1 - spread, 1 + spread)) for base in (chance.uniform(1, 3) for _ in range(rounds))]


class TestJudge:
    @pytest.mark.parametrize("before, after, verdict", [
        (100, 100, "same"), (100, 100.4, "same"), (100, 100.6, "regression"), (100, 99.6, "same"), (100, 99, "improvement"),
        (None, None, "not measured")])
    def test_instructions_are_judged_by_the_budget_alone(self, before, after, verdict):
        assert compare.judge_count(before, after, 0.005)["verdict"] == verdict

    @pytest.mark.parametrize("ratio, verdict", [(1, "no difference"), (1.05, "regression"), (0.95, "improvement"), (1.015, "no difference")])
    def test_a_time_needs_both_a_sure_difference_and_more_than_the_budget(self, ratio, verdict):
        found = compare.judge_time(pairs(ratio), 0.02, 9)
        assert found["verdict"] == verdict and found["low"] <= ratio * 1.01 and found["high"] >= ratio * 0.99

    def test_one_round_that_something_else_spoiled_is_no_verdict(self):
        spoiled = pairs(1)
        spoiled[3] = (1.0, 9.0)
        assert compare.judge_time(spoiled, 0.02, 9)["verdict"] == "no difference"

    def test_many_cases_need_a_surer_difference_than_one(self):
        weak = pairs(1.06, 0.12, seed=4)
        p = stats.signed_rank([after for _, after in weak], [before for before, _ in weak])
        assert compare.judge_time(weak, 0.02, int(0.9 * compare.LEVEL / p))["verdict"] == "regression"
        assert compare.judge_time(weak, 0.02, int(1.1 * compare.LEVEL / p) + 1)["verdict"] == "no difference"

    def test_the_fewest_rounds_can_reach_the_level(self):
        sure = [(1.0, 1.1 + at / 1000) for at in range(compare.FEWEST_ROUNDS)]
        assert compare.judge_time(sure, 0.02, len(tracked.TRACKED))["verdict"] == "regression"

    def test_no_rounds_are_no_verdict(self):
        assert compare.judge_time([], 0.02, 9)["verdict"] == "not measured"


class TestTwice:
    """A suspicion counts when a second run agrees. What a run measures is made up."""

    def times(self, monkeypatch, *runs):
        left = list(runs)
        monkeypatch.setattr(compare, "measured", lambda base, head, todo, *_: {case.case: left.pop(0) for case in todo})
        return compare.times(None, None, [ONE], compare.budgets(), 20, [])[ONE.case]

    def test_both_alike_is_a_regression(self, monkeypatch):
        found = self.times(monkeypatch, pairs(1.05), pairs(1.06, seed=2))
        assert found["verdict"] == "regression" and found["confirmed"]["ratio"] == pytest.approx(1.06, rel=0.01)

    @pytest.mark.parametrize("second", [1.0, 0.9])
    def test_a_second_run_that_says_otherwise_leaves_it_unconfirmed(self, monkeypatch, second):
        assert self.times(monkeypatch, pairs(1.05), pairs(second, seed=2))["verdict"] == "not confirmed"

    def test_without_a_suspicion_there_is_no_second_run(self, monkeypatch):
        assert self.times(monkeypatch, pairs(1))["confirmed"] is None


class TestRounds:
    def measured(self, monkeypatch, spread):
        chance, asked = random.Random(1), []
        monkeypatch.setattr(revision, "linked_anew", lambda program, seed, out: asked.append(seed) or out)
        monkeypatch.setattr(compare, "least", lambda program, env, case: chance.uniform(1, 1 + spread))
        revision.FOLDER.mkdir(parents=True, exist_ok=True)
        found = compare.measured(compare.Side("a"), compare.Side("b"), [ONE], 20, [], "time", random)
        return len(found[ONE.case]), asked

    def test_each_round_links_both_anew_with_seeds_of_their_own(self, monkeypatch):
        rounds, seeds = self.measured(monkeypatch, 0.001)
        assert rounds == 20 and len(set(seeds)) == 40

    def test_a_wide_interval_gets_more_rounds_but_not_for_ever(self, monkeypatch):
        assert self.measured(monkeypatch, 1.0)[0] == 20 * compare.MOST_ROUNDS


class TestWhole:
    def rows(self, counted="same", timed="no difference"):
        return [{"case": "a", "instructions": {"verdict": counted}, "time": {"verdict": timed}}, {"case": "b", "instructions": {"verdict": "same"},
                                                                                                "time": None}]

    @pytest.mark.parametrize("counted, timed, errors, verdict, status", [
        ("same", "no difference", [], "fine", 0), ("regression", "no difference", [], "regression", 1),
        ("same", "regression", [], "regression", 1), ("same", "not confirmed", [], "fine", 0), ("improvement", "no difference", [], "improvement", 4),
        ("improvement", "regression", [], "regression", 1), ("same", "not measured", [], "could not measure", 3),
        ("not measured", "improvement", [], "could not measure", 3), ("same", "no difference", [{"case": "a"}], "could not measure", 3)])
    def test_verdict_and_status_of_the_gate(self, counted, timed, errors, verdict, status):
        assert compare.verdict(self.rows(counted, timed), errors) == verdict
        assert verb.status({"verdict": verdict, "override": None, "errors": errors}, True) == status

    def test_nothing_measured_is_never_fine(self):
        assert compare.verdict([], []) == "could not measure"

    def test_an_override_takes_a_regression_but_hides_no_error(self):
        taken = {"verdict": "regression", "override": {"reason": "why", "by": "--accept"}}
        assert verb.status(taken | {"errors": []}, True) == 0
        assert verb.status(taken | {"errors": [{"case": "a"}]}, True) == 1

    def test_the_table_for_a_pull_request_shows_what_differs_and_folds_the_rest(self):
        row = {"case": "coalesce/iobuf/64", "instructions": compare.judge_count(50, 60, 0.005), "time": compare.judge_time(pairs(1), 0.02, 9)}
        other = {"case": "batch/iobuf/mixed", "instructions": compare.judge_count(50, 50, 0.005), "time": None}
        text = pull_request.table(sample.HEAD | {
            "command": "scripts/iobuf compare main", "build": sample.BUILD, "verdict": "regression", "base": {"name": "main", "commit": "0" * 12},
            "head": {"name": "HEAD", "commit": "1" * 12}, "override": {"reason": "a check of size", "by": "--accept"}, "cases": [row, other],
            "errors": [], "rounds": 20, "seconds": 60})
        before, _, folded = text.partition("<details>")
        assert "### Slower" in before and "| coalesce/iobuf/64 | 60.0 | 50.0 | 1.200 | slower |" in before and "a check of size" in before
        assert "batch/iobuf/mixed" in folded and "batch/iobuf/mixed" not in before


class TestBudgets:
    def test_every_case_has_one(self):
        assert compare.budgets().keys() == {case.case for case in tracked.TRACKED}

    @pytest.mark.parametrize("text, word", [
        ("nothing", "cannot be read"), ("[default]\ninstructions = 1", "[default]"), ("[default]\ninstructions = 1\ntime = 'all'", "percents"),
        ("[default]\ninstructions = 1\ntime = 2\n[\"no/such/case\"]\ntime = 1", "no/such/case"), ("default = 1", "[default]")])
    def test_a_wrong_file_is_one_line(self, tmp_path, text, word):
        (tmp_path / "budgets.toml").write_text(text)
        with pytest.raises(say.Stop) as stop:
            compare.budgets(tmp_path / "budgets.toml")
        assert word in str(stop.value) and stop.value.status == 2


@pytest.mark.parametrize("args, word", [
    (["nothing-that-is"], "nothing-that-is"), (["-x"], "-x"), (["HEAD", "HEAD", "--filter", "("], "--filter"),
    (["HEAD", "HEAD", "--filter", "no such case"], "coalesce/iobuf/64"), (["HEAD", "--no-time", "--no-instructions"], "nothing to measure"),
    (["HEAD", "--accept", " "], "reason"), (["HEAD", "--rounds", "1"], "--rounds"), ([], "BASE")])
def test_wrong_use_is_one_line_and_status_2(args, word):
    check_one_line(iobuf("compare", *args), 2, word)


class TestCalibration:
    def row(self, what, measure="time", **more):
        return {"what": what, "measure": measure, "alarms": {}, "unconfirmed": [], "errors": [], "commit": "0" * 12, "date": "2026-01-01", "machine": {},
                "case": None, "path": None, "percent": None, "injected": 0, "found": None} | more

    def test_alarms_are_counted_by_comparison_and_improvements_are_alarms_too(self):
        rows = [self.row("aa", alarms={"a": "regression", "b": "improvement"}), self.row("aa", alarms={"a": "improvement"}), self.row("aa"),
                self.row("aa", "instructions")]
        found = calibration.summarise(rows, "setup")
        assert (found["aa_runs_time"], found["aa_alarms_time"], found["aa_runs_instructions"], found["aa_alarms_instructions"]) == (3, 2, 1, 0)
        assert found["aa_runs"] == 1

    def test_a_slowdown_is_found_only_in_its_own_case(self):
        slow = {"path": "alloc", "percent": 5, "case": "a"}
        rows = [self.row("slow", found=True, alarms={"a": "regression"}, **slow), self.row("slow", found=False, alarms={"b": "regression"}, **slow)]
        found = calibration.summarise(rows, "setup")
        assert found["found"]["time"]["5"] == {"found": 1, "trials": 2, "share": 0.5, "injected": 0}
        assert found["elsewhere"]["time"] == 1 and found["found"]["time"]["1"]["share"] is None

    def test_a_trial_that_broke_is_no_trial(self):
        rows = [self.row("aa"), self.row("aa", errors=[{"case": "a"}])]
        assert calibration.summarise(rows, "setup")["aa_runs_time"] == 1

    def test_only_what_is_not_recorded_is_left_to_do(self, tmp_path):
        trial = next(calibration.plan(1, 1, 1))
        line = {"schema": 1, "kind": calibration.KIND, "setup": "s", "what": trial.what, "measure": trial.measure, "path": None, "percent": None, "number": 0}
        (tmp_path / "t").write_text(json.dumps(line) + "\n" + json.dumps(line | {"setup": "other", "number": 1}) + "\n{\"half")
        assert calibration.read(tmp_path / "t", "s").keys() == {trial.key()}

    def test_percent_leaves_the_slowdowns_of_that_size(self, tmp_path, monkeypatch):
        asked = []
        monkeypatch.setattr(calibrate, "make", lambda todo, *_: asked.extend(todo))
        with pytest.raises(say.Stop):  # nothing was measured
            calibrate.command.main(["--percent", "5", "--measure", "time", "--trials", "2", "--record", tmp_path / "t", "--summary", tmp_path / "s"],
                                   standalone_mode=False)
        assert {(trial.what, trial.percent) for trial in asked} == {("slow", 5)} and len(asked) == 2 * len(calibration.PATHS)

    @pytest.mark.parametrize("args, word", [(["--percent", "3"], "--percent"), (["--part", "3/2"], "K/N"), (["--part", "x"], "K/N"), (["--commit", "no-such"], "no-such")])
    def test_wrong_use_is_one_line_and_status_2(self, args, word):
        check_one_line(iobuf("calibrate", *args), 2, word)

    def test_nothing_recorded_is_one_line_and_status_3(self, tmp_path):
        check_one_line(iobuf("calibrate", "--show", "--record", tmp_path / "none", "--summary", tmp_path / "s"), 3, "no trial")

    @pytest.mark.parametrize("patch", sorted(path.stem for path in calibration.PATCHES.glob("*.patch")))
    def test_every_patch_applies(self, patch):
        subprocess.run(["patch", "-p1", "--dry-run", "--quiet", "-i", calibration.PATCHES / f"{patch}.patch"], cwd=ROOT, check=True)

    def test_there_is_a_patch_for_every_path_and_layout(self):
        assert {path.stem for path in calibration.PATCHES.glob("*.patch")} == {*calibration.PATHS, *calibration.LAYOUTS}


class TestReal:
    """Builds of the working tree's library, counted by callgrind."""

    @pytest.fixture(scope="class")
    def tree(self):
        return revision.resolve()

    def counted(self, tree, patch, env=None, errors=None):
        sides = [compare.Side(revision.bench_of(tree)), compare.Side(revision.bench_of(tree, patch=patch), env)]
        return compare.instructions(*sides, [ONE], compare.budgets(), [] if errors is None else errors)[ONE.case]

    def test_a_planted_slowdown_is_found_and_without_it_there_is_none(self, tree):
        patch = calibration.PATCHES / "coalesce.patch"
        assert self.counted(tree, patch, {calibration.LOOPS: "0"})["verdict"] == "same"
        assert self.counted(tree, patch, {calibration.LOOPS: "60000"})["verdict"] == "regression"

    def test_a_program_that_breaks_is_no_result_of_either_measure(self, tree, tmp_path):
        text = (ROOT / "lib" / "src" / "coalesce.c").read_text()
        broken = text.replace("    if (count == 0)\n", "    if (count > 100)\n        __builtin_trap();\n    if (count == 0)\n")
        assert broken != text
        (tmp_path / "new").write_text(broken)
        diff = subprocess.run(["diff", "-u", "--label", "a/lib/src/coalesce.c", "--label", "b/lib/src/coalesce.c",
                               ROOT / "lib" / "src" / "coalesce.c", tmp_path / "new"], capture_output=True, text=True).stdout
        (tmp_path / "trap.patch").write_text(diff)
        errors = []
        assert self.counted(tree, tmp_path / "trap.patch", errors=errors)["verdict"] == "not measured" and len(errors) == 1
        sides = [compare.Side(revision.bench_of(tree)), compare.Side(revision.bench_of(tree, patch=tmp_path / "trap.patch"))]
        errors = []
        found = compare.times(*sides, [ONE], compare.budgets(), compare.FEWEST_ROUNDS, errors)[ONE.case]
        assert found["verdict"] == "not measured" and "time of the head" in errors[0]["message"]
        assert compare.verdict([{"case": ONE.case, "instructions": None, "time": found}], errors) == "could not measure"

    def test_another_order_of_functions_counts_the_same(self, tree):
        found = self.counted(tree, calibration.PATCHES / "layout-order.patch")
        assert found["verdict"] == "same" and found["ratio"] == pytest.approx(1, abs=1e-4)

    def test_linking_anew_moves_the_functions(self, tree, tmp_path):
        program = revision.bench_of(tree)
        placed = []
        for seed in (1, 1, 2):
            out = revision.linked_anew(program, seed, tmp_path / "program")
            symbols = subprocess.run(["nm", out], capture_output=True, text=True).stdout.splitlines()
            placed.append([line.split()[-1] for line in sorted(symbols) if " T iobuf_" in line])
        assert placed[0] == placed[1] != placed[2] and sorted(placed[0]) == sorted(placed[2]) and len(placed[0]) > 20

    def test_the_verb_writes_what_it_shows(self, tree, tmp_path):
        done = iobuf("compare", "HEAD", "--no-time", "--filter", "^coalesce/iobuf/1024", "--gate", "--results", tmp_path, "--markdown", tmp_path / "c.md",
                     "--json")
        found = json.loads((tmp_path / "compare.json").read_text())
        assert json.loads(done.stdout) == found and found["head"]["name"] == revision.TREE
        check(done, verb.GATE[found["verdict"]])
        assert [row["case"] for row in found["cases"]] == [ONE.case] and f"| {ONE.case} |" in (tmp_path / "c.md").read_text()


def test_a_regression_is_accepted_by_a_line_of_the_commit_and_only_a_regression(tmp_path, monkeypatch):
    def git(*args):
        return subprocess.run(["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", *args], check=True, capture_output=True, text=True).stdout
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "Check sizes\n\nAccept-regression: they come from the network")
    commit = git("rev-parse", "HEAD").strip()
    monkeypatch.setattr(revision, "git", lambda *args, check=True: (0, git(*args)))
    result = {"verdict": "regression", "head": {"name": "HEAD", "commit": commit}}
    assert verb.override(result, None)["reason"] == "they come from the network"
    assert verb.override(result, "mine")["by"] == "--accept"
    assert verb.override(result | {"verdict": "fine"}, "mine") is None
