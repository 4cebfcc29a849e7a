"""Reads the files of an archive, or of a folder, that somebody else made. Nothing is ever unpacked: contents are returned, within
bounds, and a name serves to tell a person about a file and to find its target, never as a path to write to."""
import bz2
import gzip
import lzma
import os
import pathlib
import stat
import tarfile
import zipfile
import zlib

from suite import say

MOST_FILES = 200_000
MOST_BYTES = 64 << 20  # of all files together, and of what a compressed archive unpacks to
FILE_BYTES = 64 << 10  # of one: more than the longest program
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, UnicodeError, ValueError, NotImplementedError,
           RuntimeError)


class Bounded:
    """A stream that stops at MOST_BYTES, whatever an archive says of its size."""

    def __init__(self, stream, path):
        self.stream, self.path, self.left = stream, path, MOST_BYTES

    def read(self, size=-1):
        chunk = self.stream.read(min(size if size >= 0 else self.left + 1, self.left + 1))
        self.left -= len(chunk)
        if self.left < 0:
            raise too_large(self.path)
        return chunk


def too_large(path):
    return say.Stop(f"{path} unpacks to more than {MOST_BYTES >> 20} MiB: that is no corpus")


def read(path):
    """([(name, content)], [(name, why it was left out)]); stops if it is no archive, or a damaged one."""
    path = pathlib.Path(path)
    if path.is_dir():
        members = of_folder(path)
    elif not path.is_file():
        raise say.Stop(f"{path}: there is no such file or folder" if not path.exists() else f"{path} is neither a file nor a folder")
    elif zipfile.is_zipfile(path):
        members = of_zip(path)
    else:
        members = of_tar(path)
    files, left_out, total = [], [], 0
    try:
        for number, (name, why, content) in enumerate(members):
            if number == MOST_FILES:
                raise say.Stop(f"{path} has more than {MOST_FILES:,} files: that is no corpus")
            why = why or outside(name)
            content = None if why else content()
            if why is None and len(content) > FILE_BYTES:
                why = f"larger than {FILE_BYTES >> 10} KiB"
            if why:
                left_out.append((printable(name), why))
                continue
            total += len(content)
            if total > MOST_BYTES:
                raise too_large(path)
            files.append((printable(name), content))
    except (*DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.filename:
            raise
        raise say.Stop(f"{path} is damaged, nothing was taken from it: {error}") from None
    return files, left_out


def outside(name):
    """Why a name is none that an honest archive has; None if it is fine."""
    if name.startswith(("/", "\\")) or name[1:2] == ":":
        return "an absolute name"
    if ".." in name.replace("\\", "/").split("/"):
        return "a name that leads outside"
    return "a name with a NUL" if "\0" in name else None


def printable(name):
    return "".join(char if char.isprintable() else "?" for char in name)[:200]


def of_folder(path):
    for folder, folders, names in os.walk(path, followlinks=False):
        folders.sort()
        for name in [*sorted(names), *(inner for inner in folders if os.path.islink(os.path.join(folder, inner)))]:
            whole = os.path.join(folder, name)
            mode = os.lstat(whole).st_mode
            yield os.path.relpath(whole, path), kind_of(mode), lambda whole=whole: read_plain(whole)


def kind_of(mode):
    if stat.S_ISREG(mode):
        return None
    return "a symbolic link" if stat.S_ISLNK(mode) else "no plain file"


def read_plain(path):
    """Never through a link that was put there meanwhile, and never waiting for a pipe's other end."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        return file.read(FILE_BYTES + 1) if stat.S_ISREG(os.fstat(handle).st_mode) else b""


def of_zip(path):
    if path.stat().st_size > MOST_BYTES:
        raise too_large(path)
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            mode = member.external_attr >> 16
            if member.is_dir():
                continue
            why = kind_of(mode) if stat.S_IFMT(mode) else None
            yield member.filename, "encrypted" if member.flag_bits & 1 else why, lambda member=member: bounded_member(archive, member)


def bounded_member(archive, member):
    with archive.open(member) as file:
        return file.read(FILE_BYTES + 1)


def of_tar(path):
    with open(path, "rb") as file:
        start = file.read(6)
        file.seek(0)
        unpack = next((opened for magic, opened in ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))
                       if start.startswith(magic)), None)
        stream = Bounded(unpack(file) if unpack else file, path)
        try:
            archive = tarfile.open(fileobj=stream, mode="r|")
        except tarfile.ReadError:
            raise say.Stop(f"{path} is neither a zip nor a tar archive, nor a folder") from None
        with archive:
            for member in archive:
                if member.isdir():
                    continue
                link = "a symbolic link" if member.issym() else "a hard link" if member.islnk() else "no plain file"
                why = None if member.isreg() and not member.issparse() else link
                yield member.name, why, lambda member=member: archive.extractfile(member).read(FILE_BYTES + 1)
            if stream.left == MOST_BYTES:
                raise tarfile.ReadError("empty")
