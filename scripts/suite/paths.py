"""Where things are in the repository."""
import os
import pathlib

from suite import say

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
CORPUS = pathlib.Path(os.environ.get("IOBUF_CORPUS") or ROOT / "corpus").absolute()
KEPT = pathlib.Path(os.environ.get("IOBUF_KEPT") or BUILD / "fuzz").absolute()  # what the engines find
RESULTS = ROOT / "results"
LATEST = RESULTS / "latest"
SUITE = ROOT / "scripts" / "suite"

TARGETS = ("slice", "reader", "pool", "all")


def shown(path):
    """A path as a person would type it from the repository's root."""
    path = pathlib.Path(path)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def corpus(target):
    """The folders of a target's inputs."""
    folders = [CORPUS / target / part for part in ("seeds", "regressions")]
    folders = [folder for folder in folders if folder.is_dir() and any(folder.iterdir())]
    if not folders:
        raise say.Stop(f"{shown(CORPUS / target)} holds no inputs: is this a whole checkout?")
    return folders
