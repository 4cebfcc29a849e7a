"""The files of the corpus: what a right one looks like, writing one, carrying one over to another encoding."""
import pathlib
import re
import stat
import tempfile

from suite import programs, say, store
from suite.paths import CORPUS, TARGETS, shown


def add(target, part, name, content):
    store.write_bytes(CORPUS / target / part / name, content)


def failed_check(output):
    """The check that a run of replay says has failed; None if none."""
    found = re.search(r"^check failed: (.*)", output, re.M)
    return found[1] if found else None


def with_comment(text, original, comment):
    """A program's text with a comment below its first line; the comments of `original`, where that is text, are kept."""
    kept = [line for line in original.decode(errors="replace").splitlines() if line.startswith("#")] if programs.is_text(original) else []
    head, *rest = text.splitlines()
    clean = " ".join(comment.split())
    return "\n".join([head, f"# {clean}", *kept, *rest, ""]).encode()


# ---- what is wrong


def problems(budget):
    """([what is wrong], bytes, files) of the corpus's programs."""
    wrong, size, count = [], 0, 0
    for place in sorted(CORPUS.iterdir()):
        if place.name not in (*TARGETS, "traces") or not place.is_dir():
            wrong.append(f"{shown(place)}: is no target's folder")
    replay = programs.replay_of()
    for target in TARGETS:
        inside = CORPUS / target
        wrong += [f"{shown(path)}: belongs to neither seeds nor regressions" for path in sorted(inside.iterdir())
                  if path.name not in ("seeds", "regressions")] if inside.is_dir() else [f"{shown(inside)}: is missing"]
    seen = {}
    every = programs.every()
    with say.Steps(f"check {len(every)} programs", len(every)) as steps:
        for at, (target, part, path) in enumerate(every):
            steps.at(at, shown(path))
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                wrong.append(f"{shown(path)}: is no plain file")
                continue
            count, size = count + 1, size + status.st_size
            wrong += [f"{shown(path)}: {why}" for why in problems_of(replay, target, part, path, seen)]
    if size > budget:
        wrong.append(f"{size:,} bytes are more than the {budget:,} that git is to hold: scripts/iobuf corpus prune")
    return wrong, size, count


def problems_of(replay, target, part, path, seen):
    content = path.read_bytes()
    by_hand = programs.given_by_a_person(path.name)
    if part == "regressions" and not (by_hand and "-" in path.name):
        yield "a case is named for its bug: words in lower case with hyphens"
    if part == "regressions" and not (programs.is_text(content) and re.search(rb"^# \S", content, re.M)):
        yield "a case is text, with a comment that says what it shows"
    if part == "seeds" and not by_hand and path.name != programs.hash_name(content):
        yield f"is named neither for what it shows nor by its content, {programs.hash_name(content)}"
    if path.stat().st_mode & 0o111:
        yield "is executable"
    try:
        short = programs.shortest(replay, target, path)
    except say.Stop as stop:
        yield f"is no program: {stop}"
        return
    if not programs.is_text(content) and short != content:
        yield f"has {len(content)} bytes where {len(short)} say the same"
    first = seen.setdefault((target, short), path)
    if first is not path:
        yield f"is the same program as {shown(first)}"


# ---- another encoding


def carried_over(old, new, target, path):
    """The file's content in the new encoding; stops if the new replay reads another program than the old one."""
    content = path.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder) / "program"
        place.write_bytes(b"")
        head = programs.text(new, target, place).splitlines()[0]
        before = programs.text(old, target, path).splitlines()[1:]
        place.write_text("\n".join([head, *before, ""]))
        after = programs.text(new, target, place).splitlines()
        if programs.is_text(content):
            _, *rest = content.decode(errors="replace").splitlines()
            carried = "\n".join([head, *rest, ""]).encode()
        else:
            carried = programs.shortest(new, target, place)
        place.write_bytes(carried)
        if after[1:] != before or programs.text(new, target, place).splitlines() != [head, *before]:
            raise say.Stop("its text is another program now")
    return carried
