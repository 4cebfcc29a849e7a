"""Results as the verbs write them, with numbers that are easy to recognise; for the tests of the page and of bad input."""
import json

HEAD = {"schema": 1, "commit": "0123456789ab", "date": "2024-05-06T07:08:09+00:00",
        "machine": {"cpu": "Test processor", "cpus": 2, "memory_gib": 8.0, "virtual": False, "system": "Debian", "kernel": "Linux"}}
BUILD = {"preset": "release", "compiler": "cc 1.0", "build_type": "Release", "flags": "-O3"}
SIZES = (64, 1024, 65536)


def replay():
    return HEAD | {"kind": "replay", "command": "scripts/iobuf replay", "files": 1234, "failed": []}


def fuzz(failures=()):
    rows = [{"engine": engine, "target": target, "build": engine, "seconds": 30.0, "programs": 1234567 + at,
             "programs_per_second": 41152, "ops_per_program": 12.5, "corpus": 321, "edges": 987,
             "stability": 100.0 if engine == "afl" else None, "failures": list(failures) if at == 0 else []}
            for at, target in enumerate(("slice", "reader", "pool", "all")) for engine in ("libfuzzer", "afl")]
    return HEAD | {"kind": "fuzz", "command": "scripts/iobuf fuzz --seconds 30", "interrupted": False, "fuzzed": rows,
                   "builds": [BUILD | {"preset": "libfuzzer"}, BUILD | {"preset": "afl"}],
                   "operations": 98765432, "operations_how": "Operations are estimated."}


def bench():
    compared, cases = [], []
    for at, work in enumerate(("alloc_release", "batch", "window", "frame_http")):
        for size in ("mixed",) if work in ("batch", "frame_http") else SIZES:
            ratio = 3.21 / (at + 1)
            held = 1.25 if work == "window" else None
            sure = {"ratio": ratio, "low": ratio * 0.9, "high": ratio * 1.1}
            verdict = "faster" if sure["low"] > 1 else "slower" if sure["high"] < 1 else "no difference seen"
            compared.append({"work": work, "size": str(size), "iobuf_ns": 10.5, "malloc_ns": 10.5 * ratio, **sure, "verdict": verdict,
                             "iobuf_held_per_live": held, "malloc_held_per_live": held})
    for power in range(10, 21):
        cases.append({"work": "pool_size", "peer": "iobuf", "size": str(2**power), "ns": 40.0 + 4000 / 2 ** (power - 6), "rounds_ns": [],
                      "held_per_live": 1.05 + 2**power / 400000, "bytes_per_second": None, "buf_bytes": 2**power})
    cases.append({"work": "pool_size", "peer": "malloc", "size": "0", "ns": 61.0, "rounds_ns": [], "held_per_live": 1.3,
                  "bytes_per_second": None, "buf_bytes": None})
    return HEAD | {"kind": "bench", "command": "scripts/iobuf bench", "build": BUILD, "min_time": 0.05, "rounds": 12, "rounds_wanted": 12,
                   "errors": [], "compared": compared, "cases": cases}


def write(folder, **changed):
    """All results into a folder; a keyword replaces one of them, None leaves it out."""
    for kind, value in ({"replay": replay(), "fuzz": fuzz(), "bench": bench()} | changed).items():
        if value is not None:
            (folder / f"{kind}.json").write_text(json.dumps(value))
