"""What is done with a mutant, in stages: unit tests, replay of the corpus, and each engine, each until it is killed."""
import functools
import json
import os
import re
import shutil

from suite import build, command, say
from suite.mutants import Plant
from suite.paths import BUILD, CORPUS, TARGETS, corpus

STAGES = ("unit", "replay", "libfuzzer", "afl")
TEST_SECONDS, REPLAY_SECONDS = 60, 5  # what takes longer hangs
PROGRAM_SECONDS = 5  # one program of an engine

# A build as it is shipped, and one with checks: each has code that the other has not. A stage uses those whose code a mutant changes.
PRESETS = {"unit": ("release", "checked"), "replay": ("release", "asan"), "libfuzzer": ("libfuzzer-plain", "libfuzzer"),
           "afl": ("afl-plain", "afl")}

# Each stage returns the seconds until the mutant was killed, or None; building does not count.


@functools.lru_cache(None)
def unit_tests(preset):
    """(name, target, arguments) of each unit test."""
    listed = json.loads(command.run(["ctest", "--test-dir", BUILD / preset, "--show-only=json-v1"])[1])
    found = []
    for test in listed["tests"]:
        if {"name": "LABELS", "value": ["unit"]} in test["properties"]:
            words = test["command"]
            found.append((test["name"], os.path.relpath(words[-1], BUILD / preset), words[:-1]))
    if not found:
        raise say.Stop(f"the {preset} build has no unit tests")
    return found


def unit(plant, presets, _seconds):
    stem, total = os.path.basename(plant.mutant.file).partition(".")[0], 0.0
    for preset in presets:
        tests = sorted(unit_tests(preset), key=lambda test: (not test[0].startswith(f"test_{stem}"), "threads" in test[0]))
        for _, target, launcher in tests:
            status, took, _ = plant.processes.run([*launcher, plant.program(preset, target)], timeout=TEST_SECONDS,
                                                  env={"IOBUF_TEST_SCALE": "16"})
            total += took
            if status != 0:
                return total
    return None


def replay(plant, presets, _seconds):
    total = 0.0
    for preset in presets:
        program = plant.program(preset, "fuzz/replay")
        for target in sorted(TARGETS, key=lambda target: target != plant.mutant.target):
            status, took, output = plant.processes.run([program, target, "--quiet", *reversed(corpus(target))], timeout=REPLAY_SECONDS)
            total += took
            if status in (2, 3):
                raise say.Stop(f"replay of {target} could not run:\n{output[-500:]}")
            if status != 0:
                return total
    return None


def clean_seeds(plant, preset):
    """Copies of those seeds that do not show the mutant, so that an engine has to find it by itself."""
    checked = preset in ("libfuzzer", "afl")
    folder = plant.folder / ("seeds-checked" if checked else "seeds")
    if folder.is_dir():
        return folder
    folder.mkdir()
    program = plant.program("asan" if checked else "release", "fuzz/replay")
    left = sorted((CORPUS / plant.mutant.target / "seeds").iterdir())
    while left:
        status, _, output = plant.processes.run([program, plant.mutant.target, "--quiet", *left], timeout=REPLAY_SECONDS)
        named = re.findall(r"^in (.*)$", output, re.M)
        if status is None or status != 0 and not named:  # it hangs, and does not say where
            good = [path for path in left
                    if plant.processes.run([program, plant.mutant.target, "--quiet", path], timeout=1)[0] == 0]
            left = []
        else:
            first = len(left) if status == 0 else [str(path) for path in left].index(named[-1])
            good, left = left[:first], left[first + 1:]
        for path in good:
            shutil.copyfile(path, folder / path.name)
    if not any(folder.iterdir()):
        (folder / "empty").write_bytes(b"\x01")
    return folder


def check_not_ours(plant, found):
    """What kills the mutant must run clean on the library as it is; else it is not the mutant that was found."""
    for path in found:
        status, _, output = plant.processes.run([build.program("release", "fuzz/replay"), plant.mutant.target, path], timeout=REPLAY_SECONDS)
        if status != 0:
            raise say.Stop(f"an engine stopped at an input that fails without {plant.mutant.id} too:\n{output[-2000:]}", 1)


def in_turn(look, plant, presets, seconds):
    """An engine on each build, for its part of the time."""
    total = 0.0
    for preset in presets:
        took, found = look(plant, preset, max(1, seconds // len(presets)))
        total += took
        if found:
            return total
    return None


def libfuzzer(plant, preset, seconds):
    program = plant.program(preset, f"fuzz/fuzz_{plant.mutant.target}")
    seeds, kept, found = clean_seeds(plant, preset), plant.folder / f"{preset}-kept", plant.folder / f"{preset}-found"
    kept.mkdir()
    found.mkdir()
    status, took, output = plant.processes.run(
        [program, kept, seeds, f"-max_total_time={seconds}", f"-artifact_prefix={found}/", f"-timeout={PROGRAM_SECONDS}", "-reload=0"],
        timeout=seconds + 60)
    check_not_ours(plant, found.iterdir())
    if status == 0:
        return took, False
    if status is None or any(found.iterdir()) or "ERROR: libFuzzer" in output or "Sanitizer" in output:
        return took, True
    raise say.Stop(f"libFuzzer could not run on {plant.mutant.id}:\n{output[-500:]}")


AFL_ENV = {"AFL_SKIP_CPUFREQ": "1", "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1", "AFL_NO_UI": "1", "AFL_NO_COLOR": "1",
           "AFL_TRY_AFFINITY": "1", "AFL_BENCH_UNTIL_CRASH": "1", "AFL_NO_CRASH_README": "1", "AFL_FAST_CAL": "1",
           "AFL_HANG_TMOUT": str(PROGRAM_SECONDS * 1000)}
# A seed that the build for AFL++ fails on, and replay does not.
AFL_SEED = r"results in a (crash|hang)|Test case .* (crash|hang)|Fork server crashed|Unable to communicate|all test cases time out"


def afl(plant, preset, seconds):
    program = plant.program(preset, f"fuzz/fuzz_{plant.mutant.target}")
    out = plant.folder / f"{preset}-out"
    status, took, output = plant.processes.run(
        ["afl-fuzz", "-i", clean_seeds(plant, preset), "-o", out, "-t", PROGRAM_SECONDS * 1000, "-V", seconds, "--", program],
        timeout=seconds + 60, env=AFL_ENV)
    found = [*out.glob("default/crashes/id*"), *out.glob("default/hangs/id*")]
    check_not_ours(plant, found)
    if found or status is None or re.search(AFL_SEED, output):
        return took, True
    if status == 0:
        return took, False
    raise say.Stop(f"AFL++ could not run on {plant.mutant.id}:\n{output[-800:]}")


RUN = {"unit": unit, "replay": replay, "libfuzzer": functools.partial(in_turn, libfuzzer), "afl": functools.partial(in_turn, afl)}


def prepare(stages, mutants):
    """Builds the unmutated programs whose objects and commands are used."""
    targets = sorted({mutant.target for mutant in mutants})
    for preset in ("release", "checked"):  # these tell whether a change is in the code at all
        build.ensure(preset, ["replay"])
    if set(stages) - {"unit"}:
        build.ensure("asan", ["replay"])
    if "unit" in stages:
        for preset in PRESETS["unit"]:
            build.ensure(preset, ["lib/test/all"])
    for stage in ("libfuzzer", "afl"):
        if stage in stages:
            for preset in PRESETS[stage]:
                build.ensure(preset, [f"fuzz_{target}" for target in targets])


def measure(mutant, stages, seconds, until_killed, processes):
    """{stage: seconds or None} for the stages that were run, and the argument if the change is none; raises DoesNotCompile."""
    with Plant(mutant, processes) as plant:
        builds = [plain for plain in (0, 1) if plant.changed(PRESETS["unit"][plain], "fuzz/replay")]
        if not builds:
            return {}, "compiles to the same code as the library, with and without checks"
        found = {}
        for stage in stages:
            found[stage] = RUN[stage](plant, [PRESETS[stage][at] for at in builds], seconds)
            if until_killed and found[stage] is not None:
                break
        return found, None
