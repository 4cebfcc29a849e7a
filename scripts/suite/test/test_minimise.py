"""minimise, triage and fault-sweep from outside, on planted bugs; and how stacks and groups are made, on reports made up."""
import json
import types

import pytest

from suite import build, command, comparison, failures, minimiser, planted, say, triage
from suite.paths import CORPUS, ROOT
from suite.test.test_cli import check, check_one_line, iobuf
from suite.verbs import fault_sweep

SEEDS = CORPUS / "slice" / "seeds"
# Those in fuzz/mutants are measured by "scripts/iobuf mutants": a hundred would take too long here, and some hang.
PATCHES = [path for path in planted.patches() if path.parent.name == "planted" or path.stem == "canary"]


def patch(name):
    return next(path for path in PATCHES if path.stem == name)


@pytest.fixture(scope="module")
def canary():
    return planted.program(patch("canary"), "checked", "fuzz/replay")


@pytest.mark.parametrize("verb", ["minimise", "triage", "fault-sweep"])
def test_help_teaches_with_examples_and_statuses(verb):
    check(iobuf(verb, "--help"), 0, "Examples:", "scripts/", "Exit status:")


@pytest.mark.parametrize("args, word", [
    (["minimise"], "TARGET"), (["minimise", "nothing", "x"], "slice, reader, pool, all"), (["minimise", "slice"], "which files"),
    (["minimise", "slice", "x", "--preset", "nothing"], "release"), (["minimise", "slice", "--compare"], "--compare"),
    (["minimise", "--compare", "--bug", "nothing"], "canary"), (["minimise", "--compare", "--runs", "0"], "--runs"),
    (["minimise", "--compare", "--each-class", "0"], "--each-class"),
    (["triage"], "which folder"), (["triage", "slice"], "which folder"), (["triage", "--measure", "x"], "--measure"),
    (["triage", "x", "--together", "3"], "--measure"), (["triage", "x", "--kept"], "--measure"),
    (["triage", "x", "--preset", "nothing"], "release"), (["triage", "README.md"], "of which target"),
    (["fault-sweep", "nothing"], "slice, reader, pool, all"), (["fault-sweep", "--preset", "nothing"], "release"),
    (["fault-sweep", "--nothing"], "--nothing"),
])
def test_wrong_use_is_one_line_and_status_2(args, word):
    check_one_line(iobuf(*args), 2, word)


@pytest.mark.parametrize("args", [["minimise", "slice"], ["triage", "slice"], ["fault-sweep", "slice"]])
def test_missing_file_is_one_line_and_status_3(args):
    check_one_line(iobuf(*args, "/nothing/here"), 3, "/nothing/here")


class TestMinimise:
    @pytest.mark.parametrize("content", [b"", bytes(1000), bytes(range(256)) * 20, b"iobuf-program 1 slice\n"],
                             ids=["empty", "zeros", "all", "text"])
    def test_what_does_not_fail_is_said(self, tmp_path, content):
        (tmp_path / "in").write_bytes(content)
        check(iobuf("minimise", "slice", tmp_path / "in", "--preset", "checked", "--out", tmp_path), 1, "does not fail")
        assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["in"]

    @pytest.mark.parametrize("content, word", [(b"iobuf-program 1 slice\nrelease s99\n", "in:2"), (bytes(2_000_000), "too large"),
                                               (b"iobuf-program 1 slice\np0 = pool_cr", "in:2")],
                             ids=["wrong", "huge", "truncated"])
    def test_what_cannot_be_read_is_one_line(self, tmp_path, content, word):
        (tmp_path / "in").write_bytes(content)
        done = iobuf("minimise", "slice", tmp_path / "in", "--preset", "checked", "--out", tmp_path)
        check(done, 3, word)

    def test_folder_is_no_program(self, tmp_path):
        check_one_line(iobuf("minimise", "slice", tmp_path), 3, str(tmp_path))

    def test_out_that_cannot_be_written_is_said(self, tmp_path, canary):
        (tmp_path / "file").write_text("")
        check(iobuf("minimise", "slice", SEEDS / "coalesce-at-limit", "--replay", canary, "--out", tmp_path / "file"), 2, "--out")

    def test_planted_bug_is_left_with_its_five_ops(self, tmp_path, canary):
        done = iobuf("minimise", "slice", SEEDS / "coalesce-at-limit", "--replay", canary, "--out", tmp_path, "--json")
        check(done, 0)
        row, = json.loads(done.stdout)
        assert (row["ops"], row["check"], row["op"]) == (5, "result_equals", "coalesce")
        text = (tmp_path / "slice" / "coalesce-at-limit.txt").read_text()
        assert text.startswith("iobuf-program 1 slice\n") and "# check failed: result_equals" in text
        assert (tmp_path / "slice" / "coalesce-at-limit.c").is_file()


def test_fuzz_leaves_the_minimised_program_beside_what_it_found(tmp_path, canary, monkeypatch, capsys):
    monkeypatch.setattr(build, "ensure", lambda *_: None)
    monkeypatch.setattr(build, "program", lambda *_: canary)
    copy = tmp_path / "afl-1"
    copy.write_bytes((SEEDS / "coalesce-at-limit").read_bytes())
    failures.describe(types.SimpleNamespace(preset="afl", target="slice", name="afl", log=tmp_path / "log"), copy)
    assert "5 of 10 ops" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"afl-1" + end for end in ("", ".txt", ".c", ".min", ".min.txt", ".min.c")}


@pytest.mark.parametrize("path", PATCHES, ids=lambda path: path.stem)
def test_planted_bug_applies_and_the_corpus_shows_it(path):
    replay = planted.program(path, "checked", "fuzz/replay")
    target, long = comparison.failing(path, replay)
    assert long, f"{path.stem} is not seen"
    assert comparison.count(replay, target, long) > 20


def script(path, text):
    """A program in place of replay."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


class TestPlanted:
    def test_bug_of_the_header_is_in_the_harness_and_seen_as_shipped(self):
        inline, = (path for path in planted.patches() if path.stem == "truncate-front-wraps-inline")
        presets, replay, target, long = comparison.shown_by(inline)
        assert presets == comparison.SHIPPED  # checked builds do not have that code
        assert comparison.failure(replay, target, long)
        assert comparison.failure(build.program("release", "fuzz/replay"), target, long) is None

    def test_program_is_kept_until_the_patch_changes(self, canary, tmp_path):
        assert planted.program(patch("canary"), "checked", "fuzz/replay") == canary
        other = tmp_path / "canary.patch"
        other.write_text("another first line\n" + patch("canary").read_text())
        assert planted.state(other, "checked", "fuzz/replay") not in canary.name

    @pytest.mark.parametrize("text, word", [
        ("", "changes 0"), ("--- a/lib/src/slice.c\n+++ b/lib/src/slice.c\n@@ -1 +1 @@\n-no\n+yes\n", "apply")])
    def test_patch_that_cannot_be_planted_is_said(self, tmp_path, text, word):
        (tmp_path / "bad.patch").write_text(text)
        with pytest.raises(say.Stop, match=word):
            planted.program(tmp_path / "bad.patch", "checked", "fuzz/replay")

    def test_choice_is_the_first_of_each_class_by_name(self, tmp_path):
        for name, group in (("a", "x"), ("b", "x"), ("c", "y"), ("d", "x")):
            (tmp_path / f"{name}.patch").write_text(f"wrong\nclass: {group}\n")
        found = sorted(tmp_path.iterdir())
        assert [path.stem for path in planted.of_each_group(found, 1)] == ["a", "c"]
        assert [path.stem for path in planted.of_each_group(found, 2)] == ["a", "b", "c"]
        (tmp_path / "e.patch").write_text("no class\n")
        with pytest.raises(say.Stop, match="class"):
            planted.of_each_group(sorted(tmp_path.iterdir()), 1)


def test_abort_of_a_checked_library_has_its_op_under_sanitizers_too(tmp_path):
    replay = planted.program(next(path for path in planted.patches() if path.stem == "truncate-back-wraps"), "asan", "fuzz/replay")
    (tmp_path / "in").write_text("iobuf-program 1 slice\ntruncate_back s0 1\n")
    left = minimiser.minimise(replay, "slice", tmp_path / "in", tmp_path / "out")
    assert (left["check"], left["op"]) == ("library_does_not_crash", "truncate_back")


class TestComparison:
    def test_all_that_fail_are_found_in_few_runs(self, canary):
        failing = list(comparison.all_failing(canary, "slice", SEEDS))
        assert failing and failing == [path for path in sorted(SEEDS.iterdir()) if comparison.failure(canary, "slice", path)]

    def test_what_does_not_end_has_no_check_and_is_left_out(self, tmp_path, monkeypatch):
        replay = script(tmp_path / "replay", "while :; do :; done")
        assert comparison.failure(replay, "slice", tmp_path) == (comparison.HANG, None)
        monkeypatch.setattr(comparison, "FOLDER", tmp_path)
        monkeypatch.setattr(comparison, "ALL_SECONDS", 1)
        with pytest.raises(comparison.LeftOut, match="hang"):
            comparison.failing(patch("canary"), replay)

    def test_what_dies_without_a_word_has_no_op(self, tmp_path):
        assert comparison.failure(script(tmp_path / "replay", "kill -SEGV $$"), "slice", tmp_path) == ("library_does_not_crash", None)

    def test_time_of_a_process_that_is_left_behind_counts(self, tmp_path):
        before = comparison.on_processor()
        busy = "import time\nwhile time.process_time() < 0.5: pass"
        command.run(["sh", "-c", f"( /usr/bin/python3 -c '{busy}' & ) >/dev/null 2>&1"])
        assert comparison.on_processor() - before >= 0.4  # it is counted in ticks

    def test_ours_loses_where_it_cannot_minimise(self):
        row = {"bug": "b", "tool": "iobuf", "ops": None, "same_check": False}
        assert not comparison.wins([row, row | {"tool": "libfuzzer", "ops": 3, "same_check": True}])
        assert comparison.wins([row | {"ops": 3, "same_check": True}, row | {"tool": "libfuzzer", "ops": 3, "same_check": True}])


REPORT = """==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x6100
READ of size 8 at 0x6100 thread T0
    #0 0x55 in __interceptor_memcpy (/x/replay+0x1)
    #1 0x56 in atomic_get /r/lib/src/atomic.h:9:1
    #2 0x57 in put_shared.part.0 /r/build/planted/asan/x/lib/src/buf.c:{line}:3
    #3 0x58 in put_shared /r/lib/src/buf.c:200:3
    #4 0x59 in iobuf_slice_release /r/lib/src/slice.c:130:5
    #5 0x60 in do_release /r/fuzz/execute/ops.c:1:1
    #6 0x61 in main /r/fuzz/targets/replay.c:1:1

freed by thread T0 here:
    #0 0x55 in free (/x/replay+0x1)
    #1 0x57 in pool_return /r/lib/src/pool.c:1:1
"""


def failing(**more):
    return {"check": "c", "report": None, "op": "alloc", "stack": (), "kinds": [], "text": ""} | more


def failure(**more):
    return failing() | {"simplest": failing()} | more


class TestTriage:
    def test_stack_is_of_the_library_without_lines_and_headers(self):
        assert triage.library_stack(REPORT.format(line=10)) == ("put_shared", "iobuf_slice_release")
        assert triage.library_stack(REPORT.format(line=99)) == triage.library_stack(REPORT.format(line=10))

    def test_top_frames_are_those_that_others_see(self):
        assert triage.top_frames(REPORT.format(line=1)) == ("put_shared", "put_shared", "iobuf_slice_release")

    def test_report_without_stack_has_none(self):
        assert triage.library_stack("check failed: x: y\n") == ()

    def test_judge_counts_parted_and_joined(self):
        judged = triage.judge([("a", 1), ("a", 1), ("a", 2), ("b", 2), ("c", 3)])
        assert judged == {"bugs": 3, "groups": 3, "bugs_split": 1, "groups_mixed": 1, "bugs_mixed": 2, "pairs_split": 2, "pairs_same": 3,
                          "pairs_merged": 1, "pairs_different": 7}

    def test_groups_have_the_smallest_first(self):
        groups = triage.group([failure(file="x", ops=5, bytes=1), failure(file="y", ops=3, bytes=1),
                               failure(file="z", ops=1, bytes=1, simplest=failing(op="share"))])
        assert [[found["file"] for found in members] for members in groups] == [["y", "x"], ["z"]]

    def test_cause_is_that_of_the_simplest_program(self):
        assert triage.cause(failure(check="x", op="y", stack=("z",))) == triage.cause(failure())
        assert triage.cause(failure(simplest=failing(check="x"))) != triage.cause(failure())

    def test_forms_of_one_op_are_one_cause_and_two_checks_are_two(self):
        one = triage.cause(failure())
        assert one == triage.cause(failure(simplest=failing(op="copy")))
        assert one != triage.cause(failure(simplest=failing(op="share")))
        assert one != triage.cause(failure(simplest=failing(check="d")))

    def test_too_much_and_too_little_are_two_causes(self):
        def said(message):
            return triage.cause(failure(simplest=failing(text=f"release s0\n# check failed: c: {message}\n")))
        assert said("p0 counts bufs_in_use 3, not 2") == said("p1 counts bytes_cached 64, not 0") == said("2 blocks are left")
        assert said("s10 has a free prefix of 3 bytes, not 9") not in (said("s1 has a free prefix of 9 bytes, not 3"), said("something else"))
        assert said("success, not would block") != said("success, not end of stream")
        assert said("byte 3 of s1 is 0x95, not 0x12") == said("byte 0 of s4 is 0x12, not 0x95")

    def test_what_is_left_is_told_apart_by_what_it_takes(self):
        def left(check, op, *kinds):
            return triage.cause(failure(simplest=failing(check=check, op=op, kinds=["pool_create", *kinds])))
        assert left("nothing_leaks", "the end", "alloc", "split") == left("stats_equal", "alloc", "read", "share")
        assert left("nothing_leaks", "the end", "alloc", "split") != left("nothing_leaks", "the end", "alloc")

    def test_crash_is_told_by_the_innermost_function_that_is_no_check(self):
        def crash(op, *stack):
            return triage.cause(failure(simplest=failing(check=triage.CRASH, op=op, stack=stack)))
        assert crash("alloc", "fail", "check_enter", "iobuf_alloc") == crash("compact", "iobuf_alloc", "iobuf_copy", "iobuf_slice_compact")
        assert crash("alloc", "iobuf_alloc") != crash("alloc", "put_buf", "iobuf_alloc")
        asked = ("fail", "check_handle", "iobuf_slice_headroom")  # by the harness, after the op
        assert crash("alloc", *asked) != crash("coalesce", *asked)

    def test_kinds_of_a_text_program(self):
        text = "iobuf-program 1 slice\np0 = pool_create_default -> ok\ns0 = copy a0 1\nrelease s0\n# check failed: x\n"
        assert triage.kinds(text) == ["alloc", "pool_create", "release"]

    def test_one_bug_that_fails_two_checks_is_one_cause(self, tmp_path):
        """A split that takes no reference: what it leaves is used after it was freed, or not counted, as the program goes on."""
        replay = planted.program(planted.together(patch("split-at-end"), patch("canary")), "asan", "fuzz/replay")
        start = "iobuf-program 1 all\np0 = pool_create 0 0 0\n"
        (tmp_path / "leaks").write_text(start + "a0 = allocator_init p0 0\ns0 = alloc a0 9\ns1 = split s0 size\nrelease s0\nrelease s1\n")
        (tmp_path / "crashes").write_text(start + "r0 = reader_init p0\ns3 = wrap 8\ns0 = read r0 9\ns1 = split s3 size\ncoalesce s0..s3 99\n")
        done = iobuf("triage", "all", tmp_path, "--replay", replay, "--json")
        check(done, 1)
        assert [row["count"] for row in json.loads(done.stdout)["groups"]] == [2]

    def test_two_bugs_in_one_library_are_two_causes(self, tmp_path):
        replay = planted.program(planted.together(patch("split-at-end"), patch("canary")), "asan", "fuzz/replay")
        start = "iobuf-program 1 all\np0 = pool_create 0 0 0\na0 = allocator_init p0 0\n"
        (tmp_path / "one").write_text(start + "s0 = alloc a0 9\ns1 = split s0 size\nrelease s0\nrelease s1\n")
        (tmp_path / "other").write_text(start + "s0 = alloc a0 9\ns1 = alloc a0 9\ncoalesce s0..s1 18\n")
        done = iobuf("triage", "all", tmp_path, "--replay", replay, "--json")
        check(done, 1)
        assert [row["count"] for row in json.loads(done.stdout)["groups"]] == [1, 1]

    def test_same_failure_is_one_cause(self, tmp_path, canary):
        for number in range(3):
            (tmp_path / f"in{number}").write_bytes((SEEDS / "coalesce-at-limit").read_bytes())
        (tmp_path / "in0.txt").write_text("beside its input, not one itself")
        (tmp_path / "fine").write_text("iobuf-program 1 slice\n")
        done = iobuf("triage", "slice", tmp_path, "--replay", canary, "--json")
        check(done, 1)
        said = json.loads(done.stdout)
        row, = said["groups"]
        assert (row["count"], row["check"], row["op"], row["ops"]) == (3, "result_equals", "coalesce", 5)
        assert said["fine"] == [str(tmp_path / "fine")]
        check(iobuf("triage", "slice", tmp_path, "--replay", canary), 1, "3 failing inputs, 1 causes, 1 that do not fail")

    def test_nothing_that_fails_is_status_0(self, tmp_path):
        (tmp_path / "fine").write_text("iobuf-program 1 slice\n")
        check(iobuf("triage", tmp_path / "fine", "--preset", "checked"), 0, "0 failing inputs")

    def test_empty_folder_is_one_line(self, tmp_path):
        check_one_line(iobuf("triage", tmp_path, "--preset", "checked"), 3, "no input")


class TestFaultSweep:
    def test_one_program(self, tmp_path):
        (tmp_path / "in").write_text("iobuf-program 1 slice\np0 = pool_create 64 0 0\na0 = allocator_init p0 0\ns0 = alloc a0 1\n")
        done = iobuf("fault-sweep", "slice", tmp_path / "in", "--json")
        check(done, 1)  # wrap and the default backing are not come to
        found = json.loads(done.stdout)
        assert (found["programs"], found["allocations"], found["refused"], found["places"]) == (1, 3, 3, 3)
        assert any("buf.c" in place and "never comes" in place for place in found["not_reached"])

    def test_own_faults_of_a_program_do_not_hide_the_rest(self, tmp_path):
        (tmp_path / "in").write_text("iobuf-program 1 slice\np0 = pool_create 64 0 0\nfail_alloc 1 once\np1 = pool_create 64 0 0\n"
                                     "fail_alloc 1 off\np2 = pool_create 64 0 0\n")
        found = json.loads(iobuf("fault-sweep", "slice", tmp_path / "in", "--json").stdout)
        assert found["allocations"] == 3

    def test_error_path_that_errs_is_found_and_kept(self):
        replay = planted.program(patch("refused-buf-is-counted"), "checked", "fuzz/replay")
        found = fault_sweep.sweep(replay, {"slice": [SEEDS / "reuse-from-the-start"]})
        failure, = found["failed"]
        assert "check failed" in failure["output"] and "fail_alloc" in failure["output"]
        check(iobuf("replay", "slice", failure["file"]), 0)  # without the bug it is fine
        (ROOT / failure["file"]).unlink()
