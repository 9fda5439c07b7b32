# The learning methods by name, as the core lists them.
# Never here: what a method sets (runtime/learn/presets.cpp), arithmetic, the reading of options.
"""`METHODS`: named settings, from plain experience replay to SparCL whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from edgecl import _core
from edgecl.errors import ArgumentError

GRADIENT_HEADS = ("gradient", "cosine")  # which train the last layer of the network


@dataclass(frozen=True)
class MethodEntry:
    """One named method.

    Attributes:
        title: the method in words.
        source: authors and year.
        settings: fields of the session configuration that it sets; everything else stays as the recipe says.
        needs: what bundle and stream must have: "replay", "sparse", "boundaries" (task ends told or detected), "tail"
            (frozen lower part), "head" (a last layer that is dense and linear, with an embedding below it).
        compared: what its results were compared with.
    """

    title: str
    source: str
    settings: Mapping[str, Any]
    needs: tuple[str, ...]
    compared: str


METHODS: Mapping[str, MethodEntry] = MappingProxyType(
    {
        preset["name"]: MethodEntry(
            preset["title"],
            preset["source"],
            MappingProxyType(preset["settings"]),
            tuple(preset["needs"]),
            preset["compared"],
        )
        for preset in _core.presets()
    }
)


def method_settings(name: str) -> dict[str, Any]:
    """Fields of the session configuration that the named method sets ("er-ace" is "er_ace").

    Raises:
        ArgumentError: there is no such method.
    """
    known = {
        spelling: entry for entry in METHODS for spelling in (entry, entry.replace("_", "-"), entry.replace("-", "_"))
    }
    entry = METHODS[known[name]] if isinstance(name, str) and name in known else None
    if entry is None:
        raise ArgumentError(f"expected a method among {', '.join(METHODS)}; found {name!r}; see `edgecl methods`")
    return dict(entry.settings)
