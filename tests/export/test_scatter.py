# Assignments to slices and indices, and sums of windows: outputs and learning steps against PyTorch; what is refused.
# Never here: single cases of ONNX (test_onnx_node_cases.py).
from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from around import SHAPE, Around, check, plan_of
from edgecl.export.errors import ExportError
from torch import Tensor
from torch.nn import functional


def assigned(*at: object, add: bool = False) -> Callable[[Tensor], Tensor]:
    """Numbers of the maps in place of others of theirs, or added to them."""

    def function(x: Tensor) -> Tensor:
        y, other = x.clone(), torch.tanh(x).flip(1)
        y[at] = y[at] + other[at] if add else other[at]
        return y

    return function


def in_zeros(x: Tensor) -> Tensor:
    """A shift of channels along an axis, as temporal shift modules write it."""
    y = torch.zeros_like(x)
    y[:, :3, 1:] = x[:, :3, :-1]
    y[:, 3:6, :-1] = x[:, 3:6, 1:]
    y[:, 6:] = x[:, 6:]
    return y


def masked_out(x: Tensor) -> Tensor:
    """A constant in place of numbers."""
    y = 2.0 * x
    y[:, ::3, 2:4] = 0.5
    return y


def indexed(name: str, index: list[int], axis: int) -> Callable[[Tensor], Tensor]:
    def function(x: Tensor) -> Tensor:
        own = torch.tensor(index)
        return getattr(torch.tanh(x), name)(axis, own, x.index_select(axis, own.flip(0)))

    return function


def scattered(x: Tensor) -> Tensor:
    index = torch.tensor([5, 0, 3]).reshape(1, 3, 1, 1).expand(x.shape[0], 3, 6, 6)
    return torch.tanh(x).scatter(1, index, x[:, :3])


def summed(x: Tensor) -> Tensor:
    """Segments' sums: several numbers for one position."""
    index = torch.tensor([0, 1, 0, 2, 1, 1, 0, 2]).reshape(1, 8, 1, 1).expand(x.shape[0], 8, 6, 6)
    return torch.zeros_like(x[:, :4]).scatter_add(1, index, x)


SLICE = slice(None)
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "a box": assigned(SLICE, SLICE, slice(1, None), slice(2, 5)),
    "a box, added": assigned(SLICE, slice(2, 6), slice(1, None), add=True),
    "everything": assigned(SLICE, SLICE, slice(0, None)),
    "in steps": assigned(SLICE, slice(None, None, 2), slice(1, None, 3)),
    "a place": assigned(SLICE, SLICE, 3, 4),
    "channels in any order": assigned(SLICE, [6, 1, 2]),
    "a shift into zeros": in_zeros,
    "a constant": masked_out,
    "index_copy": indexed("index_copy", [4, 0, 1], 1),
    "index_add": indexed("index_add", [4, 0, 3], 2),
    "scatter": scattered,
    "scatter_add": summed,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_numbers_are_put_where_pytorch_puts_them(name: str) -> None:
    torch.manual_seed(4)
    check(Around(FUNCTIONS[name]), steps=3)


def test_a_box_costs_no_matrix_and_everything_nothing() -> None:
    kinds = [op["kind"] for op in plan_of(Around(FUNCTIONS["a box"]))["ops"]]
    assert kinds.count("conv") == 1 and "place" in kinds
    kinds = [op["kind"] for op in plan_of(Around(FUNCTIONS["everything"]))["ops"]]
    assert "place" not in kinds and "add" not in kinds


def test_the_larger_of_two_numbers_is_refused() -> None:
    def function(x: Tensor) -> Tensor:
        index = torch.zeros(x.shape[0], 1, 6, 6, dtype=torch.long)
        return x.scatter_reduce(1, index, x[:, 1:2], "amax")

    with pytest.raises(ExportError, match=r"put in by 'max'.*replace them or add to them"):
        plan_of(Around(function))


def folded(
    kernel: tuple[int, int], stride: tuple[int, int], padding: int = 0, dilation: int = 1
) -> Callable[[Tensor], Tensor]:
    """Windows, each number times another one, and their sums: a map larger than without overlaps."""

    def function(x: Tensor) -> Tensor:
        given = {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation}
        windows = functional.unfold(x, **given)
        weights = torch.arange(windows.shape[1] * windows.shape[2]).reshape(1, *windows.shape[1:]).to(x) % 7 - 2
        return functional.fold(windows * weights, x.shape[2:], **given)

    return function


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    [
        ((3, 3), (1, 1), 1, 1),  # outlook attention
        ((2, 3), (2, 3), 0, 1),  # side by side
        ((3, 2), (2, 1), 1, 1),
        ((4, 4), (3, 3), 1, 1),
        ((2, 2), (1, 2), 1, 2),
        ((2, 2), (3, 3), 0, 1),  # cells in no window
    ],
)
def test_windows_are_summed(kernel: tuple[int, int], stride: tuple[int, int], padding: int, dilation: int) -> None:
    torch.manual_seed(4)
    check(Around(folded(kernel, stride, padding, dilation)), steps=3)


def test_windows_side_by_side_are_one_copy() -> None:
    def function(x: Tensor) -> Tensor:
        windows = torch.tanh(x).reshape(-1, 8 * 4, 9)
        return functional.fold(windows, (6, 6), kernel_size=2, stride=2)

    ops = plan_of(Around(function))["ops"]
    assert [op["kind"] for op in ops].count("conv") == 1
    assert SHAPE == (2, 8, 8)


def test_a_pool_may_pad_with_minus_infinity() -> None:
    def function(x: Tensor) -> Tensor:
        return functional.max_pool2d(functional.pad(x, (0, 1, 1, 0), value=-float("inf")), 3, 2)

    torch.manual_seed(4)
    check(Around(function), steps=3)
