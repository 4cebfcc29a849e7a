"""iobuf corpus, on copies of the corpus: what each sub-command does, and what it makes of bad input."""
import hashlib
import io
import os
import pathlib
import shutil
import socket
import subprocess
import tarfile
import zipfile

import pytest

from suite import cases
from suite.test.test_cli import IOBUF, ROOT, check, check_one_line

REPLAY = ROOT / "build" / "release" / "fuzz" / "replay"
GOOD = b"iobuf-program 1 slice\np0 = pool_create 64 0 0\na0 = allocator_init p0 8\ns0 = alloc a0 10\n"


@pytest.fixture
def corpus(tmp_path):
    """A function that runs `iobuf corpus` on a copy, whose folder is .place."""
    place = tmp_path / "corpus"
    shutil.copytree(ROOT / "corpus", place, ignore=shutil.ignore_patterns("traces"))

    def run(*args):
        return subprocess.run([IOBUF, "corpus", *map(str, args)], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=500, env=os.environ | {"IOBUF_CORPUS": str(place)})
    run.place = place
    return run


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("verb", ["", "check", "merge", "prune", "migrate", "add-regression", "import"])
def test_help_teaches_with_examples_and_statuses(corpus, verb):
    check(corpus(*verb.split(), "--help"), 0, "Examples:", "scripts/iobuf corpus", "Exit status:")


@pytest.mark.parametrize("args, word", [
    (["nothing"], "nothing"), (["merge", "nothing"], "slice, reader, pool, all"), (["prune", "nothing"], "slice, reader, pool, all"),
    (["merge", "--from", "/tmp"], "one TARGET"), (["migrate"], "--from"), (["migrate", "--from", "no-such-revision"], "no-such-revision"),
    (["import"], "ARCHIVE"), (["import", "--target", "nothing", "x"], "slice, reader, pool, all"),
    (["add-regression", "/dev/null", "Bad_Name"], "Bad_Name"), (["add-regression", "/dev/null", "a-name", "--preset", "nothing"], "release"),
])
def test_wrong_use_is_one_line_and_status_2(corpus, args, word):
    check_one_line(corpus(*args), 2, word)


class TestCheck:
    def test_the_corpus_is_right(self):
        check(subprocess.run([IOBUF, "corpus", "check"], cwd=ROOT, capture_output=True, text=True, timeout=500), 0, "nothing wrong")

    @pytest.mark.parametrize("name, content, word", [
        ("slice/seeds/Bad Name", b"\x01", "named neither"), ("slice/seeds/0123456789ab", b"\x01\x00", "named neither"),
        ("slice/regressions/a-case", b"\x01\x00\x00\x00\x00\x00", "a case is text"),
        ("slice/regressions/a-case", GOOD, "with a comment"), ("slice/seeds/not-a-program", b"iobuf-program 1 slice\nnothing\n", "is no program"),
        ("slice/seeds/is-too-long", b"\x01\x80\x80\x80\x80", "say the same"), ("slice/seeds/too-large", 300 << 10, "more than"),
        ("elsewhere", b"", "no target's folder"), ("pool/inputs", b"", "neither seeds nor regressions"),
    ])
    def test_what_is_wrong_is_named(self, corpus, name, content, word):
        (corpus.place / name).write_bytes(bytes(content))
        check(corpus("check"), 1, name, word)

    def test_duplicates_are_named(self, corpus):
        for name in ("one-name", "another-name"):
            (corpus.place / "pool" / "seeds" / name).write_bytes(GOOD.replace(b"slice", b"pool"))
        check(corpus("check"), 1, "is the same program as")

    def test_links_are_not_followed(self, corpus):
        (corpus.place / "pool" / "seeds" / "a-link").symlink_to("/etc/passwd")
        check(corpus("check"), 1, "a-link: is no plain file")


class TestMergeAndPrune:
    def test_merge_adds_what_is_new_in_its_shortest_form(self, corpus, tmp_path):
        found, seeds = tmp_path / "found", corpus.place / "slice" / "seeds"
        found.mkdir()
        lost = sorted(path for path in seeds.iterdir() if "-" not in path.name)[::2]
        for path in lost:
            (found / f"crash-{path.name}").write_bytes(path.read_bytes() + b"\xff" * 3)
            path.unlink()
        (found / "no-text").write_bytes(b"iobuf-program 1 \xff\n")  # what begins as text and cannot be read is no program to keep
        before = contents(corpus.place)
        check(corpus("merge", "slice", "--from", found, "--dry-run"), 0, "would be added")
        assert contents(corpus.place) == before
        check(corpus("merge", "slice", "--from", found), 0, "programs added")
        after = contents(corpus.place)
        assert before.items() < after.items()
        check(corpus("check"), 0, "nothing wrong")
        # What was chosen for its company may leave something over; soon nothing is.
        assert any("\n0 programs added" in "\n" + corpus("merge", "slice", "--from", found).stdout for _ in range(4))

    def test_prune_keeps_coverage_and_names(self, corpus):
        seeds = corpus.place / "slice" / "seeds"
        for path in sorted(seeds.iterdir()):  # as good as new: the same programs once more, each with one op that does nothing
            if "-" not in path.name:
                text = subprocess.run([REPLAY, "slice", "--text", path], capture_output=True, check=True).stdout
                longer = seeds / "longer"
                longer.write_bytes(text + b"sink_give 1\n")
                subprocess.run([REPLAY, "slice", "--encode", longer, longer], check=True)
                content = longer.read_bytes()
                longer.unlink()
                (seeds / hashlib.sha1(content).hexdigest()[:12]).write_bytes(content)
        before = contents(corpus.place)
        check(corpus("prune", "slice", "--dry-run"), 0, "would be dropped")
        assert contents(corpus.place) == before
        check(corpus("prune", "slice"), 0, "dropped; lines")
        after = contents(corpus.place)
        assert len(after) < len(before) - 10
        assert all(path in after for path in before if "-" in path.name)


class TestAddRegression:
    @pytest.fixture
    def crash(self, tmp_path):
        path = tmp_path / "slice" / "crash"
        path.parent.mkdir()
        subprocess.run([REPLAY, "slice", "--encode", path, self.text(tmp_path)], check=True)
        return path

    def text(self, tmp_path):
        path = tmp_path / "text"
        path.write_bytes(GOOD)
        return path

    def test_a_crash_becomes_text_with_a_comment(self, corpus, crash):
        check(corpus("add-regression", crash, "some-bug-of-alloc", "--preset", "release"), 0, "runs clean")
        case = (corpus.place / "slice" / "regressions" / "some-bug-of-alloc").read_text().splitlines()
        assert case[0] == GOOD.decode().splitlines()[0] and case[2:] == GOOD.decode().splitlines()[1:]
        assert case[1].startswith("# runs clean at ")
        check(corpus("check"), 0)
        check_one_line(corpus("add-regression", crash, "some-bug-of-alloc", "--preset", "release"), 1, "there already")

    def test_a_comment_can_be_given(self, corpus, crash):
        check(corpus("add-regression", crash, "some-bug", "--preset", "release", "--comment", "two\nlines"), 0)
        assert "# two lines\n" in (corpus.place / "slice" / "regressions" / "some-bug").read_text()

    def test_the_check_that_fails_is_the_comment(self):
        subprocess.run(["cmake", "--build", ROOT / "build" / "release", "--target", "canary_replay"], check=True, capture_output=True)
        done = subprocess.run([ROOT / "build" / "release" / "fuzz" / "canary_replay", "slice", ROOT / "corpus/slice/seeds/coalesce-at-limit"],
                              capture_output=True, text=True)
        assert done.returncode == 1
        failed = cases.failed_check(done.stdout + done.stderr)
        assert cases.with_comment("head\nop\n", b"iobuf-program 1 slice\n# by hand\n", failed).decode().splitlines() == \
            ["head", f"# {failed}", "# by hand", "op"] and failed.startswith("result_equals")

    @pytest.mark.parametrize("content, target, status, word", [
        (None, "slice", 3, "No such file"), (100_000, "slice", 3, "is no program"), (b"", None, 2, "--target"),
        (b"iobuf-program 1 slice\nbroken\n", None, 3, "unknown op"), (b"iobuf-program 1 nowhere\n", None, 2, "--target"),
        (b"iobuf-program 7 slice\n", None, 3, "unknown version"),
    ])
    def test_bad_input(self, corpus, tmp_path, content, target, status, word):
        path = tmp_path / "bad"
        if content is not None:
            path.write_bytes(bytes(content))
        before = contents(corpus.place)
        check(corpus("add-regression", path, "a-name", "--preset", "release", *(["--target", target] if target else [])), status, word)
        assert contents(corpus.place) == before


class TestMigrate:
    def test_the_same_encoding_changes_nothing(self, corpus):
        before = contents(corpus.place)
        check(corpus("migrate", "--old", REPLAY), 0, "0 of")
        assert contents(corpus.place) == before

    def test_what_is_no_replay_changes_nothing(self, corpus):
        before = contents(corpus.place)
        check(corpus("migrate", "--old", "/bin/true"), 1, "cannot be carried over", "nothing was changed")
        assert contents(corpus.place) == before

    def test_from_another_version(self, corpus, tmp_path):
        """The old program has other codes and another version; it encodes the corpus, which must come back as it was."""
        source = tmp_path / "source"
        for folder in ("lib", "fuzz"):
            shutil.copytree(ROOT / folder, source / folder)
        shutil.copy(ROOT / "CMakeLists.txt", source)
        change(source / "fuzz/program/program.h", "PROGRAM_VERSION = 1", "PROGRAM_VERSION = 2")
        change(source / "fuzz/program/text.c", '"1") != 0', '"2") != 0')
        ops = source / "fuzz/program/ops.def"
        lines = ops.read_text().splitlines()
        first = next(number for number, line in enumerate(lines) if line.startswith("OP("))
        ops.write_text("\n".join(lines[:first] + lines[first:][::-1]) + "\n")
        subprocess.run(["cmake", "-S", source, "-B", source / "build", "-G", "Ninja", "-DIOBUF_BUILD_BENCH=OFF", "-DIOBUF_BUILD_TESTS=OFF"],
                       check=True, capture_output=True)
        subprocess.run(["cmake", "--build", source / "build", "--target", "replay"], check=True, capture_output=True)
        old, before = source / "build" / "fuzz" / "replay", contents(corpus.place)
        for path, content in before.items():
            place = corpus.place / path
            if content.startswith(b"iobuf-program 1"):
                place.write_bytes(content.replace(b"iobuf-program 1", b"iobuf-program 2", 1))
            else:
                text = subprocess.run([REPLAY, path.parts[0], "--text", place], capture_output=True, check=True).stdout
                place.write_bytes(text.replace(b"iobuf-program 1", b"iobuf-program 2", 1))
                subprocess.run([old, path.parts[0], "--encode", place, place], check=True)
        assert contents(corpus.place) != before
        check(corpus("migrate", "--old", old), 0, f"{len(before)} of {len(before)} programs changed")
        assert contents(corpus.place) == before


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def make_tar(path, *members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content, more in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in more.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return path


class TestImport:
    @pytest.fixture
    def bring(self, corpus, tmp_path):
        self.into = tmp_path / "inside" / "imported"

        def run(source, *args):
            return corpus("import", source, "--into", self.into, *args)
        return run

    def names(self):
        return sorted(str(path.relative_to(self.into)) for path in self.into.rglob("*") if path.is_file()) if self.into.exists() else []

    def test_zip_tar_and_folder_are_the_same(self, bring, tmp_path):
        folder = tmp_path / "given"
        (folder / "slice" / "seeds").mkdir(parents=True)
        (folder / "slice" / "seeds" / "one").write_bytes(b"\x01\x00\x00\x00\x00\x00")
        (folder / "slice" / "two").write_bytes(GOOD)
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("slice/seeds/one", b"\x01\x00\x00\x00\x00\x00")
            archive.writestr("slice/two", GOOD)
        found = []
        for source in (folder, tmp_path / "a.zip", *(make_tar(tmp_path / f"a.tar.{kind}", ("slice/seeds/one", b"\x01\x00\x00\x00\x00\x00", {}),
                       ("slice/two", GOOD, {}), mode=f"w:{kind}" if kind else "w") for kind in ("", "gz", "bz2", "xz"))):
            check(bring(source), 0, "2 inputs")
            found.append(self.names())
            shutil.rmtree(self.into)
        assert len(found[0]) == 2 and all(names == found[0] for names in found)

    @pytest.mark.parametrize("name", ["../../out", "/tmp/iobuf-import-out", "slice/../../../out", "C:\\out", "..\\out", "\\out"])
    @pytest.mark.parametrize("kind", ["zip", "tar"])
    def test_names_that_lead_outside(self, bring, tmp_path, name, kind):
        path = tmp_path / f"a.{kind}"
        if kind == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr(name, b"\x01")
                archive.writestr("fine", GOOD)
        else:
            make_tar(path, (name, b"\x01", {}), ("fine", GOOD, {}))
        before = contents(tmp_path)
        check(bring(path), 1, "left out", "1 inputs")
        new = contents(tmp_path).keys() - before.keys()
        assert len(new) == 1 and all(str(path).startswith("inside/imported/slice/") for path in new)
        assert not pathlib.Path("/tmp/iobuf-import-out").exists()

    @pytest.mark.parametrize("more", [
        {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, {"type": tarfile.LNKTYPE, "linkname": "fine"}, {"type": tarfile.FIFOTYPE},
        {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5}, {"type": tarfile.BLKTYPE, "devmajor": 7}])
    def test_links_and_devices_in_a_tar(self, bring, tmp_path, more):
        check(bring(make_tar(tmp_path / "a.tar", ("slice/x", b"", more), ("fine", GOOD, {}))), 1, "left out: slice/x")
        assert len(self.names()) == 1

    def test_link_in_a_zip(self, bring, tmp_path):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            link = zipfile.ZipInfo("slice/x")
            link.external_attr = 0o120777 << 16
            archive.writestr(link, "/etc/passwd")
            archive.writestr("fine", GOOD)
        check(bring(tmp_path / "a.zip"), 1, "left out: slice/x: a symbolic link")
        assert len(self.names()) == 1

    def test_links_pipes_and_sockets_in_a_folder(self, bring, tmp_path):
        folder = tmp_path / "given" / "slice"
        (folder / "deep").mkdir(parents=True)
        (folder / "fine").write_bytes(GOOD)
        (folder / "link").symlink_to("/etc/passwd")
        (folder / "folder-link").symlink_to("/etc")
        os.mkfifo(folder / "pipe")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.relpath(folder / "deep" / "s"))
            check(bring(tmp_path / "given"), 1, *(f"left out: slice/{name}" for name in ("link", "folder-link", "pipe", "deep/s")))
        assert len(self.names()) == 1

    def test_link_in_place_of_the_folder_for_a_target(self, bring, tmp_path):
        """What is there already may be a link that a person made: but nothing in an archive can make one."""
        make_tar(tmp_path / "a.tar", ("slice", b"", {"type": tarfile.SYMTYPE, "linkname": str(tmp_path)}), ("slice/x", GOOD, {}))
        check(bring(tmp_path / "a.tar"), 1)
        assert not (self.into / "slice").is_symlink() and len(self.names()) == 1

    def test_huge(self, bring, tmp_path):
        with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("slice/bomb", bytes(100 << 20))
            archive.writestr("fine", GOOD)
        check(bring(tmp_path / "a.zip"), 1, "left out: slice/bomb: larger than 64 KiB")
        make_tar(tmp_path / "a.tar.gz", ("slice/bomb", bytes(100 << 20), {}), mode="w:gz")
        check_one_line(bring(tmp_path / "a.tar.gz"), 3, "more than 64 MiB")
        with open(tmp_path / "big.tar", "wb") as sparse:
            sparse.truncate(1 << 40)
        check_one_line(bring(tmp_path / "big.tar"), 3, "holds no inputs")  # and is not read to its end
        assert len(self.names()) == 1

    @pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz"])
    def test_truncated_takes_nothing(self, bring, tmp_path, kind):
        path = tmp_path / f"a.{kind}"
        noise = os.urandom(30_000)
        if kind == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("slice/one", noise)
                archive.writestr("slice/two", noise[::-1])
        else:
            make_tar(path, ("slice/one", noise, {}), ("slice/two", noise[::-1], {}), mode=f"w:{kind[4:]}")
        path.write_bytes(path.read_bytes()[:40_000])
        check_one_line(bring(path), 3, str(path))
        assert not self.names()

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"\x1f\x8b" + bytes(50), b"BZh9" + bytes(50),
                                         b"\xfd7zXZ\0" + bytes(50), bytes(10240), b"no archive at all\n" * 1000])
    def test_no_archive(self, bring, tmp_path, content):
        path = tmp_path / "a"
        path.write_bytes(content)
        check_one_line(bring(path), 3, str(path))
        assert not self.names()

    def test_random_bytes(self, bring, tmp_path):
        for number in range(3):
            path = tmp_path / "a"
            path.write_bytes(os.urandom(5000))
            check_one_line(bring(path), 3, str(path))

    def test_missing_unreadable_and_empty(self, bring, tmp_path):
        check_one_line(bring(tmp_path / "nothing"), 3, "no such file")
        check_one_line(bring("/dev/null"), 3, "neither a file nor a folder")
        (tmp_path / "empty").mkdir()
        check_one_line(bring(tmp_path / "empty"), 3, "holds no inputs")

    def test_no_target(self, bring, tmp_path):
        (tmp_path / "given").mkdir()
        (tmp_path / "given" / "x").write_bytes(b"\x01")
        check(bring(tmp_path / "given"), 3, "--target")
        check(bring(tmp_path / "given", "--target", "pool"), 0, "1 inputs")

    def test_into_what_cannot_be_written(self, bring, tmp_path):
        (tmp_path / "inside").write_bytes(b"")
        (tmp_path / "given" / "slice").mkdir(parents=True)
        (tmp_path / "given" / "slice" / "x").write_bytes(GOOD)
        check_one_line(bring(tmp_path / "given"), 3, "inside")
