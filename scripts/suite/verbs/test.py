"""iobuf test: every test there is, in groups. scripts/test is this after scripts/setup."""
import dataclasses
import json
import pathlib
import time
import xml.etree.ElementTree

import click

from suite import build, command as commands, engines, options, say, store
from suite.paths import BUILD, ROOT, SUITE, shown
from suite.verbs import coverage, fault_sweep, fuzz, prove

LOGS = BUILD / "test"
TEST_SECONDS = 600  # a bound against hanging, not a measure
VALGRIND = ("valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect",
            "--fair-sched=yes")
FEWER_ROUNDS = {"IOBUF_TEST_SCALE": "4"}  # for the thread tests, where each step is slow
FEW_ROUNDS = {"IOBUF_TEST_SCALE": "64"}  # where it is an emulator's, and threads that wait for each other spin


@dataclasses.dataclass
class Outcome:
    name: str
    passed: bool
    log: pathlib.Path


def preset(name, env=None):
    """All of a preset is built, warnings being errors, and its tests run: unit tests, the harness's own, replay of the corpus."""
    def group():
        build.ensure(name)
        return ctest(name, env)
    return group


def other_machine(name):
    """Of a preset for another machine the unit tests and the corpus, under qemu: the rest is the same C on any."""
    def group():
        build.ensure(name, ["unit_tests", "corpus_tests"])
        return ctest(name, FEW_ROUNDS, ["-L", "unit|corpus"])
    return group


def ctest(name, env, only=()):
    log, junit = LOGS / f"{name}.log", LOGS / f"{name}.xml"
    junit.parent.mkdir(parents=True, exist_ok=True)
    junit.unlink(missing_ok=True)
    commands.run(["ctest", "--test-dir", BUILD / name, "-j", build.cpus(), "--timeout", TEST_SECONDS, "--no-tests=error", *only,
                  "--output-on-failure", "--output-junit", junit], log=log, check=False, env=env)
    return from_junit(name, junit, log)


def from_junit(group, junit, log):
    """One outcome per test case of a JUnit file that ctest or pytest wrote."""
    try:
        cases = list(xml.etree.ElementTree.parse(junit).iter("testcase"))
    except (OSError, xml.etree.ElementTree.ParseError):
        raise say.Stop(f"no result was written, see {shown(log)}") from None
    if not cases:
        raise say.Stop(f"there was no test to run, see {shown(log)}")
    bad = {"failure", "error", "skipped"}  # nothing is skipped here on purpose
    return [Outcome(f"{group}/{case.get('name')}", not any(part.tag in bad for part in case), log) for case in cases]


def valgrind():
    """The unit tests of the checked build, each under Valgrind."""
    build.ensure("checked")
    listed = json.loads(commands.run(["ctest", "--test-dir", BUILD / "checked", "--show-only=json-v1"])[1])
    unit = [test for test in listed["tests"] if {"name": "LABELS", "value": ["unit"]} in test["properties"]]
    if not unit:
        raise say.Stop("there was no unit test to run")
    outcomes = []
    with say.Steps(f"valgrind: {len(unit)} programs", len(unit)) as steps:
        for at, test in enumerate(unit):
            steps.at(at, test["name"])
            log = LOGS / "valgrind" / f"{test['name']}.log"
            status, _ = commands.run([*VALGRIND, *test["command"]], log=log, check=False, timeout=TEST_SECONDS, env=FEWER_ROUNDS)
            outcomes.append(Outcome(f"valgrind/{test['name']}", status == 0, log))
    return outcomes


def canary():
    """Each engine must find a planted bug within 60 s: a harness that cannot fail is none."""
    return [Outcome(f"canary/{row['engine']}", row["found"], ROOT / row["log"]) for row in fuzz.find_canary(list(engines.ENGINES))]


def covered():
    """Every line and branch of the library is reached by the corpus alone, or named as unreachable, and what is named is so."""
    found = coverage.measure()
    log = LOGS / "coverage.json"
    store.write_json(log, found)
    return [Outcome("coverage/all of lib is reached or named, and nothing named is reached", not found["wrong"], log)]


def proved():
    """The arithmetic of slices is proved, or named as not proved; that of the other files by scripts/iobuf prove, in nightly."""
    found = prove.measure(files=("slice.c",))
    log = LOGS / "proof.json"
    store.write_json(log, found)
    return [Outcome("proof/all is proved or named, and nothing named is proved", not found["wrong"] and found["proved"] > 0, log),
            *python("proof")()]


def faults():
    """Every allocation of the corpus fails in turn, and no place in lib/src that asks for memory is left out."""
    found = fault_sweep.measure()
    log = LOGS / "faults.json"
    store.write_json(log, found)
    return [Outcome("faults/no check fails", not found["failed"], log),
            Outcome("faults/every place is reached", bool(found["refused"]) and not found["not_reached"], log)]


def shell():
    """shellcheck on every shell script."""
    scripts = [path for folder in ("scripts", ".ci", ".clusterfuzzlite", "fuzz", "bench", "lib") for path in sorted((ROOT / folder).rglob("*"))
               if path.is_file() and path.open("rb").readline().split()[:1] in ([b"#!/bin/sh"], [b"#!/bin/bash"])]
    outcomes = []
    for path in scripts:
        log = LOGS / f"shellcheck-{path.name}.log"
        outcomes.append(Outcome(f"shell/{shown(path)}", commands.run(["shellcheck", path], log=log, check=False)[0] == 0, log))
    return outcomes


def python(name, seconds=TEST_SECONDS):
    """The suite's own tests, by pytest."""
    def group():
        log, junit = LOGS / f"{name}.log", LOGS / f"{name}.xml"
        junit.parent.mkdir(parents=True, exist_ok=True)
        junit.unlink(missing_ok=True)
        with say.step(f"test {name}"):
            commands.run(["/usr/bin/python3", "-B", "-m", "pytest", "-p", "no:cacheprovider", "-q", f"--junitxml={junit}",
                          SUITE / "test" / f"test_{name}.py"], log=log, check=False, timeout=seconds,
                         env={"PYTHONPATH": str(SUITE.parent)})
        return from_junit(name, junit, log)
    return group


GROUPS = {
    "release": (preset("release"), "gcc, as shipped"),
    "release-clang": (preset("release-clang"), "clang, as shipped"),
    "debug": (preset("debug"), "gcc -O0"),
    "debug-clang": (preset("debug-clang"), "clang -O0"),
    "checked": (preset("checked"), "aborts on misuse"),
    "asan": (preset("asan"), "AddressSanitizer and UndefinedBehaviorSanitizer"),
    "tsan": (preset("tsan"), "ThreadSanitizer"),
    "msan": (preset("msan"), "MemorySanitizer"),
    "m32": (preset("m32", FEWER_ROUNDS), "32-bit x86, under qemu where the kernel runs no 32-bit programs"),
    "m32-clang": (preset("m32-clang", FEWER_ROUNDS), "the same by clang, which wants 64-bit atomics aligned"),
    "aarch64": (other_machine("aarch64"), "64-bit ARM under qemu: what needs no instruction on x86 needs one there"),
    "s390x": (other_machine("s390x"), "the same on a big-endian machine"),
    "valgrind": (valgrind, "the unit tests under Valgrind"),
    "coverage": (covered, "the corpus reaches every line and branch of lib, but for those named"),
    "reach": (python("reach"), "the list of places that no program reaches: wrong in each way, it is found out"),
    "proof": (proved, "the arithmetic of slices, by Frama-C; planted bugs break it"),
    "canary": (canary, "both engines find a planted bug"),
    "faults": (faults, "every allocation of the corpus fails in turn"),
    "shell": (shell, "shellcheck"),
    "cli": (python("cli"), "the command line: wrong use, broken files, exit status"),
    "corpus": (python("corpus"), "the corpus's upkeep: merging, pruning, foreign archives, other encodings"),
    "ci": (python("ci", 3 * TEST_SECONDS), "fuzz --ci in a repository with planted bugs; its reports; ci-trials"),
    "fuzz-jobs": (python("fuzz_jobs"), "fuzz --jobs: several processes of both engines, which share what they find"),
    "fuzz-speed": (python("fuzz_speed"), "the measure of the harness's speed, and the profile"),
    "minimise": (python("minimise"), "minimise, triage and fault-sweep on planted bugs"),
    "peers": (python("peers"), "bench --peers on made-up times: noise, targets, table, picture"),
    "mutants": (python("mutants"), "each planted bug still applies and compiles; the verb that measures them"),
    "stress": (python("stress"), "threads that make every public call; the verbs for the night and for planted races"),
    "interleave": (python("interleave"), "every schedule of small programs, by a scheduler; each planted race is found"),
    "soak": (python("soak"), "servers and clients that are killed, every byte compared; planted bugs; the README's examples"),
    "oss": (python("oss"), "what ClusterFuzzLite and OSS-Fuzz build and run"),
    "compare": (python("compare"), "two commits against each other: verdicts, budgets, the gate; its calibration; planted slowdowns"),
    "track": (python("track"), "the history of the benchmarks and the steps in it; broken lines, full disks, commits that crash"),
    "trace": (python("trace"), "the recorder on real programs, killed, forking, with threads; traces that are damaged"),
    "pool-size": (python("pool_size"), "the choice of a pool's size: known answers, wrong traces, what its shortcut costs"),
    "page": (python("page"), "the report page in a headless browser"),
}
# Run where they are named: what takes minutes, and shows little that the groups above do not.
NAMED = {
    "armhf": (other_machine("armhf"), "as aarch64, on 32-bit ARM"),
    "aarch64-all": (preset("aarch64", FEW_ROUNDS), "as aarch64, and the harness's own tests, the engines' programs, the interleavings"),
    "s390x-all": (preset("s390x", FEW_ROUNDS), "the same on a big-endian machine"),
    "armhf-all": (preset("armhf", FEW_ROUNDS), "the same on 32-bit ARM"),
}


@click.command(short_help="All tests; the last line says how many passed and failed.")
@click.argument("names", nargs=-1, metavar="[GROUP]...")
@click.option("--list", "list_groups", is_flag=True, help="Name the groups.")
@options.verbose
def command(names, list_groups):
    """Run all tests, or those of some GROUPs; the last line says how many passed and failed.

    \b
    Examples:
      scripts/test                    everything, under 15 minutes on two processors
      scripts/test release asan       two groups
      scripts/test aarch64-all s390x-all armhf-all   all that can run on other machines, minutes each
      scripts/test --list

    Exit status: 0 all passed, 1 some failed, 2 wrong usage, 3 could not run.
    """
    if list_groups:
        for name, (_, text) in GROUPS.items():
            click.echo(f"{name:14} {text}")
        click.echo("only where named:")
        for name, (_, text) in NAMED.items():
            click.echo(f"{name:14} {text}")
        return 0
    groups = GROUPS | NAMED
    unknown = [name for name in names if name not in groups]
    if unknown:
        raise click.UsageError(f"no group is called {unknown[0]!r}: --list names them")
    outcomes = []
    for name in names or GROUPS:
        start = time.monotonic()
        of_group = run(name, groups[name][0])
        outcomes += of_group
        passed = sum(outcome.passed for outcome in of_group)
        click.echo(f"{name}: {passed} passed, {len(of_group) - passed} failed, {time.monotonic() - start:.0f} s")
    failed = [outcome for outcome in outcomes if not outcome.passed]
    for outcome in failed:
        click.echo(f"FAILED {outcome.name}: {shown(outcome.log)}")
    click.echo(f"{len(outcomes) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


def run(name, group):
    try:
        return group()
    except say.Stop as stop:
        log = LOGS / f"{name}-could-not-run.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"{stop}\n")
        say.error(f"{name}: {stop}")
        return [Outcome(f"{name}: build or run", False, log)]
