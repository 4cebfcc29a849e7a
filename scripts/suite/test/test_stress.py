"""iobuf_stress: it makes every public call, it finds a planted race, and wrong use is told. The verbs that run it for long: nightly, and
race-mutants."""
import json
import re
import subprocess

import pytest

from suite import build, mutants, nightly, races, say
from suite.paths import BUILD, ROOT
from suite.test.test_cli import check, check_one_line, iobuf
from suite.verbs import nightly as nightly_verb, race_mutants as races_verb

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


@pytest.fixture
def night(tmp_path, monkeypatch):
    """A night of its own: what is noted of the user's stays. Returns where the results go."""
    monkeypatch.setattr(nightly, "FOLDER", tmp_path / "night")
    monkeypatch.setattr(nightly, "PROGRESS", tmp_path / "night" / "progress.jsonl")
    return tmp_path / "nightly.jsonl"


def lines(path):
    return [json.loads(text) for text in path.read_text().splitlines()]


def short(name="short", program=races.STRESS, words=("--rounds", 2)):
    return nightly.Stage(name, "a few rounds", 1, "release", program, lambda part, left: [*words, *(["--seed", part] if "--rounds" in words else [])])


def call(verb, *args):
    return verb.command([str(arg) for arg in args], standalone_mode=False)


class TestNightly:
    @pytest.mark.parametrize("args, word", [(["--only", "nothing"], "nothing"), (["--minutes", "0"], "--minutes"), (["--minutes", "long"], "--minutes"),
                                            (["--output", "."], "--output"), (["more"], "more")], ids=str)
    def test_wrong_use_is_one_line_and_status_2(self, args, word):
        check_one_line(iobuf("nightly", *args), 2, word)

    def test_each_stage_is_named_once(self):
        names = [stage.name for stage in nightly.STAGES]
        assert len(set(names)) == len(names) and {"tsan-2", "tsan-4", "tsan-8", "tsan-16", "exhaustive"} <= set(names)
        done = iobuf("nightly", "--list")
        check(done, 0, *names)
        assert len(done.stdout.splitlines()) == len(names)

    @pytest.mark.parametrize("stage", [stage for stage in nightly.STAGES if stage.name not in ("proof", "machines")], ids=lambda stage: stage.name)
    def test_no_two_parts_are_the_same(self, stage):
        words = [[str(word) for word in stage.words(part, 1000)] for part in range(4)]
        assert len({" ".join(part) for part in words}) == 4

    def test_a_finished_stage_is_not_run_again_unless_asked(self, night, monkeypatch):
        monkeypatch.setattr(nightly, "STAGES", (short(),))
        args = ("--minutes", 0.0001, "--output", night)
        assert call(nightly_verb, *args) == 0 and call(nightly_verb, *args) == 0
        row, = lines(night)
        assert (row["stage"], row["status"], row["parts"], row["kind"]) == ("short", "clean", 1, "nightly") and "nothing is wrong" in row["said"]
        assert call(nightly_verb, *args, "--again") == 0 and len(lines(night)) == 2

    def test_what_is_interrupted_goes_on(self, night):
        calls = []

        def interrupt(_used):
            calls.append(None)
            if len(calls) == 3:
                raise KeyboardInterrupt
        of = nightly.key()
        with pytest.raises(KeyboardInterrupt):
            nightly.run(short(), 1000, night, of, interrupt)
        assert [row["part"] for row in lines(nightly.PROGRESS)] == [0, 1] and not night.exists()
        had = sum(row["seconds"] for row in lines(nightly.PROGRESS))
        row = nightly.run(short(), had + 1e-9, night, of, lambda _used: None)  # a part more reaches that
        assert [row["part"] for row in lines(nightly.PROGRESS)] == [0, 1, 2] and row["parts"] == 3 and row["seconds"] >= round(had, 1)

    def test_another_library_begins_anew(self, night):
        of = nightly.key()
        nightly.run(short(), 0.001, night, of, lambda _used: None)
        assert nightly.finished(short(), 0.001, night, of) and not nightly.finished(short(), 0.001, night, of | {"library": "another"})
        assert not nightly.finished(short(), 100, night, of)  # it had less time

    def test_what_is_found_is_named_with_its_log_and_the_others_go_on(self, night, monkeypatch, capfd):
        planted = short("planted", "fuzz/interleave/interleave_given-back-twice", ("--exhaustive",))
        monkeypatch.setattr(nightly, "STAGES", (planted, short()))
        assert call(nightly_verb, "--minutes", 0.0001, "--output", night) == 1
        found, clean = lines(night)
        assert (found["stage"], found["status"], clean["status"]) == ("planted", "found", "clean")
        assert "# Who ran until where:" in (nightly.FOLDER / "planted-0.log").read_text()
        assert f"planted found something, see {found['log']}; again: {found['again']}" in capfd.readouterr().out
        assert call(nightly_verb, "--minutes", 0.0001, "--output", night) == 1 and len(lines(night)) == 2

    def test_a_stage_may_be_a_verb(self, night):
        stage = nightly.Stage("verb", "a verb", 1, None, "scripts/iobuf", lambda _part, _left: ["nightly", "--list"])
        row = nightly.run(stage, 0.001, night, nightly.key(), lambda _used: None)
        assert row["status"] == "clean" and row["build"] is None and row["said"].startswith(nightly.STAGES[-1].name)

    def test_what_cannot_run_is_told(self, night, monkeypatch, capfd):
        monkeypatch.setattr(nightly, "STAGES", (short("wrong", words=("--nothing",)),))
        assert call(nightly_verb, "--minutes", 0.0001, "--output", night) == 3
        assert "wrong could not run" in capfd.readouterr().err and not night.exists()

    @pytest.mark.parametrize("content", [b"no json\n", b"{}\n", b"[]\n", b'{"stage": "x"', bytes(range(256))],
                             ids=["text", "object", "list", "half", "bytes"])
    def test_broken_results_are_named_and_left_as_they_are(self, content, tmp_path):
        path = tmp_path / "nightly.jsonl"
        path.write_bytes(content)
        check_one_line(iobuf("nightly", "--only", "stress", "--minutes", "0.0001", "--output", path), 3, "nightly.jsonl")
        assert path.read_bytes() == content


RACES = races.planted()


def row(name, **more):
    race = next(race for race in RACES if race.id == name)
    return {"id": name, "class": race.group, "kind": "race", "equivalent": None, **{f"{method}_s": None for method in races.METHODS}, "commit": "x",
            "library": mutants.library(), "change": race.digest, "stages": ["random"], "limit_s": {"random": 20}} | more


class TestRaceMutants:
    @pytest.mark.parametrize("args, word", [(["nothing"], "nothing"), (["--methods", "nothing"], "nothing"), (["--methods", ","], "one at least"),
                                            (["--seconds", "0"], "--seconds"), (["--jobs", "0"], "--jobs"), (["--output", "."], "--output")], ids=str)
    def test_wrong_use_is_one_line_and_status_2(self, args, word):
        check_one_line(iobuf("race-mutants", *args), 2, word)

    @pytest.mark.parametrize("content", [b"no json\n", b"{}\n", bytes(range(256))], ids=["text", "object", "bytes"])
    def test_broken_results_are_named_and_left_as_they_are(self, content, tmp_path):
        path = tmp_path / "race-mutants.jsonl"
        path.write_bytes(content)
        check_one_line(iobuf("race-mutants", "given-back-twice", "--output", path), 3, "race-mutants.jsonl")
        assert path.read_bytes() == content

    def test_there_are_enough_and_each_says_why_it_matters(self):
        assert len(RACES) >= 25 and len({race.digest for race in RACES}) == len(RACES)
        assert all(race.matters.strip() and race.group.strip() for race in RACES)

    def test_a_patch_that_does_not_say_why_it_matters_is_refused(self, tmp_path, monkeypatch):
        (tmp_path / "some.patch").write_text((races.PATCHES / "given-back-twice.patch").read_text().replace("matters:", "so what:"))
        monkeypatch.setattr(races, "PATCHES", tmp_path)
        with pytest.raises(say.Stop, match="matters"):
            races.planted()

    def test_a_patch_may_name_options_of_the_explorer(self, tmp_path, monkeypatch):
        text = (races.PATCHES / "given-back-twice.patch").read_text()
        (tmp_path / "some.patch").write_text(text.replace("\nmatters:", "\nexplore: --preemptions 4\nmatters:"))
        monkeypatch.setattr(races, "PATCHES", tmp_path)
        race, = races.planted()
        for name in ("random", "pct", "exhaustive"):
            assert races.METHODS[name].run(race, "program", tmp_path)[0][-2:] == ["--preemptions", "4"]
        assert "--preemptions" not in races.METHODS["stress"].run(race, "program", tmp_path)[0]

    def test_weak_memory_says_for_itself_why_it_matters(self, tmp_path, monkeypatch):
        text = (races.PATCHES / "given-back-twice.patch").read_text()
        (tmp_path / "some.patch").write_text(text.replace("matters:", "so what:").replace("class: extra release", "class: weak memory"))
        monkeypatch.setattr(races, "PATCHES", tmp_path)
        race, = races.planted()
        assert "x86" in race.matters and "--stale" in race.explore

    def test_what_was_measured_is_not_measured_again(self, tmp_path):
        path = tmp_path / "race-mutants.jsonl"
        path.write_text(json.dumps(row("given-back-twice", random_s=0.5)) + "\n")
        before = path.read_text()
        check(iobuf("race-mutants", "given-back-twice", "--methods", "random", "--output", path), 0, "given-back-twice", "0.50")
        assert path.read_text() == before

    def test_one_that_no_schedule_shows_is_named_and_status_1(self, tmp_path):
        path = tmp_path / "race-mutants.jsonl"
        path.write_text(json.dumps(row("given-back-twice", stress_s=1, stages=["stress", "random"])) + "\n")
        check(iobuf("race-mutants", "given-back-twice", "--methods", "random", "--output", path), 1,
              "not found by the interleaving target: given-back-twice")

    def test_what_was_not_found_in_fewer_seconds_is_measured_again(self):
        assert races_verb.is_to_do(row("given-back-twice"), "random", 21) and not races_verb.is_to_do(row("given-back-twice"), "random", 20)
        assert races_verb.is_to_do(row("given-back-twice"), "pct", 1) and not races_verb.is_to_do(row("given-back-twice", random_s=1), "random", 21)

    def test_a_race_is_built_found_and_added(self, tmp_path):
        path = tmp_path / "race-mutants.jsonl"
        check(iobuf("race-mutants", "given-back-twice", "--methods", "random,stress", "--seconds", 1, "--output", path), 0)
        check(iobuf("race-mutants", "given-back-twice", "--methods", "exhaustive", "--output", path), 0)
        _, found = lines(path)
        assert found["exhaustive_s"] > 0 and found["random_s"] > 0 and found["pct_s"] is None and found["commit"] and found["class"]
        assert found["stages"] == ["stress", "random", "exhaustive"] and found["limit_s"] == {"stress": 1, "random": 1, "exhaustive": 20}

    def test_a_header_that_is_changed_is_the_one_that_the_scheduler_gets(self, tmp_path):
        path = tmp_path / "race-mutants.jsonl"
        check(iobuf("race-mutants", "lock-left-relaxed", "--methods", "exhaustive", "--output", path), 0)
        assert lines(path)[0]["exhaustive_s"] > 0

    def test_markdown_has_a_line_for_each(self, tmp_path):
        path = tmp_path / "race-mutants.jsonl"
        path.write_text(json.dumps(row("given-back-twice", random_s=0.5)) + "\n")
        done = iobuf("race-mutants", "given-back-twice", "--methods", "random", "--markdown", "--output", path)
        check(done, 0, "| given-back-twice | extra release | 0.50 |", "| found, of 1 | | 1 |")

    def test_results_that_are_kept_can_be_read(self):
        assert isinstance(races_verb.measured(races_verb.DEFAULT, mutants.library()), dict)
