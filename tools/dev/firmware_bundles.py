"""Writes the bundles of the firmware example (devices/firmware/bundles): seeded weights, shapes that products have.

usage: python tools/dev/firmware_bundles.py [--out DIR]

keyword_gradient, keyword_ncm: DS-CNN-S (Zhang et al. 2017, "Hello Edge", 64 channels, 49 x 10 MFCC in, 12 words) whose
convolutions are frozen in int8, with a linear head that learns by gradients and with one of class means.
activity_sparse: three linear layers over 6 x 32 accelerometer readings, the hidden ones with 10 % of their weights,
which move (SET), all of them learning.
The committed files are what the boards' digests in tests/firmware were made from; a new version of the exporter is no
reason to write them again. Never here: accuracy.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from edgecl import export
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
MFCC = (1, 49, 10)
READINGS = 6 * 32
CHANNELS, BLOCKS, WORDS, ACTIVITIES = 64, 4, 12, 6


def ds_cnn() -> nn.Module:
    """DS-CNN-S with a linear layer on its mean."""
    layers: list[nn.Module] = [nn.Conv2d(1, CHANNELS, (10, 4), stride=(2, 2), padding=(4, 1)), nn.ReLU()]
    for _ in range(BLOCKS):
        layers += [nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=CHANNELS), nn.ReLU()]
        layers += [nn.Conv2d(CHANNELS, CHANNELS, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, WORDS))


def mlp() -> nn.Module:
    """192 - 64 - 32 - 6."""
    return nn.Sequential(
        nn.Linear(READINGS, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, ACTIVITIES)
    )


def write(folder: Path) -> None:
    """All three."""
    torch.manual_seed(11)
    samples = np.random.default_rng(11).standard_normal((64, *MFCC), dtype=np.float32)
    encoder = ds_cnn()
    recipes = {
        "keyword_gradient": export.Recipe(
            method="er", replay_capacity=64, replay_batch=4, batch_size=4, latent_replay=True
        ),
        "keyword_ncm": export.Recipe(method="ncm", batch_size=4),
    }
    for name, recipe in recipes.items():
        export.from_torch(
            encoder, torch.zeros(1, *MFCC), out=folder / f"{name}.ecl", classes=0, max_classes=WORDS, recipe=recipe,
            encoder="int8", calibration=samples, **({"trainable": "head"} if recipe.method == "er" else {}),
        )  # fmt: skip
    moving = export.Recipe(
        method="set-er", replay_capacity=16, replay_batch=4, batch_size=4, structure_interval=4, structure_updates=4
    )
    export.from_torch(
        mlp(), torch.zeros(1, READINGS), out=folder / "activity_sparse.ecl", classes=0, max_classes=ACTIVITIES,
        density=0.1, recipe=moving,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "devices/firmware/bundles")
    write(parser.parse_args().out)


if __name__ == "__main__":
    main()
