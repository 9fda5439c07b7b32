# Scores of the zero-shot choice against PyTorch, and against the plainest way to count.
# Never here: the choice in an export (test_adaptor_search.py), how good scores are (tools/bench).
"""Tests of the forms of adaptors in numpy and of each score in export/adaptor_search."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import edgecl.export as export
import numpy as np
import pytest
import torch
from edgecl.export.adaptor_search import hidden_loo, naswot, ridge_loo, spectral, synflow, zen, zico
from edgecl.export.adaptor_search.batch import Batch
from edgecl.export.adaptor_search.candidates import candidates, every_candidate
from edgecl.export.adaptor_search.forms import Candidate, Form, drawn, draws, embeddings, is_weight, parameters
from edgecl.export.adaptor_search.scores import COMBINED, COMBINED_OF, SCORES, ranks, ruling
from torch import nn
from torch.nn import functional

KINDS = [Candidate("film", 0), Candidate("bottleneck", 3), Candidate("depthwise", 4), Candidate("lowrank", 2)]
SHAPES = [(6, 4, 5), (5, 7, 1), (6, 1, 1)]


def _batch(shape: tuple[int, int, int] = (6, 4, 5), n: int = 24, seed: int = 0, classes: int = 3) -> Batch:
    generator = np.random.default_rng(seed)
    columns = np.arange(n) % classes
    maps = generator.standard_normal((shape[0], n, *shape[1:])) + columns[None, :, None, None] / 2
    return Batch(np.maximum(maps, 0), columns, True, seed)


def _torch_branch(values: dict[str, torch.Tensor], kind: str, x: torch.Tensor) -> torch.Tensor:
    # x: (n, channels, height, width), as PyTorch has it.
    if kind == "film":
        return values["scale"][:, None, None] * x + values["shift"][:, None, None]
    if kind == "depthwise":
        kernel = values["depthwise"]
        pads = [side // 2 for side in kernel.shape[1:]]
        x = functional.conv2d(x, kernel[:, None], padding=pads, groups=x.shape[1])
    inner = functional.conv2d(x, values["down"][:, :, None, None], values.get("down.bias"))
    if kind != "lowrank":
        inner = inner.relu()
    return functional.conv2d(inner, values["up"][:, :, None, None], values["up.bias"])


def _tensors(form: Form, positive: bool = False) -> dict[str, torch.Tensor]:
    found = {name: torch.tensor(np.abs(v) if positive else v) for name, v in form.values.items()}
    return {name: tensor.requires_grad_() for name, tensor in found.items()}


def _rows_first(maps: Any) -> torch.Tensor:
    return torch.tensor(np.ascontiguousarray(np.swapaxes(maps, 0, 1)))


# --- forms ---


@pytest.mark.parametrize("candidate", KINDS, ids=lambda c: c.name)
@pytest.mark.parametrize("shape", SHAPES)
def test_outputs_and_gradients_are_those_of_pytorch(candidate: Candidate, shape: tuple[int, int, int]) -> None:
    generator = np.random.default_rng(1)
    form = drawn(candidate, shape, generator)
    for values in form.values.values():  # also what is drawn as 0
        values += 0.1 * generator.standard_normal(values.shape)
    x = generator.standard_normal((shape[0], 7, *shape[1:]))
    above = generator.standard_normal(x.shape)
    tensors = _tensors(form)
    expected = _torch_branch(tensors, candidate.kind, _rows_first(x))
    assert np.allclose(np.swapaxes(form.branch(x), 0, 1), expected.detach().numpy(), atol=1e-12)
    (expected * _rows_first(above)).sum().backward()
    found = form.gradients(above)
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        assert tensor.grad is not None and np.allclose(found[name], tensor.grad.numpy(), atol=1e-10), name


@pytest.mark.parametrize("candidate", KINDS, ids=lambda c: c.name)
@pytest.mark.parametrize("size", [(5, 5), (9, 1), None])
def test_sizes_are_those_of_exported_adaptors(candidate: Candidate, size: tuple[int, int] | None) -> None:
    kernel = (3, 3) if size == (5, 5) else (3, 1)
    layers: list[nn.Module] = [nn.Conv2d(2, 6, kernel, padding=(1, kernel[1] // 2)), nn.ReLU()]
    sample = (2, *(size or ()))
    if size is None:
        layers = [nn.Linear(2, 6), nn.ReLU()]
    net = nn.Sequential(*layers)
    report = export.from_torch(
        net, np.zeros((1, *sample), np.float32), recipe=export.Recipe(method="ridge"), adaptor=candidate.name
    )
    said = next(note for note in report.notes if note.startswith("each domain has an adaptor"))
    assert f": {parameters(candidate, (6, *(size or (1, 1))))} parameters" in said


def test_candidates_are_many_small_and_no_wider_than_the_map() -> None:
    every = every_candidate((128, 4, 4))
    assert len(every) == len(set(every)) == 43 and every[0].name == "film"
    sizes = [parameters(candidate, (128, 4, 4)) for candidate in every]
    assert sizes == sorted(sizes)
    assert candidates((128, 4, 4), sizes[20]) == every[:21] and candidates((128, 4, 4), sizes[0] - 1) == []
    assert max(candidate.width for candidate in every_candidate((7, 1, 1))) == 6


def test_draws_depend_on_the_seed_alone() -> None:
    first, again, other = (list(draws(KINDS[2], (6, 4, 5), seed)) for seed in (0, 0, 1))
    for a, b, c in zip(first, again, other, strict=True):
        assert all((a.values[name] == b.values[name]).all() for name in a.values)
        assert all((a.values[name] != c.values[name]).any() for name in a.values if is_weight(name))
        assert all(np.abs(v).max() > 0 for name, v in a.values.items() if is_weight(name))


# --- scores ---


def test_naswot_counts_units_that_agree() -> None:
    generator = np.random.default_rng(0)
    layers = [generator.random((9, units)) < 0.4 for units in (13, 5)]
    kernel = np.eye(9)
    for i in range(9):
        for j in range(9):
            kernel[i, j] += sum(int((codes[i] == codes[j]).sum()) for codes in layers)
    assert naswot.log_det(layers) == pytest.approx(np.log(np.linalg.det(kernel)))
    assert np.isfinite(naswot.log_det([np.ones((9, 4), bool)]))  # all rows alike


@pytest.mark.parametrize("candidate", KINDS, ids=lambda c: c.name)
def test_naswot_takes_the_codes_of_relu_and_output(candidate: Candidate) -> None:
    batch, found = _batch(), []
    for form in draws(candidate, batch.shape, batch.seed):
        tensors, x = _tensors(form), _rows_first(batch.maps)
        layers = [_torch_branch(tensors, candidate.kind, x)]
        if candidate.kind in ("bottleneck", "depthwise"):
            identity = {**tensors, "up": torch.eye(candidate.width).double(), "up.bias": torch.zeros(candidate.width)}
            identity["up.bias"] = identity["up.bias"].double()
            layers.append(_torch_branch(identity, candidate.kind, x))
        on = torch.cat([(layer > 0).flatten(1).double() for layer in layers], 1)
        kernel = on @ on.T + (1 - on) @ (1 - on).T + torch.eye(len(on))
        found.append(float(torch.logdet(kernel)))
    assert naswot.score(batch, candidate) == pytest.approx(np.mean(found))


@pytest.mark.parametrize("candidate", KINDS, ids=lambda c: c.name)
def test_zen_measures_how_far_a_change_is_carried(candidate: Candidate) -> None:
    batch, found = _batch((6, 9, 3)), []
    for number in range(zen.REPEATS):
        generator = np.random.default_rng([batch.seed, number])
        tensors = _tensors(drawn(candidate, batch.shape, generator, normal=True))
        x = generator.standard_normal((6, zen.ROWS, 4, 3))
        y = x + 0.01 * generator.standard_normal(x.shape)
        first, second = (_torch_branch(tensors, candidate.kind, _rows_first(v)) for v in (x, y))
        found.append(float((first - second).abs().flatten(1).sum(1).mean().log().detach()))
    assert zen.score(batch, candidate) == pytest.approx(np.mean(found))


@pytest.mark.parametrize("candidate", KINDS, ids=lambda c: c.name)
def test_synflow_is_weight_times_gradient_by_autograd(candidate: Candidate) -> None:
    batch, found = _batch(), []
    for form in draws(candidate, batch.shape, batch.seed):
        tensors = _tensors(form, positive=True)
        _torch_branch(tensors, candidate.kind, torch.ones(1, *batch.shape).double()).sum().backward()
        flow = sum(float((t * t.grad).abs().sum().detach()) for name, t in tensors.items() if is_weight(name))  # type: ignore[operator]
        found.append(np.log(flow))
    assert synflow.score(batch, candidate) == pytest.approx(np.mean(found))


@pytest.mark.parametrize("length_1", [True, False])
@pytest.mark.parametrize("candidate", KINDS, ids=lambda c: c.name)
def test_zico_takes_gradients_of_batches_by_autograd(candidate: Candidate, length_1: bool) -> None:
    given = _batch()
    batch = Batch(given.maps, given.columns, length_1, given.seed)
    head = torch.tensor(np.random.default_rng(batch.seed).uniform(-1, 1, (3, 6)) / np.sqrt(6))
    found = []
    for form in draws(candidate, batch.shape, batch.seed):
        gradients: dict[str, list[np.ndarray]] = {}
        for part in range(zico.PARTS):
            tensors, x = _tensors(form), _rows_first(batch.maps)[part :: zico.PARTS]
            embedding = (x + _torch_branch(tensors, candidate.kind, x)).mean((2, 3))
            embedding = functional.normalize(embedding) if length_1 else embedding
            y = torch.tensor(batch.columns[part :: zico.PARTS])
            functional.cross_entropy(embedding @ head.T, y).backward()  # type: ignore[no-untyped-call]
            for name, tensor in tensors.items():
                if is_weight(name):
                    assert tensor.grad is not None
                    gradients.setdefault(name, []).append(tensor.grad.numpy().ravel())
        total = 0.0
        for several in gradients.values():
            values = np.stack(several)
            kept = [column for column in values.T if column.std() > 0]
            total += np.log(sum(np.abs(column).mean() / column.std() for column in kept))
        found.append(total)
    assert zico.score(batch, candidate) == pytest.approx(np.mean(found), rel=1e-6)


def test_zico_leaves_out_what_never_changes() -> None:
    same = {"down": np.ones((4, 2, 2)), "up.bias": np.arange(4.0)[:, None]}
    assert zico.inverse_variation(same) == 0
    moving = {"down": np.stack([np.array([[1.0, 2.0]]), np.array([[3.0, 2.0]])])}
    assert zico.inverse_variation(moving) == pytest.approx(np.log(2.0))


@pytest.mark.parametrize("n", [4, 40])
def test_spectral_is_the_entropy_of_the_covariance(n: int) -> None:
    rows = np.random.default_rng(0).standard_normal((n, 6)) * np.arange(1, 7)
    values = np.linalg.eigvalsh(np.cov(rows.T))
    shares = values[values > 1e-9] / values.sum()
    assert spectral.effective_rank(rows) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-6)
    assert spectral.effective_rank(np.ones((5, 3))) == pytest.approx(1)
    assert spectral.effective_rank(np.concatenate([np.eye(3), -np.eye(3)])) == pytest.approx(3)


@pytest.mark.parametrize("shape", [(30, 5), (12, 40)])
def test_leaving_one_out_is_fitting_without_it(shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    x, columns = generator.standard_normal(shape), np.arange(shape[0]) % 3
    wanted = np.eye(3)[columns]
    penalty = shape[0] * 0.3 * x.var(0).mean()
    errors = []
    for row in range(shape[0]):
        kept = np.arange(shape[0]) != row
        mean, share = x[kept].mean(0), wanted[kept].mean(0)
        centred = x[kept] - mean
        weight = np.linalg.solve(centred.T @ centred + penalty * np.eye(shape[1]), centred.T @ (wanted[kept] - share))
        errors.append(wanted[row] - share - (x[row] - mean) @ weight)
    assert ridge_loo.left_out(x, columns) == pytest.approx((np.array(errors) ** 2).mean())
    assert np.isfinite(ridge_loo.left_out(np.ones(shape), columns))


@pytest.mark.parametrize("candidate", KINDS, ids=lambda c: c.name)
def test_ridge_loo_reads_the_adapted_embedding(candidate: Candidate) -> None:
    batch, found = _batch(), []
    for form in draws(candidate, batch.shape, batch.seed):
        x = _rows_first(batch.maps)
        with torch.no_grad():
            adapted = functional.normalize((x + _torch_branch(_tensors(form), candidate.kind, x)).mean((2, 3)))
        found.append(ridge_loo.left_out(adapted.numpy(), batch.columns))
        assert np.allclose(embeddings(batch.maps + form.branch(batch.maps), True), adapted.numpy())
    assert ridge_loo.score(batch, candidate) == pytest.approx(-np.mean(found))


def test_hidden_loo_reads_what_is_inside_beside_the_plain_embedding() -> None:
    batch = _batch(n=60)
    form = next(iter(draws(KINDS[1], batch.shape, 0)))
    found = hidden_loo.features(form, batch.maps)
    plain = batch.maps.mean((2, 3)).T
    inner = np.maximum(np.einsum("wc,cnhk->wnhk", form.values["down"], batch.maps), 0).mean((2, 3)).T
    parts = [part - part.mean(0) for part in (plain, inner)]
    assert np.allclose(found, np.concatenate([part / np.sqrt((part**2).mean()) for part in parts], 1))
    alone = ridge_loo.left_out(plain, batch.columns)
    assert hidden_loo.score(batch, KINDS[0]) == pytest.approx(-alone)  # film has nothing inside


def test_hidden_loo_sees_that_positions_matter_and_others_do_not() -> None:
    # Classes differ in how two channels go together at a position, not in any mean.
    generator = np.random.default_rng(0)
    columns = np.arange(80) % 2
    first = generator.choice([0.0, 1.0], (80, 6, 6))
    second = np.where(columns[:, None, None] == 0, first, 1 - first)
    noise = generator.random((2, 80, 6, 6)) / 10
    batch = Batch(np.concatenate([np.stack([first, second]), noise]), columns, True, 0)
    scores = {c.name: hidden_loo.score(batch, c) for c in (Candidate("bottleneck", 4), Candidate("lowrank", 4))}
    assert scores["bottleneck:4"] > -0.05 and scores["lowrank:4"] < -0.1


def test_every_score_is_finite_and_the_same_again() -> None:
    batch = _batch((6, 7, 1), n=16)
    for name, score in SCORES.items():
        for candidate in KINDS:
            value = score(batch, candidate)
            assert np.isfinite(value) and value == score(batch, candidate), (name, candidate)
    still = Batch(np.ones((6, 16, 2, 2)), np.arange(16) % 2, True, 0)
    assert all(np.isfinite(score(still, candidate)) for score in SCORES.values() for candidate in KINDS)


def test_ranks_and_rules() -> None:
    stats = pytest.importorskip("scipy.stats")
    values = [3.0, 1.0, 3.0, -np.inf, 2.0]
    assert ranks(values).tolist() == stats.rankdata(-np.array(values)).tolist() == [1.5, 4, 1.5, 5, 3]
    scores = [dict.fromkeys(SCORES, 0.0) | {COMBINED_OF[0]: a, COMBINED_OF[1]: b} for a, b in ((1, 3), (2, 2), (3, 9))]
    assert ruling(COMBINED_OF[0], scores).tolist() == [1, 2, 3]
    assert ruling(COMBINED, scores).tolist() == [-2.25, -2.25, -1.5]  # of others all are second


def test_scores_need_numpy_alone() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'typer', 'scipy', 'sklearn'):\n"
        "    sys.modules[name] = None\n"
        "from edgecl.export.adaptor_search import search, candidates, batch\n"
        "import numpy as np\n"
        "maps = np.random.default_rng(0).random((4, 20, 2, 2))\n"
        "b = batch.Batch(maps, np.arange(20) % 2)\n"
        "print(search.search(b, candidates.candidates(b.shape, 40)).chosen)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr
