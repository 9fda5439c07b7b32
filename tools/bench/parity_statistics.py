"""Recipe parity, in the mean: accuracy and forgetting of whole streams over seeds, beside the plain-PyTorch reference.

    python tools/bench/parity_statistics.py fashion --seeds 5 --json fashion.json
    python tools/bench/parity_statistics.py cifar10 --seeds 3 --json cifar10.json

Recipe: batch 10 + 10, buffer 500, learning rate 0.03, no momentum, one pass, incomplete last batches skipped;
CIFAR-10 with
random crops and flips. `--density 0.1` runs the same with nine tenths of the hidden weights left out (static mask).
Needs the data folder (EDGECL_DATA). Never here: step-by-step comparison (parity_trajectory.py).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

# Mean and deviation of class-incremental accuracy and forgetting in plain PyTorch, in points (same recipe, same data).
REFERENCE: dict[str, dict[str, tuple[str, str]]] = {
    "fashion": {
        "er": ("76.7 ± 0.6", "25.6 ± 0.8"),
        "er_ace": ("78.5 ± 1.1", "13.0 ± 1.3"),
        "derpp": ("78.8 ± 1.1", "23.2 ± 1.5"),
    },
    "cifar10": {
        "er": ("45.7 ± 3.6", "41.2 ± 4.2"),
        "er_ace": ("44.9 ± 2.4", "13.0 ± 3.2"),
        "derpp": ("47.3 (1 seed)", "36.2 (1 seed)"),
    },
}
SETTINGS: dict[str, dict[str, Any]] = {
    "fashion": {"stream": "split-fashion-mnist", "model": "mlp", "shape": (1, 28, 28), "crop": 0, "flip": False},
    "cifar10": {"stream": "split-cifar10", "model": "resnet18-nf20", "shape": (3, 32, 32), "crop": 4, "flip": True},
}


def run_one(what: str, method: str, density: float, seed: int, threads: int) -> dict[str, Any]:
    """One stream from a fresh model; returns the result document of `edgecl learn`."""
    import edgecl.export as export
    import torch
    from edgecl import Classifier, experiment, streams
    from edgecl.cli import models

    setting = SETTINGS[what]
    stream = streams.load_stream(setting["stream"])
    torch.manual_seed(seed)
    module = models.BUILT_IN[setting["model"]].build(setting["shape"], 10)
    recipe = export.Recipe(method=method, augment_crop=setting["crop"], augment_flip=setting["flip"])  # type: ignore[arg-type]
    spec = export.InputSpec(dtype="u8", scale=stream.input.scale, mean=stream.input.mean, std=stream.input.std)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.ecl"
        export.from_torch(
            module,
            torch.zeros(1, *setting["shape"]),
            out=path,
            density=density,
            classes=list(stream.class_names),  # all logits take part from the first step on, as in the reference
            input=spec,
            recipe=recipe,
        )
        learner = Classifier(str(path), random_state=seed, n_threads=threads)
        return experiment.run_stream(learner, stream, seed=seed, drop_last=True)


def main() -> int:
    """Command line; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=sorted(SETTINGS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--methods", nargs="+", default=["er", "er_ace", "derpp"])
    parser.add_argument("--density", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    print("| method | density | seeds | accuracy | reference | forgetting | reference | seconds a run |")
    print("|---|---|---|---|---|---|---|---|")
    for method in options.methods:
        started = time.monotonic()
        runs = [run_one(options.what, method, options.density, seed, options.threads) for seed in range(options.seeds)]
        accuracy = 100 * np.array([run["average_accuracy"] for run in runs])
        forgetting = 100 * np.array([run["forgetting"] for run in runs])
        deviation = 1 if options.seeds > 1 else 0
        reference = REFERENCE[options.what].get(method, ("-", "-"))
        seconds = (time.monotonic() - started) / options.seeds
        print(
            f"| {method} | {options.density:g} | {options.seeds} "
            f"| {accuracy.mean():.1f} ± {accuracy.std(ddof=deviation):.1f} | {reference[0]} "
            f"| {forgetting.mean():.1f} ± {forgetting.std(ddof=deviation):.1f} | {reference[1]} | {seconds:.0f} |",
            flush=True,
        )
        rows.append(
            {
                "method": method,
                "density": options.density,
                "accuracy": accuracy.tolist(),
                "forgetting": forgetting.tolist(),
            }
        )
    if options.json:
        options.json.write_text(json.dumps({"what": options.what, "rows": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
