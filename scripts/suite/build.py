"""Configures and builds a preset of CMakePresets.json, as much of it as a verb needs."""
import json
import os
import re

from suite import command, say
from suite.paths import BUILD, ROOT, shown


def cpus():
    return len(os.sched_getaffinity(0))


built = set()  # by this process, which does not look for changes a second time


def ensure(preset, targets=(), defines=(), configure=False):
    """Builds `targets` (default: all) of a preset; does next to nothing when they are up to date. `configure` looks again for
    what the system has installed."""
    wanted = {(preset, target) for target in targets or ["all"]}
    if wanted <= built or (preset, "all") in built:
        return
    what = f"build {preset}" + (f" ({', '.join(targets)})" if targets else "")
    with say.step(what):
        if configure or defines or not (BUILD / preset / "build.ninja").is_file():
            command.run(["cmake", "--preset", preset, *(f"-D{define}" for define in defines)], log=log(preset, "configure"))
        command.run(["cmake", "--build", BUILD / preset, "-j", cpus(), *(["--target", *targets] if targets else [])],
                    log=log(preset, "build"))
    built.update(wanted)


def log(preset, part):
    return BUILD / "logs" / f"{preset}-{part}.log"


def program(preset, path):
    file = BUILD / preset / path
    if not file.is_file():
        raise say.Stop(f"{shown(file)} was not built: see {shown(log(preset, 'build'))}")
    return file


def compiler(preset):
    """Compiler, its version, and the flags that the library was built with."""
    return compiler_in(BUILD / preset, preset)


def compiler_in(folder, preset):
    """The same of any folder that CMake configured."""
    cache = {}
    cache_file = folder / "CMakeCache.txt"
    for text in cache_file.read_text().splitlines() if cache_file.is_file() else ():
        found = re.match(r"(\w+):\w+=(.*)", text)
        if found:
            cache[found[1]] = found[2]
    name = cache.get("CMAKE_C_COMPILER", "cc")
    try:
        version = command.run([name, "--version"], check=False)[1].splitlines()
    except say.Stop:
        version = []
    return {"preset": preset, "compiler": version[0] if version else name, "build_type": cache.get("CMAKE_BUILD_TYPE", ""),
            "flags": library_flags(folder)}


def library_flags(folder):
    """The options that change the library's code: not warnings, paths or outputs."""
    commands = folder / "compile_commands.json"
    try:
        entries = json.loads(commands.read_text())
    except (OSError, ValueError):
        return ""
    for entry in entries:
        if "/lib/src/" in entry["file"]:
            words = entry["command"].split()
            return " ".join(word for word in words if re.match(r"-(O|f|D|m|g|std|pthread)", word))
    return ""


def presets():
    names = json.loads((ROOT / "CMakePresets.json").read_text())["configurePresets"]
    return [preset["name"] for preset in names if not preset.get("hidden")]


def check_preset(name):
    if name not in presets():
        raise say.Stop(f"no preset is called {name!r}: there are {', '.join(presets())}", 2)
