"""Recipe parity, step by step: the runtime against plain PyTorch on the same weights, samples and replay slots.

    python tools/bench/parity_trajectory.py --steps 200 --json trajectory.json

Two comparisons of the loss of every step, as largest relative differences over all steps:
  free    both learn on their own from the same start (float32 PyTorch).
  synced  before each step PyTorch takes over the runtime's weights (its momentum stays its own), so differences do
  not add up.
A net with batch-norm and ReLU over millions of activations is chaotic: one pre-activation that rounds to the other
side of
zero changes a gradient by a part in a thousand, and twelve steps make a per cent of it. `torch` is PyTorch's own
float32
against its float64, free: no implementation can be held to less. So the multi-layer perceptron must keep 1e-3 free, the
convolutional net must keep it synced. Exit code 1 when one does not. Data: Fashion-MNIST and CIFAR-10 from the data
folder,
else seeded random images of the same shapes. Never here: accuracy (parity_statistics.py), times.
"""

from __future__ import annotations

import argparse
import sys
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
from torch_recipe import TorchRecipe

TOLERANCE = 1e-3
CHAOTIC = {"resnet18-nf20"}
SHAPES = {"mlp": (1, 28, 28), "resnet18-nf20": (3, 32, 32)}
STREAMS = {"mlp": "split-fashion-mnist", "resnet18-nf20": "split-cifar10"}


@dataclass
class Case:
    """One comparison and what came of it."""

    model: str
    method: str
    density: float
    steps: int = 0
    free: float = 0.0
    synced: float = 0.0
    torch: float | None = None
    final_loss: float = 0.0
    data: str = ""

    @property
    def passed(self) -> bool:
        """Free within the tolerance, or (where PyTorch's own rounding breaks that) synced within it."""
        return self.synced <= TOLERANCE and (self.free <= TOLERANCE or self.torch is not None)


def samples(model: str, n: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int32], str]:
    """n raw images and labels, class by class as a stream of two-class tasks would bring them."""
    from edgecl.evaluate import streams

    try:
        stream = streams.load_stream(STREAMS[model])
    except Exception as error:
        print(f"using random images: {error}", file=sys.stderr)
        generator = np.random.default_rng(seed)
        return (
            generator.integers(0, 256, (n, *SHAPES[model]), np.uint8),
            np.repeat(np.arange(10), n // 10 + 1)[:n].astype(np.int32),
            "random",
        )
    generator = np.random.default_rng(seed)
    xs, ys = [], []
    share = n // len(stream.tasks) + 1
    for task in stream.tasks:
        rows = generator.permutation(len(task.y_train))[:share]
        xs.append(task.x_train[rows])
        ys.append(task.y_train[rows])
    x, y = np.concatenate(xs)[:n], np.concatenate(ys)[:n]
    return np.ascontiguousarray(x.reshape(n, *SHAPES[model])), y.astype(np.int32), stream.name


def masks_of(session: Any, layers: list[dict[str, Any]], module: Any) -> dict[str, Any]:
    """0/1 tensors of the sparse layers, from the weights that the session starts with."""
    import torch

    names = dict(module.named_parameters())
    weights = session.parameters()
    return {
        layer["name"]: torch.as_tensor((weights[layer["name"]] != 0).astype(np.float32)).reshape(
            names[layer["name"]].shape
        )
        for layer in layers
        if layer["sparse"]
    }


def take_weights(session: Any, layers: list[dict[str, Any]], module: Any) -> None:
    """Copies the runtime's present weights into the PyTorch module."""
    import torch

    weights = session.parameters()
    turned = {layer["name"] for layer in layers if len(layer["dims"]) == 2 and not layer["sparse"]}
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            value = torch.from_numpy(weights[name])
            parameter.copy_(value.T if name in turned else value)  # dense linear layers are stored [I][O]


def run(case: Case, steps: int, batch: int, seed: int, momentum: float, learning_rate: float) -> Case:
    """Trains all sides and fills the case."""
    import edgecl.export as export
    import torch
    from edgecl import _core
    from edgecl.cli import models

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    module = models.BUILT_IN[case.model].build(SHAPES[case.model], 10)
    x, y, case.data = samples(case.model, steps * batch, seed)
    spec = export.InputSpec(dtype="u8", scale=1 / 255, mean=0.5, std=0.25)
    recipe = export.Recipe(
        method=case.method,
        learning_rate=learning_rate,
        momentum=momentum,
        batch_size=batch,
        replay_batch=batch,
        replay_capacity=steps * batch,
    )
    example = torch.zeros(1, *SHAPES[case.model])
    report = export.from_torch(module, example, density=case.density, classes=10, input=spec, recipe=recipe)
    model = _core.Model(data=report.bundle)
    session = _core.Session(model, seed=seed)
    masks = masks_of(session, model.layers(), module)

    def twin(double: bool = False) -> TorchRecipe:
        copy = deepcopy(module).double() if double else deepcopy(module)
        return TorchRecipe(copy, case.method, learning_rate, momentum, masks=masks)

    free, synced = twin(), twin()
    exact = twin(double=True) if case.model in CHAOTIC else None
    channels = SHAPES[case.model][0]
    own = 0.0
    for step in range(steps):
        rows = slice(step * batch, (step + 1) * batch)
        take_weights(session, model.layers(), synced.module)
        ours = session.learn(x[rows], y[rows], want_slots=True)
        given = torch.from_numpy(spec.network_input(x[rows], channels))
        case.final_loss = free.step(given, y[rows], ours["replay_slots"])
        case.free = max(case.free, relative(ours["loss"], case.final_loss))
        case.synced = max(case.synced, relative(ours["loss"], synced.step(given, y[rows], ours["replay_slots"])))
        if exact is not None:
            own = max(own, relative(case.final_loss, exact.step(given.double(), y[rows], ours["replay_slots"])))
    case.torch = own if exact is not None else None
    case.steps = steps
    return case


def relative(value: float, reference: float) -> float:
    """Relative difference; absolute below a loss of 1e-3."""
    return abs(value - reference) / max(abs(reference), 1e-3)


def cases(models: list[str]) -> list[Case]:
    """Every model with every method, dense and with a tenth of the weights."""
    return [
        Case(model, method, density)
        for model in models
        for method in ("er", "er_ace", "derpp")
        for density in (1.0, 0.1)
    ]


def main() -> int:
    """Command line; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--learning-rate", type=float, default=0.003)
    parser.add_argument("--models", nargs="+", default=["mlp", "resnet18-nf20"], choices=sorted(SHAPES))
    parser.add_argument("--json", type=Path, help="write the rows here")
    options = parser.parse_args()
    rows = []
    for case in cases(options.models):
        run(case, options.steps, options.batch, options.seed, options.momentum, options.learning_rate)
        own = "" if case.torch is None else f", torch {case.torch:.1e}"
        print(
            f"{case.model:14s} {case.method:7s} density {case.density:<4g} {case.steps} steps on {case.data}: "
            f"free {case.free:.1e}, synced {case.synced:.1e}{own} (last loss {case.final_loss:.4f}) "
            f"{'ok' if case.passed else 'DIFFERS'}",
            flush=True,
        )
        rows.append(case)
    if options.json:
        from edgecl.cli.results import write_table

        write_table(options.json, {"tolerance": TOLERANCE, "rows": [asdict(row) for row in rows]})
    return int(not all(row.passed for row in rows))


if __name__ == "__main__":
    sys.exit(main())
