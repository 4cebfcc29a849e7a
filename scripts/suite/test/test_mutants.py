"""The mutants: each patch applies and compiles, the generator changes what it should, and the verb that measures them."""
import json
import pathlib
import re
import subprocess

import pytest

from suite import mutants, mutate, say, stages
from suite.test.test_cli import check, check_one_line, iobuf
from suite.verbs import mutants as verb

LIB = mutants.LIB
CLASSES = {"wrapped sum", "off by one", "limit", "lost reference", "extra release", "adjacency", "shared prefix", "wrong buf reused", "reader",
           "foreign buffer", "leak", "error path", "counts", "stale state", "threads", "biased lock"}
CURATED = mutants.curated()


def compiles(folder, file):
    sources = [folder / "lib" / file] if file.endswith(".c") else sorted((folder / "lib" / "src").glob("*.c"))
    for checked in (0, 1):
        done = subprocess.run(["gcc", "-std=gnu11", "-fsyntax-only", "-w", f"-DIOBUF_CHECKED={checked}", "-I", folder / "lib" / "include",
                               *sources], capture_output=True, text=True)
        if done.returncode != 0:
            return done.stderr
    return ""


class TestCurated:
    @pytest.mark.parametrize("mutant", CURATED, ids=lambda mutant: mutant.id)
    def test_patch_applies_without_fuzz_and_compiles(self, mutant, tmp_path):
        mutant.plant(tmp_path)
        assert not list(tmp_path.rglob("*.rej")) and not list(tmp_path.rglob("*.orig"))
        assert (tmp_path / "lib" / mutant.file).read_text() != (LIB / mutant.file).read_text()
        assert compiles(tmp_path, mutant.file) == ""

    def test_patch_whose_surroundings_changed_is_refused(self, tmp_path):
        patch = mutants.PATCHES / "canary.patch"
        moved = tmp_path / "moved.patch"
        moved.write_text(patch.read_text().replace("             break;", "             continue;"))
        assert moved.read_text() != patch.read_text()
        subprocess.run(["cp", "-r", LIB, tmp_path / "lib"], check=True)
        with pytest.raises(say.Stop, match="does not apply"):
            mutants.apply_patch(moved, tmp_path)

    def test_there_are_enough_of_each_class(self):
        assert len(CURATED) >= 60
        assert {mutant.group for mutant in CURATED} == CLASSES

    def test_no_two_are_the_same_change(self):
        assert len({mutant.digest for mutant in CURATED}) == len(CURATED)

    @pytest.mark.parametrize("text", ["", "what is wrong\nclass: limit\n\n--- a/lib/src/pool.c\n", "x\nlike: y\n\n--- a/lib/src/pool.c\n",
                                      "x\nclass: limit\nlike: y\n"])
    def test_patch_without_its_words_is_refused(self, text, tmp_path, monkeypatch):
        (tmp_path / "some.patch").write_text(text)
        monkeypatch.setattr(mutants, "PATCHES", tmp_path)
        with pytest.raises(say.Stop, match="is no mutant"):
            mutants.curated()


FUNCTION = """#include "x.h"
/* if (a < b) */
static const int limit = 3;

static int f(int a, const char *s)
{
    /* a + b, over
     * two lines: a == b */
    int sum = a + 1; /* a - 1 */
    if (a < sum && s != "a == b")
        g(a);
    check_poison(a, 1);
    return sum;
}
"""


def test_what_is_only_built_along_with_a_program_is_no_part_of_it(monkeypatch):
    said = ("cc -c /r/a.c -o lib.dir/a.o\ncc -c /r/b.c -o mutate.dir/b.o\n: && cc -shared -o mutate.so mutate.dir/b.o && :\n"
            "cc -c /r/c.c -o fuzz.dir/c.o\n: && cc fuzz.dir/c.o -o fuzz lib.a && :\n")
    monkeypatch.setattr(mutants.command, "run", lambda *_, **__: (0, said))
    compilations, link = mutants.recipe.__wrapped__("afl", "fuzz")
    assert [to for _, to, _ in compilations] == ["lib.dir/a.o", "fuzz.dir/c.o"] and link[-1] == "lib.a"


class TestGenerator:
    def afters(self, text=FUNCTION):
        return {change.after.strip() for change in mutate.changes("x.c", text)}

    def test_it_changes_each_operator_of_a_line(self):
        assert {'if (a <= sum && s != "a == b")', 'if (a < sum || s != "a == b")', 'if (a < sum && s == "a == b")', "if (true)", "if (false)",
                "int sum = a - 1; /* a - 1 */", "int sum = a + 0; /* a - 1 */", ";"} == self.afters()

    def test_comments_strings_checks_and_what_is_no_function_are_left_alone(self):
        assert {change.line for change in mutate.changes("x.c", FUNCTION)} == {9, 10, 11}

    def test_masking_keeps_every_place(self):
        for path in mutate.SOURCES.glob("*.c"):
            text = path.read_text()
            code = mutate.masked(text)
            assert len(code) == len(text) and code.count("\n") == text.count("\n") and "/*" not in code and '"' not in code

    def test_ids_do_not_depend_on_where_a_line_stands(self):
        moved = FUNCTION.replace("#include", "\n\n#include").replace("    int sum", "\n    int sum")
        assert [c.id for c in mutate.changes("x.c", FUNCTION)] == [c.id for c in mutate.changes("x.c", moved)]

    def test_a_line_that_is_there_twice_has_two_ids(self):
        twice = FUNCTION.replace("        g(a);\n", "        g(a);\n    g(a);\n")
        ids = [change.id for change in mutate.changes("x.c", twice)]
        assert len(set(ids)) == len(ids)

    def test_each_is_one_line_of_the_library_in_another_way(self):
        found = mutate.everything()
        assert len(found) >= 200 and len({change.id for change in found}) == len(found)
        for change in found:
            assert re.fullmatch(r"\w+\.c:\w+:[0-9a-f]{8}", change.id)
            assert (mutate.SOURCES / change.file).read_text().split("\n")[change.line - 1] == change.before != change.after
        assert {change.kind for change in found} == {"comparison", "constant", "arithmetic", "statement", "condition"}
        assert "check.c" not in {change.file for change in found}

    def test_the_sample_is_the_same_each_time_and_grows_at_its_end(self):
        found = mutate.everything()
        assert mutate.sample(found, 50) == mutate.sample(reversed(found), 60)[:50]

    def test_equivalent_ones_exist_and_have_an_argument(self):
        known = {change.id for change in mutate.everything()} | {mutant.id for mutant in CURATED}
        assert set(mutants.equivalent()) <= known

    @pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": " "}', "{"])
    def test_a_broken_list_of_equivalents_is_named(self, text, tmp_path, monkeypatch):
        path = tmp_path / "equivalent.json"
        path.write_text(text)
        monkeypatch.setattr(mutants, "EQUIVALENT", path)
        with pytest.raises(say.Stop, match="equivalent.json"):
            mutants.equivalent()


def row(name, **more):
    mutant = next(one for one in CURATED if one.id == name)
    return {"id": name, "class": mutant.group, "kind": "curated", "equivalent": None, "unit_s": None, "replay_s": None, "libfuzzer_s": None,
            "afl_s": None, "commit": "x", "library": mutants.library(), "change": mutant.digest, "stages": ["replay"]} | more


class TestVerb:
    @pytest.mark.parametrize("args, word", [
        (["nothing"], "nothing"), (["canary", "nothing"], "nothing"), (["--kind", "nothing"], "curated"), (["--stages", "nothing"], "nothing"),
        (["--stages", ","], "one at least"), (["--seconds", "0"], "--seconds"), (["--jobs", "0"], "--jobs"), (["--sample", "0"], "--sample"),
        (["--engine", "nothing"], "nothing"), (["--stages", "afl", "--engine", "libfuzzer"], "--engine"),
        (["--kind", "mechanical", "canary"], "canary"),
    ])
    def test_wrong_use_is_one_line_and_status_2(self, args, word):
        check_one_line(iobuf("mutants", *args), 2, word)

    @pytest.mark.parametrize("content", [b"no json\n", b"{}\n", b"[]\n", b'{"library": "x"', bytes(range(256))])
    def test_broken_results_are_named_and_left_as_they_are(self, content, tmp_path):
        path = tmp_path / "mutants.jsonl"
        path.write_bytes(content)
        check_one_line(iobuf("mutants", "canary", "--output", path), 3, "mutants.jsonl")
        assert path.read_bytes() == content

    def test_output_that_cannot_be_written(self, tmp_path):
        check_one_line(iobuf("mutants", "canary", "--output", tmp_path), 2, "--output")

    def test_what_was_measured_is_not_measured_again(self, tmp_path):
        path = tmp_path / "mutants.jsonl"
        text = json.dumps(row("canary", replay_s=0.5)) + "\n"
        path.write_text(text)
        check(iobuf("mutants", "canary", "--stages", "replay", "--output", path), 0, "curated", "100.0", "0.50")
        assert path.read_text() == text

    def test_a_survivor_is_named_and_found(self, tmp_path):
        path = tmp_path / "mutants.jsonl"
        path.write_text(json.dumps(row("canary", replay_s=0.5)) + "\n" + json.dumps(row("canary")) + "\n")
        check(iobuf("mutants", "canary", "--stages", "replay", "--output", path), 1, "survived every stage that was tried: canary")

    def test_an_equivalent_one_that_was_killed_is_named(self, tmp_path):
        path = tmp_path / "mutants.jsonl"
        path.write_text(json.dumps(row("canary", replay_s=0.5, equivalent="so they say")) + "\n")
        check(iobuf("mutants", "canary", "--stages", "replay", "--output", path), 1, "killed all the same: canary")

    def test_another_version_of_the_library_is_measured_anew(self, tmp_path):
        path = tmp_path / "mutants.jsonl"
        path.write_text(json.dumps(row("canary", library="another")) + "\n")
        assert verb.measured(path, mutants.library()) == {}

    def test_the_canary_is_built_killed_and_added(self, tmp_path):
        path = tmp_path / "mutants.jsonl"
        check(iobuf("mutants", "canary", "--stages", "replay,unit", "--output", path), 0, "replay")
        found, = (json.loads(text) for text in path.read_text().splitlines())
        assert found["unit_s"] > 0 and found["replay_s"] > 0 and found["stages"] == ["unit", "replay"] and found["libfuzzer_s"] is None
        assert found["commit"] and found["equivalent"] is None and found["class"] == "limit"

    def test_a_change_of_nothing_is_told_from_one_that_survives(self):
        change = next(one for one in mutate.everything() if one.file == "coalesce.c")
        same = mutate.Change("same", change.file, change.line, change.kind, change.before, change.before + " /* as it was */")
        mutant = mutants.Mutant("same", "mechanical", "statement", f"src/{change.file}", "slice", "0", same)
        stages.prepare(["replay"], [mutant])
        found, argument = stages.measure(mutant, ["replay"], 1, False, mutants.Processes())
        assert found == {} and "same code" in argument

    def test_results_that_are_kept_can_be_read(self):
        assert isinstance(verb.measured(pathlib.Path(verb.DEFAULT), mutants.library()), dict)
