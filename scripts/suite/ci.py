"""fuzz --ci: one bounded run for a change, which is red only for a failure that the change brought.

Canary, then replay, then both engines on what the change touches, each by the verb that does it for a person too. Whatever fails is
run ten times, and then by the base; see judge.py for what counts."""
import hashlib
import json
import re
import shutil
import time

import click

from suite import build, ci_reports, command, engines, failures, judge, machine, say, store, touched, triage
from suite.paths import BUILD, CORPUS, ROOT, TARGETS, shown

CLEAN, NEW, COULD_NOT, KNOWN = 0, 1, 3, 4
HERE = BUILD / "ci"
SEEDS = HERE / "corpus"  # what the engines begin with: the corpus without what fails
IMPORTED = BUILD / "fuzz" / "imported"  # where new inputs stay, and "corpus merge" takes them from
PRESETS = ("asan", "checked", "release")  # of replay; the first that shows a failure judges it
CANARY_TRIES = 3
OWN_FAILURE = "fails without the planted bug"  # canary_found.sh says so
MOST = 5  # failures of one check, target and build that are looked at in full; of the rest, whether the base fails
CHUNK = 500  # programs in one process of replay
ROUNDS = 20  # how often an engine begins again after a failure that the base has


def run(targets, minutes, base, results, as_json, find_canary):
    """The whole run; returns the exit status. What was found until then is reported also when something could not run."""
    ci = Run(targets, minutes, base)
    try:
        ci.go(find_canary)
    except say.Stop as stop:
        if stop.status != 3:
            raise
        ci.errors.append(str(stop))
    summary = ci.summary()
    ci_reports.write(results / "ci", summary)
    if as_json:
        click.echo(json.dumps(summary, indent=1))
    else:
        click.echo(ci_reports.text(summary), nl=False)
    if summary["status"] == COULD_NOT:
        raise say.Stop(ci.errors[0])
    return summary["status"]


class Run:
    def __init__(self, targets, minutes, base):
        self.minutes, self.base_name = minutes, base
        self.base = judge.Base(touched.revision(base))
        self.asked = targets  # those that a person named; else the change decides
        self.touched = {target: "named on the command line" for target in targets} or touched.targets_of(touched.files(self.base.commit))
        self.steps, self.failures, self.errors, self.kept, self.seen, self.left_out = [], [], [], {}, set(), 0

    def go(self, find_canary):
        self.canary(find_canary)
        self.replay()
        if self.touched and not self.errors:  # without a canary, the engines' silence would say nothing
            self.fuzz()
            self.merge()

    def status(self):
        """A new failure is one whatever else went wrong; without one, nobody knows what the rest would have shown."""
        states = {failure["state"] for failure in self.failures}
        return NEW if "new" in states else COULD_NOT if self.errors else KNOWN if "known" in states else CLEAN

    def summary(self):
        words = ["scripts/iobuf fuzz --ci", *self.asked, f"--minutes {self.minutes:g} --base {self.base_name}"]
        return machine.stamp(" ".join(words)) | {
            "kind": "fuzz-ci", "base": self.base.commit, "touched": self.touched, "minutes": self.minutes,
            "status": self.status(), "steps": self.steps, "failures": self.failures, "kept": self.kept,
            "not_looked_at": self.left_out, "errors": self.errors}

    def step(self, name, start, note):
        self.steps.append({"name": name, "seconds": round(time.monotonic() - start, 1), "note": note})
        say.line(f"{name}: {note}")

    # ---- canary: a harness that cannot fail proves nothing

    def canary(self, find_canary):
        for engine in engines.ENGINES:
            start = time.monotonic()
            for tries in range(1, CANARY_TRIES + 1):  # an engine draws lots: one miss on a busy machine is no verdict
                try:
                    row, = find_canary([engine])
                except say.Stop as stop:  # replay may show why: a tree in which all seeds fail
                    self.errors.append(str(stop))
                    break
                if row["found"]:
                    self.step(f"canary {engine}", start, f"found, try {tries}")
                    break
                if OWN_FAILURE in (ROOT / row["log"]).read_text():
                    self.step(f"canary {engine}", start, "stopped at a failure of the tree itself: it sees what fails")
                    break
            else:
                self.errors.append(f"{engine} did not find the planted bug in {CANARY_TRIES} tries: that it finds nothing says nothing")

    # ---- replay

    def replay(self):
        """The corpus and what earlier runs kept; what is clean becomes the engines' corpus."""
        for preset in PRESETS:
            build.ensure(preset, ["replay"])
        shutil.rmtree(SEEDS, ignore_errors=True)
        for target in TARGETS:
            start = time.monotonic()
            files = [path for part in ("seeds", "regressions") for path in plain(CORPUS / target / part)]
            own, kept = set(files), plain(IMPORTED / target)
            found = self.failing(target, files + kept)
            for path, (preset, said) in found.items():
                if said == judge.UNREADABLE and path in own:
                    raise say.Stop(f"{shown(path)} is no program: scripts/iobuf corpus check")
            (SEEDS / target / "seeds").mkdir(parents=True)
            for path in files + kept:
                if path not in found:
                    shutil.copyfile(path, SEEDS / target / "seeds" / path.name)
            self.look_at(target, "replay", found)
            if target in self.touched:
                self.clean_kept(target)
            self.step(f"replay {target}", start, f"{len(files) + len(kept)} programs, {len(found) or 'none'} failed")

    def clean_kept(self, target):
        """Takes what fails out of what the engines kept, where they would stop at it each time."""
        for kind in engines.ENGINES.values():
            found = self.failing(target, plain(kind.kept_programs(target)))
            self.look_at(target, "replay", found)
            for path in found:
                path.unlink()

    def failing(self, target, files, presets=PRESETS):
        """{file: (preset, what it says)} of those that are not clean."""
        found = {}
        for preset in presets:
            replay = build.program(preset, "fuzz/replay")
            left = [path for path in files if path not in found]
            for at in range(0, len(left), CHUNK):
                for path, said in not_clean(replay, target, left[at:at + CHUNK]):
                    found[path] = (preset, said)
        return found

    # ---- engines

    def fuzz(self):
        start = time.monotonic()
        count = len(self.touched) * len(engines.ENGINES)
        share = max(1, int(self.minutes * 60 * min(build.cpus(), count) / count))
        with say.step(f"fuzz {', '.join(self.touched)}, {share} s for each engine"):
            rows = drive(list(self.touched), "both", share)
        self.step("fuzz", start, f"{len(rows)} runs of {share} s each")
        for row in rows:
            used, programs = row["seconds"], row["programs"]
            for _ in range(ROUNDS):
                fresh = self.look_at(row["target"], row["engine"], {
                    ROOT / path: (failures.REPLAY[row["build"]], "") for path in row["failures"]})
                if not row["failures"] or "new" in fresh or share - used < 2:
                    break
                row = drive([row["target"]], row["engine"], int(share - used))[0]
                used, programs = used + max(1, row["seconds"]), programs + row["programs"]
            self.steps.append({"name": f"fuzz {row['engine']} {row['target']}", "seconds": used, "note": f"{programs:,} programs"})

    def merge(self):
        start = time.monotonic()
        before = {target: {path.name for path in plain(SEEDS / target / "seeds")} for target in self.touched}
        with say.step("merge what the engines found"):
            status, output = iobuf("corpus", "merge", *self.touched)
        if status not in (0, 1):
            raise say.Stop(f"what the engines found could not be merged, {command.ended(status)}:\n{output[-1500:]}")
        for target, names in before.items():
            if status == 1:  # the build as shipped fails where those of the engines do not
                kept = [path for kind in engines.ENGINES.values() for path in plain(kind.kept_programs(target))]
                self.look_at(target, "replay", self.failing(target, kept, ["release"]))
            new = [path for path in plain(SEEDS / target / "seeds") if path.name not in names]
            for path in new:
                store.write_bytes(IMPORTED / target / path.name, path.read_bytes())
            self.kept[target] = [shown(IMPORTED / target / path.name) for path in new]
        self.step("merge", start, f"{sum(map(len, self.kept.values()))} new inputs kept in {shown(IMPORTED)}")

    # ---- failures

    def look_at(self, target, found_by, found):
        """Judges what is not seen yet; returns the states that came out."""
        states, looked = set(), {}
        for path, (preset, said) in found.items():
            if said in (judge.UNKNOWN, judge.UNREADABLE):
                continue
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            if (target, content) in self.seen:
                states |= {failure["state"] for failure in self.failures if (failure["target"], failure["sha256"]) == (target, content)}
                continue
            self.seen.add((target, content))
            alike = preset, said.partition(":")[0]
            looked[alike] = looked.get(alike, 0) + 1
            if looked[alike] > MOST and self.state_of_rest(target, path, preset) in states:
                self.left_out += 1
                continue
            failure = self.judge(target, found_by, preset, path) | {"sha256": content}
            self.failures.append(failure)
            states.add(failure["state"])
            say.line(ci_reports.line(failure))
        return states

    def state_of_rest(self, target, path, preset):
        """Of one among many: by a look at the base alone."""
        try:
            said = self.base.said(preset, target, path, build.program(preset, "fuzz/replay"))
        except say.Stop:
            return "not compared"
        return "known" if judge.fails(said) else "new"

    def judge(self, target, found_by, preset, path):
        build.ensure(preset, ["replay"])
        replay = build.program(preset, "fuzz/replay")
        copy = failures.keep(found_by, target, path) if path.parent != failures.KEPT / target else path
        times, said = judge.repeated(replay, target, copy)
        failure = {"state": "unstable", "target": target, "found_by": found_by, "preset": preset, "from": shown(path), "input": shown(copy),
                   "failed": times, "of": judge.TIMES, "says": said, "base_says": None, "check": (said or "").partition(":")[0] or "none",
                   "op": None, "report": None, "stack": [], "ops": None, "location": None, "cause": None}
        failure |= written(replay, target, copy)
        if times < judge.TIMES:
            return failure
        small = copy.with_name(f"{copy.name}.min")
        try:
            left = triage.look(replay, target, copy, small)
        except say.Stop as stop:
            say.line(f"not minimised: {stop}")
            left = None
        if left:
            failure |= {key: left[key] for key in ("check", "op", "report", "ops")} | {"stack": list(left["stack"]),
                        "cause": hashlib.sha256(repr(triage.cause(left)).encode()).hexdigest()[:16],
                        "text": shown(small) + ".txt", "c": shown(small) + ".c"}
            failure["program"] = (ROOT / failure["text"]).read_text()
            failure["location"] = location(triage.run(replay, target, small), left["op"])
        return failure | self.compared(replay, target, preset, [copy, *([small] if left else [])])

    def compared(self, replay, target, preset, paths):
        """Known is what fails on the base too: the input, which may fail there for something else, and what is left of it."""
        try:
            said = [self.base.said(preset, target, path, replay) for path in paths]
        except say.Stop as stop:
            if str(stop) not in self.errors:
                self.errors.append(str(stop))
            return {"state": "not compared"}
        if judge.UNKNOWN in said:
            self.errors.append(f"{shown(paths[0])} could not be compared with the base: it got no processor for {judge.WALL_SECONDS} s")
            return {"state": "not compared", "base_says": judge.UNKNOWN}
        known = all(judge.fails(one) for one in said)
        return {"state": "known" if known else "new", "base_says": said[-1]}


def plain(folder):
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")) if folder.is_dir() else []


def not_clean(replay, target, files):
    """(file, what it says) of those that are not, by halves: a process for each would take a hundred times as long."""
    said = judge.once(replay, target, *files) if files else judge.CLEAN
    if said == judge.CLEAN:
        return []
    if len(files) == 1:
        return [(files[0], said)]
    half = len(files) // 2
    return not_clean(replay, target, files[:half]) + not_clean(replay, target, files[half:])


def iobuf(*words):
    return command.run([ROOT / "scripts" / "iobuf", *words], check=False, env={"IOBUF_CORPUS": str(SEEDS)})


def drive(targets, engine, seconds):
    """The rows of `iobuf fuzz`, which builds, shows its programs, and keeps what it finds."""
    status, output = iobuf("fuzz", *targets, "--engine", engine, "--seconds", seconds, "--json", "--results", HERE)
    if status not in (0, 1):
        last = output.strip().removeprefix("iobuf: ")
        raise say.Stop(f"the engines could not run, {command.ended(status)}: {last[-1500:]}")
    return json.loads((HERE / "fuzz.json").read_text())["fuzzed"]


def written(replay, target, copy):
    """The program as text and as C, beside the input."""
    text, c = copy.with_name(f"{copy.name}.txt"), copy.with_name(f"{copy.name}.c")
    status, output = command.run([replay, target, "--text", copy], check=False)
    if status == 0:
        store.write(text, output)
    command.run([replay, target, "--c", c, copy], check=False, timeout=judge.WALL_SECONDS)
    return {"program": output if status == 0 else "", "text": shown(text), "c": shown(c) if c.is_file() else None}


def location(report, op):
    """{file, line} of the library's topmost frame where there is a stack; else of the call that the failing op makes."""
    for _, place in triage.frames(report):
        found = re.search(r"/(lib/(?:src|include)/[\w/]+\.[ch]):(\d+)", place)
        if found:
            return {"file": found[1], "line": int(found[2]), "how": "stack"}
    for path in [*sorted((ROOT / "lib" / "src").glob("*.c")), *sorted((ROOT / "lib" / "include").rglob("*.h"))] if op else ():
        for number, text in enumerate(path.read_text().splitlines(), 1):
            if re.match(rf"[a-z].*\biobuf_(?:\w+_)?{re.escape(op)}\(", text) and not text.endswith(";"):
                return {"file": str(path.relative_to(ROOT)), "line": number, "how": "call"}
    return None
