"""Several processes of one engine on one target, that share what they find: with one another, and with the other engine.

AFL++ does it by itself: a main process (-M) and others (-S) look into each other's queues, and the main one into libFuzzer's
folder (-F). libFuzzer's processes share one folder, which each reads again when it changes (-reload); what AFL++ queues is copied
there. libFuzzer's own ways to run several do less: -fork reads its folders once, so that nothing of AFL++'s arrives, and passes on
what a process finds when that ends, which takes up to 300 s; with it and with -jobs all processes are of one build."""
import hashlib
import os
import time

from suite import engines
from suite.paths import corpus

HAND_OVER_EVERY = 1.0  # seconds
MOST = 64  # processes; what is beyond is more likely a slip than a machine


def presets(kind, jobs, which):
    """The build of each process. `both`: one of them has the library as shipped, whose inline code checked builds lack."""
    if which == "plain":
        return [kind.plain] * jobs
    return [kind.plain if which == "both" and member == 1 else kind.preset for member in range(jobs)]


class Team:
    """As a Fuzzer to those who use it. It ends when its processes have, or one has found a failure."""

    def __init__(self, kind, target, seconds, runs, builds, own_mutators=False):
        each = runs and -(-runs // len(builds))
        self.members = [kind(target, seconds, each, own_mutators, preset, member) for member, preset in enumerate(builds)]
        self.name, self.target, self.seconds, self.runs, self.kept = kind.name, target, seconds, runs, []
        self.title = f"{kind.name} {target} x{len(builds)}"
        self.exchange = HandOver(target) if kind.name == "libfuzzer" else None

    @property
    def process(self):
        return self.members[-1].process

    @property
    def finder(self):
        """Who is to be asked about a failure."""
        return next((one for one in self.members if one.process and one.failures()), self.members[0])

    preset = property(lambda self: self.finder.preset)
    log = property(lambda self: self.finder.log)

    def start(self):
        self.hand_over()
        try:
            for one in self.members:
                one.start()
        except BaseException:
            self.stop()
            raise

    def hand_over(self):
        if self.exchange:
            self.exchange.once_in_a_while()

    def running(self):
        self.hand_over()
        at_work = [one for one in self.members if one.running()]
        if at_work and any(not one.running() and (one.process.returncode != 0 or one.failures()) for one in self.members):
            self.stop()
            return False
        return bool(at_work)

    def stop(self):
        at_work = [one for one in self.members if one.process and one.running()]
        for one in at_work:
            one.ask_to_stop()
        for one in at_work:
            one.stop()

    def elapsed(self):
        return self.members[0].elapsed()

    def state(self):
        """Edges are those of the first one's build; builds have different ones."""
        states = [one.state() for one in self.members]
        alike = [state for one, state in zip(self.members, states) if one.preset == self.members[0].preset]
        stable = [state["stability"] for state in states if state.get("stability") is not None]
        return {"programs": sum(state["programs"] for state in states), "corpus": max(state["corpus"] for state in states),
                "edges": max(state["edges"] for state in alike), "stability": min(stable, default=None)}

    def failures(self):
        return [path for one in self.members if one.process for path in one.failures()]

    def result(self, elapsed):
        rows = [one.result(elapsed) for one in self.members]
        state = self.state()
        return rows[0] | {"jobs": len(rows), "builds": [row["build"] for row in rows], "programs": state["programs"],
                          "programs_per_second": round(state["programs"] / max(round(elapsed, 1), 0.1)), "corpus": state["corpus"],
                          "edges": state["edges"], "stability": state["stability"],
                          "failures": [path for row in rows for path in row["failures"]]}


def name_of(content):
    """What libFuzzer calls a file."""
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


class HandOver:
    """Copies what AFL++'s processes queue, also those of other machines, to libFuzzer's folder, under the name that libFuzzer would
    give it, so that it is there once."""

    def __init__(self, target):
        self.queues = engines.KEPT / engines.Afl.name / target / "out"
        self.into = engines.LibFuzzer.kept_programs(target)
        self.known = {name_of(path.read_bytes()) for folder in corpus(target) for path in folder.iterdir()}  # libFuzzer reads it anyway
        self.seen, self.last, self.touch = set(), None, False

    def once_in_a_while(self):
        if self.last is None or time.monotonic() - self.last >= HAND_OVER_EVERY:
            copied = self.copy_new()
            if self.touch and not copied:
                os.utime(self.into)  # libFuzzer compares whole seconds: what came in the second of its last look, it sees now
            self.touch, self.last = copied, time.monotonic()

    def copy_new(self):
        copied = False
        for path in sorted(self.queues.glob("*/queue/id:*")):
            if path in self.seen:
                continue
            try:
                content = path.read_bytes()
            except FileNotFoundError:  # AFL++ is about to write a shorter one in its place
                continue
            if content:
                self.seen.add(path)
                copied = self.copy(content) or copied
        return copied

    def copy(self, content):
        place = self.into / name_of(content)
        if place.name in self.known or place.exists():
            return False
        self.into.mkdir(parents=True, exist_ok=True)
        beside = self.into.parent / f".{place.name}"  # not in the folder, which is read at any time
        beside.write_bytes(content)
        os.replace(beside, place)
        return True
