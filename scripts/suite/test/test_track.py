"""iobuf track and what it finds: steps in known and made-up histories, broken lines, other schemas, full disks, crashing benchmarks."""
import json
import pathlib
import resource
import shutil
import subprocess

import pytest

from suite import changepoints, history, revision, tracked
from suite.changepoints import Settings
from suite.paths import ROOT
from suite.test import known_series
from suite.test.test_cli import check, check_one_line, iobuf
from suite.verbs import change_point_trials, track

AS_OTAVA = {"permutations": 0, "shortest": 1, "spikes": True, "before": 0}


def places(values, settings=Settings()):
    return [step["at"] for step in changepoints.find(values, settings)]


class TestKnownSeries:
    @pytest.mark.parametrize("max_p, least", known_series.OF_TIGERBEETLE)
    def test_gives_the_points_that_otava_publishes(self, max_p, least):
        settings = Settings(max_p=max_p, least=least, **AS_OTAVA)
        assert places(known_series.TIGERBEETLE, settings) == known_series.OF_TIGERBEETLE[max_p, least]

    @pytest.mark.parametrize("max_p, least", [(0.01, 0.05), (0.05, 0.05)])
    def test_gives_them_with_the_choices_made_here_too(self, max_p, least):
        assert places(known_series.TIGERBEETLE, Settings(max_p=max_p, least=least)) == known_series.OF_TIGERBEETLE[max_p, least]

    @pytest.mark.parametrize("permutations", [0, 199])
    def test_short_ones(self, permutations):
        assert places(known_series.TWO_STEPS, Settings(max_p=0.01, permutations=permutations)) == known_series.OF_TWO_STEPS
        assert places(known_series.HALVED, Settings(max_p=0.0001, window=10, permutations=permutations)) == known_series.OF_HALVED


class TestSteps:
    EXACT = changepoints.MEASURES["instructions"]

    @pytest.mark.parametrize("values", [[], [1], [1, 2], [1, 1, 2], [7] * 50, [0] * 50, [26.5] * 20 + [30] + [26.5] * 20, [26.5] * 20 + [30]])
    def test_none_where_there_is_none(self, values):
        assert places(values) == places(values, self.EXACT) == []

    def test_exact_counts_show_it_at_the_second_commit(self):
        assert places([26.5] * 6 + [27], self.EXACT) == []
        assert changepoints.find([26.5] * 6 + [27] * 2, self.EXACT) == [
            {"at": 6, "before": 26.5, "after": 27, "change": pytest.approx(0.5 / 26.5), "p": 0}]

    def test_a_step_beside_a_spike(self):
        assert places([26.5] * 10 + [99] + [26.5] * 2 + [25] * 10, self.EXACT) == [13]

    def test_a_change_that_is_too_small(self):
        assert places([100] * 10 + [100.4] * 10, self.EXACT) == []

    def test_same_values_same_steps(self):
        import numpy
        values = list(numpy.random.default_rng(3).normal(100, 3, 60)) + list(numpy.random.default_rng(4).normal(107, 3, 60))
        first = changepoints.find(values)
        assert [abs(step["at"] - 60) <= 3 for step in first] == [True]
        assert changepoints.find(values) == first

    def test_permutations_refuse_what_a_t_test_of_the_best_place_takes(self):
        """The t-test is told nothing of the place being picked; on noise alone it is wrong more often than it says."""
        import numpy
        noise = [numpy.random.default_rng(seed).normal(100, 3, 60) for seed in range(40)]
        loose = {"max_p": 0.02, "least": 0}
        without = sum(bool(places(values, Settings(**loose, permutations=0))) for values in noise)
        assert sum(bool(places(values, Settings(**loose))) for values in noise) < without / 2

    def test_trials_count_what_they_say(self):
        assert change_point_trials.matched([20, 50], [21, 22, 60]) == [20]
        sure, none = change_point_trials.measure(10, [(0.01, 0.1, False), (0.01, 0.0, False)])["rows"]
        assert (sure["recall"], sure["steps"]) == (1, 20) and sure["precision"] == round(20 / sure["found"], 3) >= 0.9 and sure["delay_median"] <= 2
        assert none["recall"] is None and none["false_per_1000"] <= 2 and none["found"] > 0  # the seeds give one that is none: it is counted


# -- the history

MACHINE = {"cpu": "Test processor", "cpus": 2, "memory_gib": 8.0, "virtual": False, "system": "Debian", "kernel": "Linux"}
CASE = "alloc_release/iobuf/1024"


def line(order=1, /, **changed):
    return {"schema": 1, "kind": "history", "case": CASE, "instructions": 26.5, "ns": 1.3, "relative": 1.7, "relative_low": 1.6,
            "relative_high": 1.8, "rounds": 6, "reference": "alloc_release/floor/1024", "commit": f"{order:012x}",
            "commit_date": f"2024-05-{order:02}T00:00:00+00:00", "order": order, "bench": "0123456789ab", "machine": MACHINE,
            "build": {"compiler": "cc", "build_type": "Release", "flags": "-O3"}, "date": f"2024-06-{order:02}T00:00:00+00:00",
            "command": "scripts/iobuf track"} | changed


def write(folder, lines):
    for one in lines:
        history.append(history.path(one["commit"], one["machine"], folder), [one])


class TestHistory:
    def test_series_are_in_the_order_of_commits_and_the_later_line_counts(self, tmp_path):
        write(tmp_path, [line(2), line(1), line(1, instructions=27.0, date="2024-07-01T00:00:00+00:00"), line(3, commit=f"{3:012x}+changes")])
        lines, problems = history.read(tmp_path)
        assert not problems and len(lines) == 4
        series = history.series(lines)
        assert {key[:2] for key in series} == {(CASE, "instructions"), (CASE, "relative")}
        key = history.machine_key(MACHINE)
        assert [point["value"] for point in series[CASE, "instructions", key]] == [27.0, 26.5]
        assert series[CASE, "relative", key][0]["low"] == 1.6

    def test_machines_are_told_apart_but_not_by_their_kernel(self):
        assert history.machine_key(MACHINE) == history.machine_key(MACHINE | {"kernel": "Linux 7", "memory_gib": 7.9})
        assert history.machine_key(MACHINE) != history.machine_key(MACHINE | {"cpu": "another"})

    @pytest.mark.parametrize("broken, why", [
        (json.dumps(line(2))[:-20], "not whole JSON"), ("[]", "not a line of the history"), ('{"kind": "history"}', "schema None, this suite reads 1"),
        (json.dumps(line(2, schema=2)), "schema 2, this suite reads 1"), (json.dumps(line(2, instructions="many")), "instructions is no positive"),
        (json.dumps(line(2, relative=float("nan"))), "relative is no positive"), (json.dumps(line(2, commit="main")), "'main' is no commit"),
        (json.dumps(line(2, order="2")), "order"), (json.dumps(line(2, case=None)), "neither case nor error"), ("\udcff\udcfe", "not whole JSON"),
    ], ids=range(10))
    def test_line_that_cannot_be_used_is_named_and_the_rest_is_used(self, tmp_path, broken, why):
        write(tmp_path, [line(1), line(3)])
        file = history.path(line(1)["commit"], MACHINE, tmp_path)
        content = file.read_bytes() + broken.encode(errors="surrogateescape") + b"\n"
        file.write_bytes(content)
        done = iobuf("track", "--show", "--history", tmp_path, "--json")
        check_one_line(done, 1, f"{file.name}:2: ", why)
        assert json.loads(done.stdout)["points"] == 4
        assert file.read_bytes() == content

    def test_truncated_last_line_spoils_no_other(self, tmp_path):
        file = tmp_path / "a.jsonl"
        file.write_text(json.dumps(line(1))[:50])
        history.append(file, [line(2)])
        lines, problems = history.read(tmp_path)
        assert [one["order"] for one in lines] == [2] and len(problems) == 1

    def test_full_disk_leaves_nothing_half_written(self, tmp_path):
        """The file may not grow beyond the middle of a line: what stands when a write ends short."""
        write(tmp_path, [line(1)])
        file = history.path(line(1)["commit"], MACHINE, tmp_path)
        before = file.read_bytes()
        limit = len(before) + 100
        script = "import json, pathlib, signal, sys; from suite import history; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); " \
                 "history.append(pathlib.Path(sys.argv[1]), [json.loads(sys.argv[2])])"
        for path in (file, tmp_path / "new.jsonl"):
            done = subprocess.run(["/usr/bin/python3", "-B", "-c", script, path, json.dumps(line(2, command="x" * 2 * limit))], env={"PYTHONPATH": str(ROOT / "scripts")},
                                  preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)), capture_output=True, text=True)
            assert done.returncode != 0 and "OSError" in done.stderr
        assert file.read_bytes() == before and not (tmp_path / "new.jsonl").exists()

    def test_folder_that_cannot_be_written_is_one_line(self, tmp_path):
        (tmp_path / "file").write_text("")
        (tmp_path / "in.json").write_text(json.dumps(google([CASE])))
        check_one_line(iobuf("track", "--import", tmp_path / "in.json", "--commit", "HEAD", "--history", tmp_path / "file"), 3, "file")


# -- the verb

@pytest.mark.parametrize("args, word", [
    (["--since", "no-such-revision"], "no-such-revision"), (["--since", "--nothing"], "--nothing"), (["--show", "--since", "HEAD"], "two different"),
    (["--filter", "("], "--filter"), (["--filter", "nothing"], "no tracked case"), (["--commit", "HEAD"], "--import"), (["--rounds", "0"], "--rounds"),
    (["--dirty", "--show"], "--dirty"), (["--export", "x.json", "--commit", "nothing"], "nothing"),
])
def test_wrong_use_is_one_line_and_status_2(args, word):
    check_one_line(iobuf("track", *args), 2, word)


def test_every_tracked_case_has_a_reference_that_is_none_of_ours():
    assert all(case.case.split("/")[1] in track.LIBRARIES for case in tracked.TRACKED)
    assert not any(case.reference.split("/")[1] in track.LIBRARIES for case in tracked.TRACKED)


def test_commits_are_measured_from_both_ends():
    assert track.spread(list("abcdefgh")) == list("ahdbfceg")
    assert track.spread(["a"]) == ["a"] and track.spread(["a", "b"]) == ["a", "b"]


def test_show_names_the_commit_of_a_step(tmp_path):
    write(tmp_path, [line(order, instructions=26.5 if order < 9 else 25.0) for order in range(1, 15)])
    write(tmp_path, [line(15, case=None, error="it does not build")])
    done = iobuf("track", "--show", "--history", tmp_path, "--json")
    check(done, 0)
    found = json.loads(done.stdout)
    step, = found["steps"]
    assert (step["case"], step["measure"], step["commit"], step["after_commit"]) == (CASE, "instructions", f"{9:012x}", f"{8:012x}")
    assert step["change"] == pytest.approx(25 / 26.5 - 1)
    check(iobuf("track", "--show", "--history", tmp_path), 0, f"{9:012x}", "-5.7 %", f"{15:012x}: it does not build")
    check(iobuf("track", "--show", "--history", tmp_path / "none"), 0, "the history is empty")


# -- google-benchmark's JSON

def google(names, **context):
    return {"context": {"date": "2024-05-06T09:08:09+02:00", "host_name": "elsewhere", "num_cpus": 64, "mhz_per_cpu": 3000,
                        "library_build_type": "release"} | context,
            "benchmarks": [{"name": f"{name}/real_time", "run_type": "iteration", "repetition_index": at, "iterations": 1000,
                            "real_time": time * factor, "cpu_time": 7.0, "time_unit": "us"}
                           for at, factor in enumerate((1.0, 1.1, 1.2)) for name, time in zip(names, (3.0, 2.0))]
            + [{"name": f"{name}_mean", "run_type": "aggregate", "real_time": 1.0, "cpu_time": 1.0, "time_unit": "ns"} for name in names]}


class TestImport:
    def take(self, tmp_path, document, *args):
        file = tmp_path / "elsewhere.json"
        file.write_text(document if isinstance(document, str) else json.dumps(document))
        return iobuf("track", "--import", file, "--history", tmp_path / "history", *args)

    def test_takes_times_and_names_the_machine(self, tmp_path):
        check(self.take(tmp_path, google([CASE, "alloc_release/floor/1024"]), "--commit", "HEAD"), 0, "1 cases")
        (one,), problems = history.read(tmp_path / "history")
        assert not problems
        assert (one["case"], one["ns"], one["relative"], one["rounds"]) == (CASE, 3300.0, 1.5, 3)
        assert (one["machine"]["host"], one["machine"]["cpus"], one["date"]) == ("elsewhere", 64, "2024-05-06T07:08:09+00:00")
        assert one["commit"] == revision.resolve("HEAD").commit
        check(self.take(tmp_path, google([CASE, "alloc_release/floor/1024"]), "--commit", "HEAD"), 0, "0 cases", "1 are in the history already")
        assert len(history.read(tmp_path / "history")[0]) == 1

    def test_takes_the_commit_that_the_file_names(self, tmp_path):
        check(self.take(tmp_path, google([CASE], iobuf_commit=revision.resolve("HEAD").commit)), 0)
        check_one_line(self.take(tmp_path, google([CASE])), 3, "--commit")
        check_one_line(self.take(tmp_path, google([CASE], iobuf_commit="no-such")), 2, "no-such")

    @pytest.mark.parametrize("document", ["", "{", "[]", "7", "{}", '{"context": 1, "benchmarks": 2}', json.dumps(google([CASE]))[:300],
                                          json.dumps(google([CASE], num_cpus="many")), json.dumps(google([CASE], date="soon")),
                                          json.dumps(google(["alloc_release/malloc/64"])), json.dumps(google([])),
                                          json.dumps(google([CASE], iobuf_machine="7"))], ids=range(12))
    def test_wrong_file_is_one_line(self, tmp_path, document):
        check_one_line(self.take(tmp_path, document, "--commit", "HEAD"), 3, "elsewhere.json")
        assert not history.read(tmp_path / "history")[0]

    def test_missing_file_is_one_line(self, tmp_path):
        check_one_line(iobuf("track", "--import", tmp_path / "none.json"), 3, "none.json")


# -- measuring, in a repository of its own: the last commit crashes in coalesce, the one before it does not build

@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone") / "repository"
    subprocess.run(["git", "clone", "-q", "--shared", ROOT, folder], check=True)
    shutil.copytree(ROOT / "scripts", folder / "scripts", dirs_exist_ok=True)  # what is tested, committed or not
    shutil.rmtree(folder / "results" / "history", ignore_errors=True)

    def commit(text):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@a", "commit", "-qam", text, "--allow-empty"], cwd=folder, check=True)
    source = folder / "lib" / "src" / "coalesce.c"
    whole = source.read_text()
    commit("the suite")
    source.write_text(whole + "\n#error this commit does not build\n")
    commit("broken")
    at = whole.index("\n{\n", whole.index("iobuf_coalesce(")) + 3
    source.write_text(whole[:at] + "    __builtin_trap();\n" + whole[at:])
    commit("crashes")
    return folder


def in_clone(clone, *args):
    done = subprocess.run([clone / "scripts" / "iobuf", "track", *args], cwd=clone, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=500)
    return done


def test_measures_what_builds_and_names_what_does_not(clone):
    args = ("--since", "HEAD~1", "--filter", "alloc_release/iobuf/1024|coalesce/iobuf/64", "--rounds", "2")
    done = in_clone(clone, *args)
    check(done, 1, "2 cases; 1 do not build", "coalesce/iobuf/64: it ends halfway", "SIGILL")
    lines, problems = history.read(clone / "results" / "history")
    assert not problems
    by_case = {one["case"]: one for one in lines}
    good = by_case[CASE]
    assert 20 < good["instructions"] < 40 and 0.5 < good["relative"] < 5 and good["ns"] > 0 and good["rounds"] == 2
    assert good["relative_low"] is None and good["build"]["build_type"] == "Release" and len(good["bench"]) == 12
    assert by_case["coalesce/iobuf/64"]["relative"] is None and by_case["coalesce/iobuf/64"]["instructions"] is None
    assert "this commit does not build" in by_case[None]["error"] and by_case[None]["order"] == good["order"] - 1
    before = [file.read_bytes() for file in sorted((clone / "results" / "history").iterdir())]
    check(in_clone(clone, *args), 0, "0 commits measured", "2 were in the history")  # the same again: nothing is done twice
    assert [file.read_bytes() for file in sorted((clone / "results" / "history").iterdir())] == before

    out = clone / "build" / "out.json"  # what is exported comes back as it was
    check(in_clone(clone, "--export", out), 0, "1 cases")
    check(in_clone(clone, "--import", out, "--history", clone / "build" / "history"), 0)
    (back,), _ = history.read(clone / "build" / "history")
    assert {name: back[name] for name in history.NUMBERS} == {name: good[name] for name in history.NUMBERS}
    assert history.machine_key(back["machine"]) == history.machine_key(good["machine"]) and back["commit"] == good["commit"]


def test_a_tree_with_changes_is_refused(clone):
    file = pathlib.Path(clone / "lib" / "src" / "pool.c")
    whole = file.read_text()
    file.write_text(whole + "/* changed */\n")
    try:
        check_one_line(in_clone(clone), 2, "lib/src/pool.c", "--dirty")
    finally:
        file.write_text(whole)
