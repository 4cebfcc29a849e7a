"""Reads and writes results: a file is written beside its place and renamed, so a reader sees the old one or the new one."""
import json
import os
import tempfile

from suite import say
from suite.paths import shown


def write(path, text):
    write_bytes(path, text.encode())


def write_bytes(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def write_json(path, value):
    write(path, json.dumps(value, indent=1) + "\n")


def append_line(path, value):
    """Adds one JSON line with a single write, so that two writers never mix their lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, (json.dumps(value) + "\n").encode())
    finally:
        os.close(handle)


def read_json(path, kind, again):
    """A result of the given kind; None when there is none. `again` is the command that makes a new one."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise say.Stop(f"{shown(path)} is not text: make it again with {again}") from None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise say.Stop(f"{shown(path)} is not whole JSON ({error}): make it again with {again}") from None
    if not isinstance(value, dict) or value.get("kind") != kind:
        raise say.Stop(f"{shown(path)} is not a {kind} result: make it again with {again}")
    if value.get("schema") != 1:
        raise say.Stop(f"{shown(path)} has schema {value.get('schema')}, this suite reads 1: make it again with {again}")
    return value
