"""What ClusterFuzzLite and OSS-Fuzz rely on: they build by .clusterfuzzlite/build.sh with compilers, flags and an engine of their own, take
$OUT and nothing else along, and run each target from an empty folder as another user. No container is needed to play that."""
import os
import re
import shutil
import subprocess
import zipfile

import pytest
import yaml

from suite import command, mutants
from suite.paths import ROOT

TARGETS = ("slice", "reader", "pool", "all")
BASE = "-O1 -fno-omit-frame-pointer -gline-tables-only"
LIBFUZZER = "-fsanitize=fuzzer"
FLAGS = {
    "address": "-fsanitize=address -fsanitize-address-use-after-scope -fsanitize=fuzzer-no-link",
    "undefined": "-fsanitize=array-bounds,bool,builtin,enum,integer-divide-by-zero,null,object-size,return,returns-nonnull-attribute,"
                 "shift,signed-integer-overflow,unreachable,vla-bound -fno-sanitize-recover=all -fsanitize=fuzzer-no-link",
    "memory": "-fsanitize=memory -fsanitize-memory-track-origins -fsanitize=fuzzer-no-link",
    "coverage": "-fprofile-instr-generate -fcoverage-mapping",
}
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
    """Builds; returns $OUT, moved to where another user may read it, and nothing else left."""
    out, work = folder / "out", folder / "work"
    out.mkdir(parents=True)
    work.mkdir()
    env = {"SRC": sources, "OUT": out, "WORK": work, "CC": cc, "CXX": cxx, "CFLAGS": f"{BASE} {flags}", "CXXFLAGS": f"{BASE} {flags}",
           "LIB_FUZZING_ENGINE": engine, "AFL_QUIET": "1"}
    command.run([sources / "iobuf" / ".clusterfuzzlite" / "build.sh"], env={name: str(value) for name, value in env.items()})
    shutil.rmtree(work)
    taken = folder / "elsewhere"
    out.rename(taken)
    return taken


def run(out, folder, target, *args, env=None):
    """As nobody, where that can be, from an empty folder that is his."""
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
    return command.run(["env", f"--chdir={empty}", *user, out / f"fuzz_{target}", *args], check=False, timeout=300, env=env)


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


@pytest.mark.parametrize("sanitizer", FLAGS)
def test_every_target_runs_from_what_was_built(sanitizer, sources, tmp_path):
    out = build(sources, tmp_path, FLAGS[sanitizer])
    for target in TARGETS:
        corpus = seeds(out, tmp_path, target)
        limit = re.search(r"^max_len = (\d+)$", (out / f"fuzz_{target}.options").read_text(), re.M)[1]
        args = [f"-runs={RUNS}", "-seed=1", f"-max_len={limit}", f"-dict={out}/fuzz_{target}.dict", corpus]
        if sanitizer == "coverage":  # which the engine cannot be led by: the corpus is run, and a profile written
            args = sorted(corpus.iterdir())
        status, output = run(out, tmp_path, target, *args, env={"LLVM_PROFILE_FILE": "run.profraw"})
        assert status == 0, output
        if sanitizer == "coverage":
            assert (tmp_path / f"run-{target}" / "run.profraw").stat().st_size > 0
        else:
            assert re.search(r"^Dictionary: [1-9]", output, re.M), output


def test_another_engine_links_and_runs(sources, tmp_path):
    out = build(sources, tmp_path, "", AFL_DRIVER, "afl-clang-fast", "afl-clang-fast++")
    for target in TARGETS:
        some = sorted(seeds(out, tmp_path, target).iterdir())[:20]
        status, output = run(out, tmp_path, target, *some)
        assert status == 0, output


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
    with pytest.raises(Exception, match="build.sh"):
        build(broken, tmp_path, FLAGS["address"])


class TestFiles:
    def test_project_names_what_is_built_here(self):
        project = yaml.safe_load((ROOT / ".clusterfuzzlite" / "project.yaml").read_text())
        assert project["language"] == "c"
        assert set(project["sanitizers"]) == set(FLAGS) - {"coverage"}

    def test_dockerfile_copies_the_source_and_the_script(self):
        lines = (ROOT / ".clusterfuzzlite" / "Dockerfile").read_text().splitlines()
        assert "COPY . $SRC/iobuf" in lines and "COPY .clusterfuzzlite/build.sh $SRC/build.sh" in lines

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
