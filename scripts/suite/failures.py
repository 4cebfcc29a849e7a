"""What happens to an input that fails: a copy with a name that stays, its program as text, the command that replays it."""
import hashlib
import pathlib
import shutil

from suite import build, command, minimiser, say, store
from suite.paths import KEPT as FOUND, shown

KEPT = FOUND / "failures"
# The build that replays a failure: one that sees what the engine's build saw.
REPLAY = {"libfuzzer": "asan", "libfuzzer-fast": "checked", "libfuzzer-plain": "release", "afl": "checked", "afl-plain": "release"}


def keep(engine, target, found):
    """Copies an engine's finding to build/fuzz/failures/<target>/<engine>-<hash>; returns the copy."""
    content = pathlib.Path(found).read_bytes()
    copy = KEPT / target / f"{engine}-{hashlib.sha256(content).hexdigest()[:12]}"
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(found, copy)
    return copy


def describe(fuzzer, copy):
    """Writes the program as text and as C beside the copy, and prints what a person needs to take the failure on."""
    preset = REPLAY[fuzzer.preset]
    build.ensure(preset, ["replay"])
    replay = build.program(preset, "fuzz/replay")
    status, text = command.run([replay, fuzzer.target, "--text", copy], check=False, timeout=60)
    if status == 0:
        store.write(copy.with_suffix(".txt"), text)
    command.run([replay, fuzzer.target, "--c", copy.with_suffix(".c"), copy], check=False, timeout=60)
    status, output = command.run([replay, fuzzer.target, "--print", copy], check=False, timeout=60)
    if status == 0:
        output = f"fine when replayed by the {preset} build; the engine's log says what it saw"
    say.line(f"\nFAILED: {fuzzer.name} on {fuzzer.target}: {shown(copy)}")
    say.line(indented(output, 60))
    say.line(f"again:         scripts/iobuf replay {fuzzer.target} --preset {preset} {shown(copy)}")
    say.line(f"as text:       {shown(copy.with_suffix('.txt'))}")
    if copy.with_suffix(".c").is_file():
        say.line(f"as C:          {shown(copy.with_suffix('.c'))}")
    say.line(f"engine's log:  {shown(fuzzer.log)}")
    minimise(replay, fuzzer.target, copy)


def minimise(replay, target, copy):
    """Leaves the smallest program that fails the same way beside the copy; what cannot be minimised is none the less reported."""
    small = copy.with_name(f"{copy.name}.min")
    try:
        left = minimiser.minimise(replay, target, copy, small)
    except say.Stop as stop:
        say.line(f"not minimised: {stop}")
        return
    if left:
        text, c = minimiser.texts(small)
        say.line(f"minimised:     {left['ops']} of {left['ops_before']} ops: {shown(small)}, as text and C: {text.name}, {c.name}")
        say.line(indented(text.read_text(), 60))


def indented(text, lines):
    """The part around the check that failed, where one is named; else the end."""
    parts = text.rstrip().splitlines()
    at = next((number for number, part in enumerate(parts) if part.startswith("check failed")), len(parts))
    first = max(0, min(at - 10, len(parts) - lines))
    before = [f"... {first} lines before"] if first else []
    after = [f"... {len(parts) - first - lines} lines more"] if len(parts) > first + lines else []
    return "\n".join("    " + part for part in before + parts[first:first + lines] + after)
