"""iobuf fuzz-speed: executions and ops per second of each target, in one process and under each engine, next to what that engine can
do with a target that is empty; and who of harness, model and library spends the time."""
import json
import pathlib
import re
import statistics
import tempfile

import click

from suite import build, command as commands, engines, machine, options, profile, say, store
from suite.paths import RESULTS, TARGETS, corpus

OPS = 32  # in each program
GOALS = {"release": 10_000_000, "asan": 3_000_000}  # ops per second in one process
MODEL_AT_MOST = 25.0  # percent of the instructions
ROUNDS = 3
KINDS = (engines.LibFuzzer, engines.LibFuzzerFast, engines.Afl)


@click.command(short_help="Executions and ops per second, next to the engines' ceiling.")
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option("--seconds", type=click.IntRange(min=1), default=3, show_default=True, help="How long for each measurement.")
@click.option("--engines/--no-engines", "with_engines", default=True, help="Also measure under each engine.")
@click.option("--profile/--no-profile", "with_profile", default=True, help="Also count who runs the instructions, by callgrind.")
@click.option("--record", is_flag=True, help="Also append the result to results/fuzz-speed.jsonl.")
@options.results
@options.as_json
@options.verbose
def command(targets, seconds, with_engines, with_profile, record, results, as_json):
    """Measure TARGETs (default: all) on programs like those of the corpus, all of 32 ops.

    \b
    In one process: decode and run, without an engine, by the release build and under AddressSanitizer.
    Under an engine: its executions per second, and those of the same engine, build and seeds with a
    target that does nothing. Profile: the share of the model, in instructions.

    \b
    Examples:
      scripts/iobuf fuzz-speed
      scripts/iobuf fuzz-speed slice --no-engines
      scripts/iobuf fuzz-speed --json | jq '.in_process[] | {build, target, ops_per_second}'

    Exit status: 0 all goals reached, 1 one missed, 2 wrong usage, 3 could not run.
    """
    unknown = [name for name in targets if name not in TARGETS]
    if unknown:
        raise click.UsageError(f"no target is called {unknown[0]!r}: there are {', '.join(TARGETS)}")
    targets = list(dict.fromkeys(targets)) or list(TARGETS)
    summary = machine.stamp("scripts/iobuf fuzz-speed " + " ".join([*targets, f"--seconds {seconds}"])) | {
        "kind": "fuzz-speed", "ops_per_program": OPS, "builds": [], "in_process": in_process(targets, seconds),
        "profile": [profile.of_target(target, OPS) for target in targets] if with_profile else [],
        "engines": under_engines(targets, seconds) if with_engines else []}
    summary["builds"] = [build.compiler(preset) for preset in (*GOALS, *((kind.preset for kind in KINDS) if with_engines else ()))]
    summary["missed"] = missed(summary)
    store.write_json(results / "fuzz-speed.json", summary)
    if record:
        store.append_line(RESULTS / "fuzz-speed.jsonl", summary)
    if as_json:
        click.echo(json.dumps(summary, indent=1))
    else:
        show(summary)
    return 1 if summary["missed"] else 0


def in_process(targets, seconds):
    """Each build and target in turn, several times over, so that what else the machine does falls on all alike."""
    for preset in GOALS:
        build.ensure(preset, ["speed"])
    cases = [(preset, target) for preset in GOALS for target in targets]
    runs = {case: [] for case in cases}
    with say.Steps("in one process", ROUNDS * len(cases)) as steps:
        for number in range(ROUNDS):
            for at, (preset, target) in enumerate(cases):
                steps.at(number * len(cases) + at, f"{target} {preset}")
                runs[preset, target].append(one_process(preset, target, ["--seconds", seconds / ROUNDS]))
    return [{"build": preset, "target": target, "goal": GOALS[preset], "mean_bytes": found[0]["mean_bytes"],
             "ops_per_second": round(statistics.median(run["ops_per_second"] for run in found)),
             "executions_per_second": round(statistics.median(run["executions_per_second"] for run in found)),
             "rounds": [run["ops_per_second"] for run in found]} for (preset, target), found in runs.items()]


def one_process(preset, target, args):
    output = commands.run([build.program(preset, "fuzz/speed"), target, "--ops", OPS, *args, *corpus(target)])[1]
    return json.loads(output)


def under_engines(targets, seconds):
    for kind in KINDS:
        build.ensure(kind.preset, ["fuzz_empty", *(f"fuzz_{target}" for target in targets)])
    rows = []
    with say.Steps("under the engines", 2 * len(KINDS) * len(targets)) as steps, tempfile.TemporaryDirectory() as work:
        for target in targets:
            seeds = pathlib.Path(work) / target
            seeds.mkdir()
            commands.run([build.program("release", "fuzz/speed"), target, "--ops", OPS, "--dump", seeds, *corpus(target)])
            for kind in KINDS:
                rates = []
                for name in (target, "empty"):
                    steps.at(2 * len(rows) + len(rates), f"{kind.name} {kind.preset} {name}")
                    rates.append(rate(kind, name, seeds, seconds))
                rows.append({"engine": kind.name, "build": kind.preset, "target": target, "executions_per_second": rates[0],
                             "ceiling": rates[1], "ops_per_second": rates[0] * OPS, "of_ceiling": round(rates[0] / rates[1], 3)})
    return rows


def rate(kind, name, seeds, seconds):
    """Executions per second of one engine on one target, from the seeds on."""
    program, most = build.program(kind.preset, f"fuzz/fuzz_{name}"), max(path.stat().st_size for path in seeds.iterdir())
    with tempfile.TemporaryDirectory() as work:
        out = pathlib.Path(work) / "out"
        out.mkdir()
        if kind.name == "afl":
            env = {"AFL_SKIP_CPUFREQ": "1", "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1", "AFL_NO_UI": "1", "AFL_TRY_AFFINITY": "1"}
            commands.run(["afl-fuzz", "-i", seeds, "-o", out, "-G", most, "-V", seconds, "--", program], env=env,
                         log=build.log(kind.preset, f"speed-{name}"))
            stats = (out / "default" / "fuzzer_stats").read_text()
            return round(float(re.search(r"^execs_per_sec\s*: ([\d.]+)", stats, re.M)[1]))
        output = commands.run([program, out, seeds, f"-max_total_time={seconds}", f"-max_len={most}", "-len_control=0", "-keep_seed=1",
                               "-reload=0", "-print_final_stats=1", f"-artifact_prefix={work}/"],
                              log=build.log(kind.preset, f"speed-{name}"))[1]
        done = re.search(r"^Done (\d+) runs in (\d+) second", output, re.M)
        return round(int(done[1]) / max(1, int(done[2])))


def missed(summary):
    found = [f"{row['target']} in one process, {row['build']}: {row['ops_per_second']:,} of {row['goal']:,} ops/s"
             for row in summary["in_process"] if row["ops_per_second"] < row["goal"]]
    return found + [f"{row['target']}: the model has {row['percent']['model']:.1f} % of the instructions, more than {MODEL_AT_MOST:g} %"
                    for row in summary["profile"] if row["percent"]["model"] > MODEL_AT_MOST]


def show(summary):
    say.table(f"in one process, programs of {OPS} ops", ["target", "build", ">ops/s", ">programs/s", ">goal"],
              [[row["target"], row["build"], f"{row['ops_per_second']:,}", f"{row['executions_per_second']:,}", f"{row['goal']:,}"]
               for row in summary["in_process"]])
    if summary["engines"]:
        say.table("under an engine, from the same programs", ["target", "engine", "build", ">programs/s", ">ceiling", ">of it", ">ops/s"],
                  [[row["target"], row["engine"], row["build"], f"{row['executions_per_second']:,}", f"{row['ceiling']:,}",
                    f"{100 * row['of_ceiling']:.0f} %", f"{row['ops_per_second']:,}"] for row in summary["engines"]])
    if summary["profile"]:
        say.table("instructions, percent of all", ["target", ">per op", *(f">{part}" for part in profile.PARTS)],
                  [[row["target"], row["instructions_per_op"], *(f"{row['percent'][part]:.1f}" for part in profile.PARTS)]
                   for row in summary["profile"]])
    for text in summary["missed"]:
        click.echo(f"missed: {text}")
