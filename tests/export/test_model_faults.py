# Modules and examples that are not what an export takes: one clear sentence each, whose remedy works.
# Never here: operators without support (test_untrainable.py), files (test_bad_input.py).
from __future__ import annotations

import collections
import dataclasses
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edgecl.export as export
import numpy as np
import onnx
import pytest
import torch
from edgecl.export.errors import Blocker, ExportError, counted, grouped
from edgecl.export.onnx_front import from_onnx
from edgecl.export.torch_front import from_torch
from torch import nn

F = 8  # features of the small networks here


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(F, 6), nn.ReLU(), nn.Linear(6, 4))


class Through(nn.Module):
    """A network with a function before or behind it."""

    def __init__(self, before: Callable[[Any], Any] | None = None, behind: Callable[[Any], Any] | None = None) -> None:
        super().__init__()
        self.net, self.before, self.behind = net(), before, behind

    def forward(self, x: Any) -> Any:
        y = self.net(x if self.before is None else self.before(x))
        return y if self.behind is None else self.behind(y)


def refused(module: Any, example: Any = None, **keywords: Any) -> str:
    with pytest.raises(ExportError) as caught:
        from_torch(module, torch.zeros(1, F) if example is None else example, **keywords)
    text = str(caught.value)
    assert text.startswith("expected ") and "found" in text and ";" in text, text
    return text


def test_the_modules_own_exception() -> None:
    def fails(_: Any) -> Any:
        raise ValueError("no such size")

    text = refused(Through(fails))
    assert "ValueError: no such size" in text and "mend the module there" in text and "--input-shape" not in text
    line = fails.__code__.co_firstlineno + 1
    assert f"{Path(__file__).name}:{line})" in text


def test_an_example_of_another_shape_names_the_layer() -> None:
    text = refused(net(), torch.zeros(1, F - 1))
    assert "mat1 and mat2" in text and "layer '0' (Linear)" in text and "--input-shape" in text
    from_torch(net(), torch.zeros(1, F))


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, left: Any, right: Any, scale: float = 1.0) -> Any:
        return self.net(torch.cat([left, right], 1) * scale)


class OfOne(nn.Module):
    """The remedy for `TwoInputs`."""

    def __init__(self) -> None:
        super().__init__()
        self.both = TwoInputs()

    def forward(self, x: Any) -> Any:
        return self.both(x[:, :3], x[:, 3:])


def test_two_inputs() -> None:
    text = refused(TwoInputs())
    assert "needs 2 (left, right)" in text and "wrap it" in text and "control flow" not in text
    from_torch(OfOne(), torch.zeros(1, F))


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.rest = nn.Embedding(10, F), net()

    def forward(self, x: Any) -> Any:
        return self.rest(self.table(x).mean(1))


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.rest = nn.Parameter(torch.zeros(10, F)), net()

    def forward(self, x: Any) -> Any:
        return self.rest(nn.functional.embedding(x, self.table).mean(1))


@pytest.mark.parametrize("module", [Tokens(), Functional()])
def test_an_embedding_takes_integers(module: nn.Module) -> None:
    for example in (torch.zeros(1, 5), torch.zeros(1, 5, dtype=torch.int64)):
        text = refused(module, example)
        assert "tokens" in text and "behind the embedding" in text and "control flow" not in text
    assert "'table'" in refused(Tokens(), torch.zeros(1, 5))
    behind = nn.Sequential(nn.Linear(F, 6), nn.Flatten(), nn.Linear(5 * 6, 4))
    from_torch(behind, torch.zeros(1, 5, F))  # the remedy: vectors [N][T][F]
    export.from_embeddings(F)


def test_a_fixed_batch() -> None:
    for batch in (1, 4):
        text = refused(Through(lambda x, batch=batch: x.reshape(batch, F)), torch.zeros(batch, F))
        assert f"takes {batch} and not 2" in text and "x.shape[0]" in text
    from_torch(Through(lambda x: x.reshape(x.shape[0], F)), torch.zeros(1, F))


def test_noise_is_named() -> None:
    text = refused(Through(lambda x: x + torch.randn_like(x)))
    assert "RandomNormalLike" in text and "if self.training" in text and "--external" not in text

    class Trained(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net()

        def forward(self, x: Any) -> Any:
            return self.net(x + torch.randn_like(x) if self.training else x)

    module = Trained().train()
    from_torch(module, torch.zeros(1, F))
    assert module.training


def test_noise_in_a_file() -> None:
    value, helper = onnx.helper.make_tensor_value_info, onnx.helper
    weight = onnx.numpy_helper.from_array(np.ones((F, 4), np.float32), "w")
    nodes = [
        helper.make_node("RandomNormalLike", ["x"], ["noise"], name="jitter"),
        helper.make_node("Add", ["x", "noise"], ["sum"]),
        helper.make_node("MatMul", ["sum", "w"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "g", [value("x", 1, ["N", F])], [value("y", 1, ["N", 4])], [weight])
    with pytest.raises(ExportError, match=r"jitter \(RandomNormalLike\).*if self\.training") as caught:
        from_onnx(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9))
    assert not caught.value.proposal


@dataclasses.dataclass
class Answer:
    loss: Any
    logits: Any


Pair = collections.namedtuple("Pair", ["scores", "side"])


@pytest.mark.parametrize(
    ("behind", "leaves", "others"),
    [
        (lambda y: {"loss": None, "deep": {"a": y, "b": [y, 3]}, "logits": y}, ["deep.a", "deep.b.0", "logits"], []),
        (lambda y: {"deep": {"a": y}}, ["deep.a"], ["deep"]),
        (lambda y: [y, (y, y)], ["0", "1.0", "1.1"], ["1"]),
        (lambda y: Answer(None, y), ["logits"], ["loss"]),
        (lambda y: Pair(y, y), ["scores", "side"], ["2"]),
    ],
)
def test_each_proposed_output_is_taken(behind: Callable[[Any], Any], leaves: list[str], others: list[str]) -> None:
    text = refused(Through(behind=behind))
    listed = text.partition("with the tensor")[2].partition(";")[0]
    assert [name.strip("'") for name in re.findall(r"'[^']+'|(?<= )\d+", listed)] == leaves, text
    best = "logits" if "logits" in leaves else leaves[0]
    assert f"--logits {best})" in text
    for name in leaves:
        from_torch(Through(behind=behind), torch.zeros(1, F), logits=int(name) if name.isdecimal() else name)
    for name in others:
        refused(Through(behind=behind), logits=name)


def test_positions_of_named_tuples() -> None:
    for logits in (0, 1):
        from_torch(Through(behind=lambda y: Pair(y, y)), torch.zeros(1, F), logits=logits)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.Linear, "the class Linear; make one first"),
        (None, "nothing (None)"),
        (lambda x: x, "a function; put it into the forward"),
        ("net.pt", "a str"),
        (nn.Sequential(nn.LazyLinear(4)), "call module(example) once"),
        (net().to("meta"), "'meta'"),
        (net().half(), "float16; call module.float()"),
        (net().bfloat16(), "bfloat16; call module.float()"),
        (net().double(), "float64; call module.float()"),
        (net().to(torch.complex64), "complex64; write it with real numbers"),
        (Through(behind=lambda y: None), "found nothing (None); return a tensor"),
        (Through(behind=lambda y: {"a": "text"}), "a dict; return a tensor"),
    ],
)
def test_what_is_no_module(module: Any, words: str) -> None:
    assert words in refused(module)


def test_remedies_of_modules() -> None:
    lazy = nn.Sequential(nn.LazyLinear(4))
    lazy(torch.zeros(1, F))
    empty = net().to("meta").to_empty(device="cpu")
    empty.load_state_dict(net().state_dict())
    for module in (nn.Linear(F, 4), lazy, empty, net().half().float(), nn.DataParallel(net()), torch.compile(net())):
        from_torch(module, torch.zeros(1, F))
    names = [layer.name for layer in from_torch(nn.DataParallel(net()), torch.zeros(1, F)).layers]
    assert names == ["0", "2"]


@pytest.mark.parametrize(
    ("example", "words"),
    [
        ([[0.0] * F], "a list"),
        ((row for row in range(3)), "a generator"),
        (np.zeros((1, F)), "float64; convert it"),
        (np.zeros((1, F), bool), "bool; convert it"),
        (np.zeros((1, F), np.int64), "int64; convert it"),
        (np.zeros((1, F), np.uint8), "InputSpec(dtype='u8')"),
        (np.zeros((1, F), np.uint16), "an array of uint16"),
        (np.zeros((1, F), ">f4"), "an array of >f4"),
        (np.full((1, F), None), "an array of object"),
        (np.full((1, F), "a"), "an array of <U1"),
        (torch.zeros(1, F, dtype=torch.complex64), "complex64; hand in real numbers"),
        (torch.zeros(1, F).to_sparse(), "to_dense()"),
        (torch.tensor(1.0), "add the axis"),
        (torch.zeros(0, F), "make no axis 0"),
    ],
)
def test_what_is_no_example(example: Any, words: str) -> None:
    assert words in refused(net(), example)


def test_remedies_of_examples() -> None:
    meta, doubles, reverse = torch.zeros(1, F, device="meta"), np.zeros((1, F)), np.zeros((2, F), np.float32)[::-1]
    for example in (meta, doubles.astype("float32"), reverse, torch.zeros(1, F).to_sparse().to_dense()):
        from_torch(net(), example)


def test_what_is_no_file() -> None:
    for model in (None, 3, net(), b"abc"):
        with pytest.raises(ExportError, match=r"^expected the path of an ONNX file.*found .*;"):
            from_onnx(model)  # type: ignore[arg-type]
    for model in (None, 3, net()):
        with pytest.raises(ExportError, match=r"^expected the path of a TFLite file.*found .*;"):
            export.from_tflite(model)  # type: ignore[arg-type]
    with pytest.raises(ExportError, match="found a folder"):
        export.from_tflite("/")


def test_numbers_and_their_words() -> None:
    assert [counted(n, "value") for n in (0, 1, 2, 12000)] == ["0 values", "1 value", "2 values", "12,000 values"]
    blockers = [Blocker(name, "initializer", "bad", "mend") for name in "ab"]
    assert grouped(blockers) == ["2 weights (a, b): bad; mend"]
    assert grouped([Blocker(name, "Floor", "bad", "mend") for name in "ab"]) == ["Floor, 2 nodes (a, b): bad; mend"]
    assert "found 1 that cannot be; change or replace it:" in str(ExportError.from_blockers("x", blockers[:1]))
    assert "found 2 that cannot be; change or replace each:" in str(ExportError.from_blockers("x", blockers))


def test_what_python_cannot_copy() -> None:
    module = Through()
    module.rows = (row for row in range(3))
    text = refused(module)
    assert "cannot pickle 'generator'" in text and "keep locks, files and generators out" in text
    module.rows = None
    from_torch(module, torch.zeros(1, F))


def test_outputs_that_do_not_follow_from_the_input() -> None:
    text = refused(Through(lambda x: torch.from_numpy(x.numpy() * 2)))
    assert "follow from the input" in text and "numpy()" in text
    for constant in (torch.ones_like, lambda x: torch.zeros(x.shape[0], F)):
        assert "follow from the input" in refused(Through(constant))
    from_torch(Through(lambda x: x * 2), torch.zeros(1, F))


def test_quantised_modules() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.ao.quantization.quantize_dynamic(net(), {nn.Linear}, dtype=torch.qint8)
    assert "quantised ones, '0' (Linear)" in refused(module) and "encoder='int8'" in refused(module)


def test_hooks() -> None:
    module = net()
    module[2].register_forward_hook(lambda layer, given, result: result * 2)
    module[0].register_full_backward_hook(lambda layer, before, after: None)
    report = from_torch(module, torch.zeros(1, F))
    assert report.parity is not None and len(module[0]._backward_hooks) == 1


def test_a_forward_that_writes_to_its_input() -> None:
    assert from_torch(Through(lambda x: x.mul_(2)), torch.zeros(1, F)).parity is not None


def test_a_program_that_was_exported() -> None:
    program = torch.export.export(net(), (torch.zeros(2, F),))
    assert "hand in the module that was exported" in refused(program)
    assert "takes any number of rows" in refused(program.module())


def test_sizes_of_zero() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of it
        assert "holds no number" in refused(nn.Sequential(nn.Linear(F, 0), nn.Linear(0, 4)))


def test_nothing_learns() -> None:
    for module in (nn.Identity(), net().requires_grad_(False)):
        assert "new_head=10" in refused(module)
        from_torch(module, torch.zeros(1, F), new_head=10)
        from_torch(module, torch.zeros(1, F), trainable="none")


@pytest.mark.parametrize(
    "random", [lambda x: torch.poisson(x.abs()), lambda x: x + torch.empty_like(x).exponential_(), torch.bernoulli]
)
def test_random_operators_of_pytorch(random: Callable[[Any], Any]) -> None:
    text = refused(Through(lambda x: random(x.sigmoid())))
    assert "random numbers" in text and "if self.training" in text and "--external" not in text


def test_decisions_by_values() -> None:
    text = refused(Through(lambda x: x * x.sum().item()))
    assert "no decision and no constant from values of the input" in text


def test_layers_that_were_compiled_or_scripted() -> None:
    inner = nn.Linear(F, F)
    for made in (torch.compile(inner), torch.jit.script(inner)):
        module = nn.Sequential(made, nn.Linear(F, 4))
        assert "compiled or scripted ones, '0'" in refused(module)
        module[0] = inner
        from_torch(module, torch.zeros(1, F))


def test_sparse_parameters() -> None:
    module = nn.Sequential(nn.Linear(F, 4))
    module[0].weight = nn.Parameter(module[0].weight.detach().to_sparse())
    assert "sparse ones; call to_dense()" in refused(module)
    module[0].weight = nn.Parameter(module[0].weight.detach().to_dense())
    from_torch(module, torch.zeros(1, F))


def test_outputs_that_are_not_finite() -> None:
    text = refused(Through(torch.log))
    assert "finite outputs" in text and "calibration rows" in text
    own = np.random.default_rng(0).uniform(0.5, 2.0, (9, F)).astype(np.float32)
    from_torch(Through(torch.log), torch.ones(1, F), calibration=own)
    assert "found -inf" in refused(Through(behind=lambda y: y + torch.tensor([0.0, 0.0, 0.0, -float("inf")])))


def test_outputs_with_the_batch_elsewhere() -> None:
    for behind in (lambda y: y.t(), lambda y: y.unsqueeze(0)):
        text = refused(Through(behind=behind))
        assert "batch is not the first axis" in text and "--external" not in text


@pytest.mark.parametrize("affine", [True, False])
def test_instance_norm_by_running_statistics(affine: bool) -> None:
    norm = nn.InstanceNorm2d(4, affine=affine, track_running_stats=True)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.Flatten(), nn.Linear(4 * 36, 4))
    module(torch.randn(5, 3, 8, 8))
    assert float(norm.running_mean.abs().max()) > 0
    report = from_torch(module, torch.zeros(1, 3, 8, 8))
    assert report.parity is not None and not report.untrainable
    from_torch(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4, affine=affine), *module[2:]), torch.zeros(1, 3, 8, 8)
    )
