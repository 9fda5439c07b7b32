# Options that several commands have in the same words.
# Never here: options of one command.
"""`THREADS`."""

from __future__ import annotations

import typer
from edgecl._core import MAX_THREADS

THREADS = typer.Option(1, "--threads", "-t", min=1, max=MAX_THREADS, help="Threads; results do not depend on it.")
