"""Writes the bundles of the firmware example (devices/firmware/bundles): seeded weights, shapes that products have.

usage: python tools/dev/firmware_bundles.py [--out DIR]

keyword_gradient, keyword_ncm: DS-CNN-S (Zhang et al. 2017, "Hello Edge", 64 channels, 49 x 10 MFCC in, 12 words) whose
convolutions are frozen in int8, with a linear head that learns by gradients and with one of class means.
activity_sparse: three linear layers over 6 x 32 accelerometer readings, the hidden ones with 10 % of their weights,
which move (SET), all of them learning.
keyword_small, activity_small: of a small build (the preset cortex-m7-small): 16 channels in float32, and a structure
that stays.
The committed files are what the boards' digests in tests/firmware were made from; a new version of the exporter is no
reason to write them again. Never here: accuracy.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from edgecl import export
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
MFCC = (1, 49, 10)
READINGS = 6 * 32
BLOCKS, WORDS, ACTIVITIES = 4, 12, 6


def ds_cnn(channels: int) -> nn.Module:
    """DS-CNN with a linear layer on its mean; 64 channels are DS-CNN-S."""
    layers: list[nn.Module] = [nn.Conv2d(1, channels, (10, 4), stride=(2, 2), padding=(4, 1)), nn.ReLU()]
    for _ in range(BLOCKS):
        layers += [nn.Conv2d(channels, channels, 3, padding=1, groups=channels), nn.ReLU()]
        layers += [nn.Conv2d(channels, channels, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, WORDS))


def mlp() -> nn.Module:
    """192 - 64 - 32 - 6."""
    return nn.Sequential(nn.Linear(READINGS, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, ACTIVITIES))


def write_keyword(path: Path, channels: int, encoder: str, method: str) -> None:
    """A frozen DS-CNN and a head that learns; by gradients with a buffer of embeddings."""
    torch.manual_seed(11)
    samples = np.random.default_rng(11).standard_normal((64, *MFCC), dtype=np.float32)
    by_gradient = method == "er"
    recipe = (
        export.Recipe(method=method, replay_capacity=64, replay_batch=4, batch_size=4, latent_replay=True)
        if by_gradient
        else export.Recipe(method=method, batch_size=4)
    )
    options: dict[str, Any] = {"trainable": "head"} if by_gradient else {}
    if encoder == "int8":
        options |= {"encoder": "int8", "calibration": samples}
    export.from_torch(
        ds_cnn(channels), torch.zeros(1, *MFCC), out=path, classes=0, max_classes=WORDS, recipe=recipe, **options
    )


def write_activity(path: Path, method: str) -> None:
    """An MLP with a tenth of its hidden weights, all of which learn."""
    torch.manual_seed(11)
    recipe = export.Recipe(
        method=method, replay_capacity=16, replay_batch=4, batch_size=4, structure_interval=4, structure_updates=4
    )
    export.from_torch(
        mlp(), torch.zeros(1, READINGS), out=path, classes=0, max_classes=ACTIVITIES, density=0.1, recipe=recipe
    )


def write(folder: Path) -> None:
    """All of them."""
    write_keyword(folder / "keyword_gradient.ecl", 64, "int8", "er")
    write_keyword(folder / "keyword_ncm.ecl", 64, "int8", "ncm")
    write_keyword(folder / "keyword_small.ecl", 16, "float32", "er")
    write_activity(folder / "activity_sparse.ecl", "set-er")
    write_activity(folder / "activity_small.ecl", "static-er")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "devices/firmware/bundles")
    write(parser.parse_args().out)


if __name__ == "__main__":
    main()
