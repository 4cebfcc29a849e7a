"""What ClusterFuzzLite and OSS-Fuzz rely on: they build by .clusterfuzzlite/build.sh with compilers, flags and an engine of their own, take
$OUT and nothing else along, and run each target from an empty folder as another user. No container is needed to play that."""
import json
import os
import re
import shutil
import subprocess
import zipfile

import pytest
import yaml

from suite import build as builds, command, mutants, say
from suite.paths import ROOT

TARGETS = ("slice", "reader", "pool", "all")
BASE = "-O1 -fno-omit-frame-pointer -gline-tables-only -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION"
LIBFUZZER = "-fsanitize=fuzzer"
UNDEFINED = "bool,array-bounds,float-divide-by-zero,function,integer-divide-by-zero,return,shift,signed-integer-overflow,vla-bound,vptr"
FLAGS = {  # as OSS-Fuzz's builder sets them
    "address": "-fsanitize=address -fsanitize-address-use-after-scope -fsanitize=fuzzer-no-link",
    "undefined": f"-fsanitize={UNDEFINED},unsigned-integer-overflow -fno-sanitize-recover={UNDEFINED} -fsanitize=fuzzer-no-link",
    "memory": "-fsanitize=memory -fsanitize-memory-track-origins -fsanitize=fuzzer-no-link",
    "coverage": "-fprofile-instr-generate -fcoverage-mapping -pthread -Wl,--no-as-needed -Wl,-ldl -Wl,-lm -Wno-unused-command-line-argument",
}
# The fewest calls of a sanitizer's functions and of blocks the engine sees, for OSS-Fuzz to take a build, and the most of another's.
CALLS = {"address": {"asan": 1000}, "undefined": {"ubsan": 168}, "memory": {"msan": 1000}}
CALLS_OF_OTHERS = {"asan": 3, "msan": 3, "ubsan": 199}
BLOCKS = 100
# What any Linux system has. What is in $OUT brings the rest along.
SYSTEM = {"ld-linux-x86-64.so.2", "libc.so.6", "libgcc_s.so.1", "libm.so.6", "libstdc++.so.6"}
COVERED = 90  # % of the lines of lib/src, by the seeds of all targets
AFL_DRIVER = "/usr/lib/afl/libAFLDriver.a"
RUNS = 300
CANARY_RUNS = 200000  # many times what it takes
WORKFLOWS = ROOT / ".github" / "workflows"


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A copy of what git knows, as COPY in the Dockerfile makes one."""
    folder = tmp_path_factory.mktemp("src")
    files = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True, check=True)
    for name in filter(None, files.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / "iobuf" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "iobuf" / name)
    return folder


def build(sources, folder, flags, engine=LIBFUZZER, cc="clang", cxx="clang++"):
    """Builds as the base image does; returns $OUT, moved to where another user may read it, and nothing else left."""
    out, work, script = folder / "out", folder / "work", sources / "build.sh"
    out.mkdir(parents=True)
    work.mkdir()
    shutil.copy(sources / "iobuf" / ".clusterfuzzlite" / "build.sh", script)
    env = {"SRC": sources, "OUT": out, "WORK": work, "CC": cc, "CXX": cxx, "CFLAGS": f"{BASE} {flags}", "CXXFLAGS": f"{BASE} {flags}",
           "LIB_FUZZING_ENGINE": engine, "AFL_QUIET": "1"}
    command.run(["env", f"--chdir={sources / 'iobuf'}", "bash", script], env={name: str(value) for name, value in env.items()})
    shutil.rmtree(work)
    taken = folder / "elsewhere"
    out.rename(taken)
    return taken


def run(out, folder, target, *args, env=None):
    """As nobody, where that can be, from an empty folder that is his, with no more in the environment than `env`."""
    empty = folder / f"run-{target}"
    shutil.rmtree(empty, ignore_errors=True)
    empty.mkdir()
    user = []
    if os.geteuid() == 0:
        user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        os.chown(empty, 65534, 65534)
        for parent in empty.parents:  # pytest keeps its folders to itself
            if parent.stat().st_mode & 0o055 != 0o055:
                parent.chmod(parent.stat().st_mode | 0o055)
    variables = [f"{name}={value}" for name, value in ({"PATH": "/usr/bin:/bin"} | (env or {})).items()]
    return command.run(["env", "-i", f"--chdir={empty}", *variables, *user, out / f"fuzz_{target}", *args], check=False, timeout=300)


def needed(program):
    return set(re.findall(r"NEEDED.*\[(.*)\]", command.run(["readelf", "-d", program])[1]))


def calls(program):
    """How often each sanitizer's functions are called."""
    found = re.findall(r"call +[0-9a-f]+ <__(asan|msan|ubsan)", command.run(["objdump", "-d", "--no-show-raw-insn", program])[1])
    return {name: found.count(name) for name in CALLS_OF_OTHERS}


def seeds(out, folder, target):
    unpacked = folder / f"seeds-{target}"
    with zipfile.ZipFile(out / f"fuzz_{target}_seed_corpus.zip") as archive:
        names = archive.namelist()
        assert names and all("/" not in name for name in names)
        archive.extractall(unpacked)
    committed = sum(1 for path in (ROOT / "corpus" / target).rglob("*") if path.is_file())
    assert len(names) == committed
    for path in (unpacked, *unpacked.iterdir()):
        path.chmod(0o755)
    return unpacked


def check_built(out):
    """Four targets with what goes with each, and nothing that has to be looked for elsewhere."""
    parts = ("", "_seed_corpus.zip", ".dict", ".options")
    assert {path.name for path in out.iterdir()} == {f"fuzz_{target}{part}" for target in TARGETS for part in parts}
    for target in TARGETS:
        assert needed(out / f"fuzz_{target}") <= SYSTEM


@pytest.mark.parametrize("sanitizer", CALLS)
def test_every_target_runs_from_what_was_built(sanitizer, sources, tmp_path):
    out = build(sources, tmp_path, FLAGS[sanitizer])
    check_built(out)
    for name, count in calls(out / "fuzz_slice").items():
        assert count >= CALLS[sanitizer][name] if name in CALLS[sanitizer] else count <= CALLS_OF_OTHERS[name], name
    for target in TARGETS:
        args = [f"-runs={RUNS}", "-seed=1", f"-max_len={limit(out, target)}", f"-dict={out}/fuzz_{target}.dict", seeds(out, tmp_path, target)]
        status, output = run(out, tmp_path, target, *args, env={"UBSAN_OPTIONS": "silence_unsigned_overflow=1"})
        assert status == 0 and f"Done {RUNS} runs" in output and "runtime error" not in output, output
        assert re.search(r"^Dictionary: [1-9]", output, re.M), output
        assert int(re.search(r"Loaded 1 modules +\((\d+) ", output)[1]) >= BLOCKS, output


def limit(out, target):
    return int(re.search(r"^max_len = (\d+)$", (out / f"fuzz_{target}.options").read_text(), re.M)[1])


def test_the_coverage_build_shows_what_the_seeds_reach(sources, tmp_path):
    out = build(sources, tmp_path, FLAGS["coverage"])
    check_built(out)
    profiles, objects = [], []
    for target in TARGETS:  # -merge=1 into an empty folder, by which OSS-Fuzz runs a corpus
        status, output = run(out, tmp_path, target, "-merge=1", ".", seeds(out, tmp_path, target), env={"LLVM_PROFILE_FILE": "%1m.profraw"})
        assert status == 0, output
        profiles += (tmp_path / f"run-{target}").glob("*.profraw")
        objects += ["-object", out / f"fuzz_{target}"]
    assert len(profiles) >= len(TARGETS)
    command.run(["llvm-profdata", "merge", "-sparse", *profiles, "-o", tmp_path / "profdata"])
    exported = command.run(["llvm-cov", "export", "-summary-only", f"-instr-profile={tmp_path / 'profdata'}", *objects])[1]
    lines = [file["summary"]["lines"] for file in json.loads(exported)["data"][0]["files"] if "/lib/src/" in file["filename"]]
    covered, count = (sum(file[key] for file in lines) for key in ("covered", "count"))
    assert count and 100 * covered / count >= COVERED, f"{covered} of {count} lines"


@pytest.fixture(scope="module")
def by_afl(sources, tmp_path_factory):
    return build(sources, tmp_path_factory.mktemp("afl"), "", AFL_DRIVER, "afl-clang-fast", "afl-clang-fast++")


def test_another_engine_links_and_runs(by_afl, tmp_path):
    check_built(by_afl)
    for target in TARGETS:
        corpus = seeds(by_afl, tmp_path, target)
        status, output = run(by_afl, by_afl.parent, target, *sorted(corpus.iterdir()))
        assert status == 0, output
        command.run(["afl-showmap", "-q", "-C", "-i", corpus, "-o", tmp_path / "map", "--", by_afl / f"fuzz_{target}"])
        assert len((tmp_path / "map").read_text().splitlines()) >= BLOCKS


def test_a_dictionary_has_each_op_that_its_target_issues(by_afl, tmp_path):
    out = by_afl
    builds.ensure("release", ["replay"])
    header = (ROOT / "fuzz" / "program" / "program.h").read_text()
    version, ops, longest = (int(re.search(text, header)[1]) for text in
                             (r"PROGRAM_VERSION = (\d+)", r"PROGRAM_MAX_OPS = (\d+)", r"1 \+ PROGRAM_MAX_OPS \* (\d+)"))
    issued = re.findall(r"^OP\((\w+), .*, (.*)\)$", (ROOT / "fuzz" / "program" / "ops.def").read_text(), re.M)
    for target in TARGETS:
        assert limit(out, target) == 1 + ops * longest
        tokens = re.findall(r'^(\w+)="((?:\\x[0-9a-f]{2})+)"$', (out / f"fuzz_{target}.dict").read_text(), re.M)
        assert [name for name, _ in tokens] == [name for name, letters in issued if target == "all" or target[0].upper() in letters]
        for name, token in tokens:
            (tmp_path / name).write_bytes(bytes([version]) + bytes.fromhex(token.replace("\\x", "")))
            text = command.run([builds.program("release", "fuzz/replay"), target, "--print", tmp_path / name])[1]
            assert re.search(rf"^(\w+ = )?{name}\b", text, re.M) and "1 programs, 1 ops" in text, text


def test_a_planted_bug_is_found(sources, tmp_path):
    planted = tmp_path / "src"
    shutil.copytree(sources, planted)
    mutants.apply_patch(mutants.PATCHES / "canary.patch", planted / "iobuf")
    out = build(planted, tmp_path, FLAGS["address"])
    status, output = run(out, tmp_path, "slice", f"-runs={CANARY_RUNS}", "-seed=1", seeds(out, tmp_path, "slice"))
    assert status not in (0, None) and "result_equals" in output, output[-2000:]


def test_a_source_that_does_not_compile_fails_the_build(sources, tmp_path):
    broken = tmp_path / "src"
    shutil.copytree(sources, broken)
    (broken / "iobuf" / "lib" / "src" / "status.c").write_text("no C\n")
    with pytest.raises(say.Stop, match="status.c:1:1: error"):
        build(broken, tmp_path, FLAGS["address"])


class TestFiles:
    def test_project_names_what_is_built_here(self):
        project = yaml.safe_load((ROOT / ".clusterfuzzlite" / "project.yaml").read_text())
        assert project["language"] == "c"
        assert set(project["sanitizers"]) == set(FLAGS) - {"coverage"}

    def test_dockerfile_copies_the_source_and_the_script(self):
        lines = (ROOT / ".clusterfuzzlite" / "Dockerfile").read_text().splitlines()
        assert "COPY . $SRC/iobuf" in lines and "COPY .clusterfuzzlite/build.sh $SRC/build.sh" in lines

    def test_a_change_of_what_is_fuzzed_starts_a_workflow(self):
        triggers = yaml.safe_load((WORKFLOWS / "fuzz-change.yml").read_text())[True]  # YAML 1.1 reads "on" as true
        paths = triggers["pull_request"]["paths"]
        assert {"lib/**", "fuzz/**", "corpus/**", ".clusterfuzzlite/**"} <= set(paths)
        for path in paths:
            assert any(ROOT.glob(path)), path

    def test_there_is_a_workflow_for_each_mode(self):
        modes, built = set(), set()
        for path in WORKFLOWS.glob("fuzz-*.yml"):
            for job in yaml.safe_load(path.read_text())["jobs"].values():
                uses = [step["uses"] for step in job["steps"]]
                assert uses[0] == "google/clusterfuzzlite/actions/build_fuzzers@v1"
                assert set(uses[1:]) <= {"google/clusterfuzzlite/actions/run_fuzzers@v1"}
                steps = [step["with"] for step in job["steps"]]
                assert len({step["sanitizer"] for step in steps}) == 1 and steps[0]["language"] == "c"
                modes |= {step["mode"] for step in steps[1:]}
                matrix = job.get("strategy", {}).get("matrix", {}).get("sanitizer", [steps[0]["sanitizer"]])
                built |= set(matrix)
        assert modes == {"code-change", "batch", "prune", "coverage"}
        assert built == set(FLAGS)
