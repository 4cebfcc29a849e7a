"""Where the page's numbers come from: the last run's results where there are some, else the last ones that were recorded."""
import dataclasses
import json
import pathlib

from suite import store
from suite.paths import shown


@dataclasses.dataclass
class Sources:
    latest: pathlib.Path
    recorded: pathlib.Path
    problems: list = dataclasses.field(default_factory=list)  # a line of text for each line of a file that could not be used

    def result(self, kind, again, good=lambda line: True):
        """The last result of a kind, with `recorded` where it is not of the last run; None without any."""
        found = store.read_json(self.latest / f"{kind}.json", kind, again)
        if found is None:
            lines = self.lines(kind, lambda line: line["kind"] == kind and line["schema"] == 1 and good(line))
            found = lines[-1] | {"recorded": True} if lines else None
        return found

    def kept(self, kind, again):
        """A result that is kept as one file."""
        return store.read_json(self.recorded / f"{kind}.json", kind, again)

    def newest(self, kind, again):
        """The last run's where there is one, else the one that is kept, with `recorded`."""
        found = store.read_json(self.latest / f"{kind}.json", kind, again)
        if found is None:
            kept = self.kept(kind, again)
            found = kept and kept | {"recorded": True}
        return found

    def lines(self, name, good):
        """The lines of a recorded file for which good(line) holds. The others are named, and change nothing else."""
        path, found = self.recorded / f"{name}.jsonl", []
        try:
            texts = path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return found
        for number, text in enumerate(texts, 1):
            if not text.strip():
                continue
            try:
                line = json.loads(text)
                if not good(line):
                    raise ValueError
            except (ValueError, KeyError, TypeError, AttributeError):
                problem = f"{shown(path)}:{number}: not a line of this file, or of another version: left out"
                self.problems += [problem] if problem not in self.problems else []
            else:
                found.append(line)
        return found


def origin(part, result):
    """Where a part of the page comes from."""
    builds = [result["build"]] if "build" in result else result.get("builds", [])
    builds = [build for build in builds if isinstance(build, dict)]  # those of coverage are something else
    return {"part": part, "commit": result["commit"], "date": result["date"], "machine": result["machine"], "command": result["command"],
            "builds": builds, "recorded": result.get("recorded", False)}
