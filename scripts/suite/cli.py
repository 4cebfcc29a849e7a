"""The command line: finds a verb's module when it is asked for, and turns every expected failure into one line and the
documented exit status."""
import importlib
import signal
import sys
import traceback

import click

from suite import say

VERBS = ("run", "test", "fuzz", "fuzz-speed", "replay", "minimise", "triage", "fault-sweep", "soak", "nightly",
         "mutants", "race-mutants", "mutator-trials", "ci-trials", "change-point-trials", "corpus", "coverage", "prove", "bench", "compare",
         "calibrate", "track", "trace", "pool-size", "report")

FINE, FOUND, USAGE, COULD_NOT = 0, 1, 2, 3


class Verbs(click.Group):
    def list_commands(self, ctx):
        return list(VERBS)

    def get_command(self, ctx, name):
        if name not in VERBS:
            return None
        return importlib.import_module(f"suite.verbs.{name.replace('-', '_')}").command


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def cli():
    """Fuzz, measure and report on the iobuf library.

    \b
    Examples:
      scripts/iobuf fuzz slice --seconds 30     fuzz one target on both engines
      scripts/iobuf replay                      run the whole corpus once
      scripts/iobuf minimise slice FILE         the smallest program that fails as FILE does
      scripts/iobuf triage slice FOLDER         which failures are the same bug
      scripts/iobuf fault-sweep                 fail every allocation of the corpus in turn
      scripts/iobuf soak --minutes 30           servers and clients that are killed, every byte compared
      scripts/iobuf bench --filter coalesce     iobuf against malloc, with confidence intervals
      scripts/iobuf compare main                what did the working tree cost?
      scripts/iobuf track --show                which commits changed the benchmarks, and by how much
      scripts/iobuf trace record -- PROGRAM      what does it take from malloc?
      scripts/iobuf pool-size --trace FILE      which size of bufs fits this traffic?
      scripts/iobuf report                      make the page from the latest results
      scripts/iobuf VERB --help                 options and examples of one verb

    Exit status: 0 fine, 1 found something, 2 wrong usage, 3 could not run.
    """


def interrupt(_signal, _frame):
    raise KeyboardInterrupt


def main():
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        status = cli.main(prog_name="iobuf", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else FINE
    except click.UsageError as error:
        more = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        say.error(error.format_message().rstrip(".") + more)
        return USAGE
    except say.Stop as stop:
        say.error(str(stop))
        return stop.status
    except (KeyboardInterrupt, click.Abort):
        say.error("interrupted")
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return FINE
    except OSError as error:
        say.error(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return COULD_NOT
    except Exception as error:  # a mistake in the suite itself must not look like "found something"
        if say.verbose:
            traceback.print_exc()
        say.error(f"a mistake in the suite itself, {error!r}; -v shows where")
        return COULD_NOT
