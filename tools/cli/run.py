# `edgecl run`: predictions of a bundle for an array of samples.
# Never here: learning.
"""The command `run`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import typer
from edgecl.classifier import Classifier
from edgecl.cli import failure, output
from edgecl.cli.shared_options import THREADS
from edgecl.errors import DataError
from edgecl.files import check_output, write_file_atomic
from edgecl.npz import read_npz
from numpy.typing import NDArray
from rich.console import Console

_SHOWN = 20


def load_samples(path: Path) -> NDArray[Any]:
    """The array of an .npy file, or `x` (or `x_test`) of an .npz file.

    Raises:
        DataError: missing, damaged, or no such array.
    """
    if path.suffix == ".npz":
        arrays = read_npz(path, ())
        for name in ("x", "x_test"):
            if name in arrays:
                return arrays[name]
        raise DataError(
            f"expected an array 'x' in '{path}'; found {', '.join(sorted(arrays)) or 'none'}; name the samples x"
        )
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except FileNotFoundError as error:
        raise DataError(f"expected an .npy file at '{path}'; found none; check the path") from error
    except (OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"expected an .npy file at '{path}'; found: {reason}; write it with numpy.save") from error


@failure.command
def run(
    bundle: Path = typer.Argument(..., help="Bundle (.ecl)."),
    input: Path = typer.Option(
        ..., "--input", "-i", help="Samples (n, ...) as .npy, or array 'x' of an .npz; raw values."
    ),
    state: Path | None = typer.Option(None, "--state", "-s", help="State (.ecs) to predict with; default: as shipped."),
    out: Path | None = typer.Option(None, "--output", "-o", help="Write label, probability and logits to this .npz."),
    threads: int = THREADS,
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Predict the class of each sample.

    Example: edgecl run model.ecl --input x.npy --state robot.ecs

    JSON: {"bundle", "bundle_sha256", "state_sha256", "n_samples", "classes", "predictions": [{"label", "probability"}],
    "output"}
    """
    if out is not None:
        check_output(out)
    learner = Classifier(bundle, n_threads=threads)
    if state is not None:
        learner.load(state)
    samples = load_samples(input)
    shares = learner.predict_proba(samples)
    labels = learner.classes_
    best = shares.argmax(axis=1)
    document: dict[str, Any] = {
        "bundle": str(bundle),
        "bundle_sha256": learner.bundle_info()["digest"],
        "state_sha256": learner.state_digest(),
        "n_samples": len(shares),
        "classes": [str(label) for label in labels.tolist()],
        "predictions": [
            {"label": str(labels[b]), "probability": float(row[b])} for b, row in zip(best, shares, strict=True)
        ],
        "output": None if out is None else str(out),
    }
    if out is not None:
        buffer = io.BytesIO()
        np.savez(
            buffer,
            label=np.array([str(label) for label in labels.tolist()], dtype=np.str_)[best],
            probability=shares.max(axis=1),
            logits=learner.logits(samples),
            classes=np.array(document["classes"], dtype=np.str_),
        )
        write_file_atomic(out, buffer.getvalue())

    def render(console: Console) -> None:
        rows = [(i, p["label"], f"{p['probability']:.3f}") for i, p in enumerate(document["predictions"][:_SHOWN])]
        console.print(output.table(["sample>", "label", "probability>"], rows))
        if len(shares) > _SHOWN:
            console.print(f"... and {len(shares) - _SHOWN} more" + ("" if out else " (--output FILE writes all)"))
        if out is not None:
            console.print(f"written: {out}")

    output.emit(document, as_json, render)
