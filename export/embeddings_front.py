# Bundles for embeddings that the caller hands in: a head alone, for an encoder that runs elsewhere.
# Never here: encoders.
"""`from_embeddings`."""

from __future__ import annotations

import os
from typing import Any

from edgecl.export.adaptor_data import AdaptorData
from edgecl.export.errors import ExportError
from edgecl.export.graph import Graph
from edgecl.export.new_head import MAX_FEATURES
from edgecl.export.options import Classes, ExportOptions
from edgecl.export.pipeline import export_head
from edgecl.export.recipe import InputSpec, Recipe
from edgecl.export.report import ExportReport
from numpy.typing import NDArray


def from_embeddings(
    dim: int,
    *,
    out: str | os.PathLike[str] | None = None,
    name: str = "embeddings",
    classes: Classes | None = None,
    max_classes: int | None = None,
    recipe: Recipe | None = None,
    calibration: NDArray[Any] | None = None,
    projection: int = 0,
    normalise: bool = True,
    adaptor: str | None = None,
    adaptor_data: AdaptorData | tuple[Any, Any] | None = None,
    mask_seed: int = 0,
    device: str | None = None,
) -> ExportReport:
    """A bundle whose samples are embeddings: rows of `dim` float32 numbers from an encoder of the caller's.

    Args:
        dim: numbers of an embedding, 1..8192.
        recipe: its method is "ncm", "ncm-distance", "lda", "hd", "fecam" or "ridge" (the default).
        calibration: embeddings (n, dim) of the kind that will come: their size sets `feature_range`. Others: as
            `from_torch` has them.

    Raises:
        ExportError: a keyword is wrong. FileError: `out` cannot be written.
    """
    if not isinstance(dim, int) or not 1 <= dim <= MAX_FEATURES:
        raise ExportError(f"expected embeddings of 1..{MAX_FEATURES} numbers; found {dim!r}; correct it", -1)
    options = ExportOptions(
        out=out,
        name=name,
        trainable="none",
        classes=classes,
        max_classes=max_classes,
        input=InputSpec(),
        recipe=recipe or Recipe(method="ridge"),
        calibration=calibration,
        projection=projection,
        normalise=normalise,
        adaptor=adaptor,
        adaptor_data=adaptor_data,
        mask_seed=mask_seed,
        device=device,
    )
    if not options.keeps_statistics:
        raise ExportError(
            "expected a head that keeps statistics, since embeddings have no layers to train; found a method that "
            f"learns by gradients ('{options.recipe.preset}'); choose 'ncm', 'lda', 'ridge', 'hd' or 'fecam'",
            -1,
        )
    graph = Graph(name, "embedding", (dim,), {"embedding": (dim, 1, 1)}, output="embedding")
    return export_head(graph, options)
