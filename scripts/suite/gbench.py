"""The benchmark program from outside: the cases it has, a run of some of them, and what its JSON means."""
import json
import pathlib
import re
import tempfile

from suite import command, say
from suite.paths import BUILD, shown

PROGRAM = "bench/iobuf_bench"
ADDED = "[a-z]+_time|[a-z_]+:[^/]*"  # parts of a name that google-benchmark adds: real_time, threads:2, iterations:100


def listed(program, args=()):
    """Names as google-benchmark gives them: work/peer/size, and what it adds."""
    return names(command.run([program, *args, "--benchmark_list_tests"])[1])


def names(listing):
    return [text for text in listing.split("\n") if re.match(r"\w+/", text)]


def run(program, cases, min_time, args=(), env=None, repetitions=1):
    """Runs these cases once in one process, in random order and each repetition on its own; returns google-benchmark's JSON with
    one of its "benchmarks" per repetition of a case, those of cases that failed too."""
    return outcome(program, cases, [f"--benchmark_min_time={min_time}", f"--benchmark_repetitions={repetitions}",
                                    "--benchmark_enable_random_interleaving=true", *args], env)[0]


def outcome(program, cases, args, env=None, under=()):
    """As run, with all arguments the caller's and `under` another program; returns the JSON and the output."""
    folder = BUILD / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = "|".join(re.escape("/".join(split(case))) for case in cases)
    # The arguments may change what google-benchmark adds to a name, /iterations:100, so that is left open.
    with tempfile.TemporaryDirectory(dir=folder) as place:
        out = pathlib.Path(place) / "round.json"
        status, output = command.run([*under, program, f"--benchmark_filter=^({wanted})(/({ADDED}))*$", f"--benchmark_out={out}",
                                      "--benchmark_out_format=json", *args], env=env, check=False)
        text = out.read_text() if out.is_file() else ""
    try:
        document = json.loads(text)
        document["benchmarks"] = [run for run in document["benchmarks"] if run.get("run_type", "iteration") == "iteration"]
    except (ValueError, KeyError):
        tail = "\n".join("  " + text for text in output.strip().splitlines()[-10:])
        raise say.Stop(f"{shown(program)} ended without a result, {command.ended(status)}:\n{tail}") from None
    return document, output


def nanoseconds(run):
    """Time per item: of the processor for work on one thread, of the clock where threads wait for each other."""
    clock = "/real_time" in run["name"] or "/threads:" in run["name"] or "/manual_time" in run["name"]
    return run["real_time" if clock else "cpu_time"] * {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[run["time_unit"]]


def split(case):
    """work, peer, size of a name, without what google-benchmark adds to it."""
    work, peer, *rest = case.split("/")
    rest = [part for part in rest if not re.fullmatch(ADDED, part)]
    return work, peer, "/".join(rest)
