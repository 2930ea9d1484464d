"""The verbs put together, and errors turned into exit codes."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from cdc import __version__
from cdc.cli import config, doctor, handover, incident, keep, look, past, reads, recover, run, setup, watch
from cdc.cli.render import say
from cdc.cli.state import options
from cdc.errors import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, CdcError

app = typer.Typer(
    name="cdc",
    help="A flight recorder for Salesforce: record every change, ask about any moment, be told of mass updates.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def common(
    config_file: str = typer.Option(
        None, "--config", "-c", help="Settings file; else ./cdc.toml, else CDC_CONFIG."
    ),
    debug: bool = typer.Option(False, "--debug", help="Show a traceback with an error, and log more."),
) -> None:
    options.config, options.debug = config_file, debug


run.add_to(app)
reads.add_to(app)
look.add_to(app)
past.add_to(app)
handover.add_to(app)
watch.add_to(app)
keep.add_to(app)
incident.add_to(app)
recover.add_to(app)
setup.add_to(app)
config.add_to(app)
doctor.add_to(app)


@app.command()
def version() -> None:
    """Print the version. Example: cdc version"""
    sys.stdout.write(f"cdc {__version__}\n")


def run_app(arguments: Sequence[str]) -> int:
    """The exit code: 0 done, 1 failed while working, 2 usage or settings, 3 incomplete, 4 a difference."""
    try:
        result = app(args=list(arguments), standalone_mode=False)
        return int(result) if isinstance(result, int) else EXIT_DONE
    except CdcError as error:
        if options.debug:
            traceback.print_exc()
        say(f"cdc: {error.sentence()}", style="red")
        return error.exit_code
    except typer.Exit as done:
        return done.exit_code
    except TyperException as error:
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        say(f"cdc: {message} See cdc --help.", style="red")
        return EXIT_USAGE
    except (KeyboardInterrupt, typer.Abort):
        return 128 + signal.SIGINT
    except BrokenPipeError:
        raise
    except Exception as error:
        if options.debug:
            traceback.print_exc()
        say(
            f"cdc: something unforeseen happened ({type(error).__name__}: {error}): run it again with --debug.",
            "red",
        )
        return EXIT_FAILED
