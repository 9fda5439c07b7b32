# What the device's library says of its operators: the exporter asks the list, so a new one needs no word here.
# Never here: conversions from ONNX.
"""Facts of operators, by the kind's name in a plan."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def _operators() -> dict[str, dict[str, Any]]:
    from edgecl import _core

    return _core.operators()


def fuses_activation(kind: str) -> bool:
    """It may apply a relu or clip to its output. False for a kind that is only the exporter's."""
    return bool(_operators().get(kind, {}).get("fuses_activation", False))


def gradient_in_place(kind: str) -> bool:
    """The gradient of its input may take the memory of that of its output."""
    return bool(_operators().get(kind, {}).get("gradient_in_place", False))
