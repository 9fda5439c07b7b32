# Adaptors in plain numpy: their sizes, random values, outputs and gradients, for scoring without training.
# Never here: scores, the adaptors of a bundle (export/adaptor.py has the same four).
"""`Candidate` is a kind and a width; `Form` one with values, on feature maps."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Shape = tuple[int, int, int]  # channels, height, width

_BLOCK = 2**15  # numbers

DRAWS = 3  # sets of random values that a score with luck in it is averaged over


class Candidate(NamedTuple):
    """kind: "film", "bottleneck", "depthwise" or "lowrank"; width: channels in between, 0 for "film"."""

    kind: str
    width: int

    @property
    def name(self) -> str:
        """As `edgecl export --adaptor` takes it."""
        return f"{self.kind}:{self.width}" if self.width else self.kind


def shapes(candidate: Candidate, shape: Shape) -> dict[str, tuple[int, ...]]:
    """Of each parameter by name; weights that multiply come before what they feed."""
    channels, height, columns = shape
    if candidate.kind == "film":
        return {"scale": (channels,), "shift": (channels,)}
    found: dict[str, tuple[int, ...]] = {}
    if candidate.kind == "depthwise":
        found["depthwise"] = (channels, 3 if height > 1 else 1, 3 if columns > 1 else 1)
    found["down"] = (candidate.width, channels)
    if candidate.kind != "lowrank":
        found["down.bias"] = (candidate.width,)
    return {**found, "up": (channels, candidate.width), "up.bias": (channels,)}


def parameters(candidate: Candidate, shape: Shape) -> int:
    """How many numbers a domain has of its own."""
    return sum(map(prod, shapes(candidate, shape).values()))


def is_weight(name: str) -> bool:
    """It multiplies what comes in; the others are added."""
    return name != "shift" and not name.endswith("bias")


class Form:
    """x + branch(x), where the branch is scale * x + shift, or up(down(x)) with a ReLU between (none for "lowrank") and
    a depthwise convolution before (for "depthwise"). `values` has the parameters by name. Maps are (channels, n,
    height, width), so that one matrix product serves all rows."""

    def __init__(self, candidate: Candidate, values: dict[str, Array]) -> None:
        self.candidate = candidate
        self.values = values
        self._kept: dict[str, Array] = {}

    def branch(self, x: Array) -> Array:
        """What is added to x, of its shape; keeps what `gradients` needs."""
        v = self.values
        if self.candidate.kind == "film":
            self._kept = {"x": x}
            return _along(v["scale"]) * x + _along(v["shift"])
        seen = (_depthwise(x, v["depthwise"]) if "depthwise" in v else x).reshape(len(x), -1)
        inner = v["down"] @ seen
        if "down.bias" in v:
            inner = np.maximum(inner + v["down.bias"][:, None], 0.0)
        self._kept = {"x": x, "seen": seen, "inner": inner}
        return (v["up"] @ inner + v["up.bias"][:, None]).reshape(x.shape)

    @property
    def inner(self) -> Array | None:
        """(width, n, height, width) between down and up at the last `branch`, behind the ReLU; None for "film"."""
        if "inner" not in self._kept:
            return None
        return self._kept["inner"].reshape(-1, *self._kept["x"].shape[1:])

    @property
    def has_relu(self) -> bool:
        """The inner features are behind one."""
        return "down.bias" in self.values

    def gradients(self, above: Array) -> dict[str, Array]:
        """Of a number whose gradient with respect to the last branch's output is `above`, by each parameter."""
        x, v = self._kept["x"], self.values
        if self.candidate.kind == "film":
            return {"scale": (above * x).sum((1, 2, 3)), "shift": above.sum((1, 2, 3))}
        seen, inner, flat = self._kept["seen"], self._kept["inner"], above.reshape(len(x), -1)
        below = v["up"].T @ flat
        found = {"up": flat @ inner.T, "up.bias": flat.sum(1)}
        if "down.bias" in v:
            below = np.where(inner > 0, below, 0.0)
            found["down.bias"] = below.sum(1)
        found["down"] = below @ seen.T
        if "depthwise" in v:
            to_seen = (v["down"].T @ below).reshape(x.shape)
            found["depthwise"] = _depthwise_gradient(x, to_seen, v["depthwise"])
        return {name: found[name] for name in v}


def drawn(candidate: Candidate, shape: Shape, generator: np.random.Generator, normal: bool = False) -> Form:
    """Random weights, all of them: an adaptor as a bundle has it adds nothing yet, and all would score the same.
    Uniform within 1 / sqrt(inputs), as the exporter draws the inner ones, or standard normal; what is added is 0."""
    values = {}
    for name, dims in shapes(candidate, shape).items():
        if not is_weight(name):
            values[name] = np.zeros(dims)
        elif normal:
            values[name] = generator.standard_normal(dims)
        else:
            values[name] = generator.uniform(-1, 1, dims) / np.sqrt(prod(dims[1:]))
    return Form(candidate, values)


def draws(candidate: Candidate, shape: Shape, seed: int) -> Iterator[Form]:
    """`DRAWS` of them, the same for the same seed whatever was scored before."""
    for number in range(DRAWS):
        yield drawn(candidate, shape, np.random.default_rng([seed, number]))


def embeddings(maps: Array, length_1: bool) -> Array:
    """Means over positions (n, channels), scaled to length 1 where the head takes them so."""
    found: Array = maps.mean((2, 3)).T
    if length_1:
        found = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    return found


def _along(values: Array) -> Array:
    return values[:, None, None, None]


def _windows(x: Array, kernel: tuple[int, ...]) -> Iterator[Array]:
    # x as each weight of a kernel sees it, in the order of the weights; beyond the border are zeros.
    rows, columns = (side // 2 for side in kernel)
    padded = np.pad(x, ((0, 0), (0, 0), (rows, rows), (columns, columns)))
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            yield padded[:, :, i : i + x.shape[2], j : j + x.shape[3]]


def _blocks(x: Array) -> Iterator[slice]:
    # Channels that fit into a cache together.
    step = max(1, _BLOCK // prod(x.shape[1:]))
    for start in range(0, len(x), step):
        yield slice(start, start + step)


def _depthwise(x: Array, weight: Array) -> Array:
    total = np.zeros(x.shape)
    flat = weight.reshape(len(weight), -1)
    for block in _blocks(x):
        for part, values in zip(_windows(x[block], weight.shape[1:]), flat[block].T, strict=True):
            total[block] += _along(values) * part
    return total


def _depthwise_gradient(x: Array, above: Array, weight: Array) -> Array:
    found = np.zeros(weight.shape).reshape(len(weight), -1)
    for block in _blocks(x):
        for k, part in enumerate(_windows(x[block], weight.shape[1:])):
            found[block, k] = np.einsum("cnhw,cnhw->c", above[block], part)
    return found.reshape(weight.shape)
