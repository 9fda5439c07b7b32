# A small encoder of handwritten characters and episodes of characters that it never saw.
# Never here: heads of other data (heads.py), reading of other sets (heads_data.py).
"""`read_omniglot`, `train_encoder`, `episodes`: one-shot learning of Omniglot's characters (Lake et al. 2015).

The encoder is the four blocks of prototypical networks (Snell et al. 2017), trained so that a drawing has a larger
cosine with another drawing of its character than with those of others. A character turned by 90, 180 or 270 degrees
counts as another character.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from edgecl.evaluate.data_files import data_file
from edgecl.npz import read_npz
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

SIDE = 28
TEST_ALPHABETS = 10  # of the 30; their characters make the episodes
WAYS, QUERIES = 60, 3  # of a training step, one drawing and three others a character
TEMPERATURE = 16.0
RATE = 2e-3

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Characters:
    """Drawings (characters, drawers, 28, 28) uint8, ink 255: those trained on, and those of other alphabets."""

    train: Images
    test: Images


def read_omniglot(seed: int = 0) -> Characters:
    """The background set with whole alphabets held out, drawn by the seed."""
    names = ("images_packed", "label", "alphabet", "alphabets")
    arrays = read_npz(data_file("omniglot_background.npz"), names)
    ink = np.unpackbits(arrays["images_packed"], axis=2)[:, :, :105]
    small = functional.adaptive_avg_pool2d(torch.from_numpy(255.0 * ink.astype(np.float32))[:, None], SIDE)
    images = small[:, 0].round().to(torch.uint8).numpy()
    by_character = np.stack([images[arrays["label"] == c] for c in range(int(arrays["label"].max()) + 1)])
    held_out = np.random.default_rng(seed).permutation(len(arrays["alphabets"]))[:TEST_ALPHABETS]
    _, alphabet = np.unique(arrays["alphabet"], return_inverse=True)
    test = np.isin(alphabet, held_out)
    return Characters(by_character[~test], by_character[test])


def build_encoder(width: int = 64) -> nn.Sequential:
    """(n, 1, 28, 28) to (n, width, 1, 1)."""
    blocks: list[nn.Module] = []
    for inputs in (1, width, width, width):
        blocks += [nn.Conv2d(inputs, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*blocks)


def train_encoder(images: Images, steps: int, seed: int = 0, width: int = 64) -> nn.Sequential:
    """Trained on drawings (characters, drawers, 28, 28); a step is an episode of its own."""
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    turned = np.concatenate([np.rot90(images, turns, axes=(2, 3)) for turns in range(4)])
    encoder = build_encoder(width).train()
    optimizer = torch.optim.Adam(encoder.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    ways = min(WAYS, len(turned))
    for _ in range(steps):
        chosen = generator.permutation(len(turned))[:ways]
        drawers = generator.permuted(np.tile(np.arange(images.shape[1]), (ways, 1)), axis=1)[:, : 1 + QUERIES]
        rows = torch.from_numpy(turned[chosen[:, None], drawers].reshape(-1, 1, SIDE, SIDE)).float() / 255
        z = functional.normalize(encoder(_moved(rows, generator)).flatten(1))
        z = z.reshape(ways, -1, z.shape[1])
        scores = TEMPERATURE * z[:, 1:].flatten(0, 1) @ z[:, 0].T
        loss = functional.cross_entropy(scores, torch.arange(ways).repeat_interleave(z.shape[1] - 1))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return encoder.eval()


def _moved(rows: torch.Tensor, generator: np.random.Generator) -> torch.Tensor:
    # Turned, scaled and shifted a little, as another hand would have it.
    n = len(rows)
    angle, scale = generator.uniform(-0.2, 0.2, n), generator.uniform(0.85, 1.15, n)
    shift = generator.uniform(-0.15, 0.15, (n, 2))
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    matrix = np.stack([np.stack([cos, -sin, shift[:, 0]], 1), np.stack([sin, cos, shift[:, 1]], 1)], 1)
    grid = functional.affine_grid(torch.from_numpy(matrix.astype(np.float32)), list(rows.shape), align_corners=False)
    return functional.grid_sample(rows, grid, align_corners=False)


def episodes(images: Images, ways: int, n: int, seed: int = 0) -> Iterator[tuple[Images, Any, Images, Any]]:
    """`n` draws of one drawing a character to learn and one other to tell: x, y, x, y, with x (ways, 1, 28, 28)."""
    generator = np.random.default_rng(seed)
    y = np.arange(ways)
    for _ in range(n):
        chosen = generator.permutation(len(images))[:ways]
        drawers = generator.permuted(np.tile(np.arange(images.shape[1]), (ways, 1)), axis=1)
        first, other = (np.ascontiguousarray(images[chosen, drawers[:, i]][:, None]) for i in (0, 1))
        yield first, y, other, y
