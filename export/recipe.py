# What the caller decides about input and learning: plain data, checked on construction.
# Never here: torch, onnx, anything about a graph.
"""`InputSpec` (how raw samples become the network's input) and `Recipe` (how the device learns)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from edgecl._core import check_recipe
from edgecl.errors import ArgumentError
from edgecl.export.errors import ExportError
from edgecl.methods import method_settings
from edgecl.recipe_parameters import PARAMETERS, RecipeParameters, refuse_unknown, shows_parameters
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing_extensions import Unpack


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
                -1,
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
            -1,
        )
    return array


@shows_parameters(with_defaults=True)
class Recipe:
    """How a session learns unless it is told otherwise; stored in the bundle. Each parameter is an attribute; `method`
    becomes the method of the core ("sparcl-derpp" is "derpp"), `preset` keeps the name.

    Args:
        {parameters}

    The export plans room for structure_inter in every sparse layer.

    Raises:
        ExportError: no recipe, with the core's words.
    """

    preset: str

    def __init__(self, **fields: Unpack[RecipeParameters]) -> None:
        refuse_unknown(fields, "Recipe")
        given = {name: value for name, value in fields.items() if value is not None}
        preset = str(given.get("method", PARAMETERS["method"].default))
        try:
            settings = method_settings(preset)
            values = {name: parameter.default for name, parameter in PARAMETERS.items()}
            values = {**values, **settings, **given, "method": settings["method"]}
            check_recipe(values)
        except ArgumentError as error:
            raise ExportError(str(error), error.status) from error
        self.__dict__.update(values, preset=preset)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"expected a parameter of a recipe; found {name!r}; check the spelling")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"expected a new Recipe; found {name!r} set on an existing one; recipes do not change")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        return f"Recipe({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items() if name != 'preset')})"

    @property
    def structure_room(self) -> float:
        """Share of a sparse layer's positions that must be planned beyond its weights."""
        return float(self.structure_inter) if self.structure == "tdm" else 0.0

    def as_config(self) -> dict[str, Any]:
        """The fields by name, as a session's configuration takes them."""
        return {name: self.__dict__[name] for name in PARAMETERS}

    def as_plan(self, trainable: str) -> dict[str, Any]:
        """The dict that the bundle writer takes; `trainable` is "all", "tail" or "head"."""
        return {**self.__dict__, "trainable": trainable}
