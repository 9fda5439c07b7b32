# The modules of edgecl.evaluate, each loaded when it is first used.
# Never here: code; and nothing that a device needs in order to learn or predict.
"""Streams of tasks, the loop that learns and tests them, and the figures of continual learning.

    from edgecl.evaluate import experiment, streams
    result = experiment.run_stream(learner, streams.load_stream("digits"))

`streams`: named data sets and the user's arrays as tasks. `experiment`: `run_stream`. `runs`: many of them, resumable.
`confusion`: labelled samples, class by class. `metrics`: accuracy, forgetting, transfer. `testing`: the contract of a
learner as code. Needs numpy; Pillow or scikit-learn for some of the data sets.
"""

from __future__ import annotations

import importlib
from types import ModuleType

_MODULES = ("confusion", "experiment", "metrics", "runs", "streams", "testing")

__all__ = ["confusion", "experiment", "metrics", "runs", "streams", "testing"]


def __getattr__(name: str) -> ModuleType:
    if name in _MODULES:
        return importlib.import_module(f"edgecl.evaluate.{name}")
    raise AttributeError(f"module 'edgecl.evaluate' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
