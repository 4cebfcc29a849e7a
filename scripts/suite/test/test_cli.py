"""The command line from outside: wrong use, broken files and missing tools give one clear line and the documented status."""
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

from suite.test import sample

ROOT = pathlib.Path(__file__).resolve().parents[3]
IOBUF = ROOT / "scripts" / "iobuf"


def iobuf(*args, **more):
    return subprocess.run([IOBUF, *map(str, args)], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=500, **more)


def check(done, status, *words):
    """The status, each word somewhere in what was said, and never a traceback."""
    said = done.stdout + done.stderr
    assert done.returncode == status, said
    assert "Traceback" not in said
    for word in words:
        assert word in said


def check_one_line(done, status, *words):
    check(done, status, *words)
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.mark.parametrize("verb", ["", "run", "test", "fuzz", "fuzz-speed", "replay", "corpus", "coverage", "prove", "bench", "compare", "calibrate", "report", "mutator-trials", "mutants", "track", "trace", "trace record", "trace cut", "change-point-trials"])
def test_help_teaches_with_examples_and_statuses(verb):
    check(iobuf(*verb.split(), "--help"), 0, "Examples:", "scripts/", "Exit status:")


@pytest.mark.parametrize("args, word", [
    (["nothing"], "nothing"), (["fuzz", "nothing"], "slice, reader, pool, all"), (["fuzz", "--seconds", "0"], "--seconds"),
    (["fuzz", "--seconds", "soon"], "--seconds"), (["fuzz", "--engine", "nothing"], "nothing"), (["fuzz", "--runs", "-1"], "--runs"),
    (["fuzz", "--jobs", "0"], "--jobs"), (["replay", "nothing"], "slice, reader, pool, all"),
    (["replay", "--preset", "nothing"], "release"), (["replay", "--text"], "--text"),
    (["bench", "--rounds", "1"], "--rounds"), (["bench", "--filter", "("], "--filter"), (["bench", "--nothing"], "--nothing"),
    (["fuzz-speed", "nothing"], "slice, reader, pool, all"),
    (["fuzz-speed", "--seconds", "0"], "--seconds"),
    (["mutator-trials", "nothing"], "nothing"), (["mutator-trials", "--trials", "-1"], "--trials"),
    (["mutator-trials", "--target", "nothing"], "slice"), (["report", "more"], "more"), (["test", "nothing"], "nothing"), (["run", "more"], "more"),
])
def test_wrong_use_is_one_line_and_status_2(args, word):
    check_one_line(iobuf(*args), 2, word)


@pytest.mark.parametrize("script", ["scripts/iobuf"])
def test_missing_python_modules_name_setup(script):
    done = subprocess.run(["/usr/bin/python3", "-S", "-I", ROOT / script, "--help"], capture_output=True, text=True)
    check_one_line(done, 3, "run scripts/setup")


def test_missing_program_names_setup(tmp_path):
    done = iobuf("bench", "--filter", "nothing", env=os.environ | {"PATH": str(tmp_path)})
    check(done, 3, "was not found: run scripts/setup")


def test_setup_refuses_unknown_words():
    done = subprocess.run([ROOT / "scripts" / "setup", "nothing"], capture_output=True, text=True)
    check_one_line(done, 2, "usage: scripts/setup")


@pytest.mark.parametrize("script", ["run", "test"])
def test_scripts_pass_the_status_on(script):
    done = subprocess.run([ROOT / "scripts" / script, "--nothing"], capture_output=True, text=True)
    check(done, 2, "--nothing")


def report(folder):
    """The page of one folder alone, without what the repository has recorded."""
    return iobuf("report", "--results", folder, "--recorded", folder)


class TestReport:
    def test_without_results_names_the_command(self, tmp_path):
        check_one_line(report(tmp_path), 3, "run scripts/run")

    @pytest.mark.parametrize("kind", ["fuzz", "bench", "replay", "run"])
    def test_truncated_result_is_named(self, tmp_path, kind):
        sample.write(tmp_path)
        path = tmp_path / f"{kind}.json"
        path.write_text(json.dumps(sample.bench())[:100])
        check_one_line(report(tmp_path), 3, f"{kind}.json", "again")

    @pytest.mark.parametrize("content", ["", "[]", "null", "{}", '{"kind": "bench", "schema": 1}', '{"kind": "fuzz", "schema": 2}',
                                         '{"kind": "fuzz", "schema": 1}', '{"kind": "fuzz", "schema": 1, "fuzzed": 7}'])
    def test_wrong_result_is_one_line(self, tmp_path, content):
        sample.write(tmp_path)
        (tmp_path / "fuzz.json").write_text(content)
        check_one_line(report(tmp_path), 3, "again")

    def test_random_bytes_are_one_line(self, tmp_path):
        sample.write(tmp_path)
        (tmp_path / "bench.json").write_bytes(bytes(range(256)) * 100)
        check_one_line(report(tmp_path), 3, "bench.json")

    def test_folder_that_is_a_file(self, tmp_path):
        path = tmp_path / "file"
        path.write_text("")
        check_one_line(iobuf("report", "--results", path, "--recorded", tmp_path), 3)

    @pytest.mark.parametrize("kind", ["fuzz", "bench", "replay"])
    def test_one_part_alone_makes_a_page(self, tmp_path, kind):
        sample.write(tmp_path, **{other: None for other in ("fuzz", "bench", "replay") if other != kind})
        check(report(tmp_path), 0, "index.html")

    def test_failed_write_keeps_the_old_page(self, tmp_path):
        sample.write(tmp_path)
        (tmp_path / "index.html").mkdir()
        check_one_line(report(tmp_path), 3)
        assert not list(tmp_path.glob(".index*"))

    @pytest.mark.parametrize("name", ["peers", "compare", "coverage", "calibration"])
    def test_wrong_result_of_any_part_is_one_line(self, tmp_path, name):
        sample.write(tmp_path)
        (tmp_path / f"{name}.json").write_text(json.dumps({"schema": 1, "kind": name}))
        check_one_line(report(tmp_path), 3, "again")

    @pytest.mark.parametrize("bad", ['{"schema": 1, "kind": "compare"}', '{"schema": 2, "kind": "compare"}', '{"schema": 1, "ki', "7", "\x00"])
    def test_bad_recorded_line_is_named_and_loses_nothing(self, tmp_path, bad):
        sample.write(tmp_path)
        (tmp_path / "compare.jsonl").write_text("\n".join([json.dumps(sample.compare()), bad, json.dumps(sample.compare()), ""]))
        check_one_line(report(tmp_path), 0, "compare.jsonl:2")
        assert "compare.jsonl:2" in (tmp_path / "index.html").read_text()

    def test_recorded_results_alone_make_a_page(self, tmp_path):
        (tmp_path / "bench.jsonl").write_text(json.dumps(sample.bench()) + "\n")
        check(report(tmp_path), 0, "index.html")
        assert "scripts/iobuf bench</code>, recorded" in (tmp_path / "index.html").read_text()

    def test_screenshot_is_a_picture(self, tmp_path):
        sample.write(tmp_path)
        check(iobuf("report", "--results", tmp_path, "--recorded", tmp_path, "--screenshot", tmp_path / "page.png"), 0, "page.png")
        assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")


class TestReplay:
    def test_missing_file(self):
        check_one_line(iobuf("replay", "slice", "/nothing/here"), 3, "/nothing/here")

    def test_corpus_is_replayed_and_counted(self, tmp_path):
        check(iobuf("replay", "--results", tmp_path), 0, "no check failed")
        assert json.loads((tmp_path / "replay.json").read_text())["files"] > 0

    def test_any_bytes_are_a_program(self, tmp_path):
        for name, content in {"empty": b"", "zeros": bytes(1000), "all": bytes(range(256)) * 20}.items():
            (tmp_path / name).write_bytes(content)
        check(iobuf("replay", "all", tmp_path), 0, "3 files")
        check(iobuf("replay", "all", "--print", tmp_path / "all"), 0)


class TestFuzz:
    def test_runs_and_writes_its_summary(self, tmp_path):
        done = iobuf("fuzz", "slice", "--runs", "3000", "--results", tmp_path, "--json")
        check(done, 0)
        summary = json.loads(done.stdout)
        assert summary == json.loads((tmp_path / "fuzz.json").read_text())
        assert {row["engine"] for row in summary["fuzzed"]} == {"libfuzzer", "afl"}
        assert all(row["programs"] >= 3000 and not row["failures"] for row in summary["fuzzed"])
        assert summary["machine"]["cpus"] >= 1 and summary["commit"] and summary["date"] and "slice" in summary["command"]

    def test_interrupt_loses_nothing(self, tmp_path):
        process = subprocess.Popen([IOBUF, "fuzz", "slice", "--seconds", "300", "--jobs", "2", "--results", tmp_path],
                                   cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        logs = [ROOT / "build" / "fuzz" / engine / "slice" / "log" for engine in ("libfuzzer", "afl")]
        started = time.time()
        while not all(log.is_file() and log.stat().st_mtime > started for log in logs) and time.time() < started + 300:
            time.sleep(0.2)
        time.sleep(3)  # into the fuzzing; any moment is a valid one to interrupt
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=100)[0]
        assert process.returncode == 0, said
        assert "Traceback" not in said
        summary = json.loads((tmp_path / "fuzz.json").read_text())
        assert summary["interrupted"] and len(summary["fuzzed"]) == 2


class TestBench:
    def test_measures_and_compares(self, tmp_path):
        done = iobuf("bench", "--quick", "--rounds", "3", "--filter", "^alloc_release/.*/64$", "--results", tmp_path, "--json")
        check(done, 0)
        row, = json.loads(done.stdout)["compared"]
        assert (row["work"], row["size"]) == ("alloc_release", "64")
        assert 0 < row["low"] <= row["ratio"] <= row["high"]
        assert json.loads((tmp_path / "bench.json").read_text())["rounds"] == 3

    def test_filter_that_matches_nothing(self):
        check(iobuf("bench", "--filter", "nothing"), 2, "no benchmark matches")


class TestMutatorTrials:
    ARGS = ("mutator-trials", "canary", "--target", "slice", "--engine", "libfuzzer", "--record")

    def test_trials_are_recorded_once_and_compared(self, tmp_path):
        record = tmp_path / "trials.jsonl"
        done = iobuf(*self.ARGS, record, "--trials", "2", "--json")
        check(done, 0)
        row, = json.loads(done.stdout)
        assert row["programs"]["trials"] == row["bytes"]["trials"] == 2 and 0 <= row["a12"] <= 1
        lines = record.read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        assert sorted((one["mutators"], one["seed"]) for one in rows) == [("bytes", 1), ("bytes", 2), ("programs", 1), ("programs", 2)]
        assert all(one["found"] and 0 < one["cpu_s"] and one["programs"] > 0 and one["commit"] for one in rows)
        record.write_text("\n".join(lines[:3]) + "\n")  # as if interrupted: only what is missing is done again
        check(iobuf(*self.ARGS, record, "--trials", "2"), 0, "1 trials", "canary", "A12")
        assert record.read_text().splitlines()[:3] == lines[:3] and len(record.read_text().splitlines()) == 4

    def test_a_trial_ends_at_its_limit(self, tmp_path):
        record = tmp_path / "trials.jsonl"
        done = iobuf(*self.ARGS, record, "--trials", "1", "--seconds", "1", "--empty")  # the bug may be found until then, or not
        check(done, 0)
        rows = [json.loads(line) for line in record.read_text().splitlines()]
        assert len(rows) == 2 and all(row["empty"] and (row["found"] or row["cpu_s"] >= 1) for row in rows)
        assert ("not found" in done.stdout) == (not all(row["found"] for row in rows))

    def test_one_sort_is_made_alone(self, tmp_path):
        record = tmp_path / "trials.jsonl"
        check(iobuf(*self.ARGS, record, "--trials", "1", "--mutators", "bytes"), 0, "the other sort")
        check(iobuf(*self.ARGS, record, "--trials", "1", "--mutators", "programs"), 0, "A12")
        assert [json.loads(line)["mutators"] for line in record.read_text().splitlines()] == ["bytes", "programs"]

    def test_no_trial_is_no_table(self, tmp_path):
        check_one_line(iobuf(*self.ARGS, tmp_path / "none", "--trials", "0"), 3, "--trials 10")

    @pytest.mark.parametrize("content", [b"{", b"[]\n", b"7\n", b'{"schema": 1}\n', bytes(range(256)) * 100])
    def test_broken_record_is_one_line(self, tmp_path, content):
        record = tmp_path / "trials.jsonl"
        record.write_bytes(content)
        check_one_line(iobuf(*self.ARGS, record, "--trials", "1"), 3, "trials.jsonl")


@pytest.mark.parametrize("bad", [[], [0], [9], [3, 4], range(10)])
def test_inputs_that_show_a_bug_are_told_from_the_others(tmp_path, bad):
    from suite import trials
    program, inputs = tmp_path / "program", [tmp_path / str(number) for number in range(10)]
    program.write_text('#!/bin/sh\ngrep -q bad "$@" && exit 1\nexit 0\n')
    program.chmod(0o755)
    for number, path in enumerate(inputs):
        path.write_text("bad" if number in bad else "good")
    assert trials.failing(program, inputs) == [inputs[number] for number in bad]
    assert trials.failing(program, []) == []


def test_infinity_is_later_than_all_in_a12():
    from suite import stats
    inf = float("inf")
    assert stats.vargha_delaney([1, 2, 3], [4, 5, inf])["a12"] == 1
    assert stats.vargha_delaney([inf, inf], [1, 2])["a12"] == 0
    assert stats.vargha_delaney([inf, inf], [inf, inf]) == {"a12": 0.5, "p": 1.0}
    assert stats.vargha_delaney([1, 3], [2, 4])["a12"] == 0.75
