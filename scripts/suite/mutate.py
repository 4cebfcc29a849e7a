"""Mechanical mutants: every small change of a line of lib/src that a slip of the hand could make, one at a time.

No parser: comments and strings are masked, lines outside of function bodies and lines that the preprocessor drops on this
platform are left alone, and what does not compile is left out by whoever builds it. Lines that call check_*() are left alone too:
they watch for mistakes of the caller, of which the fuzzer's programs make none. Orders of atomics are not changed: what they do
cannot be seen on one processor."""
import dataclasses
import functools
import hashlib
import re

from suite import command
from suite.paths import ROOT

SOURCES = ROOT / "lib" / "src"
SKIPPED = ("check.c",)
SAMPLE = 260

# What stands between two values has a space on both sides: clang-format sees to it.
BINARY = r"(?<=[\w)\]] ){}(?= )"
OPERATORS = (
    ("comparison", r"(?<!<)(?<= )<(?= )", "<="), ("comparison", r"(?<= )<=(?= )", "<"), ("comparison", r"(?<= )>(?= )", ">="),
    ("comparison", r"(?<= )>=(?= )", ">"), ("comparison", r"==", "!="), ("comparison", r"!=", "=="),
    ("condition", r"&&", "||"), ("condition", r"\|\|", "&&"), ("condition", r"!(?=[\w(])", ""),
    ("arithmetic", BINARY.format(r"\+"), "-"), ("arithmetic", BINARY.format("-"), "+"), ("arithmetic", BINARY.format("/"), "*"),
    ("arithmetic", BINARY.format("<<"), ">>"), ("arithmetic", BINARY.format(">>"), "<<"), ("arithmetic", BINARY.format("&"), "|"),
    ("arithmetic", BINARY.format(r"\|"), "&"), ("arithmetic", r"\+\+", "--"), ("arithmetic", r"--", "++"),
    ("arithmetic", r"\+=", "-="), ("arithmetic", r"-=", "+="), ("arithmetic", r"\|=", "&="), ("arithmetic", r"&=", "|="),
    ("constant", r"(?<![\w.])0(?![\w.])", "1"), ("constant", r"(?<![\w.])1(?![\w.])", "0"),
    ("constant", r"(?<![\w.])(?:[2-9]|[1-9]\d+)(?![\w.])", lambda found: str(int(found[0]) + 1)),
    ("constant", r"\btrue\b", "false"), ("constant", r"\bfalse\b", "true"), ("constant", r"\bSIZE_MAX\b", "0"),
)
KEYWORDS = r"(?:return|break|continue|goto|case|default|else|do|if|for|while|switch|static|const|struct|enum|union|unsigned)\b"
DECLARATION = re.compile(r"\w+ \**\w+(?: =|;|,|\[)")
STATEMENT = re.compile(rf"(?!{KEYWORDS})[*\w(+-].*;$")
IF = re.compile(r"(?<=\bif \().*(?=\)(?: \{)?$)")


@dataclasses.dataclass(frozen=True)
class Change:
    """One line of one file in another way."""
    id: str
    file: str
    line: int  # from 1
    kind: str
    before: str
    after: str


def masked(text):
    """The same text, as long, with blanks for comments and the insides of strings."""
    def blank(found):
        return re.sub(r"[^\n]", " ", found[0])
    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blank, text, flags=re.S)


def functions(lines):
    """For each line the function whose body it is in, or None."""
    names, name, inside = [], None, False
    for line in lines:
        start = re.match(r"[A-Za-z_].*?(\w+)\(", line)
        if start and not line.rstrip().endswith(";"):
            name = re.sub(r"__attribute__\(\(.*?\)\) ?", "", line)
            name = re.search(r"(\w+)\(", name)[1]
        names.append(name if inside and line[:1] not in "{}" else None)
        if line[:1] == "{":
            inside = True
        elif line[:1] == "}":
            inside = False
    return names


def balanced(code):
    return code.count("(") == code.count(")") and code.count("{") == code.count("}")


def edits(code, line):
    """(kind, the line changed) for each change of one line; `code` is the line masked."""
    for kind, pattern, to in OPERATORS:
        for found in re.finditer(pattern, code):
            text = to(found) if callable(to) else to
            yield kind, line[:found.start()] + text + line[found.end():]
    stripped = code.strip()
    if STATEMENT.match(stripped) and balanced(stripped) and not DECLARATION.match(stripped):
        yield "statement", line[:len(line) - len(line.lstrip())] + ";"
    found = IF.search(code.rstrip())
    if found and balanced(found[0]):
        for value in ("true", "false"):
            yield "condition", line[:found.start()] + value + line[found.end():]


def changes(name, text, live=None):
    """All changes of a file; `live`: the numbers of the lines that the compiler sees, None: all."""
    lines, codes = text.split("\n"), masked(text).split("\n")
    seen, found = {}, []
    for number, (line, code, function) in enumerate(zip(lines, codes, functions(lines)), 1):
        if function is None or code.lstrip().startswith("#") or "check_" in code or (live is not None and number not in live):
            continue
        done = set()
        for kind, after in edits(code.rstrip(), line):
            if after in done or after == line:
                continue
            done.add(after)
            key = f"{line.strip()}\0{after.strip()}"
            again = seen[function, key] = seen.get((function, key), 0) + 1
            digest = hashlib.sha256(f"{key}\0{again}".encode()).hexdigest()[:8]
            found.append(Change(f"{name}:{function}:{digest}", name, number, kind, line, after))
    return found


def live_lines(path, builds=(0, 1)):
    """The lines of a file that reach the compiler, with or without checks."""
    live = set()
    for checked in builds:
        _, out = command.run(["gcc", "-E", "-D_GNU_SOURCE", f"-DIOBUF_CHECKED={checked}", "-I", ROOT / "lib" / "include", path])
        number, here = 0, False
        for line in out.splitlines():
            marker = re.match(r'# (\d+) "(.*?)"', line)
            if marker:
                number, here = int(marker[1]), marker[2] == str(path)
                continue
            if here and line.strip():
                live.add(number)
            number += 1
    return live


@functools.lru_cache(None)
def everything():
    found = []
    for path in sorted(SOURCES.glob("*.c")):
        if path.name not in SKIPPED:
            found += changes(path.name, path.read_text(), live_lines(path))
    return tuple(found)


def sample(all_of_them, count):
    """The same ones each time, and mostly the same ones after a change of the library."""
    return sorted(all_of_them, key=lambda change: hashlib.sha256(change.id.encode()).digest())[:count]
