# Whether a bundle fits: into the memory and flash of a device, into a time and a memory that were asked for.
# Never here: times and sizes themselves.
"""`misses`, `memory_bytes`."""

from __future__ import annotations

import re
from typing import Any

from edgecl.cli import output
from edgecl.cli.failure import UsageError

_UNITS = {"b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def memory_bytes(text: str) -> int:
    """Bytes with a unit."""
    found = re.fullmatch(r"([\d.]+)\s*([kKmMgG]?[iI]?[bB])", text.strip())
    try:
        if found and (value := int(float(found[1]) * _UNITS[found[2].lower()])) > 0:
            return value
    except (KeyError, ValueError, OverflowError):
        pass
    raise UsageError(
        f"expected --memory as a size of 1 byte or more with a unit; found '{text}'; write 64MiB or 512KiB"
    )


def worst_ms(row: dict[str, Any]) -> float:
    """The time of a row that a budget is compared with: 95 % of the calls, or the upper end of the range."""
    return float(row["p95_ms"] if row["kind"] == "measured" else row["high_ms"])


def _time(ms: float) -> str:
    return f"{output.digits(ms)} ms" if ms < 1000 else f"{output.digits(ms / 1000)} s"


def _miss(what: str, limit: float, found: float, limit_text: str, found_text: str, excess_text: str) -> dict[str, Any]:
    text = f"{what}: {found_text}, {excess_text} more than {limit_text}"
    return {"what": what, "limit": limit, "found": found, "excess": found - limit, "text": text}


def _bytes_miss(what: str, limit: float, found: float, of: str) -> dict[str, Any]:
    size = output.size
    return _miss(what, limit, found, f"{size(limit)} ({of})", size(found), size(found - limit))


def misses(
    rows: list[dict[str, Any]],
    peak_bytes: int,
    bundle_bytes: int,
    device: Any,
    limit_ms: float | None,
    limit_bytes: int | None,
) -> list[dict[str, Any]]:
    """What does not fit, and by how much: {"what", "limit", "found", "excess", "text"}; ms and bytes.

    The device's own memory and flash count always (None: not known), times and memory where they are limited.
    """
    found = []
    for row in rows:
        ms = worst_ms(row)
        if limit_ms is not None and ms > limit_ms and row["what"] != "commit":
            what = f"{row['what']} of {row['batch']}, {row['threads']} thread" + ("s" if row["threads"] > 1 else "")
            how = "95 % of calls within" if row["kind"] == "measured" else "predicted up to"
            found.append(_miss(what, limit_ms, ms, _time(limit_ms), f"{how} {_time(ms)}", _time(ms - limit_ms)))
    if limit_bytes is not None and peak_bytes > limit_bytes:
        found.append(_bytes_miss("memory", limit_bytes, peak_bytes, "--memory"))
    if device is None:
        return found
    if peak_bytes > device.memory_bytes:
        found.append(_bytes_miss("memory", device.memory_bytes, peak_bytes, f"of {device.name}"))
    flash = device.optional("flash_bytes")
    if flash is not None and bundle_bytes > flash:
        found.append(_bytes_miss("flash", flash, bundle_bytes, f"of {device.name}, the program not counted"))
    return found
