"""What the suite says: results go to stdout, everything else to stderr; rich progress on a terminal, plain lines elsewhere."""
import contextlib
import shlex
import sys
import time

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

verbose = False
quiet = False  # --json: nothing but the JSON and errors


class Stop(Exception):
    """An expected failure: one clear line that says what to do, and the exit status."""

    def __init__(self, message, status=3):
        super().__init__(message)
        self.status = status


def error(text):
    click.echo(f"iobuf: {text}", err=True)


def line(text):
    if not quiet:
        click.echo(text, err=True)


def command(args, env=None):
    if verbose:
        words = [f"{name}={shlex.quote(value)}" for name, value in (env or {}).items()]
        click.echo("+ " + " ".join(words + [shlex.quote(str(arg)) for arg in args]), err=True)


def on_terminal():
    return sys.stderr.isatty() and not quiet


@contextlib.contextmanager
def step(title):
    """Something that takes a while: a spinner on a terminal, else a line; at the end how long it took."""
    start = time.monotonic()
    if on_terminal() and not verbose:
        with Console(stderr=True).status(title):
            yield
    else:
        line(f"{title} ...")
        yield
    line(f"{title}: {time.monotonic() - start:.0f} s")


class Steps:
    """Progress over a known amount of work: a bar on a terminal, else a line every few seconds."""

    EVERY = 10.0

    def __init__(self, title, total):
        self.title, self.total = title, total
        self.start = self.last = time.monotonic()
        self.bar = None

    def __enter__(self):
        if on_terminal():
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"),
                       TimeElapsedColumn())
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self.bar.start()
            self.task = self.bar.add_task(self.title, total=self.total, note="")
        else:
            line(f"{self.title} ...")
        return self

    def at(self, done, note=""):
        if self.bar:
            self.bar.update(self.task, completed=done, note=note)
        elif time.monotonic() - self.last >= self.EVERY:
            self.last = time.monotonic()
            line(f"  {100 * done / self.total:3.0f} %  {note}")

    def __exit__(self, *_):
        if self.bar:
            self.bar.stop()
        line(f"{self.title}: {time.monotonic() - self.start:.0f} s")


def table(title, columns, rows):
    """Columns are names; one that starts with '>' is aligned to the right."""
    shown = Table(title=title or None, box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left", title_style="bold")
    for name in columns:
        shown.add_column(name.lstrip(">"), justify="right" if name.startswith(">") else "left", no_wrap=True)
    for row in rows:
        shown.add_row(*(str(cell) for cell in row))
    wide = Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False)
    wide.print(shown)
