# Networks of timm and torchvision for benchmarks: packages that are no dependencies of ours.
# Never here: our own networks (networks.py).
"""Each raises ImportError where its package is absent."""

from __future__ import annotations

import sys
import types

from torch import nn

CLASSES = 10


def _without_registrations() -> None:
    """Wheels of torchvision may be built for another PyTorch; their registrations of other operators are not needed."""
    sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))


def of_timm(name: str) -> nn.Module:
    """A network of timm, which brings torchvision in, without pretrained weights."""
    _without_registrations()
    import timm

    module: nn.Module = timm.create_model(name, num_classes=CLASSES)
    return module


def of_torchvision(name: str) -> nn.Module:
    """A network of torchvision, without pretrained weights."""
    _without_registrations()
    import torchvision

    module: nn.Module = getattr(torchvision.models, name)(num_classes=CLASSES)
    return module
