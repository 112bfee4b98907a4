"""The command line: `pagoda generate`, `chat`, `train`, `bench`, `plan`.

The one room that wires the others together, and the only one that reads the environment, but for where models lie and
come from (`models/shelf/settings`), which a program that imports pagoda needs as well. Commands import torch
and the engine only once their arguments are known to be sound, so that help and mistakes are answered at once.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Entry point of the `pagoda` command; returns the exit code.

    0 success, 1 failure, 2 the caller's mistake, 130 Ctrl-C, 141 the reader of stdout has gone.
    """
    try:
        # Imported here, so that Ctrl-C during the import is answered like any other.
        from pagoda.cli.app import run

        return run(sys.argv[1:])
    except KeyboardInterrupt:
        print("stopped by Ctrl-C", file=sys.stderr)
        return 130
