# The integers of a quantised source beside the network of floats that the export goes on with.
# Never here: reading a source (tflite/, qdq.py), int8 operators (int8_native.py).
"""`Stored`: what a source that computes in integers says of its tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from edgecl.export.int8_numbers import Quantisation, is_scale
from numpy.typing import NDArray

DEQUANTISED = (
    "the file computes in integers, the bundle in float32: weights and biases are dequantised exactly, scale * "
    "(q - zero point), activations are neither rounded nor cut off, so outputs differ from the file's by its "
    "quantisation noise"
)


# The source's runtime: network inputs [n, *dims] and origins of tensors to their integers [n, ...].
Runner = Callable[[NDArray[np.float32], Sequence[Any]], list[NDArray[np.int64]]]


@dataclass(frozen=True)
class StoredWeight:
    """Symmetric int8 weights.

    Attributes:
        scales: float32, one an output channel or one for all.
        fault: why they cannot be used as integers, or "".
    """

    scales: NDArray[np.float32]
    fault: str = ""


@dataclass
class Stored:
    """By the names of the network of floats, in which every number is the real one that it stands for.

    Attributes:
        source: what the integers are of, for notes: "the file".
        tensors: of computed tensors, and of the input.
        twice: tensors that the source rounds to two scales one after the other, of which one is left out.
        faults: why a tensor has none, where the source rounds it to other integers than int8.
        weights, biases: of initialisers; a bias is its int32 numbers and their scales.
        rounds_once: kinds of operators whose sums its runtime rounds once, where the specification rounds twice.
        exact_means: tensors that are means of windows by one integer division (AVERAGE_POOL_2D), not by a multiplier.
        origins: what `run` knows a tensor by.
        run: the source's own runtime; None where it is not installed.
        runtime: its name.
        notes: what a reader should know of how it was taken out.
        again, variant: the same runtime told to compute in another way, and which, or None.
    """

    source: str
    tensors: dict[str, Quantisation] = field(default_factory=dict)
    rounds_once: tuple[str, ...] = ()
    twice: list[str] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)
    weights: dict[str, StoredWeight] = field(default_factory=dict)
    biases: dict[str, tuple[NDArray[np.int64], NDArray[np.float32]]] = field(default_factory=dict)
    exact_means: set[str] = field(default_factory=set)
    origins: dict[str, Any] = field(default_factory=dict)
    run: Runner | None = None
    runtime: str = ""
    notes: list[str] = field(default_factory=list)
    again: Runner | None = None
    variant: str = ""

    def give(self, tensor: str, quantisation: Quantisation, origin: Any) -> None:
        """The first one stays: a second rounding of the same tensor is left out, and said."""
        if not is_scale(np.array([quantisation.scale], np.float32)) or not -128 <= quantisation.zero_point <= 127:
            self.faults[tensor] = f"has scale {quantisation.scale:g} and zero point {quantisation.zero_point}"
            return
        self.origins.setdefault(tensor, origin)
        if self.tensors.setdefault(tensor, quantisation) != quantisation:
            self.twice.append(tensor)

    def renamed(self, names: Mapping[str, str]) -> Stored:
        """The same by the tensors that others became."""
        new = replace(self, tensors={}, faults={}, exact_means=set(), origins={})
        new.twice = [names[tensor] for tensor in self.twice if tensor in names]
        for tensor, quantisation in self.tensors.items():
            if tensor in names:
                new.give(names[tensor], quantisation, self.origins[tensor])
        new.faults |= {names[tensor]: fault for tensor, fault in self.faults.items() if tensor in names}
        new.exact_means = {names[tensor] for tensor in self.exact_means if tensor in names}
        return new

    def moved(self, old: str, new: str) -> None:
        """What was computed as `old` is `new` now, whose own rounding, if it had one, is left out."""
        if old not in self.tensors:
            return
        taken = self.tensors.pop(old)
        if self.tensors.get(new, taken) != taken:
            self.twice.append(new)
        self.tensors[new], self.origins[new] = taken, self.origins.pop(old)
        if old in self.exact_means:
            self.exact_means.add(new)
