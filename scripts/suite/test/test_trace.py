"""The recorder on real programs, and what the verb makes of damaged traces."""
import json
import os
import re
import signal
import subprocess

import pytest

from suite import build
from suite.paths import ROOT
from suite.test.test_cli import IOBUF, check, check_one_line, iobuf

# Blocks of 1000 bytes are allocated by four threads and released by the next one; at the end as the argument says.
WORKER = r"""
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
enum { THREADS = 4, BLOCKS = 20000 };
static void *blocks[THREADS][BLOCKS];
void *fill(void *at)
{
    for (int n = 0; n < BLOCKS; n++)
        blocks[(size_t)at][n] = memset(malloc(1000), 1, 1000);
    return NULL;
}
static void *empty(void *at)
{
    for (int n = 0; n < BLOCKS; n++)
        free(blocks[((size_t)at + 1) % THREADS][n]);
    return NULL;
}
static void all(void *(*work)(void *))
{
    pthread_t threads[THREADS];
    for (size_t at = 0; at < THREADS; at++)
        pthread_create(&threads[at], NULL, work, (void *)at);
    for (size_t at = 0; at < THREADS; at++)
        pthread_join(threads[at], NULL);
}
int main(int argc, char **argv)
{
    const char *end = argc > 1 ? argv[1] : "";
    all(fill);
    all(empty);
    if (strcmp(end, "close") == 0)
        for (int handle = 3; handle < 1024; handle++)
            close(handle);
    if (strcmp(end, "close") == 0)
        all(fill);
    if (strcmp(end, "kill") == 0)
        for (;;) {
            free(memset(malloc(1000), 1, 1000));
            if (argc++ > 100000)
                raise(SIGKILL);
        }
    if (strcmp(end, "_exit") == 0)
        _exit(0);
    return 0;
}
"""
BLOCKS = 80000


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worker")
    (folder / "worker.c").write_text(WORKER)
    subprocess.run(["gcc", "-O1", "-pthread", "-fno-builtin", "-rdynamic", "-w", folder / "worker.c", "-o", folder / "worker"], check=True)
    return folder / "worker"


def record(trace, *line, options=(), **more):
    return iobuf("trace", "record", "-o", trace, *options, "--", *line, **more)


def info(trace, status=0):
    done = iobuf("trace", "info", trace, "--json")
    check(done, status)
    return json.loads(done.stdout)


def text(trace):
    done = iobuf("trace", "text", trace)
    check(done, 0)
    return done.stdout.splitlines()


class TestRecord:
    def test_every_block_of_every_thread_is_there(self, worker, tmp_path):
        check(record(tmp_path / "t", worker, options=["--min", 1000, "--max", 1000]), 0, "bytes")
        found = info(tmp_path / "t")
        assert found["alloc"] == found["release"] == found["foreign_releases"] == BLOCKS
        assert found["ended"] and found["size_min"] == found["size_max"] == 1000
        assert found["threads"] == 8 and found["live_at_end"] == 0
        assert BLOCKS // 4 * 1000 <= found["live_bytes_peak"] <= BLOCKS * 1000

    def test_calls_are_named_by_function_and_place(self, worker, tmp_path):
        check(record(tmp_path / "t", worker, options=["--min", 1000, "--max", 1000]), 0)
        site, = [line for line in text(tmp_path / "t") if line.startswith("site ")]
        assert re.fullmatch(rf"site 1 fill\+0x[0-9a-f]+ {re.escape(str(worker))}\+0x[0-9a-f]+", site)
        assert all(line.endswith(" @1") == (" alloc " in line) for line in text(tmp_path / "t")[2:])

    def test_calls_are_left_out_when_that_is_asked_for(self, worker, tmp_path):
        check(record(tmp_path / "t", worker, options=["--min", 1000, "--max", 1000, "--no-sites"]), 0)
        assert info(tmp_path / "t")["sites"] == 0 and not any("@" in line for line in text(tmp_path / "t"))

    def test_killed_program_leaves_what_it_did(self, worker, tmp_path):
        check(record(tmp_path / "t", worker, "kill", options=["--min", 1000, "--max", 1000]), 0, "SIGKILL")
        done = iobuf("trace", "info", tmp_path / "t")
        check(done, 0, "it has no end")
        found = info(tmp_path / "t")
        assert not found["ended"] and found["lost_bytes"] == 0
        assert found["alloc"] > BLOCKS + 90000  # of 100000 more: a chunk at most is missing

    def test_exit_without_destructors_ends_the_trace(self, worker, tmp_path):
        check(record(tmp_path / "t", worker, "_exit", options=["--min", 1000, "--max", 1000]), 0)
        found = info(tmp_path / "t")
        assert found["ended"] and found["release"] == BLOCKS

    def test_program_that_closes_all_files_goes_on(self, worker, tmp_path):
        done = record(tmp_path / "t", worker, "close", options=["--min", 1000, "--max", 1000])
        check(done, 0, "the program closed it; the program goes on, unrecorded")
        assert "exit status" not in done.stderr
        assert info(tmp_path / "t")["alloc"] >= 0.9 * BLOCKS

    def test_limit_is_kept(self, worker, tmp_path):
        check(record(tmp_path / "t", worker, options=["--limit", 5000]), 0)
        found = info(tmp_path / "t")
        assert found["ended"] and 4000 < found["events"] <= 5000

    def test_size_range_is_kept(self, tmp_path):
        code = "x = [bytes(n) for n in range(5000)]"
        check(record(tmp_path / "t", "/usr/bin/python3", "-c", code, options=["--min", 1000, "--max", 3000]), 0)
        found = info(tmp_path / "t")
        assert found["alloc"] >= 1900 and found["size_min"] >= 1000 and found["size_max"] <= 3000

    def test_forked_child_writes_a_file_of_its_own(self, tmp_path):
        code = "import os\nkeep = [bytearray(5001) for n in range(100)]\n" \
               "if os.fork() == 0:\n    del keep\n    x = [bytearray(6001) for n in range(50)]\n    os._exit(0)\nos.wait()"
        check(record(tmp_path / "t", "/usr/bin/python3", "-c", code, options=["--min", 5000, "--max", 6100]), 0)
        child, = tmp_path.glob("t.*")
        assert info(tmp_path / "t")["alloc"] >= 100
        found = info(child)
        assert found["ended"] and 50 <= found["alloc"] < 100  # the parent's blocks are not in it

    def test_program_in_a_program_writes_a_file_of_its_own(self, tmp_path):
        big = tmp_path / "big"
        big.write_text("".join(f"{n * 7919 % 20000}\n" for n in range(20000)))
        code = f"import subprocess\nx = bytearray(70000)\nsubprocess.run(['sort', '-o', {str(tmp_path / 'sorted')!r}, {str(big)!r}], check=True)"
        check(record(tmp_path / "t", "/usr/bin/python3", "-c", code, options=["--min", 1024]), 0)
        assert (tmp_path / "sorted").stat().st_size == big.stat().st_size
        traces = [tmp_path / "t", *tmp_path.glob("t.*")]
        assert len(traces) == 2 and all(info(trace)["alloc"] > 0 for trace in traces)

    def test_output_that_cannot_be_written_is_said_and_the_program_goes_on(self, worker):
        done = record("/dev/full/t", worker)
        check(done, 2, "no folder")
        recorder = build.program("release", "bench/iobuf_record.so")
        done = subprocess.run([worker], env=os.environ | {"LD_PRELOAD": str(recorder), "IOBUF_TRACE": "/nowhere/t"}, capture_output=True, text=True)
        check_one_line(done, 0, "cannot write /nowhere/t", "unrecorded")

    def test_full_disk_is_said_and_the_program_goes_on(self, worker, tmp_path):
        code = "ulimit -f 100; trap '' XFSZ; exec \"$0\""
        done = record(tmp_path / "t", "bash", "-c", code, worker, options=["--min", 1000, "--max", 1000])
        check(done, 0, "File too large", "unrecorded")

    @pytest.mark.parametrize("name, value", [("IOBUF_TRACE_MIN", "many"), ("IOBUF_TRACE_MAX", "99999999999"), ("IOBUF_TRACE_LIMIT", "0"),
                                             ("IOBUF_TRACE_SITES", "2")])
    def test_wrong_setting_is_said_and_the_program_goes_on(self, name, value, worker, tmp_path):
        recorder = build.program("release", "bench/iobuf_record.so")
        done = subprocess.run([worker], env=os.environ | {"LD_PRELOAD": str(recorder), "IOBUF_TRACE": str(tmp_path / "t"), name: value},
                              capture_output=True, text=True)
        check_one_line(done, 0, name, "must be a number")
        assert not (tmp_path / "t").exists()

    def test_program_that_is_not_there_is_one_line(self, tmp_path):
        check(record(tmp_path / "t", "/nowhere/program"), 3, "cannot be run")

    def test_program_that_takes_nothing_leaves_no_trace(self, tmp_path):
        check(record(tmp_path / "t", "true", options=["--min", 1 << 29]), 3, "left no trace")

    def test_range_that_is_empty_is_refused(self, tmp_path):
        check_one_line(record(tmp_path / "t", "true", options=["--min", 2, "--max", 1]), 2, "--min 2 is above --max 1")

    def test_server_is_recorded_until_it_is_ended(self, tmp_path):
        code = "x = [bytearray(5000) for n in range(500)]\nprint('ready', flush=True)\nimport signal\n" \
               "signal.signal(signal.SIGTERM, lambda *_: exit(0))\nsignal.pause()"
        process = subprocess.Popen([IOBUF, "trace", "record", "-o", tmp_path / "t", "--", "/usr/bin/python3", "-c", code],
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert info(tmp_path / "t")["ended"]


CALLS = ROOT / "bench/trace/test_traced.c"
# What `calls` in there does, buffers numbered as they come. Thread, event; each alloc has a site.
EXPECTED = """
0 alloc 1 100 16
0 alloc 2 50 16
0 truncate 1 10 front
0 expand 1 26
0 truncate 2 20 back
0 alloc 3 200 16
0 truncate 3 50 back
0 release 1
0 expand 2 132
0 release 2
0 truncate 3 150 front
0 release 3
0 alloc 4 0 16
0 release 4
0 alloc 5 500 16
0 truncate 5 100 front
0 truncate 5 100 back
0 truncate 5 30 back
0 release 5
0 alloc 6 500 16
0 truncate 6 200 front
0 release 6
0 alloc 7 500 16
0 truncate 7 400 back
0 release 7
0 alloc 8 300
0 alloc 9 300
0 alloc 10 300
0 coalesce 8 3
0 truncate 8 300 front
0 truncate 9 50 front
0 release 8
0 release 9
0 release 10
0 alloc 11 100
0 alloc 12 100
0 alloc 13 100
0 alloc 14 100
0 coalesce 11 2
0 coalesce 13 2
0 coalesce 11 4
0 truncate 12 50 back
0 release 13
0 release 14
0 release 11
0 release 12
0 alloc 15 100
0 alloc 16 100
0 truncate 16 100 back
0 release 16
0 alloc 17 100
0 release 15
0 release 17
0 alloc 18 64
0 alloc 19 436
0 coalesce 18 2
0 release 18
0 release 19
0 alloc 20 3000
0 alloc 21 3000
0 alloc 22 10
0 release 20
0 truncate 21 1096 front
0 release 21
0 release 22
0 alloc 23 70
0 alloc 24 70 16
0 release 23
0 release 24
0 alloc 25 200 16
0 alloc 26 201 16
0 alloc 27 202 16
1 handover 25 1
1 truncate 25 10 front
1 expand 25 5
1 release 25
1 handover 26 1
1 release 26
1 handover 27 1
1 release 27
1 alloc 28 900 8
0 handover 28 0
0 release 28
""".split("\n")[1:-1]


def compiled(program, *more, inline=False):
    """As the guide says: with the fast paths out of line, and linked with the traced library."""
    line = ["gcc", "-g", "-O1", "-pthread", "-Wall", "-Wextra", "-Werror", *([] if inline else ["-DIOBUF_NO_INLINE=1"]),
            f"-I{ROOT / 'lib/include'}", CALLS, *more, "-o", program]
    return subprocess.run(line, capture_output=True, text=True)


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    build.ensure("release", ["iobuf_traced"])
    program = tmp_path_factory.mktemp("traced") / "traced"
    done = compiled(program, build.program("release", "bench/libiobuf_traced.a"))
    assert done.returncode == 0, done.stderr
    return program


def events(lines):
    """Without times and sites; buffers numbered as they come."""
    numbers = {}
    for line in lines:
        found = re.fullmatch(r"T (\d+) \d+ (\w+) (\d+)(.*?)( @\d+)?", line)
        if found:
            thread, what, buffer, more, site = found.groups()
            assert (what == "alloc") == (site is not None)
            yield " ".join([thread, what, str(numbers.setdefault(buffer, len(numbers) + 1))]) + more


class TestTraced:
    def test_each_call_is_recorded_as_what_it_does(self, traced, tmp_path):
        check(record(tmp_path / "t", traced, "calls", options=["--iobuf"]), 0)
        assert list(events(text(tmp_path / "t"))) == EXPECTED
        found = info(tmp_path / "t")
        assert found["ended"] and found["live_at_end"] == 0 and found["events"] == len(EXPECTED)

    def test_shared_library_in_place_of_the_ordinary_one_records_the_same(self, tmp_path, monkeypatch):
        build.ensure("release", ["iobuf_shared", "iobuf_traced_shared"])
        done = compiled(tmp_path / "program", build.program("release", "lib/libiobuf.so"))
        assert done.returncode == 0, done.stderr
        monkeypatch.setenv("LD_LIBRARY_PATH", str(build.program("release", "bench/traced/libiobuf.so.1").parent))
        check(record(tmp_path / "t", tmp_path / "program", "calls", options=["--iobuf"]), 0)
        assert list(events(text(tmp_path / "t"))) == EXPECTED

    def test_sites_are_the_lines_that_call(self, traced, tmp_path):
        check(record(tmp_path / "t", traced, "calls", options=["--iobuf"]), 0)
        places = [line.split()[-1].rpartition("+") for line in text(tmp_path / "t") if line.startswith("site ")]
        assert {file for file, _, _ in places} == {str(traced)}
        done = subprocess.run(["addr2line", "-e", traced, *(offset for _, _, offset in places)], capture_output=True, text=True, check=True)
        source = CALLS.read_text().splitlines()
        lines = [source[int(re.search(r":(\d+)", line)[1]) - 1] for line in done.stdout.splitlines()]
        assert len(lines) == len(places)
        assert all(re.search(r"iobuf_(alloc|copy|reader_read|reader_read_some|slice_compact)\(", line) for line in lines)
        assert {"copy", "reader_read", "reader_read_some", "slice_compact"} <= set(re.findall(r"iobuf_(\w+)\(", " ".join(lines)))

    def test_threads_that_do_what_chance_says_contradict_nothing(self, traced, tmp_path):
        check(record(tmp_path / "t", traced, "exchange", options=["--iobuf"]), 0)
        found = info(tmp_path / "t")
        assert found["ended"] and found["live_at_end"] == 0 and found["threads"] == 5
        assert all(found[kind] > 100 for kind in ("alloc", "truncate_front", "truncate_back", "expand", "coalesce", "handover"))

    def test_bytes_that_are_left_are_those_of_the_trace(self, traced, tmp_path):
        done = record(tmp_path / "t", traced, "leave", options=["--iobuf"])
        check(done, 0)
        left = {}
        for line in events(text(tmp_path / "t")):
            _, what, buffer, *more = line.split()
            if what in ("alloc", "expand", "truncate"):
                left[buffer] = left.get(buffer, 0) + (-1 if what == "truncate" else 1) * int(more[0])
            elif what == "release":
                del left[buffer]
        assert int(done.stdout.splitlines()[0]) == sum(left.values()) > 1000 and min(left.values()) >= 0

    def test_killed_program_leaves_what_it_did(self, traced, tmp_path):
        check(record(tmp_path / "t", traced, "kill", options=["--iobuf"]), 0, "SIGKILL")
        check(iobuf("trace", "info", tmp_path / "t"), 0, "it has no end")
        found = info(tmp_path / "t")
        assert not found["ended"] and found["lost_bytes"] == 0 and 90000 < found["alloc"] < 100000  # a chunk is missing

    def test_forked_child_writes_a_file_of_its_own(self, traced, tmp_path):
        check(record(tmp_path / "t", traced, "fork", options=["--iobuf"]), 0)
        child, = tmp_path.glob("t.*")
        assert info(tmp_path / "t")["alloc"] == 100000
        found = info(child)
        assert found["ended"] and found["alloc"] == found["release"] == 50 and found["size_min"] == 2000 and found["sites"] == 1

    def test_size_range_and_limit_are_kept(self, traced, tmp_path):
        check(record(tmp_path / "t", traced, "calls", options=["--iobuf", "--min", 200, "--max", 500]), 0)
        found = info(tmp_path / "t")
        assert found["size_min"] == 200 and found["size_max"] == 500 and found["live_at_end"] == 0
        check(record(tmp_path / "u", traced, "exchange", options=["--iobuf", "--limit", 5000]), 0)
        assert info(tmp_path / "u")["ended"] and 3000 < info(tmp_path / "u")["events"] <= 5000

    def test_pool_size_takes_it(self, traced, tmp_path):
        check(record(tmp_path / "t", traced, "exchange", options=["--iobuf"]), 0)
        done = iobuf("pool-size", "--trace", tmp_path / "t", "--sizes", "1024,4096,16384", "--json", "--results", tmp_path)
        check(done, 0)
        assert json.loads(done.stdout)["recommended_bytes"] in (1024, 4096, 16384)

    def test_nothing_is_written_when_nothing_is_asked_for(self, traced, tmp_path):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("IOBUF_TRACE")}
        done = subprocess.run([traced, "calls"], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stderr, list(tmp_path.iterdir())) == (0, "", [])

    def test_program_without_it_leaves_no_trace(self, tmp_path):
        check(record(tmp_path / "t", "true", options=["--iobuf"]), 3, "not linked with iobuf_traced")

    def test_program_with_the_fast_paths_inline_does_not_link(self, traced, tmp_path):
        done = compiled(tmp_path / "program", build.program("release", "bench/libiobuf_traced.a"), inline=True)
        assert done.returncode != 0 and "iobuf_refill_" in done.stderr

    def test_ordinary_library_has_nothing_of_it(self):
        build.ensure("release", ["iobuf_static", "iobuf_traced"])
        names = {kind: subprocess.run(["nm", build.program("release", path)], capture_output=True, text=True, check=True).stdout
                 for kind, path in (("ordinary", "lib/libiobuf.a"), ("traced", "bench/libiobuf_traced.a"))}
        for word in ("trace_", "recorder_", "real_"):
            assert word in names["traced"] and word not in names["ordinary"]


@pytest.fixture(scope="module")
def trace(worker, tmp_path_factory):
    path = tmp_path_factory.mktemp("trace") / "t"
    check(record(path, worker, options=["--limit", 20000]), 0)
    return path


class TestConvert:
    def test_text_and_back_is_the_same(self, trace, tmp_path):
        first = iobuf("trace", "text", trace)
        (tmp_path / "t.txt").write_text(first.stdout)
        check(iobuf("trace", "binary", tmp_path / "t.txt", tmp_path / "t"), 0)
        assert iobuf("trace", "text", tmp_path / "t").stdout == first.stdout
        assert first.stdout.count("\n") > 10000

    def test_piece_stands_for_itself(self, trace, tmp_path):
        check(iobuf("trace", "cut", trace, tmp_path / "t", "--events", 1000, "--from", 5000), 0)
        found = info(tmp_path / "t")  # which would say that it releases what was never allocated
        alive = sum(1 if " alloc " in line else -1 for line in [line for line in text(trace) if line.startswith("T ")][:5000])
        assert found["events"] == 1000 + alive

    @pytest.mark.parametrize("content, status, word", [
        (b"", 3, "empty"), (b"\x07" * 5, 3, "no trace"), (b"hello\n", 3, "no trace"), (b"iobuf-trace 2\n", 3, "version '2'"),
        (b"IOBUFTRC\x02\0\0\0", 3, "version 2"), (b"iobuf-trace 1\n", 1, "no events"), (b"iobuf-trace 1\nT 0 1 alloc 1 5", 3, "cut off"),
        (b"iobuf-trace 1\nT 0 1 release 5\n", 1, "release of 5, which was never allocated"),
        (b"iobuf-trace 1\nT 0 1 alloc 5 2000000000\n", 1, "above the limit"), (b"iobuf-trace 1\nT 0 1 jump 5\n", 3, "line 2")])
    @pytest.mark.parametrize("part", ["info", "binary", "cut"])
    def test_bad_input_is_one_line(self, part, content, status, word, tmp_path):
        (tmp_path / "bad").write_bytes(content)
        more = {"info": [], "binary": [tmp_path / "out"], "cut": [tmp_path / "out", "--events", "10"]}[part]
        check_one_line(iobuf("trace", part, tmp_path / "bad", *more), status, word)
        assert [path.name for path in tmp_path.iterdir()] == ["bad"]

    def test_damage_in_the_middle_is_said_and_the_rest_is_read(self, trace, tmp_path):
        content = bytearray(trace.read_bytes())
        content[len(content) // 2] ^= 1
        (tmp_path / "t").write_bytes(content)
        done = iobuf("trace", "info", tmp_path / "t")
        check_one_line(done, 1, "CRC", "bytes lost")
        assert "events" in done.stdout

    def test_folder_that_is_not_there_is_one_line(self, trace):
        check_one_line(iobuf("trace", "binary", trace, "/nowhere/t"), 3, "No such file")

    def test_piece_behind_the_end_is_refused(self, trace, tmp_path):
        check_one_line(iobuf("trace", "cut", trace, tmp_path / "t", "--events", 5, "--from", 10**9), 2, "--from")
