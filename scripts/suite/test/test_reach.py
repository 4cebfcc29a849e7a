"""iobuf coverage and the list of places that no program can reach: what is wrong with it, in each direction, is found out."""
import json
import shutil

import pytest

from suite import reach
from suite.test.test_cli import ROOT, check, check_one_line, iobuf

LIST = ROOT / "fuzz" / "unreachable.json"


def place(line="x++;", **more):
    return reach.Place(**{"file": "lib/src/a.c", "function": "f", "line": line} | more)


def judge(found, *entries):
    return reach.judge(found, [(one, build, "why") for one, build in entries])[0]


class TestJudge:
    def test_what_is_named_and_not_reached_is_right(self):
        assert judge({"plain": {place(): (0, 7)}, "checked": {}}, (place(), None)) == []

    def test_what_is_not_reached_must_be_named(self):
        assert judge({"plain": {place(): (0, 7), place("y++;"): (3, 8)}}) == \
            ["is neither reached nor named (plain, line 7): lib/src/a.c, f: x++;"]

    def test_what_is_named_must_not_be_reached(self):
        assert "is named, but reached (plain, line 7)" in judge({"plain": {place(): (1, 7)}}, (place(), None))[0]

    def test_what_is_named_must_be_there(self):
        assert "is named, and not there" in judge({"plain": {place(): (1, 7)}}, (place("z++;"), None))[0]

    def test_a_build_is_judged_alone(self):
        found = {"plain": {place(): (0, 7)}, "checked": {place(): (1, 7)}}
        assert judge(found, (place(), "plain")) == []
        assert "but reached (checked" in judge(found, (place(), None))[0]
        assert "named (plain" in judge(found)[0]
        assert "not there" in judge({"plain": {place(): (0, 7)}, "checked": {}}, (place(), None), (place(), "checked"))[0]

    def test_twice_is_once_too_often(self):
        assert "is named twice" in judge({"plain": {place(): (0, 7)}}, (place(), None), (place(), None))[0]

    def test_each_side_of_a_branch_is_a_place(self):
        sides = {place(condition="x", side=side): (count, 7) for side, count in (("true", 0), ("false", 4))}
        assert judge({"plain": sides}) == ["is neither reached nor named (plain, line 7): lib/src/a.c, f: x is never true"]


class TestCounted:
    def test_a_function_counts_in_builds_that_use_it_or_if_none_does(self):
        found = {"plain": ({place(): (0, 7), place(function="g"): (0, 9)}, set()),
                 "checked": ({place(): (1, 7), place(function="g"): (0, 9)}, {("lib/src/a.c", "f")})}
        assert reach.counted(found) == {"plain": {place(function="g"): (0, 9)}, "checked": {place(): (1, 7), place(function="g"): (0, 9)}}

    def test_lines_have_the_count_of_what_they_begin_in(self):
        body, condition, gap, then = [1, 1, 9, 2, 5, 0, 0, 0], [3, 9, 3, 14, 5, 0, 0, 0], [3, 15, 4, 9, 0, 0, 0, 3], [4, 9, 4, 20, 0, 0, 0, 0]
        macro, behind, after = [7, 1, 8, 9, 99, 1, 0, 0], [4, 21, 5, 5, 2, 0, 0, 3], [5, 5, 9, 2, 2, 0, 0, 0]
        assert reach.counted_lines([then, body, gap, condition, macro, behind, after]) == \
            {1: 5, 2: 5, 3: 5, 4: 0, 5: 2, 6: 2, 7: 2, 8: 2, 9: 2}

    def test_a_macro_is_shown_with_its_arguments(self, tmp_path):
        path = tmp_path / "a.c"
        path.write_text("int f(int x)\n{\n    if (unlikely(!(x) ||\n                 x > 1)) /* seldom */\n        return 1;\n    return 0;\n}\n")
        source = reach.Source(path, 0)
        assert source.line(4) == "x > 1))" and source.condition(3, 9, 3, 17) == "unlikely(!(x) || x > 1)"
        assert source.condition(4, 18, 4, 23) == "x > 1" and 2 not in source.code and {3, 4, 5, 6} <= source.code


class TestVerb:
    """On the library, its corpus and its list, or one that is a little different."""

    @pytest.fixture
    def run(self, tmp_path):
        def with_list(change, **env):
            groups = json.loads(LIST.read_text())
            change(groups)
            path = tmp_path / "list.json"
            path.write_text(json.dumps(groups))
            return iobuf("coverage", "--unreachable", path, "--results", tmp_path / "results", **env)
        return with_list

    def test_the_list_is_right_and_pages_are_written(self, run, tmp_path):
        check(run(lambda groups: None), 0, "0 mistakes", "buf.c")
        for build in ("plain", "checked"):
            assert (tmp_path / "results" / "coverage" / build / "index.html").is_file()

    def test_an_entry_too_few(self, run):
        gone = []
        check(run(lambda groups: gone.append(groups[0]["places"].pop())), 1, "is neither reached nor named", gone[0]["function"])

    def test_an_entry_that_is_reached(self, run):
        check(run(lambda groups: groups[0]["places"].append({"file": "lib/src/writev.c", "function": "consume", "line": "size_t done = 0;"})),
              1, "is named, but reached (plain", "is named, but reached (checked")

    def test_an_entry_that_is_not_there(self, run):
        check(run(lambda groups: groups[0]["places"][0].update(line="nothing();")), 1, "is named, and not there", "nothing();")

    def test_a_seed_that_is_missed(self, run, tmp_path):
        corpus = tmp_path / "corpus"
        shutil.copytree(ROOT / "corpus", corpus)
        (corpus / "slice" / "seeds" / "one-slice-as-iovec").unlink()
        check(run(lambda groups: None, env={"IOBUF_CORPUS": str(corpus), "PATH": "/usr/bin:/bin"}), 1,
              "is neither reached nor named (plain", "slices->size_ == 0 is never false")

    @pytest.mark.parametrize("content", [b"", b"nothing", b"[{}]", b"[1]", b"\xff\xfe", b'[{"because": "", "places": [{"file": "a", "function": "f", "line": "l"}]}]',
                                         b'[{"because": "x", "places": [{"file": "a"}]}]',
                                         b'[{"because": "x", "places": [{"file": "a", "function": "f", "line": "l", "why": ""}]}]'])
    def test_a_list_that_is_none(self, tmp_path, content):
        path = tmp_path / "list.json"
        path.write_bytes(content)
        check_one_line(iobuf("coverage", "--unreachable", path), 3, "is no list of places")

    def test_wrong_use(self, tmp_path):
        check_one_line(iobuf("coverage", "--unreachable", tmp_path / "nothing"), 2, "does not exist")
        check_one_line(iobuf("coverage", "--unreachable", tmp_path), 2, "is a directory")
        check_one_line(iobuf("coverage", "more"), 2, "more")
