"""The `cdc` command: one module per group of verbs, thin. Exit codes as in `cdc/errors.py`."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; an error is one sentence on stderr, a traceback only with --debug."""
    # gRPC's C core would write its own lines about refused connections beside our one sentence.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from cdc.cli.app import run_app

    try:
        code = run_app(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of a pipe has gone (`cdc history … | head`): nothing is wrong, and nothing more to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)
