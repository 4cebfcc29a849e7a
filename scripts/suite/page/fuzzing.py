"""The state of the fuzzing: what the engines ran and reached, which planted bugs are found how soon, what failed last."""
from suite import mutants, store
from suite.paths import TARGETS
from suite.stages import STAGES
from suite.verbs.mutants import summarize

ENGINES = {"libfuzzer": "libFuzzer", "afl": "AFL++"}
STAGE_NAMES = {"unit": "unit tests", "replay": "corpus"} | ENGINES


def runs(result):
    if not result:
        return None
    rows = sorted(result["fuzzed"], key=lambda row: (TARGETS.index(row["target"]), list(ENGINES).index(row["engine"])))
    for row in rows:
        row["engine_name"] = ENGINES[row["engine"]]
    return {"rows": rows, "programs": sum(row["programs"] for row in rows), "operations": result["operations"],
            "operations_how": result["operations_how"], "failures": [path for row in rows for path in row["failures"]],
            "engines": " and ".join(sorted({row["engine_name"] for row in rows}, reverse=True)),
            "seconds": sum(row["seconds"] for row in rows), "interrupted": result["interrupted"]}


def history(sources):
    """Of all recorded runs: how many programs, and when each."""
    lines = sources.lines("fuzz", lambda line: line["kind"] == "fuzz" and all(row["programs"] >= 0 for row in line["fuzzed"]))
    rows = [{"date": line["date"], "commit": line["commit"], "programs": sum(row["programs"] for row in line["fuzzed"]),
             "failures": sum(len(row["failures"]) for row in line["fuzzed"]), "command": line["command"]} for line in lines]
    return {"rows": rows, "programs": sum(row["programs"] for row in rows)} if rows else None


def coverage(sources):
    """What the corpus reaches of the library, in each build."""
    found = store.read_json(sources.latest / "coverage.json", "coverage", "scripts/iobuf coverage")
    if not found:
        return None
    rows = [{"build": build, **counts, "what": kind, "share": counts["reached"] / counts["of"],
             "left": counts["of"] - counts["reached"] - counts["named"]}
            for build, of_build in found["builds"].items() for kind, counts in of_build.items() if kind != "files"]
    return {"rows": rows, "wrong": found["wrong"], "result": found}


def planted(sources):
    """The planted bugs: killed by which stage, how soon; for each stage what was measured last."""
    lines = sources.lines("mutants", lambda line: line["id"] and line["kind"] and line["library"] and line["commit"] and all(
        line[f"{stage}_s"] is None or line[f"{stage}_s"] >= 0 for stage in STAGES) and set(line["stages"]) <= set(STAGES))
    arguments, rows = mutants.equivalent(), {}
    for line in lines:
        old = rows.get(line["id"], {f"{stage}_s": None for stage in STAGES} | {"stages": []})
        new = old | {key: value for key, value in line.items() if key not in ("stages", *(f"{stage}_s" for stage in STAGES))}
        new |= {f"{stage}_s": line[f"{stage}_s"] for stage in line["stages"]}
        new["stages"] = [stage for stage in STAGES if stage in line["stages"] or stage in old["stages"]]
        new["equivalent"] = new["equivalent"] or arguments.get(line["id"])
        rows[line["id"]] = new
    if not rows:
        return None
    found = summarize(list(rows.values()), STAGES)
    for part in found["parts"]:
        part["stage_name"] = STAGE_NAMES[part["stage"]]
        part["survivors"] = [row["id"] for row in rows.values() if row["kind"] == part["kind"] and not row["equivalent"]
                             and part["stage"] in row["stages"] and row[f"{part['stage']}_s"] is None]
    return found | {"count": len(rows), "real": len(rows) - len(found["equivalent"]), "commits": sorted({row["commit"] for row in rows.values()}),
                    "curves": curves(rows.values())}


def curves(rows):
    """For each engine the seconds after which it had found its first, second, ... curated bug, and how many it looked for."""
    found = []
    for engine, name in ENGINES.items():
        tried = [row for row in rows if row["kind"] == "curated" and not row["equivalent"] and engine in row["stages"]]
        took = sorted(row[f"{engine}_s"] for row in tried if row[f"{engine}_s"] is not None)
        if took:
            found.append({"engine": name, "tried": len(tried), "seconds": took})
    return found


def failures(sources):
    """Those of the last run of fuzz --ci, where there was one."""
    found = store.read_json(sources.latest / "ci" / "ci.json", "fuzz-ci", "scripts/iobuf fuzz --ci")
    return found and {"rows": found["failures"], "errors": found["errors"], "result": found}
