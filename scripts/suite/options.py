"""Options that several verbs share."""
import pathlib

import click

from suite import say
from suite.paths import LATEST


def set_verbose(_ctx, _param, value):
    say.verbose = say.verbose or value


def set_quiet(_ctx, _param, value):
    say.quiet = say.quiet or value
    return value


verbose = click.option("-v", "--verbose", is_flag=True, expose_value=False, callback=set_verbose,
                       help="Print each command that is run.")
as_json = click.option("--json", "as_json", is_flag=True, callback=set_quiet, help="Print the result as JSON, nothing else.")
results = click.option("--results", type=click.Path(path_type=pathlib.Path), default=LATEST, show_default="results/latest",
                       help="Folder for what comes out.")
