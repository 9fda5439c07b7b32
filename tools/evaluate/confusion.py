# How a learner does on labelled samples, class by class.
# Never here: streams, printing.
"""`confusion`: accuracy, recall and precision by class name, and who is taken for whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from edgecl.classifier import Classifier
from edgecl.errors import ArgumentError, DataError
from edgecl.labels import class_name, label_keys
from numpy.typing import NDArray

_ROWS_A_CALL = 1000


def confusion(
    learner: Classifier, x: NDArray[Any], y: NDArray[Any], progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Compares predictions with labels; both are compared by the text under which a state
    keeps them.

    Args:
        x: raw samples (n, *input dims), n >= 1.
        y: labels (n,), integers or text. Those that the learner does not know count as wrong.
        progress: called with (rows done, rows in all).

    Returns:
        A document of plain JSON types: n_samples, accuracy (0..1), classes (names: those that the learner knows, in the
        order of `classes_`, then unknown ones of y, sorted), per_class ({"name", "known", "samples", "predicted",
        "recall", "precision"}; null where there is nothing to divide by), matrix (rows: label, columns: prediction, in
        the order of classes), unknown ({"names", "samples"}).

    Raises:
        DataError: not one label a sample. Otherwise as `predict`. Cost: one forward pass a sample.
    """
    if y.ndim != 1 or len(y) != len(x) or len(y) == 0:
        raise DataError(
            f"expected one integer or text label a sample; found {len(x)} samples and labels {y.dtype} of shape "
            f"{y.shape}; convert or correct them"
        )
    wanted = _texts(y)
    predicted: list[str] = []
    for begin in range(0, len(x), _ROWS_A_CALL):
        predicted += _texts(learner.predict(x[begin : begin + _ROWS_A_CALL]))
        if progress is not None:
            progress(len(predicted), len(x))
    known = _texts(learner.classes_)
    unknown = sorted(set(wanted) - set(known))
    names = known + unknown
    index = {name: i for i, name in enumerate(names)}
    matrix = np.zeros((len(names), len(names)), np.int64)
    np.add.at(matrix, ([index[name] for name in wanted], [index[name] for name in predicted]), 1)
    hits, rows, columns = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    per_class = [
        {
            "name": name,
            "known": i < len(known),
            "samples": int(rows[i]),
            "predicted": int(columns[i]),
            "recall": float(hits[i] / rows[i]) if rows[i] else None,
            "precision": float(hits[i] / columns[i]) if columns[i] else None,
        }
        for i, name in enumerate(names)
    ]
    return {
        "n_samples": len(y),
        "accuracy": float(hits.sum() / len(y)),
        "classes": names,
        "per_class": per_class,
        "matrix": matrix.tolist(),
        "unknown": {"names": unknown, "samples": int(rows[len(known) :].sum())},
    }


def _texts(labels: NDArray[Any]) -> list[str]:
    try:
        return [class_name(key) for key in label_keys(labels)[0]]
    except ArgumentError as error:
        raise DataError(str(error)) from error


def largest_confusions(document: dict[str, Any], most: int) -> list[dict[str, Any]]:
    """Pairs of classes in which one is taken for the other, most frequent first: {"label", "taken_for", "samples",
    "share"}, where share is of the samples with that label."""
    matrix = np.array(document["matrix"])
    rows = matrix.sum(axis=1)
    np.fill_diagonal(matrix, 0)
    found = []
    for flat in np.argsort(-matrix, axis=None, kind="stable")[:most].tolist():
        i, j = divmod(flat, len(matrix))
        if matrix[i, j] > 0:
            pair = {"label": document["classes"][i], "taken_for": document["classes"][j]}
            found.append({**pair, "samples": int(matrix[i, j]), "share": float(matrix[i, j] / rows[i])})
    return found
