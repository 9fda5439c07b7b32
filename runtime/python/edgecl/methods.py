# The learning methods by name: what each one sets, where it is valid, what it was compared with.
# Never here: arithmetic (the core does it), the reading of options.
"""`METHODS`: named settings, from plain experience replay to SparCL whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from edgecl.errors import ArgumentError


@dataclass(frozen=True)
class MethodEntry:
    """One named method.

    Attributes:
        title: the method in words.
        source: authors and year.
        settings: fields of the session configuration that it sets; everything else stays as the recipe says.
        needs: what bundle and stream must have: "replay", "sparse", "boundaries" (task ends told or detected), "tail"
            (frozen lower part), "epochs".
        compared: what its results were compared with.
    """

    title: str
    source: str
    settings: Mapping[str, Any]
    needs: tuple[str, ...]
    compared: str


_STATIC: dict[str, Any] = {"structure": "static", "gradient_mask": "all"}
# The released schedule in stream form: every K steps, eight exchanges of 1 % of a layer, then one last pruning.
_TDM: dict[str, Any] = {
    "structure": "tdm",
    "growth": "random",
    "structure_interval": 100,
    "structure_updates": 8,
    "structure_inter": 0.01,
    "structure_intra": 0.01,
    "importance_current": 0.5,
    "importance_replay": 0.5,
}
_DGM: dict[str, Any] = {"gradient_mask": "dgm", "gradient_interval": 30, "gradient_keep": 0.8}
_REPLACE: dict[str, Any] = {
    "structure_interval": 100,
    "structure_updates": 8,
    "structure_intra": 0.3,
    "structure_inter": 0.0,
    "gradient_mask": "all",
}
_DERPP: dict[str, Any] = {"method": "derpp", "class_mask": True}


def _entry(
    title: str, source: str, needs: tuple[str, ...], compared: str, *settings: Mapping[str, Any], **more: Any
) -> MethodEntry:
    merged: dict[str, Any] = {}
    for part in settings:
        merged.update(part)
    merged.update(more)
    return MethodEntry(title, source, MappingProxyType(merged), needs, compared)


_WANG = "Wang et al. 2022"
_LOSSES = "losses of every step against the same recipe in PyTorch"
METHODS: Mapping[str, MethodEntry] = MappingProxyType(
    {
        "finetune": _entry("plain SGD on the stream", "-", (), _LOSSES, _STATIC, method="finetune"),
        "er": _entry("experience replay", "Chaudhry et al. 2019", ("replay",), _LOSSES, _STATIC, method="er"),
        "derpp": _entry(
            "DER++, replay of logits and labels", "Buzzega et al. 2020", ("replay",), _LOSSES, _STATIC, method="derpp"
        ),
        "er_ace": _entry(
            "ER with asymmetric cross-entropy", "Caccia et al. 2022", ("replay",), _LOSSES, _STATIC, method="er_ace"
        ),
        "uer": _entry(
            "unbiased ER: current rows by cosine logits",
            "Lin et al. 2023",
            ("replay",),
            _LOSSES,
            _STATIC,
            method="uer",
            cosine_scale=16.0,
        ),
        "fpf": _entry(
            "k-FPF: sensitive parameters fine-tuned on the buffer now and then",
            "Zhao et al. 2023",
            ("replay",),
            _LOSSES,
            _STATIC,
            method="fpf",
        ),
        "sharp": _entry(
            "latent replay of hidden activations, as in SHARP",
            "Gurbuz et al. 2023",
            ("replay", "tail"),
            _LOSSES,
            _STATIC,
            method="er",
            latent_replay=1,
            augment_crop=0,
            augment_flip=0,
        ),
        "sparcl-er": _entry(
            "SparCL on ER with the class mask",
            _WANG,
            ("replay", "sparse", "boundaries"),
            "accuracy over seeds against a PyTorch transcription of the released code",
            _TDM,
            _DGM,
            method="er_ace",
        ),
        "sparcl-derpp": _entry(
            "SparCL on DER++ with the class mask",
            _WANG,
            ("replay", "sparse", "boundaries"),
            "accuracy over seeds against a PyTorch transcription of the released code",
            _TDM,
            _DGM,
            _DERPP,
        ),
        "static-er": _entry(
            "fixed structure, ER with the class mask", "-", ("replay", "sparse"), _LOSSES, _STATIC, method="er_ace"
        ),
        "static-derpp": _entry(
            "fixed structure, DER++ with the class mask", "-", ("replay", "sparse"), _LOSSES, _STATIC, _DERPP
        ),
        "set-er": _entry(
            "sparse evolutionary training on ER with the class mask",
            "Mocanu et al. 2018",
            ("replay", "sparse", "boundaries"),
            "structure rule against a plain transcription",
            _REPLACE,
            method="er_ace",
            structure="set",
        ),
        "set-derpp": _entry(
            "sparse evolutionary training on DER++ with the class mask",
            "Mocanu et al. 2018",
            ("replay", "sparse", "boundaries"),
            "structure rule against a plain transcription",
            _REPLACE,
            _DERPP,
            structure="set",
        ),
        "rigl-er": _entry(
            "RigL on ER with the class mask",
            "Evci et al. 2020",
            ("replay", "sparse", "boundaries"),
            "structure rule against a plain transcription",
            _REPLACE,
            method="er_ace",
            structure="rigl",
        ),
        "rigl-derpp": _entry(
            "RigL on DER++ with the class mask",
            "Evci et al. 2020",
            ("replay", "sparse", "boundaries"),
            "structure rule against a plain transcription",
            _REPLACE,
            _DERPP,
            structure="rigl",
        ),
    }
)


def method_settings(name: str) -> dict[str, Any]:
    """Fields of the session configuration that the named method sets ("er-ace" is "er_ace").

    Raises:
        ArgumentError: there is no such method.
    """
    entry = METHODS.get(name) or METHODS.get(name.replace("-", "_"))
    if entry is None:
        raise ArgumentError(f"expected a method among {', '.join(METHODS)}; found {name!r}; see `edgecl methods`")
    return dict(entry.settings)


def replay_draws(method: str) -> int:
    """Draws from the buffer that a learn step of a method makes (the session's "method", not a name of METHODS)."""
    return {"finetune": 0, "fpf": 0, "derpp": 2}.get(method, 1)


def structure_interval(steps_in_task: int) -> int:
    """Steps between two updates, so that a task of this many steps holds the released schedule: ten parts, the last of
    them with a settled structure."""
    return max(1, steps_in_task // 10)
