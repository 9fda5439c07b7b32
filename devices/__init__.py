"""Device profiles and the cost model: `load("rpi4")`, `load("host")`, `match()`, `predict(...)`.

Never here: measuring of models (the bench command), and imports beyond numpy-free standard library modules.
"""

from __future__ import annotations

from edgecl.devices import machine, profile
from edgecl.devices.cost_model import Prediction, predict
from edgecl.devices.machine import match, matches, this_machine
from edgecl.devices.operators import forward_operators, learn_operators
from edgecl.devices.profile import Device, Figure

__all__ = [
    "Device",
    "Figure",
    "Prediction",
    "available",
    "forward_operators",
    "learn_operators",
    "load",
    "match",
    "matches",
    "predict",
    "this_machine",
]


def available() -> list[str]:
    """Names that `load` accepts."""
    return ["host", *profile.profile_names()]


def load(name: str) -> Device:
    """Loads a profile by name, or from a file whose name ends in .toml.

    "host" is the running machine, discovered now (its peak is measured, about a second).

    Raises ValueError for an unknown name or a wrong file, naming what was expected.
    """
    return machine.host() if name == "host" else profile.read(name)
