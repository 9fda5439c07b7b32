# What an export tells the caller.
# Never here: measuring (parity.py, pipeline.py).
"""`ExportReport` and its parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edgecl.export.adaptor_search.search import Found
from edgecl.export.errors import Blocker


@dataclass(frozen=True)
class ParityFigures:
    """Bundle against source model, both predicting, on the calibration rows; over all outputs.

    Attributes:
        n_rows: calibration rows.
        max_abs, mean_abs: difference of the outputs.
        reference_abs: largest output of the source.
        tolerance: largest difference that rounding explains (`parity.tolerance`): the limit for the bundle, or where
            parts of it compute in int8 for the same in float32.
        source: what the source ran on.
        float32_max_abs: where parts compute in int8, the largest difference before: of the same bundle in float32 from
            the source. The figures above are then those of int8 against float32, for which there is no limit.
    """

    n_rows: int
    max_abs: float
    mean_abs: float
    reference_abs: float
    tolerance: float
    source: str
    float32_max_abs: float | None = None

    def limit(self) -> str:
        """What was allowed, in words."""
        if self.float32_max_abs is None:
            return f"allowed {self.tolerance:.2g}"
        return (
            f"no limit for the rounding to int8; in float32 it differs by at most {self.float32_max_abs:.2g} from the "
            f"source, allowed {self.tolerance:.2g}"
        )


@dataclass(frozen=True)
class LayerReport:
    """One convolution or linear layer. macs_*: multiply-adds of one row as if dense; stored: weights in the bundle."""

    name: str
    kind: str
    dims: tuple[int, ...]
    trainable: bool
    density: float
    stored: int
    macs_forward: int
    macs_backward: int


@dataclass(frozen=True)
class ExportReport:
    """The result of an export.

    Attributes:
        bundle: the bytes of the `.ecl` file.
        path: where they were written, or None.
        name: of the bundle.
        trainable: "all", "tail" or "head".
        parity: figures of the parity check; None without a source model.
        sizes: bytes that a session with the stored recipe needs (`edgecl_sizes` by field name).
        untrainable: nodes and parameters that would block trainable="all"; they are frozen here.
        layers: convolutions and linear layers in order.
        macs: multiply-adds of one row: forward, forward_sparse, backward, backward_sparse.
        notes: what the exporter did that a reader of the model would not expect.
        device: the profile that was asked for, or None.
        adaptor_search: candidates with their scores, where an adaptor was chosen; None otherwise.
    """

    bundle: bytes = field(repr=False)
    path: str | None
    name: str
    trainable: str
    parity: ParityFigures | None
    sizes: dict[str, int]
    untrainable: list[Blocker]
    layers: list[LayerReport]
    macs: dict[str, int]
    notes: list[str]
    device: str | None = None
    adaptor_search: Found | None = None

    def summary(self) -> str:
        """Plain text, one fact a line."""
        parity = self.parity
        compared = "no source model to compare with"
        if parity is not None:
            compared = (
                f"parity with {parity.source} on {parity.n_rows} rows: max {parity.max_abs:.3g}, mean "
                f"{parity.mean_abs:.3g} (outputs up to {parity.reference_abs:.3g}, {parity.limit()})"
            )
        lines = [
            f"bundle '{self.name}': {len(self.bundle):,} bytes" + (f" in {self.path}" if self.path else ""),
            compared,
            f"multiply-adds a row: forward {self.macs['forward_sparse']:,} of {self.macs['forward']:,} dense, "
            f"backward {self.macs['backward_sparse']:,} of {self.macs['backward']:,} dense (trains: {self.trainable})",
            f"a session needs {self.sizes['arena_bytes']:,} bytes ("
            + ", ".join(f"{key.removesuffix('_bytes')} {value:,}" for key, value in self.sizes.items() if key in _PARTS)
            + ")",
        ]
        width = max([len(layer.name) for layer in self.layers], default=0)
        for layer in self.layers:
            state = "learns" if layer.trainable else "frozen"
            dims = " x ".join(str(size) for size in layer.dims)
            lines.append(
                f"  {layer.name:<{width}}  {layer.kind:<6}  {dims:<18}  {state}  density {layer.density:.3f}  "
                f"{round(layer.macs_forward * layer.density):,} forward, "
                f"{round(layer.macs_backward * layer.density):,} backward"
            )
        lines += [f"cannot learn: {blocker}" for blocker in self.untrainable]
        if self.adaptor_search is not None:
            lines += [*self.adaptor_search.table(), self.adaptor_search.why()]
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Everything but the bytes, of plain types (for JSON)."""
        return {
            "path": self.path,
            "name": self.name,
            "trainable": self.trainable,
            "device": self.device,
            "bundle_bytes": len(self.bundle),
            "parity": None if self.parity is None else dict(self.parity.__dict__),
            "sizes": dict(self.sizes),
            "untrainable": [dict(blocker.__dict__) for blocker in self.untrainable],
            "layers": [dict(layer.__dict__) for layer in self.layers],
            "macs": dict(self.macs),
            "notes": list(self.notes),
            "adaptor_search": None if self.adaptor_search is None else self.adaptor_search.as_dict(),
        }


_PARTS = ("learnable_bytes", "replay_bytes", "learn_bytes", "scratch_bytes")
