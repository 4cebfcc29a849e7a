"""The soak: clean on the library as it is, red on each of some planted bugs, ended by Ctrl-C without loss; and what the README shows is
what is compiled."""
import json
import pathlib
import re
import signal
import socket
import subprocess
import time

import click.testing
import pytest

from suite import build, planted
from suite.paths import ROOT
from suite.test.test_cli import IOBUF, check, check_one_line, iobuf
from suite.verbs import soak

FOLDERS = (*planted.FOLDERS, ROOT / "lib" / "test" / "soak" / "planted")


def run(preset, connections, tmp_path, *more):
    done = iobuf("soak", "--connections", connections, "--per-phase", connections // soak.PHASES, "--seed", 7, "--preset", preset, "--results",
                 tmp_path, "--json", *more)
    return done, json.loads(done.stdout) if done.stdout else None


class TestLibrary:
    # Bounded by connections, so that the same is done however fast the machine is.
    @pytest.mark.parametrize("preset, connections", [("release", 1200), ("asan", 300), ("tsan", 120)])
    def test_every_byte_is_right_and_all_memory_comes_back(self, preset, connections, tmp_path):
        done, found = run(preset, connections, tmp_path)
        assert done.returncode == 0 and found["failed"] is None, done.stdout + done.stderr
        assert found["connections"] == connections and found["phases"] == soak.PHASES and not found["interrupted"]
        assert all(found[name] > 0 for name in soak.HAPPENS)
        assert found["killed"] == found["reset"] + found["abandoned"] + found["oversize"] > connections // 4
        assert found == json.loads((tmp_path / "soak.json").read_text())


    def test_a_result_is_recorded_when_asked_for(self, tmp_path, monkeypatch):
        monkeypatch.setattr(soak, "RESULTS", tmp_path / "kept")
        args = ["--connections", "30", "--per-phase", "5", "--seed", "7", "--results", str(tmp_path), "--record"]
        for lines in (1, 2):
            assert click.testing.CliRunner().invoke(soak.command, args, standalone_mode=False).return_value == 0
            kept = (tmp_path / "kept" / "soak.jsonl").read_text().splitlines()
            assert len(kept) == lines and json.loads(kept[-1]) == json.loads((tmp_path / "soak.json").read_text())


class TestPlanted:
    # Bytes that are lost show as wrong ones, as lengths that nobody sent, or as answers that do not come.
    @pytest.mark.parametrize("name, word", [("move-loses-last-byte", "is wrong|is 0x|lost its head|nothing moved|were cut"),
                                            ("writev-releases-what-it-wrote-in-part", "is 0x|nothing moved|were cut|in use"),
                                            ("coalesce-of-three-leaks", "in use"), ("killed-connection-keeps-its-queue", "in use"),
                                            ("gone-connection-is-not-freed", "not freed"),
                                            ("want-of-memory-ends-a-connection", "were cut")])
    def test_bug_is_found(self, name, word):
        program = planted.program(next(path for folder in FOLDERS if (path := folder / f"{name}.patch").is_file()), "release", soak.PROGRAM)
        found = soak.soak([program, "--connections", "1800", "--per-phase", "100", "--seed", "7", "--patience", "10"], None, 1800)
        assert re.search(word, found["failed"]), found


class TestVerdict:
    """What the verb makes of what the program says."""
    GOOD = {"summary": "", "phases": 6, "connections": 10} | {name: 1 for name in soak.HAPPENS}

    def verdict(self, tmp_path, status=0, said=None, interrupted=False, failed=None, err=""):
        log = tmp_path / "log"
        log.write_text(err)
        return soak.verdict(status, said or dict(self.GOOD), [(1, 5), (2, 7), (1, 6)], {"interrupted": interrupted, "failed": failed}, log)

    def test_what_went_well(self, tmp_path):
        found = self.verdict(tmp_path)
        assert found["failed"] is None and [found[f"rss_{when}"] for when in ("warm", "most", "end")] == [7, 7, 6]
        assert [found[f"heap_{when}"] for when in ("warm", "most", "end")] == [2, 2, 1]

    def test_a_crash_is_a_failure_with_its_line(self, tmp_path):
        found = self.verdict(tmp_path, -signal.SIGABRT, err="noise\niobuf: iobuf_slice_release: released twice\n")
        assert "SIGABRT" in found["failed"] and "released twice" in found["failed"]

    @pytest.mark.parametrize("name", soak.HAPPENS)
    def test_what_never_happened_was_not_tested(self, name, tmp_path):
        assert name in self.verdict(tmp_path, said=self.GOOD | {name: 0})["failed"]

    def test_a_round_that_was_cut_short_need_not_have_it_all(self, tmp_path):
        assert self.verdict(tmp_path, said=self.GOOD | {"starved": 0}, interrupted=True)["failed"] is None
        assert self.verdict(tmp_path, said=self.GOOD | {"starved": 0, "phases": 5})["failed"] is None

    def test_an_interruption_before_it_began_is_no_failure(self, tmp_path):
        assert self.verdict(tmp_path, -signal.SIGINT, said={}, interrupted=True)["failed"] is None


class TestUse:
    @pytest.mark.parametrize("args, word", [(["--seconds", "0"], "--seconds"), (["--seconds", "5", "--minutes", "5"], "not both"),
                                            (["--connections", "-1"], "--connections"), (["--servers", "17"], "--servers"),
                                            (["--preset", "nothing"], "release"), (["more"], "more")])
    def test_wrong_use_is_one_line_and_status_2(self, args, word):
        check_one_line(iobuf("soak", *args), 2, word)

    def test_help_teaches(self):
        check(iobuf("soak", "--help"), 0, "Examples:", "scripts/", "Exit status:")

    @pytest.mark.parametrize("args", [(), ("--connections",), ("--connections", "0"), ("--seconds", "1x"), ("--nothing", "1")], ids=" ".join)
    def test_the_program_takes_no_wrong_options(self, args):
        build.ensure("release", ["iobuf_soak"])
        done = subprocess.run([build.program("release", soak.PROGRAM), *args], capture_output=True, text=True)
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1

    def test_ctrl_c_ends_it_with_a_summary_and_nothing_lost(self, tmp_path):
        build.ensure("release", ["iobuf_soak"])
        process = subprocess.Popen([IOBUF, "soak", "--seconds", "600", "--per-phase", "30", "--results", tmp_path, "--json"], text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while process.poll() is None and not under_way(process.pid):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
        found = json.loads(out)
        assert found["interrupted"] and found["failed"] is None and found["phases"] >= 1


def under_way(pid):
    """Whether a child of the process is a soak with clients."""
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            status = pathlib.Path(f"/proc/{child}/status").read_text()
        except OSError:
            continue
        if status.startswith("Name:\tiobuf_soak") and int(re.search(r"^Threads:\s*(\d+)", status, re.M)[1]) > 4:
            return True
    return False


class TestReadme:
    BLOCKS = re.findall(r"^```c\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)

    def test_its_program_compiles_and_says_what_it_should(self, tmp_path):
        text, = (block for block in self.BLOCKS if "int main" in block)
        build.ensure("release", ["iobuf_static"])
        (tmp_path / "first.c").write_text(text)
        subprocess.run(["gcc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror", "-I", ROOT / "lib" / "include",
                        tmp_path / "first.c", build.program("release", "lib/libiobuf.a"), "-pthread", "-o", tmp_path / "first"], check=True)
        assert subprocess.run([tmp_path / "first"], capture_output=True, check=True).stdout == b"8 bytes:payload"

    def test_what_it_shows_of_the_example_stands_there(self):
        example = (ROOT / "lib" / "example" / "frame_server.c").read_text()
        shown = [block for block in self.BLOCKS if "int main" not in block]
        assert shown
        for block in shown:
            assert block in example, block

    def test_the_example_runs_as_a_program(self):
        build.ensure("release", ["frame_echo"])
        with subprocess.Popen([build.program("release", "lib/example/frame_echo")], stdout=subprocess.PIPE, text=True) as server:
            port = int(server.stdout.readline())
            try:
                assert echoed(port, b"\0\0\0\5hello\0\0\0\0") == b"\0\0\0\5hello\0\0\0\0"
            finally:
                server.terminate()
            assert server.wait(timeout=60) == 0


def echoed(port, stream):
    """What comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as peer:
        peer.sendall(stream)
        peer.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: peer.recv(4096), b""))
