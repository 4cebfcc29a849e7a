"""pool-size on made-up traces of which the answer is known; what it makes of wrong ones; what its shortcut costs."""
import json
import lzma
import random

import pytest

from suite import build, command, peers, pool_regret, pool_sizes, say
from suite.paths import BUILD
from suite.test.test_cli import check, check_one_line, iobuf

HEAD = "iobuf-trace 1\n"
FEW = "1024,2048,4096,8192,65536"


def write(path, events, head=HEAD):
    path.write_text(head + "".join(f"T {event}\n" for event in events))
    return path


def allocs(size, count, reserve=0):
    return [f"1 {1000 * at} alloc {at} {size} {reserve} @1" for at in range(1, count + 1)]


def memory(trace, sizes, *options):
    runs, _ = pool_sizes.Replay(trace, options)(sizes, "memory")
    return {size: run["memory"] for size, run in runs.items()}


def sums_up(found):
    assert sum(found["at_peak"].values()) == found["peak_held"]
    assert sum(found["mean"].values()) == pytest.approx(found["mean_held"])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return pool_regret.make(tmp_path_factory.mktemp("made"))


class TestKnownAnswers:
    def test_slices_of_3000_that_live_for_ever_waste_what_does_not_divide(self, tmp_path):
        found = memory(write(tmp_path / "t", allocs(3000, 1000)), (3072, 4096, 6144, 8192))
        for size, each in found.items():
            bufs = -(-1000 // (size // 3000))
            assert each["bufs_allocated"] == bufs and each["peak_held"] == bufs * size + each["at_peak"]["bookkeeping"]
            assert each["at_peak"]["tail"] == (bufs - 1) * (size % 3000)
            assert each["at_peak"]["live"] == 3000 * ((bufs - 1) * (size // 3000) + 1)  # the peak is when the last buf comes
            sums_up(each)
        assert found[3072]["peak_held"] < found[4096]["peak_held"] and found[6144]["peak_held"] < found[4096]["peak_held"]

    def test_a_trace_too_short_for_the_clock_takes_its_time(self, tmp_path):
        trace = write(tmp_path / "t", ["1 1 alloc 1 100", "1 2 release 1"])
        runs, _ = pool_sizes.Replay(trace)((1024,), "time", 50)
        assert min(runs[1024]["rounds_ns"]) > 0

    def test_a_size_that_wastes_the_tail_is_not_recommended(self, tmp_path):
        done = iobuf("pool-size", "--trace", write(tmp_path / "t", allocs(3000, 3000)), "--sizes", "3072,4096,5120", "--prefer", "memory", "--json",
                     "--results", tmp_path)
        check(done, 0)
        found = json.loads(done.stdout)
        assert (found["recommended_bytes"], found["edge"], found["advice"]) == (3072, "least", [])

    def test_reserve_and_rounding_are_named(self, tmp_path):
        found = memory(write(tmp_path / "t", allocs(1000, 10, 24)), (1024, 700))
        assert found[1024]["at_peak"]["reserve"] == 240 and found[1024]["at_peak"]["tail"] == 0
        assert found[700]["at_peak"]["rounding"] == 9 * (1400 - 1024) and found[700]["at_peak"]["open"] == 1400 - 1024

    def test_one_small_slice_pins_a_large_buf_and_its_site_is_named(self, tmp_path):
        events = ["1 1 alloc 1 100 0 @7", *(f"1 {at} alloc {at} 1000 0 @8" for at in range(2, 66)), *(f"1 {100 + at} release {at}" for at in range(2, 65))]
        found = memory(write(tmp_path / "t", events, HEAD + "site 7 the one that stays\n"), (64000,))[64000]
        assert found["most_pinned"] == 63 * 1000
        pinner, = found["pinners"]
        assert (pinner["site"], pinner["name"], pinner["bytes"], pinner["bufs"], pinner["oldest_age_ns"]) == (7, "the one that stays", 63000, 1, 163)

    def test_below_which_share_a_buf_is_pinned_is_the_users_choice(self, tmp_path):
        events = [*(f"1 {at} alloc {at} 1000" for at in range(1, 12)), *(f"1 {100 + at} release {at}" for at in range(1, 7))]
        trace = write(tmp_path / "t", events)
        pinned = {share: memory(trace, (10000,), "--pinned-below", share)[10000]["most_pinned"] for share in (40, 41, 50)}
        assert pinned == {40: 0, 41: 6000, 50: 6000}

    def test_neighbours_coalesce_and_go_with_their_last_release(self, tmp_path):
        events = [*allocs(100, 8), "1 9000 coalesce 1 8", *(f"1 {9000 + at} release {at}" for at in range(1, 8))]
        found = memory(write(tmp_path / "t", events), (1024, 256))
        assert (found[1024]["coalesced_from"], found[1024]["coalesced_to"]) == (8, 1)
        assert (found[256]["coalesced_from"], found[256]["coalesced_to"]) == (8, 4)
        series = found[1024]["series"]
        assert series[-1][2] == 800

    def test_what_was_cut_off_stays_in_the_buf(self, tmp_path):
        found = memory(write(tmp_path / "t", ["1 1 alloc 1 500 8", "1 2 truncate 1 100 back", "1 3 truncate 1 50 front", "1 4 expand 1 58", "1 5 expand 1 1"]),
                       (1024,))[1024]
        assert found["expands_refused"] == 1 and found["series"][-1][2] == 408

    def test_free_bufs_are_kept_up_to_the_limit(self, tmp_path):
        events = [*allocs(1024, 10), *(f"1 {20000 + at} release {at}" for at in range(1, 11)), *(f"1 {30000 + at} alloc {at} 1024" for at in range(11, 21))]
        trace = write(tmp_path / "t", events)
        assert (memory(trace, (1024,))[1024]["bufs_allocated"], memory(trace, (1024,), "--cache", 0)[1024]["bufs_allocated"]) == (10, 19)

    def test_the_other_threads_event_of_the_same_moment_may_stand_first(self, tmp_path):
        trace = write(tmp_path / "t", ["2 5 release 1", "1 5 alloc 1 100", "1 6 alloc 2 100"])
        assert memory(trace, (1024,))[1024]["peak_live"] == 100


class TestTraffic:
    def test_half_and_double_are_about_that(self, made):
        live = {}
        for scale in ("half", "same", "double"):
            live[scale] = pool_sizes.Replay(made["messages"])((4096,), "memory", 1, scale)[1]
        assert live["double"]["allocs"] == 2 * live["same"]["allocs"]
        assert live["half"]["allocs"] == pytest.approx(live["same"]["allocs"] / 2, rel=0.05)
        assert live["double"]["peak_live"] > 1.5 * live["same"]["peak_live"] > 2 * live["half"]["peak_live"]

    def test_coalesced_slices_are_thinned_together(self, made):
        pool_sizes.Replay(made["threads"])((4096,), "memory", 1, "half")  # a coalesce of what is gone would be an error


@pytest.mark.parametrize("name", ["messages", "bodies", "pinning", "threads"])
def test_memory_is_the_same_on_every_run_and_sums_up(made, name):
    first = memory(made[name], (1024, 16384, 1 << 20))
    assert first == memory(made[name], (1024, 16384, 1 << 20))
    for each in first.values():
        sums_up(each)
        assert each["at_peak"]["live"] <= each["peak_live"] <= each["peak_held"]


ORDERS = 20


@pytest.mark.parametrize("prefer", pool_sizes.PREFER)
def test_the_shortcut_costs_at_most_3_percent_against_all_sizes_in_full(made, prefer):
    generator = random.Random(3)
    for trace in made.values():
        found = pool_regret.of_table(everything(trace), pool_sizes.SIZES, prefer, ORDERS, generator)
        assert found["worst"] <= pool_regret.LIMIT and sum(one["times"] for one in found["found"]) == ORDERS
        assert found["most_runs"] <= 0.6 * len(pool_sizes.SIZES) * (1 + pool_sizes.ROUNDS)


TABLES = {}


def everything(trace):
    """Memory as it is; times made up, with noise of 2 %: with those of the clock, a busy machine would decide. pool-size --regret has those."""
    if trace not in TABLES:
        found, noise = pool_sizes.Replay(trace)(pool_sizes.SIZES, "memory", 1)[0], random.Random(trace.name)
        for size, row in found.items():
            ns = 10 + 40 * 4096 / (4096 + size) + 5 * (size / 2**20) ** 0.5  # bufs that change often, then caches that end
            row["rounds_ns"] = [ns * noise.lognormvariate(0, 0.02) for _ in range(pool_sizes.ROUNDS)]
        TABLES[trace] = found
    return TABLES[trace]


class TestRegret:
    def table(self, rows):
        return {size: {"memory": {"peak_held": held}, "rounds_ns": rounds} for size, held, rounds in rows}

    def test_a_search_that_is_led_astray_is_found_out(self):
        """4 is by far the fastest, but for one round: where that is the first, it gets no other."""
        sizes, rounds = (1, 2, 4, 8), pool_sizes.ROUNDS
        full = self.table([(1, 100, [10.0] * rounds), (2, 100, [9.0] * rounds), (4, 200, [90.0] + [1.0] * (rounds - 1)), (8, 100, [11.0] * rounds)])
        last, first = (pool_regret.search(full, sizes, 0.0, order) for order in (range(rounds), range(rounds - 1, -1, -1)))
        assert (last["bytes"], last["regret"]) == (4, 0) and first["bytes"] == 2 and first["regret"] == pytest.approx(8.0)
        found = pool_regret.of_table(full, sizes, "speed", 400, random.Random(1))
        assert found["best_bytes"] == 4 and {one["bytes"] for one in found["found"]} == {2, 4}
        assert 10 < found["over_limit"] < 100 and found["median"] == 0 and found["worst"] > 1  # one order in eight begins so

    def test_the_verb_measures_every_preference(self, made, tmp_path):
        done = iobuf("pool-size", "--regret", "--trace", made["messages"], "--sizes", FEW, "--orders", 5, "--json", "--results", tmp_path)
        assert done.returncode in (0, 1), done.stderr  # few sizes, and a machine that does other things
        found = json.loads(done.stdout)
        assert found == json.loads((tmp_path / "pool-size-regret.json").read_text()) and found["kind"] == "pool-size-regret"
        assert [row["prefer"] for row in found["rows"]] == list(pool_sizes.PREFER)
        assert done.returncode == (found["worst"] > found["limit"]) and found["worst"] == max(row["worst"] for row in found["rows"])
        for row in found["rows"]:
            assert 0 <= row["median"] <= row["worst"] and sum(one["times"] for one in row["found"]) == row["orders"] == 5
            assert row["runs_in_full"] == len(found["sizes"]) * (1 + pool_sizes.ROUNDS)


def handed_over(path, count=3000):
    """Thread 1 allocates; of four slices two are released by thread 2, one is truncated there before 1 releases it."""
    events = []
    for at in range(1, count + 1):
        events.append(f"1 {10 * at} alloc {at} {50 + at % 900} 16")
        events += [f"2 {10 * at + 1} truncate {at} 10 back"] if at % 4 == 0 else []
        events += [f"{1 + at % 2 if at % 4 else 1} {10 * at + 5} release {at}"] if at > 20 else []
    return write(path, events)


def sanitized(preset):
    """The replay program alone, of a preset that builds no benchmarks."""
    folder = BUILD / f"{preset}-replay"
    command.run(["cmake", "--preset", preset, "-B", folder, "-DIOBUF_BUILD_BENCH=ON", "-DIOBUF_BUILD_FUZZ=OFF", "-DIOBUF_BUILD_TESTS=OFF"],
                log=build.log(f"{preset}-replay", "configure"))
    command.run(["cmake", "--build", folder, "-j", build.cpus(), "--target", "iobuf_replay_trace"], log=build.log(f"{preset}-replay", "build"))
    return folder / pool_sizes.PROGRAM


def together(trace, threads, sizes, measure, scale="same", file=None):
    said = pool_sizes.output(file or pool_sizes.program(), ["--threads", threads, "--sizes", ",".join(map(str, sizes)), "--measure", measure,
                                                            "--scale", scale, trace])
    return json.loads(said)


def came_back(found, trace, threads):
    """The program itself ends where a buf is still in use or the backing misses memory; this is what it counted."""
    assert found["threads"] == threads and found["processors"] == build.cpus()
    for run in found["runs"]:
        memory = run["memory"]
        assert memory["backing_allocations"] == memory["backing_deallocations"] > 0
        assert 0 < memory["bufs_allocated"] and memory["pool_peak"] < memory["peak_held"]
        assert memory["peak_live"] == threads * found["trace"]["peak_live"]
        # Up to where its rounds begin, and then once round, each thread has at least these.
        assert memory["handed_over"] + memory["released_at_home"] >= threads * found["trace"]["handed_over"]
        assert memory["handed_over"] > 0


class TestThreads:
    def test_what_another_thread_had_a_part_in_is_handed_over(self, tmp_path):
        events = ["1 1 alloc 1 100", "1 2 release 1", "1 3 alloc 2 100", "2 4 release 2", "1 5 alloc 3 100", "2 6 truncate 3 10 back",
                  "1 7 release 3", "1 8 alloc 4 100", "1 9 alloc 5 100", "2 10 coalesce 4 2", "1 11 release 4", "1 12 release 5"]
        assert together(write(tmp_path / "t", events), 2, (1024,), "memory")["trace"]["handed_over"] == 4

    @pytest.mark.parametrize("threads", [2, 4, 7])
    def test_everything_comes_back(self, made, tmp_path, threads):
        for trace in (handed_over(tmp_path / "t"), made["threads"]):
            came_back(together(trace, threads, (1024, 65536), "memory"), trace, threads)

    @pytest.mark.parametrize("preset", ["tsan", "asan"])
    def test_sanitizers_find_nothing_in_a_trace_that_is_handed_over(self, made, tmp_path, preset):
        file = sanitized(preset)
        for trace in (handed_over(tmp_path / "t"), made["threads"]):
            found = together(trace, 4, (1024, 16384), "memory,time,latency", file=file)
            came_back(found, trace, 4)
            assert all(run["rounds_ns"][0] > 0 for run in found["runs"])

    def test_latency_is_that_of_all_threads(self, tmp_path):
        trace = handed_over(tmp_path / "t")
        run, = together(trace, 3, (4096,), "latency")["runs"]
        assert run["latency"]["alloc"]["count"] == 3 * 3000 and run["latency"]["release"]["count"] == 3 * 2980

    def test_a_trace_of_one_event_ends(self, tmp_path):
        came = together(write(tmp_path / "t", ["1 1 alloc 1 100"]), 64, (1024,), "memory,time,latency")
        assert came["runs"][0]["rounds_ns"][0] > 0

    def test_double_traffic_of_more_threads_than_processors(self, made):
        came_back(together(made["threads"], 8, (2048,), "memory", "double"), made["threads"], 8)

    def test_the_table_and_the_reason_speak_of_events_per_second(self, made, tmp_path):
        check(iobuf("pool-size", "--trace", made["threads"], "--threads", 2, "--sizes", "2048,16384", "--results", tmp_path), 0, "->", "events/s",
              f"Replayed by 2 threads at once on {build.cpus()} processors", "2 threads together get through", "half the traffic")
        found = json.loads((tmp_path / "pool-size-threads.json").read_text())
        assert found["threads"] == 2 and found["recommended_bytes"] in (2048, 16384) and not (tmp_path / "pool-size.json").exists()
        for row in found["sizes"]:
            assert row["ns"] > 0 and "at_peak" not in row["memory"] and row["memory"]["handed_over"] > 0

    def test_every_malloc_replays_on_threads(self, made):
        rows = pool_sizes.mallocs(pool_sizes.Replay(made["threads"], (), 2))
        assert [row["malloc"] for row in rows] == [row["malloc"] for row in pool_sizes.mallocs(pool_sizes.Replay(made["messages"]))]
        assert all(row["ns"] > 0 and row["peak_held"] > 0 for row in rows)


class TestChoice:
    def table(self, rows):
        return {size: {"memory": {"peak_held": held}, "rounds_ns": [time] * 8} for size, time, held in rows}

    def test_the_front_has_what_nothing_beats_in_both(self):
        table = self.table([(1, 10, 100), (2, 8, 100), (3, 8, 120), (4, 5, 200), (5, 6, 300)])
        assert pool_sizes.front(table, list(table)) == [2, 4]

    def test_weights_lead_from_the_fastest_to_the_smallest(self):
        table = self.table([(1, 10, 100), (2, 8, 120), (3, 5, 400)])
        assert [pool_sizes.best(table, list(table), weight) for weight in (0, 0.5, 1)] == [3, 2, 1]

    def test_of_what_is_alike_the_smaller_is_taken_and_what_is_chosen_stays(self):
        table = self.table([(1, 10, 100), (2, 9.99, 100), (4, 9.6, 100)])
        assert pool_sizes.best(table, [1, 2], 0.5) == 1
        assert pool_sizes.best(table, [1, 4], 0.5) == 4 and pool_sizes.best(table, [1, 4], 0.5, now=1) == 1


def test_json_has_the_answer_and_a_row_of_every_size(made, tmp_path):
    done = iobuf("pool-size", "--trace", made["messages"], "--sizes", FEW, "--json", "--results", tmp_path)
    check(done, 0)
    found = json.loads(done.stdout)
    assert found == json.loads((tmp_path / "pool-size.json").read_text()) and found["kind"] == "pool-size"
    assert [row["bytes"] for row in found["sizes"]] == [int(size) for size in FEW.split(",")]
    assert found["recommended_bytes"] in [row["bytes"] for row in found["sizes"]]
    assert found["reason"].startswith(pool_sizes.human(found["recommended_bytes"])) and found["reason"].count(". ") == 0
    assert found["by_traffic"].keys() == {"half", "same", "double"} and len(found["by_weight"]) == len(pool_sizes.WEIGHTS)
    assert set(found["front"]) <= {row["bytes"] for row in found["sizes"]}
    for row in found["sizes"]:
        assert row["ns"] > 0 and {"at_peak", "mean", "pinners", "series", "backing_allocations", "cache_misses"} <= row["memory"].keys()
        assert not row["on_front"] or row["latency"] and row["time_low"] is not None
        if row["latency"]:
            assert row["latency"]["alloc"].keys() == {"count", "p50", "p99", "p99.9", "max"} and row["latency"]["clock_ns"] > 0
    chosen = next(row for row in found["sizes"] if row["bytes"] == found["recommended_bytes"])
    assert chosen["rounds"] >= pool_sizes.ROUNDS and chosen["time_low"] == chosen["time_high"] == 1
    assert 0 < found["runs"]["search"] < found["runs"]["made"] and found["noise"] is not None


def test_the_table_names_the_choice_and_how_it_moves(made, tmp_path):
    check(iobuf("pool-size", "--trace", made["pinning"], "--sizes", "16384,65536", "--results", tmp_path), 0, "->", "half the traffic", "Weight of memory",
          "No size holds little: long-lived slices pin bufs")


def test_without_a_trace_there_is_one_answer_for_all_that_is_shipped(tmp_path):
    done = iobuf("pool-size", "--sizes", "2048,16384", "--json", "--results", tmp_path)
    check(done, 0)
    found = json.loads(done.stdout)
    assert len(found["traces"]) > 1 and found["recommended_bytes"] in (2048, 16384)
    assert all(pool_sizes.human(one["recommended_bytes"]) + " for " + one["name"] in found["reason"] for one in found["traces"])


def test_every_malloc_that_is_installed_replays(made):
    def is_installed(library):
        return "cannot be preloaded" not in command.run(["true"], env={"LD_PRELOAD": library})[1]

    rows = pool_sizes.mallocs(pool_sizes.Replay(made["messages"]))
    installed = [name for name, libraries in peers.PRELOADS.items() if any(map(is_installed, libraries))]
    assert [row["malloc"].split()[0] for row in rows] == ["glibc", *installed]
    for row in rows:
        assert row["ns"] > 0 and row["held_per_live"] > 0.9, row  # what loading the trace left in the heap must not count


@pytest.mark.parametrize("content, word", [
    ("", "empty"), (HEAD, "no events"), ("hello\n", "is no trace"), ("iobuf-trace 2\nT 1 1 alloc 1 10\n", "version '2'"),
    (HEAD + "T 1 1 alloc 1 10\nT 1 2 rel", "cut off"), (HEAD + "T 1 1 alloc 1 10\nT 1 2 release 2\n", "slice 2, which was never allocated"),
    (HEAD + "T 1 1 alloc 1 10\nT 1 2 release 1\nT 1 3 release 1\n", "released twice"), (HEAD + "T 1 1 alloc 1 10\nT 1 2 alloc 1 10\n", "allocated twice"),
    (HEAD + f"T 1 1 alloc 1 {2**31}\n", "above the limit"), (HEAD + f"T 1 1 alloc 1 {2**64}\n", "line 2"), (HEAD + "T 1 1 allot 1 10\n", "line 2"),
    (HEAD + "T 1 1 alloc 1 10\nT 1 2 coalesce 1 9\n", "coalesces 9"), (HEAD + "# nothing\n", "no events"),
    (HEAD + "T 1 1 alloc 1 10\nT 1 2 release 1\nT 1 3 truncate 1 4 back\n", "no longer allocated"),
], ids=lambda value: None if "\n" in value or not value else value.replace(" ", "-"))
def test_a_wrong_trace_is_one_line_and_no_recommendation(tmp_path, content, word):
    (tmp_path / "t").write_text(content)
    done = iobuf("pool-size", "--trace", tmp_path / "t", "--json", "--results", tmp_path)
    check_one_line(done, 3, word, str(tmp_path / "t"))
    assert not done.stdout and not (tmp_path / "pool-size.json").exists()


class TestBinary:
    def broken(self, tmp_path, content, *words):
        (tmp_path / "t").write_bytes(content)
        done = iobuf("pool-size", "--trace", tmp_path / "t", "--json", "--results", tmp_path)
        check_one_line(done, 3, str(tmp_path / "t"), *words)
        assert not done.stdout and not (tmp_path / "pool-size.json").exists()

    @pytest.mark.parametrize("left", [1, 0.97, 0.5, 0.1])
    def test_one_that_is_cut_off_gets_no_recommendation(self, made, tmp_path, left):
        whole = made["messages"].read_bytes()
        self.broken(tmp_path, whole[:int(len(whole) * left) - 1], "--partial")

    def test_what_is_left_of_it_is_taken_if_asked_for(self, made, tmp_path):
        whole = made["messages"].read_bytes()
        (tmp_path / "t").write_bytes(whole[:len(whole) // 2])
        done = iobuf("pool-size", "--trace", tmp_path / "t", "--partial", "--sizes", FEW, "--json", "--results", tmp_path)
        check(done, 0)
        found = json.loads(done.stdout)
        assert found["partial"] and 0 < found["trace"]["events"] < 30000

    def test_one_of_another_version_or_with_a_changed_byte_is_refused(self, made, tmp_path):
        whole = bytearray(made["messages"].read_bytes())
        self.broken(tmp_path, whole[:8] + b"\x02" + whole[9:], "version")
        whole[len(whole) // 2] ^= 1
        self.broken(tmp_path, whole, "CRC")

    def test_both_forms_and_packed_ones_say_the_same(self, made, tmp_path):
        maker = pool_sizes.build.program("release", pool_sizes.MAKER)
        found = []
        for form in ([], ["--text"]):
            pool_sizes.output(maker, ["--allocs", 5000, "--coalesce", 3, "--threads", 2, *form, tmp_path / "t"])
            found.append(memory(tmp_path / "t", (4096,)))
            (tmp_path / "t.xz").write_bytes(lzma.compress((tmp_path / "t").read_bytes()))
            found.append(memory(pool_sizes.unpacked(tmp_path / "t.xz"), (4096,)))
        assert found[0] == found[1] == found[2] == found[3]

    def test_a_packed_one_that_is_cut_off_is_one_line(self, made, tmp_path):
        (tmp_path / "t.xz").write_bytes(lzma.compress(made["messages"].read_bytes())[:-100])
        check_one_line(iobuf("pool-size", "--trace", tmp_path / "t.xz", "--json"), 3, "t.xz", "cannot be unpacked")


def test_random_bytes_never_get_a_recommendation(tmp_path):
    generator = random.Random(5)
    lines = ["alloc 1 10", "release 1", "coalesce 1 3", "truncate 2 5 front", "expand 1 1", "alloc 3 99999999999", "@", "", "handover 1 2", "alloc 2 0 8"]
    replay = pool_sizes.Replay(tmp_path / "t")
    for _ in range(60):
        write(tmp_path / "t", [f"1 {at} {generator.choice(lines)}" for at in range(generator.randint(1, 6))])
        try:
            runs, _ = replay((1024,), "memory")
            sums_up(runs[1024]["memory"])
        except say.Stop as stop:
            assert stop.status == 3 and str(tmp_path / "t") in str(stop)


@pytest.mark.parametrize("threads", ["0", "65", "-1", "2x", ""])
def test_the_program_itself_refuses_numbers_of_threads(threads):
    with pytest.raises(say.Stop) as stop:
        pool_sizes.output(pool_sizes.program(), ["--threads", threads, "t"])
    assert stop.value.status == 2 and "--threads needs a number from 1 to 64" in str(stop.value)


def test_a_missing_trace_is_one_line_and_status_3():
    check_one_line(iobuf("pool-size", "--trace", "/nothing/here", "--json"), 3, "/nothing/here")


@pytest.mark.parametrize("args, word", [(["--sizes", "4096"], "nothing to choose"), (["--sizes", "4096,x"], "--sizes"), (["--sizes", f"4096,{2**31}"], "--sizes"),
                                        (["--prefer", "nothing"], "balanced"), (["--reserve", "-1"], "--reserve"), (["more"], "more"),
                                        (["--pinned-below", "0"], "--pinned-below"), (["--threads", "0"], "--threads"),
                                        (["--threads", "65"], "--threads"), (["--threads", "x"], "--threads"), (["--record", "--regret"], "--trace"), (["--regret", "--mallocs"], "--mallocs"),
                                        (["--regret", "--orders", "0"], "--orders")])
def test_wrong_use_is_one_line_and_status_2(args, word):
    check_one_line(iobuf("pool-size", "--trace", "t", *args), 2, word)


def test_help_teaches_with_examples_and_statuses():
    check(iobuf("pool-size", "--help"), 0, "Examples:", "scripts/", "Exit status:")
