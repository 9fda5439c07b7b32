# Weights that PyTorch computes anew in each pass from others, as plain parameters: weight_norm, spectral_norm, pruning,
# and any other parametrisation.
# Never here: weights that a module's own forward computes.
"""`with_plain_weights`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.utils import parametrize, prune
from torch.nn.utils.spectral_norm import SpectralNorm, remove_spectral_norm
from torch.nn.utils.weight_norm import WeightNorm, remove_weight_norm

_Removal = Callable[[], object]


def with_plain_weights(module: torch.nn.Module) -> tuple[torch.nn.Module, list[str]]:
    """The module, or a copy in evaluation mode whose computed weights are parameters of that name, with the values that
    they have now; and a sentence for each kind that says so. What is not computed is shared with the module."""
    owners = {name: layer for name, layer in module.named_modules() if _computed(layer)}
    if not owners:
        return module, []
    memo: dict[int, Any] = {}
    own = {id(tensor) for layer in owners.values() for tensor in layer.parameters()}
    memo |= {id(tensor): tensor for tensor in module.parameters() if id(tensor) not in own}
    for layer in owners.values():  # what a hook computed for the last pass; it cannot be copied
        for held in vars(layer).values():
            for value in held if isinstance(held, list) else [held]:
                if isinstance(value, torch.Tensor) and not value.is_leaf:
                    memo[id(value)] = value.detach()
    copied = copy.deepcopy(module, memo).eval()
    found: dict[str, list[str]] = {}
    for name in owners:
        layer = copied.get_submodule(name)
        for kind, tensor, sources, remove in _computed(layer):
            learns = any(source.requires_grad for source in sources)
            remove()
            plain = getattr(layer, tensor).detach()
            delattr(layer, tensor)  # PyTorch leaves a plain tensor where nothing of it learns
            setattr(layer, tensor, torch.nn.Parameter(plain, requires_grad=learns))  # recurrent layers see this alone
            found.setdefault(kind, []).append(f"{name}.{tensor}" if name else tensor)
    return copied, [_sentence(kind, names) for kind, names in found.items()]


def _computed(layer: torch.nn.Module) -> list[tuple[str, str, list[torch.Tensor], _Removal]]:
    """(what computes it, its name, what it is computed from, what makes it plain) of each computed weight."""
    found: list[tuple[str, str, list[torch.Tensor], _Removal]] = []
    if parametrize.is_parametrized(layer):
        for tensor, steps in layer.parametrizations.items():  # type: ignore[union-attr, operator]
            kinds = ", ".join(type(step).__name__.lstrip("_") for step in steps)
            found.append((kinds, tensor, list(steps.parameters()), _parametrized(layer, tensor)))
        return found
    for hook in layer._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm):
            sources = [getattr(layer, f"{hook.name}_{part}") for part in "gv"]
            found.append(("WeightNorm", hook.name, sources, _hooked(remove_weight_norm, layer, hook.name)))
        elif isinstance(hook, SpectralNorm):
            sources = [getattr(layer, f"{hook.name}_orig")]
            removal = _hooked(remove_spectral_norm, layer, hook.name)
            found.append(("SpectralNorm", hook.name, sources, removal))
        elif isinstance(hook, prune.BasePruningMethod):
            tensor = hook._tensor_name
            found.append(("pruning", tensor, [getattr(layer, f"{tensor}_orig")], _hooked(prune.remove, layer, tensor)))
    return found


def _parametrized(layer: torch.nn.Module, tensor: str) -> _Removal:
    """PyTorch takes the computation off the layer's class, which a copy shares; so it gets one of its own first."""

    def remove() -> None:
        kind = type(layer)
        members = {key: value for key, value in vars(kind).items() if key not in ("__dict__", "__weakref__")}
        layer.__class__ = type(kind.__name__, kind.__bases__, members)
        parametrize.remove_parametrizations(layer, tensor, leave_parametrized=True)

    return remove


def _hooked(remove: Callable[..., object], layer: torch.nn.Module, tensor: str) -> _Removal:
    return lambda: remove(layer, tensor)


def _sentence(kind: str, names: list[str]) -> str:
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    one = len(names) == 1
    what = "a plain parameter with its present values" if one else "plain parameters with their present values"
    return f"{kind} is left out: {shown} {'is' if one else 'are'} {what}, and {'learns' if one else 'learn'} as such"
