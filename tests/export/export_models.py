# The networks of the accuracy recipes and a few that use every supported layer.
# Never here: tests, training.
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def mlp() -> nn.Module:
    """784-256-256-10, ReLU."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
    )


def small_cnn() -> nn.Module:
    """Two convolutions with max pooling, two linear layers; 1 x 28 x 28."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(1568, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def har_cnn() -> nn.Module:
    """Three 1-D convolutions over six channels of a motion sensor."""
    return nn.Sequential(
        nn.Conv1d(6, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(32, 64, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(64, 64, 5, padding=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(64, 6),
    )


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions with batch-norm and a shortcut (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(hidden)) + self.shortcut(x))


class ReducedResNet18(nn.Module):
    """ResNet-18 for 32 x 32 images with nf, 2 nf, 4 nf, 8 nf channels."""

    def __init__(self, nf: int = 20, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, nf, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(nf)
        inputs = nf
        stages = []
        for index, stride in enumerate((1, 2, 2, 2)):
            outputs = nf << index
            stages.append(nn.Sequential(BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1)))
            inputs = outputs
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(functional.adaptive_avg_pool2d(x, 1).flatten(1))


class SqueezeExcite(nn.Module):
    """Channel weights from the pooled map (Hu et al. 2018), with a hard sigmoid."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = functional.adaptive_avg_pool2d(x, 1)
        return x * functional.hardsigmoid(self.expand(functional.relu(self.reduce(pooled))))


class MobileBlockNet(nn.Module):
    """Depthwise convolutions, ReLU6, hard swish, squeeze-and-excite, a residual sum (Howard et al. 2019)."""

    def __init__(self, classes: int = 7) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
        self.expand = nn.Sequential(nn.Conv2d(8, 24, 1, bias=False), nn.BatchNorm2d(24), nn.ReLU6())
        self.depthwise = nn.Sequential(
            nn.Conv2d(24, 24, 5, 1, 2, groups=24, bias=False), nn.BatchNorm2d(24), nn.Hardswish()
        )
        self.excite = SqueezeExcite(24, 6)
        self.project = nn.Sequential(nn.Conv2d(24, 8, 1, bias=False), nn.BatchNorm2d(8))
        self.dropout = nn.Dropout(0.2)
        self.classifier = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.project(self.excite(self.depthwise(self.expand(x))))
        return self.classifier(self.dropout(x.mean((2, 3))))


class GroupNormNet(nn.Module):
    """Group normalisation, SiLU, average pooling, a concatenation and a grouped convolution."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 8, 3, padding=1)
        self.norm1 = nn.GroupNorm(4, 8)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2)
        self.norm2 = nn.GroupNorm(1, 8)
        self.conv3 = nn.Conv2d(16, 12, (3, 2), stride=(2, 1))
        self.norm3 = nn.InstanceNorm2d(12, affine=True)
        self.head = nn.Linear(12, classes)

    def forward(self, x: Tensor) -> Tensor:
        first = functional.silu(self.norm1(self.conv1(x)))
        second = functional.relu(self.norm2(self.conv2(first)))
        joined = functional.avg_pool2d(torch.cat([first, second], 1), 3, 2, 1, ceil_mode=True)
        last = functional.relu(self.norm3(self.conv3(joined)))
        return self.head(functional.adaptive_avg_pool2d(last, 1).flatten(1))


class VectorNet(nn.Module):
    """Linear layers with batch-norm over vectors, and a learned scale and offset."""

    def __init__(self, features: int = 20, classes: int = 4) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, features))
        self.offset = nn.Parameter(torch.linspace(-0.1, 0.1, features))
        self.first = nn.Linear(features, 32, bias=False)
        self.norm = nn.BatchNorm1d(32)
        self.second = nn.Linear(32, 16)
        self.head = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.norm(self.first(x * self.scale + self.offset)))
        return self.head(torch.sigmoid(self.second(x)))


class OddNet(nn.Module):
    """Rewrites: wide and lopsided padding, joins over the width and of a tensor with itself, squares, differences,
    means over one axis."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.side = nn.Conv2d(2, 4, (2, 1), stride=(1, 2))
        self.mix = nn.Conv2d(8, 6, 1, bias=False)
        self.bias = nn.Parameter(torch.linspace(-0.2, 0.2, 6).reshape(6, 1, 1))
        self.head = nn.Linear(66, classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        first = self.conv(functional.pad(x, (4, 1, 0, 5)))
        second = self.side(functional.pad(x, (0, 3, 4, 0), value=0.5))
        wide = torch.cat([first * 0.5, second], 3)
        y = self.mix(torch.cat([wide, wide], 1)) + self.bias
        y = (y * y - y) / 3.0
        return self.head(functional.max_pool2d(functional.relu(y), 2).mean(2).flatten(1))


# name -> (constructor, shape of one sample)
MODELS = {
    "mlp": (mlp, (1, 28, 28)),
    "small_cnn": (small_cnn, (1, 28, 28)),
    "har_cnn": (har_cnn, (6, 64)),
    "resnet18": (ReducedResNet18, (3, 16, 16)),
    "mobile_block": (MobileBlockNet, (3, 20, 20)),
    "group_norm": (GroupNormNet, (2, 13, 11)),
    "vectors": (VectorNet, (20,)),
    "odd": (OddNet, (2, 10, 12)),
}


def settle_statistics(module: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """Gives batch-norms running statistics, gammas and betas that are not those of a fresh layer; leaves the module in
    evaluation mode."""
    generator = torch.Generator().manual_seed(5)
    for layer in module.modules():
        if (
            isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | nn.GroupNorm | nn.InstanceNorm2d)
            and layer.weight is not None
        ):
            with torch.no_grad():
                layer.weight.uniform_(0.5, 1.5, generator=generator)
                layer.bias.uniform_(-0.3, 0.3, generator=generator)
    module.train()
    with torch.no_grad():
        for _ in range(3):
            module(torch.randn(16, *shape, generator=generator))
    return module.eval()
