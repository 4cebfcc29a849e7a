"""bench --peers without a clock: which ratios are refused, how targets are judged, which process a ratio comes from, what the JSON,
the Markdown and the picture hold. The measured times are made up here."""
import json
import math
import random
import subprocess

import pytest

from suite import callgrind, gbench, goals, peers, peertable, plot, say, stats
from suite.peers import Group, Sample
from suite.test import sample
from suite.test.test_cli import check, check_one_line, iobuf

SIZES = goals.FAST_PATH
SPEED = {"iobuf": 1.25, "iobuf_so": 3.7, "floor": 1.0, "glibc": 6.0, "dpdk": 5.7, "jemalloc": 5.0, "tcmalloc": 4.0}


def samples(rounds=8, spread=0.01, speed=SPEED):
    """Processes of made-up machines: in each, everything is slower by the same random factor, and each case by a little."""
    chance, made = random.Random(1), []
    for _ in range(rounds):
        for group in ("glibc", "jemalloc", "tcmalloc"):
            slow = chance.uniform(1, 3)
            measured = [peer for peer in speed if peers.group_of(peer) == group or peer in ("iobuf", "iobuf_so")]
            times = {(work, peer, size): slow * math.exp(chance.uniform(-spread, spread)) * speed[peer] *
                     (4 if work == "cross_thread" and peer in goals.MALLOCS else 1)
                     for peer in measured for work, sizes in (("alloc_release", SIZES), ("cross_thread", ("64",))) for size in sizes}
            made.append(Sample(group, times, {key: {} for key in times}))
    return made


def summary(made, counts=(), against=(), **more):
    head = sample.HEAD | {"kind": "peers", "command": "scripts/iobuf bench --peers", "build": sample.BUILD, "min_time": 0.02,
                          "repetitions": 3, "rounds_wanted": 8, "absent": [],
                          "versions": {"dpdk": "DPDK 22.11", "libevent": "2.1"},
                          "mallocs": {"tcmalloc": {"library": "libtcmalloc.so.4", "version": "tcmalloc 2.10-0-g0123abc"}}} | more
    return peers.summarise(head, made, [], list(counts), 8, False, against)


def goal_row(found, work, size, against, ours="iobuf"):
    row, = [row for row in found["goals"] if (row["work"], row["size"], row["against"], row["ours"]) == (work, size, against, ours)]
    return row


class TestNoise:
    def test_noise_is_half_the_interval_as_a_share_of_the_ratio(self):
        assert stats.noise({"ratio": 2.0, "low": 2 / 1.1, "high": 2 * 1.1}) == pytest.approx(0.1)

    def test_no_interval_no_noise(self):
        assert stats.noise(stats.median_ratio([1.0] * 5, [2.0] * 5)) is None

    @pytest.mark.parametrize("count, outside", [(6, 0), (8, 0), (9, 1), (12, 2), (17, 4), (36, 11)])
    def test_interval_covers_the_median_in_95_of_100_runs(self, count, outside):
        """The sign test's table: the largest number of values outside at either end with at most 2.5 % of coin throws there."""
        sure = stats.median_ratio(range(1, count + 1), [1] * count)
        assert (sure["low"], sure["high"]) == (outside + 1, count - outside)
        chance = [math.comb(count, heads) / 2**count for heads in range(count + 1)]
        assert sum(chance[:outside + 1]) <= 0.025 < sum(chance[:outside + 2])

    def test_one_stalled_round_does_not_spoil_the_rest(self):
        sure = stats.median_ratio([1.0, 1.01, 0.99, 1.02, 0.98, 1.0, 1.01, 0.99, 50.0], [1.0] * 9)
        assert sure["ratio"] == 1.0 and stats.noise(sure) < 0.03

    @pytest.mark.parametrize("pairs, share, said", [(12, 0.14, "too noisy: ±14 %"), (5, 0.0, "too few: 5 of 6 rounds"),
                                                    (12, 0.10, None), (6, 0.0, None)])
    def test_refusal(self, pairs, share, said):
        assert stats.refusal(pairs, share) == said

    def test_refused_ratio_is_nowhere_in_the_json(self):
        row = goal_row(summary(samples(spread=0.8)), "alloc_release", "64", "tcmalloc")
        assert row["refused"].startswith("too noisy: ±") and row["ratio"] is row["low"] is row["high"] is None
        assert row["verdict"] == "refused" and row["noise"] > stats.NOISE_LIMIT

    def test_slow_machine_slows_both(self):
        """Times differ by up to three between processes, and the ratio is known to a percent."""
        row = goal_row(summary(samples()), "alloc_release", "64", "tcmalloc")
        assert row["ratio"] == pytest.approx(1.25 / 4.0, rel=0.02) and row["noise"] < 0.02
        assert row["low"] <= row["ratio"] <= row["high"]

    def test_more_rounds_only_for_noisy_pairs_and_only_so_many(self):
        made, asked = samples(spread=0.8), []
        works = {"alloc_release": [f"alloc_release/{peer}/{size}" for peer in SPEED for size in SIZES],
                 "cross_thread": [f"cross_thread/{peer}/64/real_time" for peer in SPEED]}
        groups = {name: Group(name, None, works) for name in ("glibc", "jemalloc", "tcmalloc")}
        peers.more_for_noise(lambda: summary(made), groups, lambda group, names: asked.append((group.name, names)), 3)
        assert 0 < len(asked) <= 3 * 6
        assert not any("jemalloc" in name or "libevent" in name for _, names in asked for name in names)
        quiet = []
        peers.more_for_noise(lambda: summary(samples()), groups, lambda group, names: quiet.append(names), 3)
        assert quiet == []

    def test_status(self):
        assert peers.status(summary(samples())) == 0
        assert peers.status(summary(samples(spread=0.8))) == 3
        assert peers.status(summary(samples(speed=SPEED | {"iobuf": 9.0}))) == 1
        assert peers.status(summary(samples()) | {"errors": [{"case": "a/b/1", "message": "wrong"}]}) == 1


class TestGoals:
    def test_the_issue_s_figures(self):
        bound = {(goal.work, goal.against, goal.ours): (goal.at_most, goal.instructions) for goal in goals.GOALS}
        assert bound["alloc_release", "tcmalloc", "iobuf"] == (0.37, 32)
        assert bound["batch", "tcmalloc", "iobuf"] == (0.45, 42)
        assert bound["window", "tcmalloc", "iobuf"] == (0.80, 57)
        assert bound["cross_thread", "dpdk", "iobuf"] == (0.95, 58)
        assert bound["cross_thread", "best malloc", "iobuf"] == (0.25, 58)
        assert bound["frame", "dpdk", "iobuf"] == (0.78, None) and bound["frame", "floor", "iobuf"] == (1.15, None)
        assert bound["alloc_release", "tcmalloc", "iobuf_so"] == (1.05, 58)
        assert bound["coalesce", "floor", "iobuf"] == (2.0, None)
        assert bound["reader_socket", "glibc", "iobuf"] == (0.2, None) and bound["reader", "floor", "iobuf"] == (1.3, None)
        assert bound["alloc_release", "floor", "iobuf"] == (1.35, None)

    def test_every_peer_of_a_goal_can_be_asked_for(self):
        assert {goal.against for goal in goals.GOALS} <= {*goals.PEERS, goals.BEST, goals.OURS}
        assert len(set(goals.GOALS)) == len(goals.GOALS)

    @pytest.mark.parametrize("value, low, high, said", [(0.3, 0.29, 0.31, "reached"), (0.5, 0.49, 0.51, "not reached"),
                                                        (0.37, 0.36, 0.38, "not sure"), (32, None, None, "not reached"),
                                                        (0.37, None, None, "reached")])
    def test_judge(self, value, low, high, said):
        assert goals.judge(value, 0.37, low, high) == said

    def test_too_many_instructions_are_not_reached(self):
        for count, said in ((32, "reached"), (33, "not reached"), (None, "reached in time")):
            counts = [{"work": "alloc_release", "peer": "iobuf", "size": "64", "count": count, "note": None, "varies": False}]
            row = goal_row(summary(samples(), counts), "alloc_release", "64", "tcmalloc")
            assert (row["instructions"], row["verdict"]) == (count, said)

    def test_count_that_varies_is_not_sure_of_a_near_bound(self):
        for count, said in ((58, "reached"), (60, "not sure"), (70, "not reached")):
            counts = [{"work": "cross_thread", "peer": "iobuf", "size": "64", "count": count, "note": None, "varies": True}]
            assert goal_row(summary(samples(), counts), "cross_thread", "64", "dpdk")["verdict"] == said

    def test_best_malloc_is_the_one_that_leaves_least(self):
        row = goal_row(summary(samples()), "cross_thread", "64", "best malloc")
        assert row["peer"] == "tcmalloc" and row["ratio"] == pytest.approx(1.25 / 16, rel=0.02)

    def test_ratio_comes_from_the_peer_s_own_processes(self):
        """Under glibc iobuf is made ten times slower: that must not show in the ratio to tcmalloc."""
        made = samples()
        for one in made:
            if one.group == "glibc":
                one.times["alloc_release", "iobuf", "64"] *= 10
        found = summary(made)
        assert goal_row(found, "alloc_release", "64", "tcmalloc")["ratio"] == pytest.approx(1.25 / 4.0, rel=0.02)
        assert goal_row(found, "alloc_release", "64", "floor")["verdict"] == "not reached"

    def test_against_leaves_the_others_out(self):
        assert {row["against"] for row in summary(samples(), against=("dpdk",))["goals"]} == {"dpdk"}
        assert {row["against"] for row in summary(samples(), against=("malloc",))["goals"]} == {"tcmalloc", "best malloc"}

    def test_memory_may_not_exceed_the_port(self):
        cases = [{"work": "window_bufs", "peer": peer, "size": size, "ns": 9.0, "held_per_live": held}
                 for size, peer, held in (("4096", "iobuf", 1.5), ("4096", "go_port", 1.5), ("16384", "iobuf", 2.6),
                                          ("16384", "go_port", 2.5))]
        assert [row["verdict"] for row in peers.memory(cases)] == ["reached", "not reached"]


class TestFind:
    NAMES = ["alloc_release/iobuf/64", "alloc_release/iobuf/16384", "alloc_release/iobuf_so/64", "alloc_release/dpdk/64",
             "batch/iobuf/mixed", "pool_take/iobuf/10", "constant/mutex/0", "pool_size/iobuf/1024", "cross_thread/iobuf/64/real_time"]

    def chosen(self, group, *more, pattern=None, wanted=goals.PEERS, only=False):
        works = peers.chosen([*self.NAMES, *more], group, wanted, pattern, only)
        return sorted(name for names in works.values() for name in names)

    def test_under_a_preload_only_what_is_compared_with_it(self):
        assert self.chosen("tcmalloc", "alloc_release/tcmalloc/64") == [
            "alloc_release/iobuf/64", "alloc_release/iobuf_so/64", "alloc_release/tcmalloc/64"]
        assert self.chosen("jemalloc", "alloc_release/jemalloc/64") == ["alloc_release/iobuf/64", "alloc_release/jemalloc/64"]

    def test_plain_has_all_but_the_sweep(self):
        assert self.chosen("glibc") == sorted(name for name in self.NAMES if "pool_size" not in name)

    def test_against_one_peer_measures_its_pairs_and_the_constants(self):
        assert self.chosen("glibc", wanted=["dpdk"], only=True) == ["alloc_release/dpdk/64", "alloc_release/iobuf/64",
                                                                    "constant/mutex/0"]

    def test_filter(self):
        assert self.chosen("glibc", pattern="^pool_take/") == ["pool_take/iobuf/10"]

    def test_preload_that_is_missing_or_does_not_serve(self, monkeypatch):
        missing = "ERROR: ld.so: object 'x.so' from LD_PRELOAD cannot be preloaded (...): ignored.\niobuf_bench: no"
        for output, status, said in ((missing, 3, "is not installed"), ("iobuf_bench: glibc serves", 3, "iobuf_bench: glibc serves"),
                                     ("a/b/1\n", 0, ("libjemalloc.so.2", ["a/b/1"]))):
            monkeypatch.setattr(peers.command, "run", lambda *_, _found=(status, output), **__: _found)
            assert peers.preloaded("program", "jemalloc") == said

    def test_names_lose_what_google_benchmark_adds(self):
        assert gbench.split("cross_thread/iobuf/64/iterations:65536/real_time/threads:2") == ("cross_thread", "iobuf", "64")


class TestCallgrind:
    OUTPUT = "==7== Callgrind, a call-graph\n==9== Collected : 5\n==7== \n==7== Events    : Ir\n==7== Collected : {}\n"

    def test_total_is_that_of_the_first_process(self):
        assert callgrind.collected(self.OUTPUT.format(1234)) == 1234
        assert callgrind.collected("no such program") is None

    def test_difference_leaves_the_loop(self, monkeypatch):
        def outcome(_program, _names, args, _env, _under):
            done = int(args[args.index("--iterations") + 1])
            return {"benchmarks": [{"iterations": done}]}, self.OUTPUT.format(5_000_000 + 31 * done)
        monkeypatch.setattr(gbench, "outcome", outcome)
        assert callgrind.count("program", "alloc_release/iobuf/64", [], None) == 31

    def test_reason_instead_of_a_count(self, monkeypatch):
        def outcome(*_):
            raise say.Stop("it ended without a result:\n  unhandled instruction")
        monkeypatch.setattr(gbench, "outcome", outcome)
        assert callgrind.count("program", "alloc_release/dpdk/64", [], None) == "unhandled instruction"


class TestShown:
    def test_markdown_has_the_figures_and_where_they_come_from(self):
        found = summary(samples())
        text = peertable.markdown(found)
        row = goal_row(found, "alloc_release", "64", "tcmalloc")
        assert f"| alloc_release 64 | tcmalloc | {row['ratio']:.2f} | {row['low']:.2f} to {row['high']:.2f} | 0.37 |" in text
        for word in ("`scripts/iobuf bench --peers`", "Test processor", "cc 1.0, -O3", "commit 0123456789ab, 2024-05-06",
                     "tcmalloc 2.10; dpdk: DPDK 22.11."):
            assert word in text
        widths = {line.count("|") for line in peertable.as_markdown(peertable.goals(found)).splitlines() if line.startswith("|")}
        assert len(widths) == 1

    def test_refusal_stands_in_place_of_the_ratio(self):
        text = peertable.markdown(summary(samples(spread=0.8)))
        assert "| alloc_release 64 | tcmalloc | too noisy: ±" in text and "not reported" in text

    def test_losses_are_shown(self):
        assert "faster" not in peertable.markdown(summary(samples()))
        text = peertable.markdown(summary(samples(speed=SPEED | {"dpdk": 0.49})))
        assert "Where a peer is faster than iobuf" in text and "| alloc_release 64 | dpdk | 2.5" in text

    def test_absent_peers_are_named(self):
        text = peertable.markdown(summary(samples(), absent=[{"peer": "mimalloc", "why": "is not installed"}]))
        assert "mimalloc, is not installed" in text and "scripts/setup peers" in text

    def test_picture_is_the_same_for_the_same_json_and_labels_every_line(self):
        found = json.loads(json.dumps(summary(samples())))
        text = plot.svg(found)
        assert text == plot.svg(found)
        for word in ("iobuf", "tcmalloc", "dpdk", "floor", "prefers-color-scheme: dark", "Test processor"):
            assert word in text
        assert plot.INK not in text and plot.PAPER not in text

    def test_nothing_to_draw(self):
        assert plot.svg({"cases": []}) is None

    def test_labels_are_kept_apart_in_order(self):
        at = plot.apart({"a": 1.0, "b": 1.01, "c": 1.02, "d": 50.0}, 1, 100, 0.05)
        steps = [math.log(at[upper] / at[lower]) for lower, upper in zip("abc", "bcd")]
        assert all(step >= 0.05 * math.log(100) - 1e-3 for step in steps)


class TestCommandLine:
    @pytest.mark.parametrize("args, word", [(["--peers", "--against", "nothing"], "tcmalloc"), (["--against", "dpdk"], "--peers"),
                                            (["--markdown"], "--peers"), (["--peers", "--rounds", "5"], "at least 6"),
                                            (["--show"], "--peers"), (["--peers", "--filter", "("], "--filter")])
    def test_wrong_use_is_one_line_and_status_2(self, args, word):
        check_one_line(iobuf("bench", *args), 2, word)

    def test_show_without_a_result_names_the_command(self, tmp_path):
        check_one_line(iobuf("bench", "--peers", "--show", "--results", tmp_path), 3, "run scripts/iobuf bench --peers")

    def test_damaged_result_is_one_line(self, tmp_path):
        for content in ("{", json.dumps({"kind": "peers", "schema": 1}), json.dumps({"kind": "bench", "schema": 1})):
            (tmp_path / "peers.json").write_text(content)
            check_one_line(iobuf("bench", "--peers", "--show", "--results", tmp_path), 3, "again")

    def test_last_result_is_shown_as_table_markdown_json_and_picture(self, tmp_path):
        found = summary(samples())
        (tmp_path / "peers.json").write_text(json.dumps(found))
        show = ("bench", "--peers", "--show", "--results", tmp_path)
        check(iobuf(*show, "--plot", tmp_path / "new" / "plot.svg"), 0, "alloc_release 64", "tcmalloc", "reached", "plot.svg")
        assert (tmp_path / "peers.svg").read_text() == (tmp_path / "new" / "plot.svg").read_text() == plot.svg(found)
        assert iobuf(*show, "--markdown").stdout.strip() == peertable.markdown(found)
        assert json.loads(iobuf(*show, "--json").stdout) == json.loads(json.dumps(found))

    def test_too_noisy_to_report_anything_is_status_3(self, tmp_path):
        (tmp_path / "peers.json").write_text(json.dumps(summary(samples(spread=0.8))))
        check(iobuf("bench", "--peers", "--show", "--results", tmp_path), 3, "too noisy: ±")

    def test_record_leaves_out_what_each_round_measured(self):
        kept = peers.for_record(summary(samples()))
        assert kept["cases"] and kept["goals"] and "rounds_ns" not in json.dumps(kept)


def test_measure_keeps_the_finished_rounds_when_interrupted(monkeypatch):
    """One process too many is interrupted; what was saved before it and what comes back hold the rounds before it."""
    names = {"glibc": ["alloc_release/iobuf/64", "alloc_release/floor/64"]}
    chance, runs, saved = random.Random(2), [], []

    def run(_program, cases, *_):
        runs.append(cases)
        if len(runs) == 7:
            raise KeyboardInterrupt
        return {"benchmarks": [{"name": name, "cpu_time": chance.uniform(1, 1.01), "real_time": 1.0, "time_unit": "ns"}
                               for name in cases],
                "context": {"malloc": "glibc 2.36"}}
    monkeypatch.setattr(peers.build, "ensure", lambda *_, **__: None)
    monkeypatch.setattr(peers.build, "program", lambda *_: subprocess.DEVNULL)
    monkeypatch.setattr(peers.command, "run", lambda *_, **__: (0, "\n".join(names["glibc"])))
    monkeypatch.setattr(peers.machine, "stamp", lambda _: sample.HEAD)
    monkeypatch.setattr(peers.build, "compiler", lambda _: sample.BUILD)
    monkeypatch.setattr(peers, "preloaded", lambda *_: "is not installed")
    monkeypatch.setattr(gbench, "run", run)
    found = peers.measure(None, False, 8, ("floor",), saved.append)
    assert found["interrupted"] and found["rounds"] == 6 and len(saved) == 7
    assert goal_row(found, "alloc_release", "64", "floor")["verdict"] == "reached"
    assert found["mallocs"]["glibc"]["version"] == "glibc 2.36"


def test_peer_that_cannot_work_here_is_named_with_its_reason(monkeypatch):
    monkeypatch.setattr(peers.command, "run", lambda *_, **__: (0, "iobuf_bench: without dpdk: no memory\na/iobuf/1\na/floor/1\n"))
    monkeypatch.setattr(peers, "preloaded", lambda *_: "is not installed")
    groups, absent = peers.find("program", None, ("dpdk", "floor", "tcmalloc"))
    assert absent == [{"peer": "tcmalloc", "why": "is not installed"}, {"peer": "dpdk", "why": "no memory"}]
    assert groups["glibc"].works == {"a": ["a/iobuf/1", "a/floor/1"]}
