# Views of a tensor's numbers by sizes and strides, and what follows from one view of another.
# Never here: graphs, operators.
"""`View`: element (i, j, ...) of a tensor is number offset + i * stride + j * stride + ... of another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

from edgecl.export.graph import Dims

Axis = tuple[int, int]  # size, stride


@dataclass(frozen=True)
class View:
    """Axes in the order of the tensor, the last one fastest. Axes of size 1 are left out, and neighbours that lie
    together are one axis, so equal views have equal axes."""

    axes: tuple[Axis, ...]
    offset: int = 0

    @staticmethod
    def of(axes: Iterable[Axis], offset: int = 0) -> View:
        """With neighbours merged."""
        merged: list[Axis] = []
        for size, stride in axes:
            if size == 1:
                continue
            if merged and merged[-1][1] == size * stride:
                merged[-1] = (merged[-1][0] * size, stride)
            else:
                merged.append((size, stride))
        return View(tuple(merged), offset)

    @staticmethod
    def whole(size: int) -> View:
        """All numbers as they lie."""
        return View.of([(size, 1)])

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(size for size, _ in self.axes)

    def is_whole(self, size: int) -> bool:
        """All of `size` numbers as they lie."""
        return self == View.whole(size)

    def permutes(self, size: int) -> bool:
        """Each of `size` numbers once."""
        return self.offset == 0 and self.size == size and dense(sorted_axes(self.axes))

    def split(self, dims: Dims) -> list[list[Axis]] | None:
        """The axes of each of some dimensions with as many elements; None where one would have to be cut unevenly."""
        groups: list[list[Axis]] = []
        rest = list(reversed(self.axes))
        for size in reversed(dims):
            group: list[Axis] = []
            while size > 1:
                if not rest:
                    return None
                length, stride = rest.pop(0)
                if size % length == 0:
                    group.insert(0, (length, stride))
                    size //= length
                elif length % size == 0:
                    group.insert(0, (size, stride))
                    rest.insert(0, (length // size, stride * size))
                    size = 1
                else:
                    return None
            groups.insert(0, group)
        return groups if not rest else None

    def inverse(self) -> View:
        """Of a permutation: where the numbers of the other tensor lie in this one."""
        steps: list[tuple[int, Axis]] = []
        step = 1
        for size, stride in reversed(self.axes):
            steps.append((stride, (size, step)))
            step *= size
        return View.of(axis for _, axis in sorted(steps, key=lambda item: -item[0]))

    def after(self, inner: View) -> View | None:
        """This view of a tensor that is itself the view `inner` of another; None where no strides say that."""
        digits = _digits(self, inner)
        if digits is None:
            return None
        offset, rest = inner.offset, self.offset
        used = []
        for _, stride, step in digits:  # outermost first
            used.append(rest // step)
            offset += rest // step * stride
            rest %= step
        axes: list[Axis] = []
        for size, step in self.axes:
            found = _steps(size, step, digits, used)
            if found is None:
                return None
            axes += found
        if any(top >= size for top, (size, _, _) in zip(used, digits, strict=True)):
            return None
        return View.of(axes, offset)


def dense(axes: Sequence[Axis]) -> bool:
    """They lie row-major without gaps, the last one with stride 1."""
    step = 1
    for size, stride in reversed(axes):
        if stride != step:
            return False
        step *= size
    return True


def sorted_axes(axes: Iterable[Axis]) -> list[Axis]:
    """Outermost in memory first."""
    return sorted(axes, key=lambda axis: -axis[1])


Digit = tuple[int, int, int]  # size, stride in the other tensor, step in the one between


def _digits(outer: View, inner: View) -> list[Digit] | None:
    """The axes of `inner`, cut wherever an axis of `outer` begins."""
    digits: list[Digit] = []
    step = 1
    for size, stride in reversed(inner.axes):
        digits.insert(0, (size, stride, step))
        step *= size
    for _, wanted in outer.axes:
        if wanted < 0:
            return None
        for k, (size, stride, step) in enumerate(digits):
            if step < wanted < step * size:
                if wanted % step or size % (wanted // step):
                    return None
                part = wanted // step
                digits[k : k + 1] = [(size // part, stride * part, wanted), (part, stride, step)]
                break
    return digits


def _steps(size: int, step: int, digits: list[Digit], used: list[int]) -> list[Axis] | None:
    """An axis that goes `size` times `step` numbers ahead, as axes of the other tensor; `used` counts how far each
    digit goes."""
    if step == 0 or size == 1:
        return [(size, 0)]
    axes: list[Axis] = []
    for k in reversed(range(len(digits))):
        length, stride, at = digits[k]
        if at != step or size == 1:
            continue
        if size > length and size % length:
            return None
        taken = min(size, length)
        axes.insert(0, (taken, stride))
        used[k] += taken - 1
        size //= taken if size % taken == 0 else 1
        step *= length
    return axes if size == 1 else None
