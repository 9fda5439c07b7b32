# Sparse or dense, layer by layer: who decides, what the bundle then holds, and that the default decides nothing.
# Never here: whether a prediction is good (tests/devices).
from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from edgecl.export import layer_choice
from edgecl.export.errors import ExportError
from edgecl.export.graph import Graph, Op
from edgecl.export.options import ExportOptions
from edgecl.export.recipe import Recipe
from edgecl.export.report import ExportReport
from edgecl.export.torch_front import from_torch

MODULE = torch.nn.Sequential(
    torch.nn.Conv2d(3, 8, 3, padding=1),
    torch.nn.Conv2d(8, 12, 3, padding=1, stride=2),
    torch.nn.ReLU(),
    torch.nn.Conv2d(12, 16, 3, padding=1, dilation=1),
    torch.nn.Flatten(),
    torch.nn.Linear(16 * 16, 5),
)
EXAMPLE = torch.zeros(1, 3, 8, 8)
SPARSE = ["1", "3"]


def stored(report: ExportReport) -> dict[str, float]:
    return {layer.name: layer.density for layer in report.layers}


def times(slow: set[str]) -> Callable[..., layer_choice.LayerTimes]:
    """Stands for a clock: sparse is slower in these layers."""

    def found(graph: Graph, op: Op, density: float, rows: int, *device: object) -> layer_choice.LayerTimes:
        return layer_choice.LayerTimes(op.layer, density, 2.0 if op.layer in slow else 0.5, 1.0)

    return found


@pytest.mark.parametrize("choice", ["predicted", "measured"])
def test_slower_layers_keep_all_weights(choice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_choice, f"_{choice}", times({"3"}))
    report = from_torch(MODULE, EXAMPLE, density=0.25, layer_choice=choice, device="rpi4")  # type: ignore[arg-type]
    plain = from_torch(MODULE, EXAMPLE, density=0.25)
    assert [name for name, density in stored(plain).items() if density < 1] == SPARSE
    assert stored(report) == {**stored(plain), "3": 1.0}
    assert report.macs["forward_sparse"] > plain.macs["forward_sparse"]
    assert [note for note in report.notes if "stays dense" in note] == [
        f"3 stays dense: {'measured' if choice == 'measured' else 'predicted for rpi4'} 1 ms a step, 2 at density 0.25"
    ]
    assert not [note for note in plain.notes if "dense" in note]


def test_nothing_is_asked_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_choice, "_measured", None)
    monkeypatch.setattr(layer_choice, "_predicted", None)
    assert stored(from_torch(MODULE, EXAMPLE, density=0.9))["1"] < 1


def test_the_cost_model_prefers_sparse_where_little_is_left() -> None:
    few = from_torch(MODULE, EXAMPLE, density=0.02, layer_choice="predicted", device="rpi4")
    most = from_torch(MODULE, EXAMPLE, density=0.97, layer_choice="predicted", device="rpi4")
    assert all(stored(few)[name] < 0.1 for name in SPARSE)
    assert all(stored(most)[name] == 1.0 for name in SPARSE)


def test_measured_times_are_of_this_layer() -> None:
    """Shapes of strided convolutions and of linear layers fit the kernels; a frozen layer is timed too."""
    pytest.importorskip("edgecl_kernels", reason="edgecl_kernels is not built here (tools/setup)")
    report = from_torch(
        MODULE, EXAMPLE, density=0.5, layer_choice="measured", trainable=["3", "5"], recipe=Recipe(batch_size=2)
    )
    names = {note.split(" ")[0] for note in report.notes if "stays dense" in note}
    assert names == {name for name in SPARSE if stored(report)[name] == 1.0}
    assert report.parity.max_abs < 1e-4


def test_without_the_kernels_module_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "edgecl_kernels", None)
    with pytest.raises(ExportError, match=r"expected the module edgecl_kernels; found none .* as predicted$"):
        from_torch(MODULE, EXAMPLE, density=0.5, layer_choice="measured")


@pytest.mark.parametrize(("method", "rows"), [("finetune", 7), ("er", 10), ("uer", 10), ("fpf", 7), ("derpp", 13)])
def test_rows_of_a_step(method: str, rows: int) -> None:
    recipe = Recipe(method=method, batch_size=7, replay_batch=3)
    assert layer_choice.learn_rows(ExportOptions(recipe=recipe)) == rows


def test_wrong_choice_and_wrong_device_are_refused() -> None:
    with pytest.raises(ExportError, match="expected layer_choice 'sparse', 'predicted' or 'measured'; found 'fast'"):
        ExportOptions(layer_choice="fast")  # type: ignore[arg-type]
    with pytest.raises(ExportError, match="rpi9"):
        from_torch(MODULE, EXAMPLE, density=0.5, layer_choice="predicted", device="rpi9")
    with pytest.raises(ExportError, match="rpi9"):
        from_torch(MODULE, EXAMPLE, device="rpi9")
    with pytest.raises(ExportError, match="expected a density below 1 with sparse layers; found 1"):
        from_torch(MODULE, EXAMPLE, sparse_layers=["0"])


def test_a_tie_stays_dense() -> None:
    assert layer_choice.LayerTimes("a", 0.5, 1.0, 1.0).stays_dense
    assert not layer_choice.LayerTimes("a", 0.5, np.nextafter(1.0, 0.0), 1.0).stays_dense
