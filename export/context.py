# What the conversion of one ONNX node sees: the node, the values so far, and how to add to the graph.
# Never here: walking the graph (importer.py), a conversion (ops/).
"""`Context`, `Node`, and the two kinds of values, `Row` and `Constant`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx
from edgecl.export.errors import Unfit, Unsupported
from edgecl.export.graph import Dims, Graph, Op, Param, canonical, has_prefix, short, unique
from numpy.typing import NDArray

ROLES_THAT_LEARN = ("weight", "bias", "gamma", "beta", "scale", "offset")
ROW = ".row"  # ends the name of a constant that is one row of another
_ROUNDING = 1e-6  # of the largest number, between rows that a matrix product computed alike
_RUN_TIME = "values that are known only at run time"


@dataclass(frozen=True)
class Row:
    """A tensor that depends on the input: name in the graph, ONNX dimensions without the batch axis."""

    tensor: str
    dims: Dims


@dataclass(frozen=True)
class Constant:
    """A tensor that does not; `source`: the initialiser whose numbers these are (transposed: as its transpose), or
    None. `one`: the constant that it repeats for each row of a batch."""

    name: str
    values: NDArray[Any]
    source: str | None = None
    source_shape: Dims = ()
    transposed: bool = False
    one: Constant | None = None


@dataclass(frozen=True)
class Missing:
    """The output of a node that could not be converted, or that the converted node does not give."""

    reason: str


@dataclass(frozen=True)
class BatchAt(Missing):
    """A tensor whose batch is not its first axis, or not alone in it: [T][N][F], [N * windows][T][C].

    Operators that ask for a row cannot read it; those of ops/batch_lift.py can.

    Attributes:
        row: the numbers of one batch row in the source's order. Its dimensions are the source's with the axis of the
            batch left out, or of its own parts where it has some.
        axis: the source's axis that holds the batch; None: it is a batch of one, and no axis counts as it.
        outer, inner: how many parts that axis has in front of the batch and behind it: its size is outer * N * inner.
    """

    row: Row
    axis: int | None
    outer: int = 1
    inner: int = 1

    @property
    def parts(self) -> int:
        """What the axis of the batch holds for one batch row."""
        return self.outer * self.inner

    @property
    def rank(self) -> int:
        """Number of the source's axes."""
        return len(self.row.dims) + (self.axis is not None and self.parts == 1)

    def full(self, batch: int) -> Dims:
        """The source's shape."""
        dims = list(self.row.dims)
        if self.axis is not None and self.parts == 1:
            dims.insert(self.axis, batch)
        elif self.axis is not None:
            dims[self.axis] *= batch
        return tuple(dims)


@dataclass(frozen=True)
class Norm(Missing):
    """The L2 norm of a row over neighbouring axes `begin`..`end` - 1 of its dimensions, which stay as 1, and at least
    `epsilon`. The division of that row by it is one operator; for anything else it is computed piece by piece.
    `dims`: repeated to these dimensions."""

    row: Row
    begin: int
    end: int
    epsilon: float
    dims: Dims = ()


@dataclass(frozen=True)
class Computing:
    """Which constants the device computes for each row, so that the parameters learn which they are computed from.

    Attributes:
        learns: whether it is so of a parameter.
        begins_at: only from the first node on that reads this parameter, or one of this layer.
        only_rows: parameters of this kind that sums and products take as rows too, not as parameters of their own.
    """

    learns: Callable[[str], bool] = lambda name: False
    begins_at: str = ""
    only_rows: Collection[str] = ()


class Node:
    """One ONNX node with decoded attributes."""

    def __init__(self, proto: onnx.NodeProto) -> None:
        self.proto = proto
        self.op_type: str = proto.op_type
        self.inputs = list(proto.input)
        self.outputs = list(proto.output)
        self.name: str = short(proto.name or f"{proto.op_type}:{next(iter(proto.output), '')}")
        self.attributes: dict[str, Any] = {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        return int(self.attributes.get(name, default))

    def number(self, name: str, default: float) -> float:
        """A float attribute, exactly as float32."""
        return float(np.float32(self.attributes.get(name, default)))

    def integers(self, name: str, default: Sequence[int]) -> list[int]:
        """A list attribute."""
        return [int(value) for value in self.attributes.get(name, default)]

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else str(value)

    def has_input(self, index: int) -> bool:
        """An optional input is given."""
        return index < len(self.inputs) and self.inputs[index] != ""


class Context:
    """What a conversion reads from and writes to."""

    def __init__(
        self,
        graph: Graph,
        batch: int,
        output: str,
        opset: int,
        learnable: Callable[[str, str], bool],
        computing: Computing | None = None,
    ) -> None:
        self.graph = graph
        self.batch = batch
        self.output = output
        self.opset = opset
        self.environment: dict[str, Row | Constant | Missing] = {}
        self.is_unfit = False  # a node is in the way that no other engine would mend
        self.truths: set[str] = set()  # tensors of what comparisons give, ones and zeros
        self.folded: dict[str, onnx.NodeProto] = {}  # what made a constant
        self.computing = computing or Computing()
        self.computes = self.computing.begins_at == ""  # that layer was met
        self.computed: dict[str, Row | BatchAt] = {}  # such constants as tensors,
        self.rows: dict[str, Row | BatchAt] = {}  # what they are computed from as tensors,
        self.fixed: set[str] = set()  # and those that cannot be
        self.uses: Counter[str] = Counter()  # nodes that read an initialiser, however it is turned for them
        self._learnable = learnable
        self._params: dict[tuple[str, Dims, str], Param] = {}

    def value(self, node: Node, index: int) -> Row | Constant:
        """Input `index` of a node, whichever it is."""
        found = self.environment.get(node.inputs[index]) if node.has_input(index) else None
        if isinstance(found, Norm):
            from edgecl.export.ops.l2_norm import computed

            found = self.environment[node.inputs[index]] = computed(self, node, found)
        if isinstance(found, Missing) or found is None:
            reason = found.reason if isinstance(found, Missing) else f"input {index} is missing"
            raise Unsupported(reason, "remove the use of that output")
        return found

    def row(self, node: Node, index: int = 0) -> Row:
        """Input `index`, which must depend on the network's input."""
        found = self.value(node, index)
        if isinstance(found, Constant):
            raise Unsupported(
                f"expected input {index} to depend on the network's input; found a constant", "compute it beforehand"
            )
        return found

    def constant(self, node: Node, index: int, what: str) -> Constant:
        """Input `index`, which must be known now."""
        found = self.value(node, index)
        if isinstance(found, Row):
            raise Unsupported(
                f"expected constant {what}; found {_RUN_TIME}", "make it a parameter or a constant of the model"
            )
        return found

    def floats(self, node: Node, index: int, what: str) -> Constant:
        """As `constant`, of float32."""
        found = self.constant(node, index, what)
        if found.values.dtype != np.float32:
            raise Unsupported(
                f"expected {what} of float32; found {found.values.dtype}", "convert the model to float32 first"
            )
        return found

    def one_for_all(self, constant: Constant, rank: int) -> Constant:
        """A constant that is the same for each row of a batch, whose axis it has, without the repetitions. Rows that
        were computed at export may differ by rounding."""
        values = constant.values
        if values.ndim != rank or values.shape[0] == 1 or values.shape[0] != self.batch:
            return constant
        if constant.one is not None:
            return constant.one
        apart = 0.0
        if constant.source is None and values.dtype == np.float32 and values.size:
            apart = _ROUNDING * float(np.abs(values).max())
        same = bool((values == values[:1]).all()) or (apart > 0 and bool((np.abs(values - values[:1]) <= apart).all()))
        return Constant(f"{constant.name}{ROW}", values[:1]) if same else constant

    def integers(self, node: Node, index: int, what: str) -> list[int]:
        """As `constant`, as a flat list of integers."""
        return [int(value) for value in np.ravel(self.constant(node, index, what).values)]

    def param(
        self, constant: Constant, role: str, values: NDArray[np.float32] | None = None, transposed: bool = False
    ) -> Param:
        """The parameter of the bundle for a constant, in the orientation of `graph.Param`.

        Args:
            role: "weight", "bias", "gamma", "beta", "scale", "offset" (may learn), or "statistic", "fixed".
            values: the numbers in the bundle's shape, when they are not the constant's own.
            transposed: `values` is the transpose of the constant (both rank 2).
        """
        numbers = np.ascontiguousarray(constant.values if values is None else values, np.float32)
        if not numbers.size:
            raise Unfit(f"'{constant.name}' of shape {list(numbers.shape)} holds no number", "make no size 0")
        if np.isneginf(numbers).any():  # the others were refused before (onnx_prepare.py)
            raise Unsupported(
                f"{int(np.isneginf(numbers).sum())} numbers of a constant are minus infinity",
                "only sums (masks of scores) may have such; use a large negative number",
            )
        name = constant.source or constant.name  # turned for each use, one weight
        known = self._params.get((name, numbers.shape, role))
        if known is not None and np.array_equal(known.values, numbers):
            return known
        flipped = transposed != constant.transposed
        reference = constant.values.T if transposed else constant.values
        same = (
            constant.source is not None
            and reference.size == numbers.size
            and np.array_equal(reference.reshape(numbers.shape), numbers)
        )
        own = role in ROLES_THAT_LEARN and self._learns(constant, role)
        repeated = numbers.size > constant.values.size
        param = Param(
            name=name,
            values=numbers,  # maybe the source's own memory: replaced, never written to
            source=constant.source if same else None,
            source_shape=constant.source_shape,
            transposed=flipped,
            learnable=own and not repeated,
            learnable_in_layer=role in ROLES_THAT_LEARN and self._learns(constant, "bias") and not repeated,
            whole_of=constant.source if numbers.size == constant.values.size else None,
            computed=role in ROLES_THAT_LEARN and constant.source is None,
            repeated=own and repeated,
        )
        return self.once(param, role)

    def once(self, param: Param, role: str) -> Param:
        """The parameter, or the one of its name, role and numbers that was made for an earlier use."""
        key = (param.name, param.values.shape, role)
        known = self._params.get(key)
        if known is None or not np.array_equal(known.values, param.values):
            known = self._params[key] = param
        return known

    def meet(self, node: Node) -> None:
        """The next node to be converted."""
        self.computes = self.computes or any(has_prefix(key, self.computing.begins_at) for key in node.inputs)

    def learns_computed(self, initialiser: str) -> bool:
        """What is computed from this parameter follows it while it learns."""
        return self.computes and self.computing.learns(initialiser)

    def learns(self, initialiser: str, role: str) -> bool:
        """The source regards it as a parameter."""
        return self._learnable(initialiser, role)

    def _learns(self, constant: Constant, role: str) -> bool:
        return constant.source is not None and self._learnable(constant.source, role)

    def emit(self, node: Node, kind: str, inputs: Sequence[Row], dims: Dims, **fields: Any) -> Row:
        """Appends an op whose output has row dimensions `dims`; returns its output."""
        name = unique(
            node.name if fields.get("suffix") is None else f"{node.name}.{fields['suffix']}", self.graph.tensors
        )
        fields.pop("suffix", None)
        self.graph.tensors[name] = canonical(dims)
        self.graph.ops.append(Op(name=name, kind=kind, inputs=[row.tensor for row in inputs], output=name, **fields))
        return Row(name, dims)

    def reshape(self, node: Node, row: Row, dims: Dims) -> Row:
        """The same row with other dimensions: the same memory; an op only where [C][H][W] changes."""
        assert prod(dims) == prod(row.dims)
        if canonical(dims) == self.graph.tensors[row.tensor]:
            return Row(row.tensor, dims)
        return self.emit(node, "reshape", [row], dims, suffix="reshape")

    def bind(self, node: Node, result: Row | Constant, index: int = 0) -> None:
        """Gives output `index` of the node its value."""
        self.environment[node.outputs[index]] = result

    def note(self, text: str) -> None:
        """A sentence for the report."""
        self.graph.notes.append(text)
