"""fuzz --ci from outside, in a repository of its own with bugs planted before and after the base; and its parts."""
import json
import os
import re
import shutil
import stat
import subprocess
import xml.etree.ElementTree

import pytest

from suite import ci, ci_reports, judge, touched
from suite.paths import ROOT
from suite.test.test_cli import check, check_one_line, iobuf

BUG = "reader-fails-for-an-interruption"  # of reader.c: few programs of the corpus show it, and the canary still applies
OTHER = "freelist-64-units-in-the-wrong-list"


@pytest.mark.parametrize("args, word", [
    (["--ci"], "--base"), (["--base", "HEAD"], "--ci"), (["--minutes", "1"], "--ci"), (["--ci", "--base", "HEAD", "--minutes", "0"], "--minutes"),
    (["--ci", "--base", "HEAD", "--minutes", "soon"], "--minutes"), (["--ci", "--base", "HEAD", "--seconds", "1"], "--ci"),
    (["--ci", "--base", "HEAD", "--engine", "afl"], "--ci"), (["--ci", "--base", "no-such-revision"], "no-such-revision"),
    (["--ci", "--base", "--nothing"], "--nothing"), (["nothing", "--ci", "--base", "HEAD"], "slice, reader, pool, all"),
])
def test_wrong_use_is_one_line_and_status_2(args, word):
    check_one_line(iobuf("fuzz", *args), 2, word)


class TestTouched:
    @pytest.mark.parametrize("name", ["README.md", "lib/README.md", "results/fuzz.jsonl", "bench/cases/frame.h", "scripts/suite/say.py", ".ci/run",
                                      "LICENSE", ".gitignore", "fuzz/mutants/share-range-wraps.patch", "fuzz/test/test_mutate.c", "lib/test/x.c",
                                      "lib/example/frame_server.c"])
    def test_what_no_program_can_meet_touches_none(self, name):
        assert touched.targets_of([name]) == {}

    @pytest.mark.parametrize("name", ["lib/src/slice.c", "lib/include/iobuf/iobuf.h", "fuzz/model/slice.c", "fuzz/execute/ops.c",
                                      "fuzz/program/ops.def", "fuzz/mutate/mutate.c", "CMakeLists.txt", "fuzz/mutants/canary.patch",
                                      "scripts/suite/engines.py", "fuzz/targets/target.h", "something/new.c"])
    def test_what_any_program_can_meet_touches_all(self, name):
        assert list(touched.targets_of([name])) == ["slice", "reader", "pool", "all"]

    def test_what_is_of_one_target_touches_it(self):
        assert touched.targets_of(["corpus/pool/seeds/abc", "fuzz/targets/reader.c", "README.md"]) == {
            "reader": "fuzz/targets/reader.c", "pool": "corpus/pool/seeds/abc"}


def script(path, text):
    """A program in place of replay, to see what is made of what it does."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


class TestJudge:
    @pytest.mark.parametrize("text, says", [("exit 0", judge.CLEAN), ("exit 3", judge.UNREADABLE), ("kill -SEGV $$", "library_does_not_crash: killed by SIGSEGV"),
                                            ("echo 'check failed: a: b'; exit 1", "a: b"), ("exit 23", "library_does_not_crash: exit status 23"),
                                            ("kill -KILL $$", judge.UNKNOWN)])
    def test_what_a_run_says(self, tmp_path, text, says):
        assert judge.once(script(tmp_path / "replay", text), "slice", tmp_path) == says

    def test_program_that_sleeps_for_ever_fails(self, tmp_path, monkeypatch):
        monkeypatch.setattr(judge, "WALL_SECONDS", 1)
        assert judge.once(script(tmp_path / "replay", "exec sleep 100"), "slice", tmp_path) == "program_ends: all threads sleep"

    def test_program_that_works_for_ever_fails_by_its_own_time(self, tmp_path, monkeypatch):
        monkeypatch.setattr(judge, "CPU_SECONDS", 1)
        assert judge.once(script(tmp_path / "replay", "while :; do :; done"), "slice", tmp_path).startswith("program_ends: still at work")

    def test_program_that_had_no_time_is_no_failure(self, tmp_path, monkeypatch):
        monkeypatch.setattr(judge, "WALL_SECONDS", 0.5)
        assert judge.once(script(tmp_path / "replay", "while :; do :; done"), "slice", tmp_path) == judge.UNKNOWN

    def test_runs_that_fail_are_counted(self, tmp_path):
        every_second = f"echo >>{tmp_path}/runs; [ $(($(wc -l <{tmp_path}/runs) % 2)) = 0 ] || {{ echo 'check failed: a: b'; exit 1; }}"
        assert judge.repeated(script(tmp_path / "replay", every_second), "slice", tmp_path) == (5, "a: b")

    def test_those_that_fail_are_found_by_halves(self, tmp_path):
        files = [tmp_path / str(number) for number in range(9)]
        fake = script(tmp_path / "replay", 'for f; do case $f in */3|*/7) echo "check failed: a: $f"; exit 1;; esac; done')
        assert [path.name for path, _ in ci.not_clean(fake, "slice", files)] == ["3", "7"]


def test_base_takes_over_what_differs_and_touches_nothing_else(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, files in ((old, {"same": "1", "changed": "1", "gone/deep": "1", "was-folder/in": "1", "was-file": "1", "build/kept": "1"}),
                          (new, {"same": "1", "changed": "2", "was-folder": "2", "was-file/in": "2", "added/deep": "2"})):
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
            os.utime(folder / name, (1000, 1000))
    judge.take_over(new, old)
    found = {str(path.relative_to(old)): (path.read_text(), path.stat().st_mtime == 1000) for path in old.rglob("*") if path.is_file()}
    assert found == {"same": ("1", True), "build/kept": ("1", True), "changed": ("2", False), "was-folder": ("2", False),
                     "was-file/in": ("2", False), "added/deep": ("2", False)}
    assert not (old / "gone").exists()
    judge.take_over(new, tmp_path / "none")
    assert (tmp_path / "none" / "added" / "deep").read_text() == "2"


FAILURE = {"state": "new", "target": "slice", "found_by": "afl", "preset": "checked", "from": "x", "input": "build/fuzz/failures/slice/x",
           "failed": 10, "of": 10, "says": "contents_equal: \x01<&", "base_says": "clean", "check": "contents_equal", "op": "coalesce", "report": None,
           "stack": ["iobuf_coalesce"], "ops": 3, "location": {"file": "lib/src/coalesce.c", "line": 9, "how": "stack"}, "cause": "abcd",
           "program": "iobuf-program 1 slice\n", "text": "x.txt", "c": None, "sha256": "0"}


def summary(*failures, status=1, errors=()):
    return {"base": "0" * 40, "commit": "1" * 12, "date": "2026-01-01T00:00:00+00:00", "touched": {"slice": "lib/src/slice.c"}, "command": "x",
            "status": status, "steps": [{"name": "replay slice", "seconds": 1.0, "note": "9 programs"}], "failures": list(failures),
            "not_looked_at": 0, "errors": list(errors), "kept": {}}


def check_sarif(log):
    """What the standard (OASIS SARIF 2.1.0) requires of the parts that are used."""
    assert log["version"] == "2.1.0" and log["$schema"].endswith("sarif-2.1.0.json")
    run, = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert run["tool"]["driver"]["name"] and len(rules) == len(set(rules))
    assert all(isinstance(one["executionSuccessful"], bool) for one in run["invocations"])
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"] and result["message"]["text"]
        assert result["level"] in ("none", "note", "warning", "error")
        assert result.get("baselineState", "new") in ("new", "unchanged", "updated", "absent")
        assert all(isinstance(value, str) for value in result.get("partialFingerprints", {}).values())
        for place in [location["physicalLocation"] for location in result["locations"]] + result["attachments"]:
            uri = place["artifactLocation"]["uri"]
            assert not uri.startswith("/") and place["artifactLocation"]["uriBaseId"] in run["originalUriBaseIds"]
            assert place.get("region", {"startLine": 1})["startLine"] >= 1
    return run["results"]


def check_junit(text):
    suite, = xml.etree.ElementTree.fromstring(text)
    count = {tag: len(list(suite.iter(tag))) for tag in ("testcase", "failure", "error", "skipped")}
    assert [int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")] == list(count.values())
    return suite


class TestReports:
    def test_only_a_new_failure_is_one(self):
        known, unstable = FAILURE | {"state": "known"}, FAILURE | {"state": "unstable", "failed": 3, "location": None, "cause": None}
        found = summary(FAILURE, known, unstable)
        assert [result["level"] for result in check_sarif(ci_reports.sarif(found))] == ["error", "note", "note"]
        suite = check_junit(ci_reports.junit(found))
        assert (suite.get("failures"), suite.get("skipped"), suite.get("errors")) == ("1", "2", "0")
        assert "1 new, 0 not compared, 1 known, 1 unstable" in ci_reports.text(found)

    def test_what_could_not_run_is_an_error(self):
        found = summary(FAILURE | {"state": "not compared"}, status=3, errors=["the base does not build:\n  why"])
        assert check_junit(ci_reports.junit(found)).get("errors") == "2"
        log = ci_reports.sarif(found)
        check_sarif(log)
        assert log["runs"][0]["invocations"][0]["executionSuccessful"] is False
        assert "could not run: the base does not build" in ci_reports.text(found)

    def test_location_is_that_of_the_stack_else_of_the_call(self):
        stack = "    #0 0x1 in x /r/fuzz/execute/ops.c:1:1\n    #1 0x2 in put /r/lib/src/buf.c:7:3\n"
        assert ci.location(stack, "release") == {"file": "lib/src/buf.c", "line": 7, "how": "stack"}
        found = ci.location("", "coalesce")
        text = (ROOT / found["file"]).read_text().splitlines()[found["line"] - 1]
        assert re.search(r"iobuf_coalesce\(", text) and found["how"] == "call"
        assert ci.location("", "no_such_op") is None


# ---- a repository with a change


class Repository:
    def __init__(self, folder):
        self.folder = folder
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns("build", ".git", "latest", "__pycache__"))
        presets = folder / "CMakePresets.json"  # as quick to build as can be: what engines and replay see is the same
        text, count = re.subn(r'("CMAKE_BUILD_TYPE": )"(?:RelWithDebInfo|Release)"', r'\1"Debug"', presets.read_text())
        assert count > 1
        presets.write_text(text)
        self.git("init", "-q")
        self.commit("base")

    def git(self, *words):
        who = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        return subprocess.run(["git", *who, *words], cwd=self.folder, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, message):
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)

    def plant(self, name):
        subprocess.run(["patch", "-s", "-p1", "--no-backup-if-mismatch", "-i", ROOT / "fuzz" / "mutants" / f"{name}.patch"], cwd=self.folder, check=True)

    def ci(self, *words):
        done = subprocess.run([self.folder / "scripts" / "iobuf", "fuzz", "--ci", "--minutes", "0.05", *words], cwd=self.folder,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        return done, self.folder / "results" / "latest" / "ci"


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """One for all, since the builds take most of the time; the tests below go on from each other's state, in their order."""
    return Repository(tmp_path_factory.mktemp("ci") / "repository")


def failures_of(folder):
    found = json.loads((folder / "ci.json").read_text())["failures"]
    check_sarif(json.loads((folder / "ci.sarif").read_text()))
    check_junit((folder / "junit.xml").read_text())
    return found


def test_change_of_a_text_is_replayed_and_not_fuzzed(repository):
    (repository.folder / "README.md").write_text("another text\n")
    repository.commit("text")
    done, folder = repository.ci("--base", "HEAD~1")
    check(done, 0, "touches no target", "canary libfuzzer", "canary afl", "replay all", "clean: 0 new")
    assert "fuzz " not in [step["name"].split()[0] + " " for step in json.loads((folder / "ci.json").read_text())["steps"]]


def test_bug_that_the_change_brings_is_new(repository):
    repository.plant(BUG)
    repository.commit("bug")
    done, folder = repository.ci("reader", "--base", "HEAD~1")
    check(done, 1, "NEW", "new failures")
    found = failures_of(folder)
    assert found and {failure["state"] for failure in found} <= {"new", "unstable"}
    new = next(failure for failure in found if failure["state"] == "new")
    assert new["failed"] == new["of"] == 10 and new["base_says"] == "clean"
    assert new["location"]["file"].startswith("lib/")
    assert new["program"].startswith("iobuf-program 1 reader\n") and "iobuf" in (repository.folder / new["c"]).read_text()
    result = json.loads((folder / "ci.sarif").read_text())["runs"][0]["results"][found.index(new)]
    assert (result["level"], result["baselineState"]) == ("error", "new") and "iobuf_" in result["properties"]["c"]


def test_new_bug_is_seen_beside_a_known_one(repository):
    repository.plant(OTHER)
    repository.commit("another bug")
    done, folder = repository.ci("pool", "--base", "HEAD~1")
    check(done, 1, "NEW", "known")
    assert {step["name"] for step in json.loads((folder / "ci.json").read_text())["steps"]} >= {"fuzz libfuzzer pool", "fuzz afl pool"}
    states = {(failure["target"], failure["state"]) for failure in failures_of(folder)}
    assert ("pool", "new") in states and ("reader", "known") in states and ("pool", "known") not in states


def test_base_that_does_not_build_is_said(repository):
    source = repository.folder / "lib" / "src" / "pool.c"
    good = source.read_text()
    source.write_text(good + "\nno C at all\n")
    repository.commit("does not build")
    source.write_text(good)
    repository.commit("builds again")
    done, folder = repository.ci("pool", "--base", "HEAD~1")
    check(done, 3, "does not build", "could not run")
    assert {failure["state"] for failure in failures_of(folder)} == {"not compared"}


class TestTrials:
    @pytest.mark.parametrize("content", [b"{", b"[]\n", b"7\n", b'{"schema": 1}\n', bytes(range(256)) * 100])
    def test_broken_record_is_one_line(self, tmp_path, content):
        (tmp_path / "runs.jsonl").write_bytes(content)
        done = iobuf("ci-trials", "--record", tmp_path / "runs.jsonl", "--runs", "0")
        check_one_line(done, 3, "runs.jsonl")

    def test_none_is_said(self, tmp_path):
        check(iobuf("ci-trials", "--record", tmp_path / "none", "--runs", "0"), 3, "--runs 50")

    @pytest.mark.parametrize("args", [["--runs", "-1"], ["--minutes", "0"], ["more"]])
    def test_wrong_use_is_one_line_and_status_2(self, args):
        check_one_line(iobuf("ci-trials", *args), 2, args[0])

    def test_help_teaches_with_examples_and_statuses(self):
        check(iobuf("ci-trials", "--help"), 0, "Examples:", "scripts/", "Exit status:")
