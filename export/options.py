# The keywords that both front ends share, in one checked object.
# Never here: what the keywords do.
"""`ExportOptions`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgecl._core import MAX_CLASSES
from edgecl.export.adaptor_data import SEARCH, AdaptorData
from edgecl.export.errors import ExportError
from edgecl.export.exemplars import Exemplars
from edgecl.export.recipe import InputSpec, Recipe
from edgecl.methods import GRADIENT_HEADS
from numpy.typing import NDArray

NamePredicate = Callable[[str], bool]
Trainable = str | Sequence[str] | NamePredicate
Distribution = Literal["uniform", "erk"]
InitialMask = Literal["magnitude", "random"]
InitialScale = Literal["none", "variance"]
Classes = int | Sequence[str | int | bool]  # how many, or what they are
Encoder = Literal["auto", "float32", "int8"]  # auto: the numbers of the source
LayerChoice = Literal["sparse", "predicted", "measured"]


@dataclass(frozen=True)
class ExportOptions:
    """Meaning, ranges and defaults of the keywords: `edgecl.export.from_torch`."""

    out: str | os.PathLike[str] | None = None
    name: str | None = None
    trainable: Trainable = "all"
    density: float = 1.0
    distribution: Distribution = "uniform"
    sparse_layers: Sequence[str] | NamePredicate | None = None
    layer_choice: LayerChoice = "sparse"
    initial_mask: InitialMask = "magnitude"
    mask_seed: int = 0
    initial_scale: InitialScale = "none"
    structure_room: float = 0.01
    classes: Classes | None = None
    max_classes: int | None = None
    input: InputSpec = field(default_factory=InputSpec)
    recipe: Recipe = field(default_factory=Recipe)
    calibration: NDArray[Any] | None = None
    device: str | None = None
    remember: Exemplars | None = None
    projection: int = 0
    normalise: bool = True
    adaptor: str | None = None
    encoder: Encoder = "auto"
    external: bool = False
    external_output: str | None = None
    adaptor_data: AdaptorData | tuple[Any, Any] | None = None
    new_head: int | None = None

    @property
    def keeps_statistics(self) -> bool:
        """The recipe's head learns without gradients, and replaces the source's."""
        return self.recipe.head not in GRADIENT_HEADS

    @property
    def takes_feature_maps(self) -> bool:
        """Domains: routing reads feature maps in float32, adaptors learn behind them."""
        return self.adaptor is not None or bool(self.recipe.max_domains)

    def __post_init__(self) -> None:
        if not 0.0 < self.density <= 1.0:
            raise ExportError(
                f"expected 0 < density <= 1 (fraction of weights kept); found {self.density}; 0.1 keeps a tenth", -1
            )
        if not 0.0 <= self.structure_room <= 1.0:
            raise ExportError(
                f"expected 0 <= structure_room <= 1 (fraction of a layer's weights); found {self.structure_room}; use "
                "0.01",
                -1,
            )
        if self.distribution not in ("uniform", "erk"):
            raise ExportError(f"expected distribution 'uniform' or 'erk'; found {self.distribution!r}; choose one", -1)
        if self.layer_choice not in ("sparse", "predicted", "measured"):
            raise ExportError(
                f"expected layer_choice 'sparse', 'predicted' or 'measured'; found {self.layer_choice!r}; choose one",
                -1,
            )
        if self.initial_mask not in ("magnitude", "random"):
            raise ExportError(
                f"expected initial_mask 'magnitude' or 'random'; found {self.initial_mask!r}; choose one", -1
            )
        if self.initial_scale not in ("none", "variance"):
            raise ExportError(
                f"expected initial_scale 'none' or 'variance'; found {self.initial_scale!r}; choose one", -1
            )
        if (
            isinstance(self.trainable, str)
            and self.trainable not in ("all", "tail", "head", "none")
            and not self.trainable.startswith("tail:")
        ):
            raise ExportError(
                f"expected trainable 'all', 'tail', 'tail:LAYER', 'head', 'none', a list of name prefixes or a "
                f"function; found {self.trainable!r}; "
                "put a single prefix into a list",
                -1,
            )
        if self.keeps_statistics and self.remember is not None:
            raise ExportError(
                f"expected no exemplars with the head '{self.recipe.head}', which has no replay buffer; found some; "
                "learn them with Classifier.partial_fit and ship the saved state",
                -1,
            )
        if self.keeps_statistics and self.trainable not in ("all", "none"):
            raise ExportError(
                f"expected trainable to be left out with the head '{self.recipe.head}', under which nothing else "
                f"learns; found {self.trainable!r}; leave it out",
                -1,
            )
        if self.projection and not self.keeps_statistics:
            raise ExportError(
                "expected a projection only before a head that keeps statistics; found the head 'gradient'; choose "
                "method 'ncm', 'lda', 'ridge', 'hd' or 'fecam', or leave it out",
                -1,
            )
        if self.encoder == "int8" and self.takes_feature_maps:
            raise ExportError(
                "expected an encoder of float32 for domains, whose routing reads its feature maps; found 'int8'; leave "
                "--encoder out, or max_domains and the adaptor",
                -1,
            )
        if self.external:
            self._check_external()
        elif self.external_output is not None:
            raise ExportError(
                f"expected external_output with external; found it alone, '{self.external_output}'; add external", -1
            )
        if self.sparse_layers is not None and self.density == 1.0:
            raise ExportError(
                "expected a density below 1 with sparse layers; found 1, which keeps all; give one (density=0.1, "
                "--density 0.1), or leave the layers out",
                -1,
            )
        if self.device not in (None, "host"):
            from edgecl.devices import profile

            try:
                profile.read(self.device)
            except ValueError as error:
                raise ExportError(str(error), -1) from error
        if self.encoder not in ("auto", "float32", "int8"):
            raise ExportError(f"expected encoder 'auto', 'float32' or 'int8'; found {self.encoder!r}; choose one", -1)
        if self.encoder == "int8" and self.calibration is None:
            raise ExportError(
                "expected calibration rows for an int8 encoder, whose ranges they give; found none; hand in some 100 "
                "raw samples (--calibrate rows.npz)",
                -1,
            )
        if self.new_head is not None and not 2 <= self.new_head <= MAX_CLASSES:
            raise ExportError(f"expected 2..{MAX_CLASSES} columns of a new head; found {self.new_head}; change it", -1)
        if self.new_head is not None and (self.keeps_statistics or self.trainable == "none"):
            raise ExportError(
                "expected new_head with a method that learns by gradients; found "
                + (f"method '{self.recipe.method}', whose head is always new" if self.keeps_statistics else "'none'")
                + "; leave one out",
                -1,
            )
        if not 0 <= self.projection <= 8192:
            raise ExportError(f"expected projection in 0..8192; found {self.projection}; 2048 is a good number", -1)
        if self.adaptor is not None and not self.keeps_statistics:
            raise ExportError(
                "expected an adaptor only under a head that keeps statistics; found the head 'gradient'; choose method "
                "'ncm', 'lda' or 'ridge', or leave it out",
                -1,
            )
        if self.adaptor == SEARCH and self.adaptor_data is None:
            raise ExportError(
                "expected rows of the new domain to choose an adaptor by; found none; hand in adaptor_data=(x, y) "
                "(--adaptor-data FILE.npz), or name an adaptor",
                -1,
            )
        if self.adaptor != SEARCH and self.adaptor_data is not None:
            raise ExportError(
                f"expected rows for the choice of an adaptor only with adaptor 'search'; found {self.adaptor!r}; leave "
                "one out",
                -1,
            )
        if self.adaptor_data is not None:
            AdaptorData.of(self.adaptor_data)
        if self.max_classes is not None and self.max_classes < 1:
            raise ExportError(
                f"expected max_classes >= 1; found {self.max_classes}; leave it out to keep the head's size", -1
            )
        if self.out is not None and not Path(self.out).resolve().parent.is_dir():
            raise ExportError(
                f"expected out to name a file in an existing folder; found '{os.fspath(self.out)}'; create the folder "
                "first",
                -50,
            )

    def _check_external(self) -> None:
        if not self.keeps_statistics:
            raise ExportError(
                "expected a head that keeps statistics, since the layers of an external encoder do not learn; found a "
                f"method that learns by gradients ('{self.recipe.preset}'); choose --head ncm, lda, ridge, hd or fecam",
                -1,
            )
        for what, is_given in (
            ("a density", self.density < 1),
            ("sparse layers", self.sparse_layers is not None),
            ("layer_choice", self.layer_choice != "sparse"),
            ("an encoder in int8", self.encoder == "int8"),
        ):
            if is_given:
                raise ExportError(
                    f"expected an external encoder as its file has it; found {what}; leave that or external out", -1
                )
