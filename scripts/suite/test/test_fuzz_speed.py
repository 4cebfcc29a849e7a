"""iobuf fuzz-speed: measures, and counts whose the instructions are."""
import json

from suite import profile
from suite.test.test_cli import iobuf

CALLGRIND = """fl=/r/fuzz/model/buf.c
fn=model_take
10 7
cfi=./string/memset.S
cfn=memset
calls=1 0
11 5
cfi=/r/fuzz/model/bytes.c
cfn=model_forget
calls=1 0
12 100

fl=/r/fuzz/model/bytes.c
fn=model_forget
20 100

fl=/r/lib/src/pool.c
fn=pool_take
fi=/r/lib/include/iobuf/iobuf.h
30 3
fe=/r/lib/src/pool.c
cfn=take_slow
calls=2 0
31 50
cfi=/r/fuzz/execute/memory.c
cfn=allocate
calls=2 0
32 60

fl=./string/memset.S
fn=memset
1 5
"""


def test_what_the_c_library_does_counts_for_its_caller():
    found = profile.parse(CALLGRIND)
    assert {part: found[part] for part in profile.PARTS} == {"library": 3, "model": 112, "decoder": 0, "harness": 0}


def test_measures_and_profiles(tmp_path):
    done = iobuf("fuzz-speed", "pool", "--seconds", "1", "--no-engines", "--results", tmp_path, "--json")
    assert done.returncode in (0, 1), done.stderr  # whether the goals are reached is not for a test to say
    found = json.loads(done.stdout)
    assert found == json.loads((tmp_path / "fuzz-speed.json").read_text())
    assert {row["build"] for row in found["in_process"]} == {"release", "asan"}
    assert all(row["ops_per_second"] > 1000 for row in found["in_process"])
    assert abs(sum(found["profile"][0]["percent"].values()) - 100) < 0.1
    assert 0 < found["profile"][0]["percent"]["model"] < 25
    assert (done.returncode == 1) == bool(found["missed"])
