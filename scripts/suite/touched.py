"""Which targets a change concerns, by the files that differ from a revision."""
import re

from suite import command, say
from suite.paths import TARGETS

GIT = ("git", "-c", "safe.directory=*", "-c", "core.quotepath=off")
# No program of a target behaves otherwise for a change of these. What is not named here, nor below, concerns all targets.
NONE = re.compile(r".*\.md$|LICENSE$|\.[^/]+$|\.(ci|github|clusterfuzzlite)/|(bench|results|scripts)/|corpus/traces/|lib/(test|example)/"
                  r"|fuzz/(minimise|sweep|stress|test|mutants)/|fuzz/targets/(replay|empty|speed)\.c$")
ONE = re.compile(r"(?:fuzz/targets|corpus)/(\w+)(?:\.c$|/)")
# Of what NONE leaves out, those that decide what the engines do.
ALL = re.compile(r"scripts/suite/(engines|ci|touched|judge)\.py$|fuzz/mutants/canary\.patch$")


def revision(name):
    """The commit that a person named."""
    status, found = command.run([*GIT, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"], check=False)
    if status != 0:
        raise say.Stop(f"git knows no revision {name!r}: is it a shallow clone, which needs git fetch first?", 2)
    return found.strip()


def files(base):
    """What differs between the last commit that this tree has in common with `base`, and the files as they are now."""
    status, common = command.run([*GIT, "merge-base", base, "HEAD"], check=False)
    since = common.strip() if status == 0 else base
    changed = command.run([*GIT, "diff", "--name-only", "--no-renames", "-z", since, "--"])[1]
    new = command.run([*GIT, "ls-files", "--others", "--exclude-standard", "-z"])[1]
    return sorted({name for name in (changed + new).split("\0") if name})


def targets_of(names):
    """{target: the first file that concerns it}, in the order of TARGETS."""
    found = {}
    for name in names:
        one = ONE.match(name)
        if one and one[1] in TARGETS:
            concerned = [one[1]]
        elif NONE.match(name) and not ALL.match(name):
            concerned = []
        else:
            concerned = TARGETS
        for target in concerned:
            found.setdefault(target, name)
    return {target: found[target] for target in TARGETS if target in found}
