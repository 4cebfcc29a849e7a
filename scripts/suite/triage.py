"""Which failures are the same bug: by what failed, at which op, and along which calls within the library.

A check of the harness fails where it looks, not where the bug is, so the frames on top of the stack tell nothing: all abort from the
same place. What tells bugs apart is which check failed after which op of the simplest program, and, where the library itself crashed
or aborted, in which of its functions: not at which address or line, nor what was inlined into what."""
import pathlib
import re
import tempfile

from suite import command, minimiser, say

SECONDS = 60
END = "the end"
# Ops that are another op and a little more; and ops that do what the end does.
ALIKE = {"copy": "alloc", "read_some": "read", "peek": "read", "reader_init_fd": "reader_init", "pool_create_default": "pool_create",
         "allocator_release": END, "reader_close": END, "pool_close": END}
# Checks that find that something is left, or was not counted. Which of them is first says nothing, nor does the op.
LEFT_OVER = {"nothing_leaks", "closed_pool_gives_all_back", "stats_equal"}
SECOND = {"split": "share"}  # a second reference is one, however it was made
CRASH = "library_does_not_crash"
# What the harness asks of every slice and reader after each op.
ASKED = {"iobuf_slice_size", "iobuf_slice_data", "iobuf_slice_headroom", "iobuf_slice_buf_size", "iobuf_reader_buffered"}
# What any program has that has a slice at all.
ALWAYS = {"pool_create", "allocator_init", "reader_init", "alloc", "read", "release", END}
SAID = re.compile(r"^# check failed: \w+: (.*)$", re.M)
COUNTED, WORDS = re.compile(r"\b(\d+)\b\D*, not (\d+)\b"), re.compile(r"[a-z ]+, not [a-z ]+")
STACK = {"ASAN_OPTIONS": "handle_abort=1:symbolize=1", "UBSAN_OPTIONS": "print_stacktrace=1:symbolize=1"}
FRAME = re.compile(r"^\s*#(\d+) 0x[0-9a-f]+ in (\S+)(?: (.*))?$", re.M)
LIBRARY = re.compile(r"/lib/(?:src/\w+\.c|include/iobuf/)")
HARNESS = re.compile(r"/fuzz/(?:execute|model|program|targets|minimise|sweep)/")


def frames(output):
    """The first stack of a report: (function, place) from the top."""
    found = []
    for number, function, place in FRAME.findall(output):
        if number == "0" and found:
            break
        found.append((bare(function), place or ""))
    return found


def bare(function):
    """Without what a compiler adds to a name."""
    return re.sub(r"\.(?:part|isra|constprop|cold|llvm|lto_priv)\b.*$", "", function)


def library_stack(output):
    """The library's functions from the top. Inlined ones are frames like others, since the symbolizer tells them; helpers in its own
    headers, which come and go with the compiler, do not count, and one that calls itself counts once."""
    names = [function for function, place in frames(output) if LIBRARY.search(place)]
    return tuple(name for at, name in enumerate(names) if at == 0 or names[at - 1] != name)


def top_frames(output, count=3):
    """What others group by: the frames on top, once those of the sanitizer and of abort(3) are gone."""
    return tuple(function for function, place in frames(output) if LIBRARY.search(place) or HARNESS.search(place))[:count]


def run(replay, target, path):
    """What a failing check, or a crash, says with its stack."""
    return command.run([replay, target, "--abort", "--quiet", path], check=False, timeout=SECONDS, env=STACK)[1]


def look(replay, target, path, out, limit=minimiser.SECONDS):
    """The failure of one file, minimised to `out`; None if it does not fail."""
    left = minimiser.minimise(replay, target, path, out, limit)
    if not left:
        return None
    failure = {"file": path, "target": target, "out": out, "ops": left["ops"], "bytes": left["bytes"]} | described(replay, target, out, left)
    hangs = left["check"] == "program_ends"  # each attempt would take all the time that one may
    return failure | {"simplest": not hangs and simplest(replay, target, out, limit) or failure}


def described(replay, target, out, left):
    text = minimiser.texts(out)[0].read_text()
    return {"check": left["check"], "report": left["report"], "op": left["op"], "stack": library_stack(run(replay, target, out)),
            "text": text, "kinds": kinds(text)}


def simplest(replay, target, small, limit):
    """What the smallest program comes down to where any op and any failure will do; None: nothing simpler that ends."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "simplest"
        try:
            left = minimiser.minimise(replay, target, small, out, limit, any_failure=True)
        except say.Stop:
            return None
        return described(replay, "all", out, left) if left else None


def kinds(text):
    """The kinds of op of a text program."""
    lines = [line.split(" = ")[-1].split() for line in text.splitlines()[1:] if not line.startswith("#")]
    return sorted({ALIKE.get(words[0], words[0]) for words in lines if words})


def exactly(failure):
    """(check, op, stack) as they are. The report names the kind of a crash; it is part of what failed."""
    return failure["check"], failure["report"], failure["op"], tuple(failure["stack"])


def cause(failure):
    """What failures of the same bug share: (check, op, stack) of the simplest program that the smallest comes down to.

    Where a bug shows depends on the ops around it, so one bug fails several checks at several ops. The smallest program holds
    nothing but what its failure needs, so whatever a part of it does wrong is most likely done by the same bug: that part is what
    programs of one bug have in common. What is then left of chance is taken out. If something is not counted, or not given back,
    which check finds it, and at which op, says nothing: the ops that it takes do. Of a crash the innermost function does. And too much
    is another bug than too little."""
    simple = failure["simplest"]
    check, report, op, stack = exactly(simple)
    op = ALIKE.get(op, op)
    if check in LEFT_OVER:
        return "left over", tuple(sorted({SECOND.get(kind, kind) for kind in simple["kinds"]} - ALWAYS)), amiss(simple["text"])
    if check == CRASH:
        return check, innermost(stack) or op
    return check, op, amiss(simple["text"])


def amiss(text):
    """Whether a check found more or less than there must be, or what in place of what; "" if it does not say so."""
    said = SAID.search(text)
    if not said:
        return ""
    if said[1].endswith(" are left"):
        return "more"
    numbers = COUNTED.search(said[1])
    if numbers:
        return "more" if int(numbers[1]) > int(numbers[2]) else "less"
    return said[1] if WORDS.fullmatch(said[1]) else ""


def innermost(stack):
    """The library's function that crashed: not the one that found out, in a checked build, that its caller had been given a wrong handle.
    None if that is all that happened: the harness asked, and what it asked is no cause."""
    inner = [name for name in stack if name != "fail" and not name.startswith("check_")]
    return inner[0] if inner and inner[0] not in ASKED else None


def group(failures, key=cause):
    """Groups with the smallest program first, the largest group first."""
    groups = {}
    for failure in failures:
        groups.setdefault(key(failure), []).append(failure)
    for members in groups.values():
        members.sort(key=lambda failure: (failure["ops"], failure["bytes"], str(failure["file"])))
    return sorted(groups.values(), key=lambda members: (-len(members), str(members[0]["file"])))


def judge(labelled):
    """How well a grouping keeps bugs apart: `labelled` are pairs (bug, key). Counts bugs that fall into several groups, and groups that
    hold several bugs; the same for pairs of failures."""
    groups_of, bugs_of = {}, {}
    for bug, key in labelled:
        groups_of.setdefault(bug, set()).add(key)
        bugs_of.setdefault(key, set()).add(bug)
    same = split = different = merged = 0
    for at, (bug, key) in enumerate(labelled):
        for other_bug, other_key in labelled[:at]:
            if bug == other_bug:
                same += 1
                split += key != other_key
            else:
                different += 1
                merged += key == other_key
    return {"bugs": len(groups_of), "groups": len(bugs_of),
            "bugs_split": sum(len(keys) > 1 for keys in groups_of.values()),
            "groups_mixed": sum(len(bugs) > 1 for bugs in bugs_of.values()),
            "bugs_mixed": len(set().union(*(bugs for bugs in bugs_of.values() if len(bugs) > 1), set())),
            "pairs_split": split, "pairs_same": same, "pairs_merged": merged, "pairs_different": different}
