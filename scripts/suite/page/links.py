"""Links to commits, where origin is a place that shows them; their subjects in any case."""
import re

from suite import command, say
from suite.paths import ROOT


class Commits:
    def __init__(self):
        self.base = base(git("remote", "get-url", "origin").strip())
        self.subjects = dict(line.split("\t", 1) for line in git("log", "--all", "--abbrev=12", "--format=%h\t%s").splitlines() if "\t" in line)

    def entry(self, commit):
        """What the page knows of a commit; a working tree with changes is none that can be shown."""
        name = commit.removesuffix("+changes")
        known = self.base and name == commit and name in self.subjects
        return {"id": commit, "short": commit[:7] + commit[12:], "subject": self.subjects.get(name, ""),
                "link": f"{self.base}/commit/{name}" if known else None}


def git(*args):
    try:
        status, output = command.run(["git", "-c", "safe.directory=*", "-C", ROOT, *args], check=False)
    except say.Stop:  # no git, no subjects: the page has the ids
        return ""
    return output if status == 0 else ""


def base(address):
    """https://host/name of a remote's address, without what a person logs in with; None where it is no such place."""
    found = re.fullmatch(r"(https?)://(?:[^@/]*@)?([\w.:-]+/[\w./~-]+?)(?:\.git)?/?", address)
    if found:
        return f"{found[1]}://{found[2]}"
    found = re.fullmatch(r"(?:ssh://)?git@(github\.com)[:/]([\w./~-]+?)(?:\.git)?/?", address)
    return found and f"https://{found[1]}/{found[2]}"
