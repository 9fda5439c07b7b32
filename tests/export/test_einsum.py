# Einsum: the nodes of an equation against NumPy, exports of equations in networks against PyTorch, what is refused.
# Never here: the products themselves (test_attention.py).
from __future__ import annotations

import copy

import numpy as np
import onnx
import pytest
import torch
from around import SHAPE, Around, Function, check
from edgecl.export import Recipe, ops
from edgecl.export.einsum import nodes_of_einsum
from edgecl.export.errors import ExportError, Unsupported
from edgecl.export.onnx_front import from_onnx
from edgecl.export.parity import bundle_logits
from edgecl.export.torch_front import from_torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from oracle import sgd_step
from torch import Tensor, nn

SIZES = {"b": 2, "h": 3, "i": 4, "j": 5, "d": 6, "o": 7, "Z": 2}
EQUATIONS = [
    "ij->ji", "ij", "ji", "ij->", "ij->i", "ij->j", "bij->ib", "ii", "ii->i", "iji->j", "bii->ib", "hiijj->jhi",
    "i,i", "i,j", "i,j->ji", "i,i->i", "ij,j", "ij,jo->io", "ij,oj->io", "ij,jo->oi", "j,ij->i", "ij,ij->i",
    "ij,ij->", "ij,j->ij", "ij,i->ij", "ij,i->ji", "bhid,bhjd->bhij", "b h i d , b h j d -> b h i j",
    "bhij,bhjd->bhid", "bihd,bjhd->bhij", "bhij,bjhd->bihd", "bhid,hdo->bhio", "bhid,hod->bhoi", "bijd,dij->bd",
    "bid,dho->biho", "bihd,hdo->bio", "bihd,ohd->bio", "bhi,hij->bj", "bi,oij,bj->bo", "bi,ij,jd,do->bo",
    "bid,hj->bhj", "bij,bjj->bi", "...ij,...jd->...id", "...i,ij->...j", "i...,i...->...", "...d,d->...d",
    "...ij->...ji", "...ii->...i", "...,...", "b...d,d->b...", "ij...,jd->id...",
]  # fmt: skip


def shapes_of(equation: str, rest: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Sizes of the operands; an ellipsis stands for `rest`, of a later operand for its last axis alone."""
    found = []
    for index, term in enumerate(equation.replace(" ", "").partition("->")[0].split(",")):
        before, dots, behind = term.partition("...")
        middle = (rest if index == 0 else rest[-1:]) if dots else ()
        found.append((*(SIZES[k] for k in before), *middle, *(SIZES[k] for k in behind)))
    return found


def evaluated(equation: str, operands: list[NDArray[np.float32]], batch: int | None = None) -> NDArray[np.float32]:
    """By the nodes."""
    names = [f"x{k}" for k in range(len(operands))]
    nodes, constants = nodes_of_einsum(equation, names, [x.shape for x in operands], "y", batch)
    graph = helper.make_graph(
        nodes, "einsum",
        [helper.make_tensor_value_info(f"x{k}", TensorProto.FLOAT, x.shape) for k, x in enumerate(operands)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, key) for key, values in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    found: NDArray[np.float32] = np.asarray(
        ReferenceEvaluator(model).run(None, dict(zip(names, operands, strict=True)))[0]
    )
    return found


@pytest.mark.parametrize("equation", EQUATIONS)
@pytest.mark.parametrize("rest", [(3, 4), (4,), ()])
def test_nodes_compute_the_equation(equation: str, rest: tuple[int, ...]) -> None:
    if "..." not in equation and rest:
        return
    generator = np.random.default_rng(3)
    operands = [generator.standard_normal(shape).astype(np.float32) for shape in shapes_of(equation, rest)]
    expected = np.einsum(equation, *(x.astype(np.float64) for x in operands))
    found = evaluated(equation, operands)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    if "b" in equation.partition("->")[2]:
        np.testing.assert_allclose(
            evaluated(equation, operands, operands and equation.index("b")), expected, rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize(
    ("left", "right"), [((2, 3, 4), (1, 4, 5)), ((1, 3, 4), (2, 4, 5)), ((2, 3, 1), (2, 4, 5)), ((2, 1, 4), (2, 4, 1))]
)
def test_an_axis_of_one_goes_with_any(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    generator = np.random.default_rng(3)
    operands = [generator.standard_normal(shape).astype(np.float32) for shape in (left, right)]
    expected = np.broadcast_to(operands[0], (*left[:2], 4)) @ operands[1]
    np.testing.assert_allclose(evaluated("bij,bjk->bik", operands), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [("ij,jk->i k l", ((2, 3), (3, 4))), ("ij->ii", ((2, 3),)), ("ij,jk", ((2, 3),)), ("i?j->i", ((2, 3, 4),)),
     ("ij->i", ((2, 3, 4),)), ("ij,jk->ik", ((2, 3), (4, 5))), ("ii->i", ((2, 3),)), ("bi->i", ((2, 3),))],
)  # fmt: skip
def test_what_is_no_equation_is_named(equation: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(Unsupported):
        nodes_of_einsum(equation, [f"x{k}" for k in range(len(shapes))], shapes, "y", 0)


# Maps are [N][8][6][6] here; weights of a layer are learned, as PyTorch's autograd says.
def tokens(x: Tensor) -> Tensor:
    """[N][2][36][4]: heads of 4 numbers."""
    return x.reshape(x.shape[0], 2, 4, 36).transpose(2, 3)


FUNCTIONS: dict[str, Function] = {
    "attention": lambda x: torch.einsum(
        "bhij,bhjd->bhid",
        torch.softmax(torch.einsum("b h i d , b h j d -> b h i j", tokens(x), torch.tanh(tokens(x))), -1),
        tokens(x),
    ),
    "heads behind": lambda x: torch.einsum("bihd,bjhd->bhij", x.permute(0, 2, 1, 3), torch.tanh(x.permute(0, 2, 1, 3))),
    "outer product": lambda x: torch.einsum("bi,bj->bij", x.mean((2, 3)), torch.tanh(x.amax((2, 3)))),
    "of one tensor": lambda x: torch.einsum("bcij,bcij->bc", x, x),
    "scaled": lambda x: torch.einsum("bcij,bc->bcij", x, torch.sigmoid(x.mean((2, 3)))),
    "pooled by weights": lambda x: torch.einsum("bcij,bij->bc", x, torch.sigmoid(x.mean(1))),
    "sums": lambda x: torch.einsum("bcij->bi", x),
    "turned": lambda x: torch.einsum("bcij->bjci", x),
    "diagonal": lambda x: torch.einsum("bcii->bic", x),
    "ellipsis": lambda x: torch.einsum("...ij,...kj->...ik", x, torch.tanh(x)),
    "batch behind": lambda x: torch.einsum("cbij,cbkj->bcik", x.transpose(0, 1), torch.tanh(x).transpose(0, 1)),
    "windows": lambda x: torch.einsum(
        "w i d, w j d -> w i j",
        x.reshape(-1, 8, 2, 3, 6).permute(0, 2, 1, 3, 4).reshape(-1, 8, 18),
        torch.tanh(x.reshape(-1, 8, 2, 3, 6).permute(0, 2, 1, 3, 4).reshape(-1, 8, 18)),
    ).reshape(-1, 2, 8, 8),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_tensors(name: str) -> None:
    torch.manual_seed(21)
    check(Around(FUNCTIONS[name]), steps=2)


class Weighted(nn.Module):
    """An equation of a tensor and a parameter that is a layer's weight."""

    def __init__(self, equation: str, *shape: int) -> None:
        super().__init__()
        self.equation, self.weight = equation, nn.Parameter(torch.randn(*shape) / 3)

    def forward(self, x: Tensor) -> Tensor:
        first = self.equation.partition(",")[0]
        operands = (x, self.weight) if "b" in first or "." in first else (self.weight, x)
        return torch.einsum(self.equation, *operands)


@pytest.mark.parametrize(
    ("equation", "shape"),
    [
        ("bcij,co->boij", (8, 5)), ("bcij,oc->boij", (5, 8)), ("oc,bcij->boij", (5, 8)), ("bcij,jo->bcio", (6, 5)),
        ("bcij,oj->bcio", (5, 6)), ("bcij,ijo->bco", (6, 6, 3)), ("bcij,jhd->bchid", (6, 2, 3)),
        ("bcij,hdj->bhcid", (2, 3, 6)), ("bcij,c->bcij", (8,)), ("bcij,ij->bcij", (6, 6)), ("...j,jo->...o", (6, 2)),
        ("bcij,oij->bco", (3, 6, 6)), ("bcij,cjo->bcio", (8, 6, 5)), ("bcij,cij->bc", (8, 6, 6)),
    ],
)  # fmt: skip
def test_parameters_learn(equation: str, shape: tuple[int, ...]) -> None:
    """Logits after two steps: weights lie as layers want them, [O][I], whatever the equation has."""
    core = pytest.importorskip("edgecl._core")
    torch.manual_seed(21)
    module = Around(Weighted(equation, *shape))
    recipe = Recipe(method="finetune", learning_rate=0.1, replay_capacity=0, replay_batch=0, batch_size=8)
    report = from_torch(module, torch.zeros(1, *SHAPE), recipe=recipe)
    assert report.untrainable == []
    session = core.Session(core.Model(data=report.bundle), max_batch=8)
    rows, labels = torch.randn(8, *SHAPE), torch.arange(8) % 4
    before = module.function.weight.detach().clone()
    twin = copy.deepcopy(module).double()
    for _ in range(2):
        sgd_step(twin, rows, labels, 0.1)
        session.learn(rows.numpy(), labels.numpy().astype(np.int32))
    with torch.no_grad():
        expected = twin.eval()(rows.double()).numpy()
    assert not torch.allclose(twin.function.weight.float(), before, atol=1e-4)
    np.testing.assert_allclose(session.logits(rows.numpy()), expected, rtol=1e-4, atol=1e-4)


def test_a_matrix_a_channel_is_fixed_and_named_where_it_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops.learned, "MOST_TIED", 239)
    report = from_torch(Around(Weighted("bcij,cjo->bcio", 8, 6, 5)), torch.zeros(1, *SHAPE))
    assert any("Einsum" in blocker.node for blocker in report.untrainable)


def model(equation: str, shape: tuple[int, ...], opset: int = 17) -> onnx.ModelProto:
    """The equation of the input alone."""
    rank = len(equation.partition("->")[2])
    graph = helper.make_graph(
        [helper.make_node("Einsum", ["x"], ["y"], name="the_equation", equation=equation)],
        "einsum",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", *["a", "c"][: rank - 1]])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)


@pytest.mark.parametrize("opset", [12, 13, 18])
def test_operator_sets(opset: int) -> None:
    x = np.random.default_rng(1).standard_normal((5, 4, 3)).astype(np.float32)
    found = bundle_logits(from_onnx(model("bij->bi", (4, 3), opset), trainable="none").bundle, x)
    np.testing.assert_allclose(found, x.sum(2), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("equation", "words"), [("bij->ij", "sums over the batch"), ("bij->bb", "repeats"), ("b->b", "axes")]
)
def test_refused_by_name(equation: str, words: str) -> None:
    with pytest.raises(ExportError, match=rf"the_equation \(Einsum\).*{words}"):
        from_onnx(model(equation, (4, 3)))
