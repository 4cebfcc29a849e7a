"""Names what a result was measured on: machine, system, commit and date."""
import datetime
import os
import pathlib
import platform
import re

from suite import build, command, say


def facts():
    return {"cpu": cpu_model(), "cpus": build.cpus(), "memory_gib": round(memory() / 2**30, 1),
            "virtual": "hypervisor" in read("/proc/cpuinfo"), "system": system(),
            "kernel": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}"}


def stamp(reproduce):
    """What every result carries, `reproduce` being the command that makes it again."""
    return {"schema": 1, "machine": facts(), "commit": commit(), "date": now(), "command": reproduce}


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def commit():
    """The commit's id, with "+changes" when the working tree differs from it; "unknown" outside a repository."""
    git = ["git", "-c", "safe.directory=*"]
    try:
        status, name = command.run([*git, "rev-parse", "--short=12", "HEAD"], check=False)
        if status != 0:
            return "unknown"
        changed = command.run([*git, "status", "--porcelain"], check=False)[1].strip()
    except say.Stop:
        return "unknown"
    return name.strip() + ("+changes" if changed else "")


def read(path):
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return ""


def cpu_model():
    found = re.search(r"model name\s*: (.*)", read("/proc/cpuinfo"))
    return found[1].strip() if found else platform.machine()


def memory():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def system():
    found = re.search(r'PRETTY_NAME="(.*)"', read("/etc/os-release"))
    return found[1] if found else platform.system()
