# How a benchmark's rows become a committed result, with the day and the machine.
# Never here: measuring, reading results (figures.py).
"""`write_measured`."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgecl.cli.results import write_table
from edgecl.devices.machine import this_machine


def write_measured(path: Path, rows: list[dict[str, Any]], **more: Any) -> None:
    """Rows with `date` and `measured_on`, as `write_table` writes them."""
    machine = this_machine()
    write_table(
        path,
        {
            "rows": rows,
            "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
            "measured_on": f"{' '.join(machine.cpu_parts)} ({machine.architecture})",
            **more,
        },
    )
