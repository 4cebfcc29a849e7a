"""iobuf fuzz --jobs: processes that share what they find, end together, leave nothing behind and lose nothing."""
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

from suite import build, engines, paths, team
from suite.test.test_cli import IOBUF, ROOT, check, check_one_line, iobuf

PATIENCE = 300  # seconds: a bound against hanging, not a measure


@pytest.mark.parametrize("args, word", [
    (["--jobs", "0"], "--jobs"), (["--jobs", "-1"], "--jobs"), (["--jobs", "65"], "--jobs"), (["--jobs", "many"], "--jobs"),
    (["--build", "nothing"], "--build"), (["--build", "both"], "--jobs 2"), (["--build", "both", "--jobs", "1"], "--jobs 2"),
    (["--build", "plain", "--fast"], "--fast"),
])
def test_wrong_use_is_one_line_and_status_2(args, word):
    check_one_line(iobuf("fuzz", "slice", *args), 2, word)


def test_kept_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    check(iobuf("fuzz", "pool", "--jobs", "1", "--runs", "1", env=os.environ | {"IOBUF_KEPT": str(tmp_path / "file")}), 3, "file")


def test_one_of_each_engine_has_the_library_as_shipped():
    assert team.presets(engines.Afl, 3, "both") == ["afl", "afl-plain", "afl"]
    assert team.presets(engines.LibFuzzer, 2, "plain") == ["libfuzzer-plain"] * 2
    assert team.presets(engines.LibFuzzerFast, 2, "both") == ["libfuzzer-fast", "libfuzzer-plain"]


def processes_of(folder):
    """Those whose command line names the folder, or whose standard input or output lies in it, as of AFL++'s targets. One that has
    ended, and was not waited for yet, has neither."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            used = [(process / "cmdline").read_bytes().decode(errors="replace"), *(os.readlink(link) for link in (process / "fd").iterdir())]
        except OSError:  # it has ended, or is another user's
            continue
        if int(process.name) != os.getpid() and any(str(folder) in word for word in used):
            found.append(used[0].replace("\0", " "))
    return found


def left_behind(folder):
    """What was killed needs a moment to be gone."""
    end = time.monotonic() + 10
    while (found := processes_of(folder)) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def wait_for(condition, process, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, f"ended before {what}"
        assert time.monotonic() < end, f"{what} did not happen in {PATIENCE} s"
        time.sleep(0.2)


def name_of(content):
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def contents(folder):
    found = set()
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # gone meanwhile
            if path.is_file():
                found.add(path.read_bytes())
    return found


class TestBothEngines:
    """A corpus of one empty program, so that anything else is new to an engine."""

    @pytest.fixture
    def place(self, tmp_path):
        (tmp_path / "corpus" / "pool" / "seeds").mkdir(parents=True)
        (tmp_path / "corpus" / "pool" / "seeds" / "empty-program").write_bytes(b"\x01")
        return tmp_path

    def start(self, place, *args):
        env = os.environ | {"IOBUF_KEPT": str(place / "kept"), "IOBUF_CORPUS": str(place / "corpus")}
        return subprocess.Popen([IOBUF, "fuzz", "pool", "--results", place, *args], cwd=ROOT, env=env, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def stop(self, process, place):
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=PATIENCE)[0]
        assert process.returncode == 0 and "Traceback" not in said, said
        assert left_behind(place) == []
        return {row["engine"]: row for row in json.loads((place / "fuzz.json").read_text())["fuzzed"]}

    def test_what_libfuzzer_has_reaches_afl(self, place):
        found = max((ROOT / "corpus" / "pool" / "seeds").iterdir(), key=lambda path: path.stat().st_size).read_bytes()
        theirs = place / "kept" / "libfuzzer" / "pool" / "corpus"
        theirs.mkdir(parents=True)
        (theirs / name_of(found)).write_bytes(found)
        process = self.start(place, "--engine", "afl", "--runs", "2000", "--jobs", "1")
        assert process.wait(PATIENCE) == 0, process.stdout.read()
        assert left_behind(place) == []
        queue = place / "kept" / "afl" / "pool" / "out" / "default" / "queue"
        assert found in {path.read_bytes() for path in queue.glob("id:*sync:corpus*")}

    def test_what_afl_queues_reaches_libfuzzer_at_work(self, place):
        process = self.start(place, "--engine", "libfuzzer", "--seconds", "3000", "--jobs", "1")
        log, queue = place / "kept" / "libfuzzer" / "pool" / "log", place / "kept" / "afl" / "pool" / "out" / "elsewhere" / "queue"
        try:
            wait_for(lambda: log.is_file() and "INITED" in log.read_text(errors="replace"), process, "libFuzzer began")
            queue.mkdir(parents=True)
            for number, path in enumerate(sorted((ROOT / "corpus" / "pool" / "seeds").iterdir())):
                (queue / f"id:{number:06},src:000000").write_bytes(path.read_bytes())
            corpus = place / "kept" / "libfuzzer" / "pool" / "corpus"
            # Some: libFuzzer drops an input for a shorter one that does the same.
            wait_for(lambda: contents(queue) & contents(corpus) and "RELOAD" in log.read_text(errors="replace"), process,
                     "libFuzzer took in what AFL++ has")
        finally:
            self.stop(process, place)

    def test_ctrl_c_ends_all_of_them_and_another_run_goes_on(self, place):
        kept = place / "kept"
        queue = kept / "afl" / "pool" / "out" / "default" / "queue"
        logs = [kept / "libfuzzer" / "pool" / name for name in ("log", "log-1")]
        process = self.start(place, "--seconds", "3000", "--jobs", "2")
        try:
            wait_for(lambda: all(log.is_file() and "INITED" in log.read_text(errors="replace") for log in logs), process, "libFuzzer began")
            queues = [queue, queue.parents[1] / "second-1" / "queue"]
            wait_for(lambda: all(len(list(one.glob("id:*"))) > 1 for one in queues), process, "AFL++'s processes found something")
            queued, running = contents(queue), processes_of(place)
            assert sum("libfuzzer-plain/fuzz/fuzz_pool" in line for line in running) == 1, running
            assert sum("-S second-1" in line and "afl-plain" in line for line in running) == 1, running
        finally:
            rows = self.stop(process, place)
        assert queued <= contents(queue)
        assert rows["afl"]["builds"] == ["afl", "afl-plain"] and rows["libfuzzer"]["builds"] == ["libfuzzer", "libfuzzer-plain"]
        assert all(row["programs"] > 0 and row["jobs"] == 2 and not row["failures"] for row in rows.values())
        summary = json.loads((place / "fuzz.json").read_text())
        assert summary["interrupted"] and "--jobs 2" in summary["command"]
        self.goes_on(place, rows, queue)

    def goes_on(self, place, rows, queue):
        """Another run begins with what the first one left: no edge is found again, and AFL++'s queue is that of before."""
        before = contents(queue)
        process = self.start(place, "--runs", "1", "--jobs", "2")
        said = process.communicate(timeout=PATIENCE)[0]
        assert process.returncode == 0, said
        assert left_behind(place) == []
        again = {row["engine"]: row for row in json.loads((place / "fuzz.json").read_text())["fuzzed"]}
        assert again["libfuzzer"]["edges"] >= rows["libfuzzer"]["edges"]
        assert before <= contents(queue)


@pytest.mark.parametrize("kind", engines.ENGINES.values(), ids=engines.ENGINES)
def test_a_planted_bug_is_found_by_two_processes_which_both_end(kind, tmp_path, monkeypatch):
    presets = team.presets(kind, 2, "both")
    build.ensure("release", ["canary_replay", "replay"])
    for preset in presets:
        build.ensure(preset, ["fuzz_canary"])
    shows = [build.program("release", "fuzz/canary_replay"), "slice", "--quiet"]
    seeds = tmp_path / "corpus" / "slice" / "seeds"
    seeds.mkdir(parents=True)
    for path in (ROOT / "corpus" / "slice" / "seeds").iterdir():
        if subprocess.run([*shows, path], capture_output=True).returncode == 0:
            shutil.copyfile(path, seeds / path.name)
    monkeypatch.setattr(engines, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(paths, "CORPUS", tmp_path / "corpus")
    pair = team.Team(kind, "slice", PATIENCE, None, presets)
    for one in pair.members:
        one.program = build.program(one.preset, "fuzz/fuzz_canary")
    pair.start()
    try:
        while pair.running():
            time.sleep(0.1)
    finally:
        pair.stop()
    found = pair.result(pair.elapsed())["failures"]
    assert found and left_behind(tmp_path) == []
    assert pair.preset in presets and pair.log.is_file()
    assert any(subprocess.run([*shows, path], capture_output=True).returncode == 1 for path in found)
    assert subprocess.run([build.program("release", "fuzz/replay"), "slice", "--quiet", *found], capture_output=True).returncode == 0


class TestHandOver:
    @pytest.fixture
    def exchange(self, tmp_path, monkeypatch):
        monkeypatch.setattr(engines, "KEPT", tmp_path)
        return team.HandOver("pool")

    def queue(self, tmp_path, instance, name, content):
        folder = tmp_path / "afl" / "pool" / "out" / instance / "queue"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

    def test_each_content_is_there_once_under_its_hash(self, exchange, tmp_path):
        for instance in ("default", "second-1", "elsewhere"):
            self.queue(tmp_path, instance, "id:000000,src:000000", b"\x01\x07")
        self.queue(tmp_path, "default", "id:000001,time:0,execs:0,orig:id:000009,src:000000", b"\x01\x08")  # its own, from a run before
        assert exchange.copy_new() and not exchange.copy_new()
        found = {path.name: path.read_bytes() for path in (tmp_path / "libfuzzer" / "pool" / "corpus").iterdir()}
        assert found == {name_of(content): content for content in (b"\x01\x07", b"\x01\x08")}

    def test_what_the_corpus_has_and_what_is_not_written_yet_is_left(self, exchange, tmp_path):
        seed = next((ROOT / "corpus" / "pool" / "seeds").iterdir()).read_bytes()
        self.queue(tmp_path, "default", "id:000000,time:0,execs:0,orig:some-seed", seed)
        self.queue(tmp_path, "default", "id:000001,src:000000", b"")
        assert not exchange.copy_new()
        self.queue(tmp_path, "default", "id:000001,src:000000", b"\x01\x09")
        assert exchange.copy_new()
        assert [path.name for path in (tmp_path / "libfuzzer" / "pool" / "corpus").iterdir()] == [name_of(b"\x01\x09")]
