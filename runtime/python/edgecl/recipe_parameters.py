# The parameters of a recipe for Python: types, defaults of an export, and what each is. With the core's list of fields
# (runtime/core/recipe_fields.def) the only one; a test holds both to the same names.
# Never here: ranges, conditions and names of choices (the core has them).
"""`RecipeParameters`: the keywords of `Classifier` and of `edgecl.export.Recipe`, and `--set NAME=VALUE` of the command
line."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple, TypedDict, TypeVar, get_type_hints

from edgecl import _core

N_THREADS = f"1..{_core.MAX_THREADS}, or -1 for all processors ({_core.MAX_THREADS} at the most)"


class Parameter(NamedTuple):
    """What an export stores unless it is told otherwise, and the parameter in words."""

    default: Any
    text: str


class RecipeParameters(TypedDict, total=False):
    """One key a field of the recipe; None means: as the bundle (`Classifier`) or the default (`Recipe`) says."""

    method: Annotated[
        str | None,
        Parameter("er", "a name of `edgecl.methods.METHODS`; parameters given beside it win over what it sets"),
    ]
    learning_rate: Annotated[float | None, Parameter(0.03, "of the plain SGD step, > 0")]
    momentum: Annotated[float | None, Parameter(0.0, "of PyTorch's SGD, 0..1, 1 excluded")]
    weight_decay: Annotated[float | None, Parameter(0.0, "of PyTorch's SGD, >= 0")]
    batch_size: Annotated[
        int | None,
        Parameter(10, "rows of one step; longer arrays are cut into consecutive steps, in order, never shuffled"),
    ]
    replay_batch: Annotated[int | None, Parameter(10, "rows of one draw from the buffer (DER++ draws twice)")]
    replay_capacity: Annotated[int | None, Parameter(500, "exemplars kept, 0 = none")]
    alpha: Annotated[float | None, Parameter(0.1, "DER++: weight of the error to stored logits")]
    beta: Annotated[float | None, Parameter(0.5, "DER++: weight of the replayed cross-entropy")]
    class_mask: Annotated[bool | None, Parameter(False, "current cross-entropy over the classes of the batch only")]
    augment_crop: Annotated[int | None, Parameter(0, "pixels of random crop, 0..127, 0 = off")]
    augment_flip: Annotated[bool | None, Parameter(False, "random horizontal flips")]
    latent_replay: Annotated[
        bool | None, Parameter(False, "the buffer keeps activations where the frozen part ends, in place of samples")
    ]
    cosine_scale: Annotated[
        float | None, Parameter(16.0, "factor of cosines: of UER's logits, of the heads ncm, hd, fecam and cosine")
    ]
    structure: Annotated[str | None, Parameter("static", "how the structure of sparse layers moves")]
    growth: Annotated[str | None, Parameter("random", "where TDM grows")]
    structure_interval: Annotated[int | None, Parameter(100, "steps between two changes of structure")]
    structure_updates: Annotated[int | None, Parameter(8, "exchanges in a task")]
    structure_inter: Annotated[float | None, Parameter(0.01, "TDM: extra weights at a task's start, share 0..0.5")]
    structure_intra: Annotated[float | None, Parameter(0.01, "weights exchanged in an update, share 0..1")]
    importance_current: Annotated[float | None, Parameter(0.5, "TDM's importance: weight of current gradients")]
    importance_replay: Annotated[float | None, Parameter(0.5, "TDM's importance: weight of replayed gradients")]
    gradient_mask: Annotated[str | None, Parameter("all", "which weights get a gradient")]
    gradient_interval: Annotated[int | None, Parameter(30, "steps between two choices of a gradient mask")]
    gradient_keep: Annotated[
        float | None, Parameter(0.8, "share that gets a gradient, 0..1, above 0 with a gradient mask")
    ]
    boundary: Annotated[str | None, Parameter("caller", "who ends a task")]
    drift_delta: Annotated[float | None, Parameter(0.05, "drift test: rise of the loss that does not count")]
    drift_threshold: Annotated[float | None, Parameter(3.0, "drift test: cumulated rise that alarms")]
    rate_schedule: Annotated[str | None, Parameter("constant", "how the learning rate goes through a task")]
    rate_floor: Annotated[float | None, Parameter(0.05, "share of the learning rate that is left at a task's end")]
    removal_share: Annotated[
        float | None, Parameter(0.0, "data removal: share of a task's examples that goes in all, 0..1, 1 excluded")
    ]
    removal_stages: Annotated[
        Sequence[int] | None, Parameter((1, 2, 3), "data removal: epochs, from 1, with an equal part after each")
    ]
    removal_score: Annotated[str | None, Parameter("misclassified", "what data removal counts")]
    rehearse_steps: Annotated[int | None, Parameter(0, "steps of one rehearsal (k-FPF)")]
    rehearse_interval: Annotated[int | None, Parameter(0, "learn steps between two rehearsals")]
    head: Annotated[str | None, Parameter("gradient", "what makes scores of embeddings")]
    replay_policy: Annotated[str | None, Parameter("reservoir", "which rows the buffer keeps")]
    head_shrinkage: Annotated[
        float | None,
        Parameter(0.0, "lda, ridge, fecam: share of the identity in the covariance, 0..1; 0 = the default"),
    ]
    feature_range: Annotated[
        float | None, Parameter(0.0, "largest magnitude of an embedding that statistics tell apart; 0 = 64")
    ]
    head_bank: Annotated[int | None, Parameter(0, "rows of embeddings that the statistics keep, the first ones")]
    novelty: Annotated[str | None, Parameter("none", "novelty score that decisions go by")]
    head_merges: Annotated[
        int | None,
        Parameter(0, "other devices whose statistics `merge` has room for; each takes as much as the heads'"),
    ]
    max_domains: Annotated[int | None, Parameter(0, "domains with an adaptor and a head each; 0 = none")]
    novelty_window: Annotated[int | None, Parameter(0, "samples that the drift alarm looks at; 0 = 64")]
    hd_bits: Annotated[int | None, Parameter(0, "bits of a code of the head hd, a multiple of 64; 0 = 4096")]
    feature_root: Annotated[
        bool | None, Parameter(False, "fecam: count the square root of each feature, with its sign")
    ]


_HINTS = get_type_hints(RecipeParameters, include_extras=True)
PARAMETERS: Mapping[str, Parameter] = MappingProxyType({name: hint.__metadata__[0] for name, hint in _HINTS.items()})

_CHOICES = {name: names for name, kind, names in _core.recipe_fields() if kind == "choice"}
_Class = TypeVar("_Class", bound=type)


def _choices(name: str) -> str:
    # The core's names of a choice; those of a method are a longer list.
    names = [] if name == "method" else _CHOICES.get(name, [])
    return ", one of " + ", ".join(f'"{choice}"' for choice in names) if names else ""


def refuse_unknown(names: Mapping[str, Any], owner: str) -> None:
    """TypeError for a keyword that is no parameter of a recipe."""
    unknown = sorted(set(names) - set(PARAMETERS))
    if unknown:
        raise TypeError(
            f"expected keywords of {owner} among its parameters ({', '.join(PARAMETERS)}); found {', '.join(unknown)}; "
            "check the spelling"
        )


def shows_parameters(with_defaults: bool) -> Any:
    """Decorator for a class whose constructor takes `**recipe: Unpack[RecipeParameters]`: its signature lists every
    parameter; in its text the line `{parameters}` becomes their descriptions, and `{n_threads}` that range.

    Args:
        with_defaults: the signature shows the defaults of an export; False: None, which is as the bundle says.
    """

    def show(cls: _Class) -> _Class:
        constructor = inspect.signature(cls.__init__)  # type: ignore[misc]
        own = [p for p in constructor.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        keywords = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=parameter.default if with_defaults else None,
                annotation=_HINTS[name].__origin__,
            )
            for name, parameter in PARAMETERS.items()
        ]
        cls.__init__.__signature__ = constructor.replace(parameters=[*own, *keywords])  # type: ignore[misc]
        lines = (
            textwrap.fill(
                f"{name}: {parameter.text}{_choices(name)}.", 116, initial_indent=" " * 8, subsequent_indent=" " * 12
            )
            for name, parameter in PARAMETERS.items()
        )
        text = (cls.__doc__ or "").replace("{n_threads}", N_THREADS)
        cls.__doc__ = text.replace(" " * 8 + "{parameters}", "\n".join(lines))
        return cls

    return show
