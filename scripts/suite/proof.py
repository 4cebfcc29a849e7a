"""The proof of the library's arithmetic: what is to be proved, by Frama-C and provers, and the list, lib/proof/unproved.json, of what
is not.

A unit is a file of lib/proof that includes one of lib/src, or the public header, with a contract for each function. Every function of
those files is in the proof, or named in the list with the reason why not; a goal that no prover proves must be named as well, and what
is named and proved, or not there any more, is wrong."""
import concurrent.futures
import dataclasses
import json
import re
import shutil
import tempfile

from suite import build, command as commands, say
from suite.paths import BUILD, ROOT, shown

FOLDER = ROOT / "lib" / "proof"
LIST = FOLDER / "unproved.json"
BITS = FOLDER / "bits.smt2"
PROVERS = {"frama-c": "-version", "why3": "--version", "z3": "--version", "cvc4": "--version"}
SECONDS = 1800  # a bound against hanging: what limits a prover are its steps, lib/proof/why3.conf
AT_ONCE = 4  # functions of one process
# These take longest: they begin first, each in a process of its own, so that all processors are busy to the end.
LONGEST = (("inline", "iobuf_cut_"), ("slice", "iobuf_slice_truncate_front"), ("slice", "iobuf_slice_expand_front"),
           ("inline", "iobuf_slice_truncate_front"), ("inline", "iobuf_slice_expand_front"), ("coalesce", "join_fronts"))


@dataclasses.dataclass(frozen=True)
class Unit:
    file: str  # what it proves, in lib
    only: tuple = ()  # functions; none: all

    def functions(self, lib):
        text = re.sub(r"^#if IOBUF_CHECKED\n.*?^#(?:else|endif)\b", "", (lib / self.file).read_text(), flags=re.M | re.S)  # which is not proved
        names = list(dict.fromkeys(re.findall(r"^(?!typedef|__)[a-z_][\w *]*?(?:__attribute__\(\(\w+\)\)[\w *]*?)?\b(\w+)\([^;{}]*\)\n\{", text, re.M)))
        gone = [name for name in self.only if name not in names]
        if not names or gone:
            raise say.Stop(f"{shown(lib / self.file)} has no function {' '.join(gone)}".rstrip())
        return list(self.only) or names


UNITS = {
    "slice": Unit("src/slice.c"),
    "coalesce": Unit("src/coalesce.c"),
    "allocator": Unit("src/allocator.c"),
    "inline": Unit("include/iobuf/iobuf.h"),
    "pool": Unit("src/pool.c", ("round_up",)),
}


def functions(lib=ROOT / "lib", units=UNITS):
    """{(unit, function)} in their order."""
    return [(unit, name) for unit in units for name in UNITS[unit].functions(lib)]


def of_files(files):
    """Those that prove the files, by their names."""
    return [unit for unit in UNITS if not files or name_of(unit) in files]


def name_of(unit):
    return UNITS[unit].file.rsplit("/", 1)[1]


# ---- the list


def read(path=LIST):
    """{(unit, function, goal or None: the function has no contract): reason}"""
    try:
        entries = {(entry["unit"], entry["function"], entry.get("goal")): group["because"]
                   for group in json.loads(path.read_text()) for entry in group["not_proved"]}
        if not all(isinstance(why, str) and why for why in entries.values()):
            raise ValueError("a reason is no text")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise say.Stop(f"{shown(path)} is no list of goals with reasons: {type(error).__name__}: {error}") from None
    return entries


def judge(found, entries, wanted):
    """What is wrong, a line each. `found`: {(unit, function): {goal: prover or None}}, of the functions that are `wanted`."""
    wrong = []
    for (unit, function), goals in found.items():
        if not goals and (unit, function, None) not in entries:
            wrong.append(f"has no proof and is not named: {unit}, {function}")
        if goals and (unit, function, None) in entries:
            wrong.append(f"is named as without a proof, and has one: {unit}, {function}")
        wrong += [f"is neither proved nor named: {unit}, {function}: {goal}" for goal, prover in goals.items()
                  if prover is None and (unit, function, goal) not in entries]
    for unit, function, goal in entries:
        if (unit, function) not in found:
            if wanted is None:
                wrong.append(f"is named, and not there: {unit}, {function}")
        elif goal is not None and goal not in found[unit, function]:
            wrong.append(f"is named, and not there: {unit}, {function}: {goal}")
        elif goal is not None and found[unit, function][goal] is not None:
            wrong.append(f"is named, but proved by {found[unit, function][goal]}: {unit}, {function}: {goal}")
    return wrong


# ---- the provers


def versions():
    found = {}
    for name, option in PROVERS.items():
        if not shutil.which(name):
            raise commands.missing(name)
        text = re.search(r"\d+\.\d[\w.-]*", commands.run([name, option])[1])
        found[name] = text[0] if text else "unknown"
    return found


def prove(wanted=None, lib=ROOT / "lib", entries=None, of=UNITS):
    """{(unit, function): {goal: prover, or None}} of the functions named, or of all, of these units; those named as without a contract
    have no goal."""
    bits()
    without = {(unit, function) for unit, function, goal in entries or {} if goal is None}
    found = {key: {} for key in functions(lib, of) if wanted is None or key[1] in wanted}
    jobs = list(shares([key for key in found if key not in without]))
    with say.Steps(f"prove {sum(len(names) for _, names in jobs)} functions", len(jobs)) as steps, \
            concurrent.futures.ThreadPoolExecutor(build.cpus()) as pool:
        tasks = [pool.submit(run, unit, names, lib) for unit, names in jobs]
        try:
            for at, task in enumerate(concurrent.futures.as_completed(tasks)):
                for key, goals in task.result().items():
                    found[key] = goals
                steps.at(at + 1)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def shares(keys):
    """(unit, functions) for each process, in the order in which they begin."""
    yield from ((unit, [name]) for longest in LONGEST for unit, name in keys if (unit, name) == longest)
    for unit in UNITS:
        names = [name for of, name in keys if of == unit and (of, name) not in LONGEST]
        yield from ((unit, names[at:at + AT_ONCE]) for at in range(0, len(names), AT_ONCE))


def bits():
    """What model.h takes for granted of bits, for a solver that knows them."""
    for solver in (["z3"], ["cvc4", "--incremental", "--lang=smt2"]):
        answers = commands.run([*solver, BITS])[1].split()
        if answers != ["unsat"] * BITS.read_text().count("(check-sat)"):
            raise say.Stop(f"{solver[0]} does not show what {shown(BITS)} says: {' '.join(answers)}", 1)


def run(unit, names, lib):
    with tempfile.TemporaryDirectory(prefix="proof-", dir=folder()) as home:
        log = folder() / f"{unit}-{names[0]}.log"
        options = ["-machdep", "gcc_x86_64", "-c11", f"-cpp-extra-args=-CC -I{FOLDER} -I{lib} -I{lib}/include -I{lib}/src",
                   "-warn-unsigned-overflow", "-warn-invalid-pointer", "-wp", "-wp-rte", "-wp-model", "Typed+Cast", "-wp-prover", "z3,cvc4",
                   "-wp-par", 1, "-wp-timeout", SECONDS, "-wp-cache", "none", "-wp-fct", ",".join(names)]
        status, output = commands.run(["frama-c", *options, FOLDER / f"{unit}.c"], log=log, check=False, timeout=SECONDS,
                                      env={"WHY3CONFIG": str(FOLDER / "why3.conf"), "HOME": home, "XDG_CONFIG_HOME": home})
    total = re.search(r"^\[wp\] Proved goals: +(\d+) / (\d+)$", output, re.M)
    goals = dict(parsed(output))
    if status != 0 or not total or int(total[2]) != len(goals) or int(total[1]) != sum(prover is not None for prover in goals.values()):
        raise say.Stop(f"Frama-C has not finished with {unit} ({commands.ended(status)}): see {shown(log)}")
    found = {(unit, name): {} for name in names}
    for goal, prover in goals.items():
        owner = max((name for name in names if goal.startswith(stem(name))), key=len, default=None)
        if owner is None:
            raise say.Stop(f"{goal} is no goal of {', '.join(names)}: see {shown(log)}")
        found[unit, owner][goal[len(stem(owner)):]] = prover
    return found


def stem(function):
    """What the names of a function's goals begin with."""
    return function.rstrip("_") + "_"


def parsed(output):
    """(goal, prover or None) for each that was to be proved."""
    for prover, goal, verdict in re.findall(r"^\[wp\] \[([^]]+)\] Goal typed_cast_(\w+)(?: \([^)]*\))? : (\w+)", output, re.M):
        if verdict == "Valid":
            yield goal, prover.split()[0]
    for goal in re.findall(r"^\[wp\] \[Failed\] Goal typed_cast_(\w+)", output, re.M):
        yield goal, None


def folder():
    path = BUILD / "proof"
    path.mkdir(parents=True, exist_ok=True)
    return path
