"""Places of the library, each line that has code and each side of each branch, as llvm-cov counts them: which were reached, and the
list, fuzz/unreachable.json, of those that no program of the corpus can reach.

A place is told by its file, its function and what stands there, not by its number, so that the list outlives changes elsewhere. A
branch that the compiler decides is none. What a macro or an inline function brings counts where it is used, or in the function."""
import collections
import dataclasses
import json
import pathlib
import re

from suite import say
from suite.mutate import live_lines, masked
from suite.paths import ROOT, shown

LIST = ROOT / "fuzz" / "unreachable.json"
LIBRARY = f"{ROOT}/lib/"
CODE, EXPANSION, GAP = 0, 1, 3  # kinds of regions


@dataclasses.dataclass(frozen=True)
class Place:
    file: str
    function: str
    line: str  # without comments
    condition: str = ""
    side: str = ""  # of the condition; none: the line
    nth: int = 1  # of those in the function of which all this is true

    def __str__(self):
        what = f"{self.condition} is never {self.side}" if self.side else self.line
        return f"{self.file}, {self.function}: {what}" + (f" ({self.nth})" if self.nth > 1 else "")

    def entry(self):
        return {name: value for name, value in dataclasses.asdict(self).items() if value and (name, value) != ("nth", 1)}


# ---- what llvm-cov says


class Source:
    """One file: its lines, and the numbers of those that have code, in a build with checks (1) or without (0)."""

    def __init__(self, path, checked):
        text = path.read_text()
        self.lines = text.split("\n")
        self.code = {number for number, line in enumerate(masked(text).split("\n"), 1) if re.search(r"\w", re.sub(r"\belse\b", "", line))}
        self.code &= live_lines(path, (checked,))

    def line(self, number):
        return re.sub(r"/\*.*?(?:\*/|$)", "", self.lines[number - 1]).strip()

    def condition(self, first, column, last, end):
        """The text of a condition, on one line; of a macro, which llvm-cov ends at its name, with its arguments."""
        rest = "\n".join(self.lines[first - 1:])
        start = column - 1
        stop = sum(len(line) + 1 for line in self.lines[first - 1:last - 1]) + end - 1
        if rest[stop:stop + 1] == "(":
            depth = 0
            for stop in range(stop, len(rest)):
                depth += (rest[stop] == "(") - (rest[stop] == ")")
                if depth == 0:
                    break
            stop += 1
        return " ".join(rest[start:stop].split())


def places(exported, checked):
    """({Place: (how often it was reached, line number)}, the functions that were entered), of what `llvm-cov export` says in JSON."""
    sources, lines, sides, entered = {}, {}, {}, collections.Counter()
    for function in json.loads(exported)["data"][0]["functions"]:
        path = function["filenames"][0]
        if not path.startswith(LIBRARY):
            continue
        if path not in sources:
            sources[path] = Source(pathlib.Path(path), checked)
        where = shown(path), function["name"].rpartition(":")[2]  # a static one has its file's name in front
        entered[where] += function["count"]
        for number, count in counted_lines(function["regions"]).items():
            if number in sources[path].code:
                key = (*where, number)
                lines[key] = lines.get(key, 0) + count
        for key, counts in counted_branches(function, sources[path]).items():
            before = sides.get((*where, *key), (0, 0))
            sides[(*where, *key)] = before[0] + counts[0], before[1] + counts[1]
    found, seen = {}, collections.Counter()

    def add(number, count, *what):
        seen[what] += 1
        found[Place(*what, nth=seen[what])] = count, number

    texts = {shown(path): source for path, source in sources.items()}
    for (file, function, number), count in sorted(lines.items()):
        add(number, count, file, function, texts[file].line(number))
    for (file, function, number, _, condition, _), counts in sorted(sides.items()):
        for side, count in zip(("true", "false"), counts):
            add(number, count, file, function, texts[file].line(number), condition, side)
    return found, {where for where, count in entered.items() if count}


def counted_lines(regions):
    """{line: count} of a function. Regions nest: a line has the count of the one it begins in, or, if larger, of one that begins
    there; gaps, between an `if` and what depends on it, begin nothing."""
    counts = {}
    for first, _, last, _, count, file, _, kind in sorted(regions, key=lambda region: (*region[:2], -region[2], -region[3])):
        if file != 0 or kind not in (CODE, GAP):
            continue
        if kind == CODE:
            counts[first] = max(count, counts.get(first, 0))
        counts.update(dict.fromkeys(range(first + 1, last + 1), count))
    return counts


def counted_branches(function, source):
    """{(line, column, condition, which one there): (true, false)}"""
    parents = {region[6]: (region[5], region[:4]) for region in function["regions"] if region[7] == EXPANSION}
    found, seen = {}, collections.Counter()
    for *at, true, false, file, _, _ in function["branches"]:
        while file != 0 and file in parents:
            file, at = parents[file]
        key = (at[0], at[1], source.condition(*at))
        seen[key] += 1
        found[(*key, seen[key])] = true, false
    return found


def counted(found_by_build):
    """The places of each build without functions that it does not use, if another build does."""
    used = set().union(*(entered for _, entered in found_by_build.values()))
    return {build: {place: at for place, at in found.items()
                    if (place.file, place.function) in entered or (place.file, place.function) not in used}
            for build, (found, entered) in found_by_build.items()}


# ---- the list


def read(path=LIST):
    """[(Place, builds or None, reason)]"""
    try:
        groups = json.loads(path.read_text())
        entries = [(Place(**{name: value for name, value in place.items() if name != "build"}), place.get("build"), group["because"])
                   for group in groups for place in group["places"]]
        if not all(isinstance(why, str) and why for *_, why in entries):
            raise ValueError("a reason is no text")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise say.Stop(f"{shown(path)} is no list of places with reasons: {type(error).__name__}: {error}") from None
    return entries


def judge(found, entries):
    """What is wrong with the list, a line each; and what it rightly names, for each build."""
    wrong, named = [], {build: set() for build in found}
    twice = collections.Counter((place, build) for place, build, _ in entries)
    wrong += [f"is named twice: {place}" for (place, _), times in twice.items() if times > 1]
    for place, only, _ in entries:
        builds = [build for build in found if only in (None, build) and place in found[build]]
        if not builds:
            wrong.append(f"is named, and not there: {place}" + (f" ({only})" if only else ""))
        for build in builds:
            named[build].add(place)
            count, number = found[build][place]
            if count:
                wrong.append(f"is named, but reached ({build}, line {number}): {place}")
    for build, at in found.items():
        wrong += [f"is neither reached nor named ({build}, line {number}): {place}"
                  for place, (count, number) in sorted(at.items(), key=lambda item: (item[0].file, item[1][1]))
                  if not count and place not in named[build]]
    return wrong, named
