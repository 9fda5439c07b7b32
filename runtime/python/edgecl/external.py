# Embeddings from a model file that a bundle carries and another engine runs.
# Never here: the engines (external_engines.py), learning, anything about a bundle's own operators.
"""`ExternalEncoder`: raw samples to the embeddings that the bundle takes. `check_probe`: whether the engine here
computes what the exporter's did."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecl.bundle import Bundle
from edgecl.errors import BundleError
from edgecl.external_engines import FileEngine, open_engine
from edgecl.notes import tell

# Root mean square of differences, as a share of the standard deviation of all numbers of the probe: above what engines
# differ by, below what another model gives (export/README.md has the figures).
MOST_DIFFERENCE = 0.5


class EncoderInUse:
    """The encoder of the bundle that a learner has open, loaded at its first use; one for all its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: ExternalEncoder | None = None

    def of(self, bundle: Bundle, n_threads: int) -> ExternalEncoder:
        """Loaded anew where the bundle is another one. Raises as `ExternalEncoder`."""
        with self._lock:
            if self._loaded is None or self._loaded.bundle is not bundle:
                self._loaded = ExternalEncoder(bundle, n_threads)
            return self._loaded


class ExternalEncoder:
    """The encoder of a bundle in the engine that is installed here. The probe is run at once."""

    def __init__(self, bundle: Bundle, n_threads: int) -> None:
        """Loads the file and compares the probe; a UserWarning tells of other bits.

        Raises:
            UnsupportedError: no engine is installed. BundleError: the file does not load, or computes something else.
        """
        assert bundle.encoder is not None
        self.bundle = bundle
        self._info = bundle.encoder
        self._engine = open_engine(self._info["engine"], bundle.model.encoder_file(), n_threads)
        wanted = self._info["probe_outputs"]
        found = self._embed(bundle.model.encoder_probe())
        if sentence := check_probe(wanted, found, self._engine.title):
            tell(sentence)

    def embed(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Embeddings (n, dim) of raw samples of the bundle's dtype, (n, ...). One run of the engine a sample, so that
        an embedding is the same whatever rows stand beside it. Samples that are not finite give NaN, which the core
        refuses in its turn; an engine may make ordinary numbers of them.

        Raises:
            BundleError: the engine fails, or gives another shape.
        """
        return self._embed(raw.reshape(len(raw), *self._info["input_dims"]))

    def _embed(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        out = np.empty((len(rows), self._info["embedding_dim"]), np.float32)
        for i, row in enumerate(rows):
            out[i] = embedding_of(self._engine, self._info, row) if np.isfinite(row).all() else np.nan
        return out


def embedding_of(engine: FileEngine, info: Mapping[str, Any], row: NDArray[Any]) -> NDArray[np.float32]:
    """The embedding of one raw sample.

    Args:
        info: as `Bundle.encoder`.

    Raises:
        BundleError: the engine fails, or gives another number of outputs.
    """
    try:
        found = engine.run(file_input(info, row))
    except Exception as error:  # each engine has classes of its own
        raise BundleError(
            f"expected {engine.title} to run the encoder; found: {' '.join(str(error).split())[:300]}; use another "
            "version of it, or export the file again"
        ) from error
    positions, dim = int(info["positions"]), int(info["embedding_dim"])
    if found.size != positions * dim:
        raise BundleError(
            f"expected {positions * dim} numbers from the encoder; found {found.size} ({engine.title}); export the "
            "file again"
        )
    if positions == 1:
        return found.reshape(dim)
    total = found.reshape(positions, dim).sum(axis=0, dtype=np.float64)
    return np.asarray(total / positions, np.float32)


def file_input(info: Mapping[str, Any], row: NDArray[Any]) -> NDArray[np.float32]:
    """One raw sample as the file takes it, (1, *dims): float32, three rounded steps, as in a bundle's own input."""
    spec, last = info["input"], bool(info["channels_last"])
    shape = (-1,) if last else (-1, *[1] * (row.ndim - 1))
    mean, inv_std = (np.asarray(spec[key], np.float32).reshape(shape) for key in ("mean", "inv_std"))
    values = (row.astype(np.float32) * np.float32(spec["scale"]) - mean) * inv_std
    if last != bool(info["file_channels_last"]):
        values = np.moveaxis(values, -1, 0) if last else np.moveaxis(values, 0, -1)
    return np.ascontiguousarray(values[None], np.float32)


def check_probe(wanted: NDArray[np.float32], found: NDArray[np.float32], title: str) -> str | None:
    """What to tell of outputs of the probe that have other bits than those stored; None if all have the same.

    Raises:
        BundleError: they differ by more than `MOST_DIFFERENCE`, or are not finite.
    """
    if np.array_equal(wanted, found):
        return None
    spread = float(wanted.std(dtype=np.float64)) or float(np.finfo(np.float32).tiny)
    differences = np.abs(found.astype(np.float64) - wanted) / spread
    typical = float(np.sqrt(np.mean(differences**2)))
    if not typical <= MOST_DIFFERENCE:
        raise BundleError(
            f"expected the embeddings of the probe as the export had them, up to {MOST_DIFFERENCE:g} of their spread; "
            f"found differences of {typical:.3g} with {title}; use another version of it, or export the bundle here"
        )
    return (
        f"the encoder's embeddings here ({title}) are not those of the export to the bit; the largest difference is "
        f"{float(differences.max()):.2g} of their spread, so what devices learn agrees up to that"
    )


def takes_embeddings(info: Mapping[str, Any], shape: tuple[int, ...]) -> bool:
    """Whether an array of this shape can only be embeddings, (n, dim), and not raw samples."""
    dim, elements = int(info["embedding_dim"]), int(info["input_elements"])
    return len(shape) == 2 and shape[1] == dim and dim != elements
