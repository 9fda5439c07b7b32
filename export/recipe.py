# What the caller decides about input and learning: plain data, checked on construction.
# Never here: torch, onnx, anything about a graph.
"""`InputSpec` (how raw samples become the network's input) and `Recipe` (how the device learns)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from edgecl.export.errors import ExportError
from edgecl.methods import method_settings
from numpy.typing import NDArray

Method = Literal["finetune", "er", "derpp", "er_ace", "uer", "fpf"]
Structure = Literal["static", "tdm", "set", "rigl"]
Growth = Literal["random", "gradient", "importance"]
GradientMask = Literal["all", "dgm", "migu", "hft"]
Boundary = Literal["caller", "drift"]


@dataclass(frozen=True)
class InputSpec:
    """Raw samples as the device hands them in. value = (raw * scale - mean[c]) / std[c], in float32, three rounded
    steps.

    Attributes:
        dtype: element type of the raw samples, "f32" or "u8".
        channels_last: raw images are [H][W][C]; the network still sees [C][H][W].
        scale: multiplies the raw value (1/255 turns bytes into 0..1).
        mean, std: one number, or one a channel, in units of raw * scale; std > 0.
    """

    dtype: Literal["f32", "u8"] = "f32"
    channels_last: bool = False
    scale: float = 1.0
    mean: float | Sequence[float] = 0.0
    std: float | Sequence[float] = 1.0

    def __post_init__(self) -> None:
        if self.dtype not in ("f32", "u8"):
            raise ExportError(
                f"expected InputSpec.dtype 'f32' or 'u8'; found {self.dtype!r}; samples of other types must be "
                "converted",
                -3,
            )
        numbers = np.concatenate([np.ravel([self.scale]), np.ravel(self.mean), np.ravel(self.std)]).astype(np.float64)
        if not np.isfinite(numbers).all() or self.scale == 0 or (np.ravel(self.std) <= 0).any():
            raise ExportError(
                f"expected finite scale, mean and std with scale != 0 and std > 0; found scale={self.scale}, "
                f"mean={self.mean}, "
                f"std={self.std}; correct the InputSpec",
                -1,
            )

    def mean_array(self, channels: int) -> NDArray[np.float32]:
        """[channels] float32."""
        return _per_channel(self.mean, channels, "mean")

    def inv_std_array(self, channels: int) -> NDArray[np.float32]:
        """[channels] float32, 1 / std rounded once."""
        return (1.0 / _per_channel(self.std, channels, "std").astype(np.float64)).astype(np.float32)

    def raw_dims(self, dims: tuple[int, ...]) -> tuple[int, ...]:
        """Dimensions of one raw sample for a network input of `dims`."""
        return (*dims[1:], dims[0]) if self.channels_last else dims

    def network_input(self, raw: NDArray[Any], channels: int) -> NDArray[np.float32]:
        """Raw rows [n, *raw dims] as the source network takes them, [n, *dims], with the device's arithmetic (float32,
        three steps)."""
        rows = np.moveaxis(raw, -1, 1) if self.channels_last else raw
        shape = (1, channels, *([1] * (rows.ndim - 2)))
        values = rows.astype(np.float32) * np.float32(self.scale)
        values = values - self.mean_array(channels).reshape(shape)
        return np.ascontiguousarray(values * self.inv_std_array(channels).reshape(shape), np.float32)

    def random_rows(self, n: int, dims: tuple[int, ...], seed: int) -> NDArray[Any]:
        """Seeded raw rows [n, *raw dims]: bytes uniform over 0..255, floats such that the network sees a standard
        normal."""
        generator = np.random.default_rng(seed)
        shape = (n, *self.raw_dims(dims))
        if self.dtype == "u8":
            return generator.integers(0, 256, shape, dtype=np.uint8)
        channels = dims[0]
        last = self.channels_last
        axis_shape = (1, *([1] * (len(dims) - 1)), channels) if last else (1, channels, *([1] * (len(dims) - 1)))
        normal = generator.standard_normal(shape)
        std = 1.0 / self.inv_std_array(channels).astype(np.float64).reshape(axis_shape)
        return ((normal * std + self.mean_array(channels).reshape(axis_shape)) / self.scale).astype(np.float32)


def _per_channel(value: float | Sequence[float], channels: int, what: str) -> NDArray[np.float32]:
    array = np.ravel(np.asarray(value, np.float32))
    if array.size == 1:
        return np.full(channels, array[0], np.float32)
    if array.size != channels:
        raise ExportError(
            f"expected InputSpec.{what} to be one number or {channels}, one a channel; found {array.size}; correct it",
            -2,
        )
    return array


@dataclass(frozen=True)
class Recipe:
    """How a session learns unless it is told otherwise; stored in the bundle (RecipeRecord of bundle_format.h).

    Attributes:
        method: "finetune" (no replay), "er", "derpp" (DER++, Buzzega et al. 2020), "er_ace" (Caccia et al. 2022), "uer"
            (Lin et al. 2023) or "fpf" (Zhao et al. 2023). `Recipe.named` takes the longer names of `edgecl.methods`.
        learning_rate, momentum, weight_decay: PyTorch's SGD; > 0, 0..1, >= 0.
        batch_size: rows of the current stream a step, >= 1.
        replay_batch: rows drawn from the buffer a draw (DER++ draws twice).
        replay_capacity: exemplars in the buffer.
        alpha, beta: DER++: weight of the error to stored logits, and of the replayed cross-entropy.
        class_mask: current cross-entropy only over the classes of the batch.
        augment_crop: zero padding in pixels for random crops, 0 = off.
        augment_flip: random horizontal flips.
        structure, growth, structure_interval, structure_updates, structure_inter, structure_intra, importance_current,
        importance_replay, gradient_mask, gradient_interval, gradient_keep, boundary, drift_delta, drift_threshold: as
            edgecl_sparsity in edgecl.h; the export plans room for structure_inter in every sparse layer.
        latent_replay: the buffer keeps activations at the border of the frozen part.
        cosine_scale: factor of UER's cosine logits.
    """

    method: Method = "er"
    learning_rate: float = 0.03
    momentum: float = 0.0
    weight_decay: float = 0.0
    batch_size: int = 10
    replay_batch: int = 10
    replay_capacity: int = 500
    alpha: float = 0.1
    beta: float = 0.5
    class_mask: bool = False
    augment_crop: int = 0
    augment_flip: bool = False
    structure: Structure = "static"
    growth: Growth = "random"
    structure_interval: int = 100
    structure_updates: int = 8
    structure_inter: float = 0.01
    structure_intra: float = 0.01
    importance_current: float = 0.5
    importance_replay: float = 0.5
    gradient_mask: GradientMask = "all"
    gradient_interval: int = 30
    gradient_keep: float = 0.8
    boundary: Boundary = "caller"
    drift_delta: float = 0.05
    drift_threshold: float = 3.0
    latent_replay: bool = False
    cosine_scale: float = 16.0

    @classmethod
    def named(cls, name: str, **overrides: Any) -> Recipe:
        """The recipe of a method of `edgecl.methods.METHODS`, such as "sparcl-derpp", with fields changed by name."""
        settings = {**method_settings(name), **overrides}
        settings["latent_replay"] = bool(settings.get("latent_replay", False))
        return cls(**settings)

    def __post_init__(self) -> None:
        floats = (self.learning_rate, self.momentum, self.weight_decay, self.alpha, self.beta)
        faults = []
        for field, choices in (
            ("method", get_args(Method)),
            ("structure", get_args(Structure)),
            ("growth", get_args(Growth)),
            ("gradient_mask", get_args(GradientMask)),
            ("boundary", get_args(Boundary)),
        ):
            if getattr(self, field) not in choices:
                faults.append(f"{field} one of {', '.join(choices)}")
        if (
            not all(math.isfinite(value) and value >= 0 for value in floats)
            or self.learning_rate == 0
            or self.momentum >= 1
        ):
            faults.append("learning_rate > 0, 0 <= momentum < 1, weight_decay, alpha, beta >= 0, all finite")
        if self.batch_size < 1 or min(self.replay_batch, self.replay_capacity) < 0 or not 0 <= self.augment_crop <= 127:
            faults.append("batch_size >= 1, replay_batch and replay_capacity >= 0, augment_crop 0..127")
        if self.structure_interval < 1 or self.structure_updates < 0 or self.gradient_interval < 1:
            faults.append("structure_interval and gradient_interval >= 1, structure_updates >= 0")
        if not (0 <= self.structure_inter <= 0.5 and 0 <= self.structure_intra <= 1 and 0 < self.gradient_keep <= 1):
            faults.append("structure_inter in 0..0.5, structure_intra in 0..1, gradient_keep in (0, 1]")
        if not min(self.importance_current, self.importance_replay, self.drift_delta, self.cosine_scale) >= 0:
            faults.append("importance_current, importance_replay, drift_delta, cosine_scale >= 0")
        if not self.drift_threshold > 0:
            faults.append("drift_threshold > 0")
        if faults:
            raise ExportError(f"expected a valid recipe; found {self}; these must hold: {'; '.join(faults)}", -1)

    @property
    def structure_room(self) -> float:
        """Share of a sparse layer's positions that must be planned beyond its weights."""
        return self.structure_inter if self.structure == "tdm" else 0.0

    def as_plan(self, trainable: str) -> dict[str, Any]:
        """The dict that the bundle writer takes; `trainable` is "all", "tail" or "head"."""
        return {**asdict(self), "trainable": trainable}
