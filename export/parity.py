# Does the bundle compute what the source model computes?
# Never here: how the source model runs (torch_front.py, onnx_front.py).
"""`ask` and `compare`: a bundle on the device's own kernels beside the source."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from edgecl import _core
from edgecl.export.errors import ExportError, ParityError
from edgecl.export.graph import Graph
from edgecl.export.recipe import InputSpec
from edgecl.export.report import ParityFigures
from numpy.typing import NDArray

UNIT_ROUNDOFF = 2.0**-24
TENSOR_BYTES = 1 << 26  # most for the tensors of rows beyond the first
CAP = 1e-3  # of the largest output: what differs by more computes something else, whatever the source's own error


class Reference(Protocol):
    """The source model in evaluation mode."""

    source: str

    def run(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs [n, columns] of network inputs [n, *dims]."""

    def run_double(self, rows: NDArray[np.float32]) -> NDArray[np.float64] | None:
        """The same in float64, or None where the model cannot."""

    def weight(self, name: str) -> NDArray[np.float32]:
        """A copy of initialiser `name`."""

    def set_weight(self, name: str, values: NDArray[np.float32]) -> None:
        """Gives initialiser `name` the values that the bundle stores, zero where it stores none."""


def tolerance(graph: Graph, reference: NDArray[np.float32], exact: NDArray[np.float64] | None) -> float:
    """Largest difference that another order of rounding explains.

    The larger of two estimates: 8 times the source's own distance from its float64 result (which knows how this network
    amplifies rounding), at most CAP times the largest output; and 4 u sqrt(sum of the layers' reduction lengths) times
    the largest output (the probabilistic bound lambda sqrt(n) u of Higham and Mary 2019, u = 2^-24), 16 u at least.
    """
    scale = float(np.max(np.abs(reference), initial=0.0))
    lengths = sum(op.weight().values[0].size for op in graph.ops if op.kind in ("conv", "linear"))
    lengths += sum(graph.macs(op) // op.weight().values.shape[0] for op in graph.ops if op.kind == "recurrent")
    bound = max(16.0, 4.0 * float(np.sqrt(lengths))) * UNIT_ROUNDOFF * max(scale, float(np.finfo(np.float32).tiny))
    own = 0.0 if exact is None else float(np.max(np.abs(reference.astype(np.float64) - exact), initial=0.0))
    return max(bound, min(8.0 * own, CAP * scale))


@dataclass(frozen=True)
class Asked:
    """What the source answered.

    Attributes:
        outputs: float32 [n, columns].
        allowed: the largest difference that rounding explains.
        source: what ran it.
    """

    outputs: NDArray[np.float32]
    allowed: float
    source: str


def ask(graph: Graph, reference: Reference, input_spec: InputSpec, raw: NDArray[Any]) -> Asked:
    """Runs the source on the raw rows, in its own numbers twice and in float64.

    Raises:
        ExportError: outputs that are not finite. ParityError: it gives other ones when it is asked again.
    """
    rows = input_spec.network_input(raw, graph.tensors[graph.input][0])
    rows = rows.reshape(raw.shape[0], *graph.input_dims)
    expected = reference.run(rows).reshape(raw.shape[0], -1)
    bad = ~np.isfinite(expected)
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise ExportError(
            f"expected finite outputs of the {reference.source} model on {raw.shape[0]} rows; found "
            f"{expected[row, column]} at row {row}, output {column}; hand in calibration rows of its own range "
            "(--calib, calibration), or repair the model",
            -60,
        )
    exact = reference.run_double(rows)
    allowed = tolerance(graph, expected, None if exact is None else exact.reshape(expected.shape))
    _refuse_random(expected, reference.run(rows).reshape(expected.shape), allowed, reference.source)
    return Asked(expected, allowed, reference.source)


def compare(model: _core.Model, graph: Graph, asked: Asked, raw: NDArray[Any], columns: int) -> ParityFigures:
    """Runs the opened bundle on the same rows and compares the first `columns` outputs (a grown head has more).

    Raises:
        ParityError: a difference larger than `tolerance`, or an output that is not finite on one side only.
    """
    expected, allowed = asked.outputs, asked.allowed
    found = model_logits(model, raw)[:, :columns]
    if graph.final:
        found = _with_final(found, graph.final)
    difference = np.abs(found.astype(np.float64) - expected)
    figures = ParityFigures(
        n_rows=raw.shape[0],
        max_abs=float(np.max(difference, initial=0.0)),
        mean_abs=float(np.mean(difference)),
        reference_abs=float(np.max(np.abs(expected), initial=0.0)),
        tolerance=allowed,
        source=asked.source,
    )
    if not np.isfinite(expected).all() or not figures.max_abs <= allowed:
        row, column = (
            int(i) for i in np.unravel_index(int(np.argmax(np.nan_to_num(difference, nan=np.inf))), difference.shape)
        )
        raise ParityError(
            f"expected the bundle to give the outputs of the {asked.source} model within {allowed:.3g} on "
            f"{raw.shape[0]} rows; found "
            f"a difference of {figures.max_abs:.6g} (mean {figures.mean_abs:.3g}) at row {row}, output {column} of "
            f"'{graph.output}': "
            f"{found[row, column]:.8g} against {expected[row, column]:.8g}; check that calibration rows are plausible "
            "raw inputs, and that forward takes no decision and no constant from values of the input (if, while, "
            "item()); else please report the model"
        )
    return figures


def _refuse_random(first: NDArray[np.float32], second: NDArray[np.float32], allowed: float, source: str) -> None:
    apart = float(np.max(np.abs(np.nan_to_num(first) - np.nan_to_num(second)), initial=0.0))
    if apart > allowed:
        raise ParityError(
            f"expected the {source} model to give the same outputs for the same rows; found a difference of "
            f"{apart:.3g} between two calls (outputs up to {float(np.max(np.abs(first))):.3g}); leave out what "
            "is random in evaluation mode (dropout with training=self.training, noise behind `if self.training`), and "
            "what a call changes for the next one"
        )


def int8_parity(
    floats: _core.Model, int8: bytes, graph: Graph, figures: ParityFigures, raw: NDArray[Any], columns: int
) -> ParityFigures:
    """Figures of the int8 bundle in place of those of the one in float32, which was compared with the source already;
    rounding to bytes has no tolerance. Adds a note of what it costs to the graph."""
    expected = model_logits(floats, raw)[:, :columns].astype(np.float64)
    found = bundle_logits(int8, raw)[:, :columns].astype(np.float64)
    difference = np.abs(found - expected)
    spread = float(np.sqrt(np.mean((expected - expected.mean()) ** 2)))
    error = float(np.sqrt(np.mean(difference**2))) / max(spread, float(np.finfo(np.float32).tiny))
    same = int((found.argmax(axis=1) == expected.argmax(axis=1)).sum())
    graph.notes.append(
        f"int8 against float32 on {len(raw)} calibration rows: outputs differ by {100 * error:.2g} % of their spread "
        f"(root mean square), the largest one is the same in {same}"
    )
    return replace(
        figures,
        max_abs=float(difference.max()),
        mean_abs=float(difference.mean()),
        float32_max_abs=figures.max_abs,
    )


def bundle_logits(bundle: bytes, raw: NDArray[Any]) -> NDArray[np.float32]:
    """All columns of a bundle for raw rows, classes that it does not ship with included."""
    return model_logits(_core.Model(data=bundle), raw)


def model_logits(model: _core.Model, raw: NDArray[Any]) -> NDArray[np.float32]:
    """As `bundle_logits`, of an opened bundle; so many rows at a time that their tensors stay small."""
    fixed = {"predict_only": 1, "replay_capacity": 0}
    rows, least = min(16, raw.shape[0]), model.sizes(**fixed, max_batch=1)["arena_bytes"]
    while rows > 1 and model.sizes(**fixed, max_batch=rows)["arena_bytes"] > least + TENSOR_BYTES:
        rows //= 2
    session = _core.Session(model, **fixed, max_batch=rows)
    for _ in range(model.describe()["class_capacity"] - model.describe()["n_classes"]):
        session.class_add()
    logits: NDArray[np.float32] = session.logits(np.ascontiguousarray(raw))
    return logits


def _with_final(logits: NDArray[np.float32], kind: str) -> NDArray[np.float32]:
    """The function that the source applies at its end (`Graph.final`), in float64, rounded once."""
    values = logits.astype(np.float64)
    if kind == "sigmoid":
        return np.asarray(1.0 / (1.0 + np.exp(-values)), np.float32)
    shifted = values - values.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return np.asarray(shifted - log_sum if kind == "log_softmax" else np.exp(shifted - log_sum), np.float32)
