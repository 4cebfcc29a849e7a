"""The history of the benchmarks: JSON lines in results/history, one file for each commit and machine, so that two branches never
write to the same one. Lines are only ever added; of two about the same case and commit the later one counts.

A line that cannot be used is named and left out, and never changed: what else the file holds counts."""
import contextlib
import hashlib
import json
import math
import os
import re

from suite.paths import RESULTS, shown

FOLDER = RESULTS / "history"
SCHEMA = 1
NUMBERS = ("instructions", "ns", "relative", "relative_low", "relative_high")
MEASURES = {"instructions": ("instructions", None, None), "relative": ("relative", "relative_low", "relative_high")}
TEXTS = ("commit", "commit_date", "bench", "date")
COMMIT = r"[0-9a-f]{12}(\+changes)?"


def machine_key(machine):
    """Names a machine by what makes its measurements comparable; a new kernel or a few pages of memory more do not."""
    facts = {name: machine.get(name) for name in ("cpu", "cpus", "virtual", "host")}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]


def path(commit, machine, folder=FOLDER):
    return folder / f"{commit}-{machine_key(machine)}.jsonl"


# -- reading

def read(folder=FOLDER):
    """(lines, problems): a problem is one line of text that names file and line."""
    lines, problems = [], []
    for file in sorted(folder.glob("*.jsonl")) if folder.is_dir() else ():
        read_file(file, lines, problems)
    return lines, problems


def read_file(file, lines, problems):
    try:
        content = file.read_bytes()
    except OSError as error:
        problems.append(f"{shown(file)}: {error.strerror}")
        return
    for number, text in enumerate(content.split(b"\n"), 1):
        if text.strip():
            why, line = parse(text)
            if why:
                problems.append(f"{shown(file)}:{number}: {why}")
            else:
                lines.append(line)


def parse(text):
    """(why it cannot be used or None, the line)."""
    try:
        line = json.loads(text)
    except ValueError:
        return "not whole JSON: truncated, or edited by hand", None
    if not isinstance(line, dict) or line.get("kind") != "history":
        return "not a line of the history", None
    if line.get("schema") != SCHEMA:
        return f"schema {line.get('schema')}, this suite reads {SCHEMA}", None
    return wrong(line), line


def wrong(line):
    for name in TEXTS:
        if not isinstance(line.get(name), str):
            return f"{name} is missing or no text"
    if not re.fullmatch(COMMIT, line["commit"]):
        return f"{line['commit']!r} is no commit"
    if type(line.get("order")) is not int or not isinstance(line.get("machine"), dict):
        return "order or machine is missing"
    if line.get("case") is None:
        return None if isinstance(line.get("error"), str) else "neither case nor error"
    if not isinstance(line["case"], str) or line["case"].count("/") < 2:
        return f"{line['case']!r} is no case"
    for name in NUMBERS:
        value = line.get(name)
        if value is not None and (type(value) not in (int, float) or not math.isfinite(value) or value <= 0):
            return f"{name} is no positive number"
    return None


def series(lines):
    """{(case, measure, machine key): points in the order of the commits}. A working tree with changes is no commit, and in none."""
    latest = {}
    for line in sorted(lines, key=lambda line: line["date"]):
        if line["case"] is None or line["commit"].endswith("+changes"):
            continue
        for measure, names in MEASURES.items():
            value, low, high = (line.get(name) if name else None for name in names)
            if value is not None:
                of_case = latest.setdefault((line["case"], measure, machine_key(line["machine"])), {})
                of_case[line["commit"]] = {"commit": line["commit"], "commit_date": line["commit_date"], "order": line["order"],
                                           "value": value, "low": low, "high": high, "date": line["date"], "bench": line["bench"]}
    return {key: sorted(points.values(), key=lambda point: (point["order"], point["commit_date"], point["commit"]))
            for key, points in sorted(latest.items())}


def failed(lines):
    """{(commit, machine key): why} of the commits that could not be measured, and were not since."""
    found = {}
    for line in sorted(lines, key=lambda line: line["date"]):
        found[line["commit"], machine_key(line["machine"])] = line["error"] if line["case"] is None else None
    return {key: why for key, why in found.items() if why}


# -- writing

def append(file, lines):
    """Adds all of the lines or none: on a full disk the file stays as it was."""
    file.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        before = os.fstat(handle).st_size
        if before and os.pread(handle, 1, before - 1) != b"\n":
            content = b"\n" + content  # the last line is truncated: it stays by itself, and is named when the file is read
        try:
            done = 0
            while done < len(content):
                done += os.write(handle, content[done:])
            os.fsync(handle)
        except OSError as error:
            os.ftruncate(handle, before)
            error.filename = shown(file)
            raise
    except BaseException:
        with contextlib.suppress(OSError):
            if os.fstat(handle).st_size == 0:
                os.unlink(file)
        raise
    finally:
        os.close(handle)
