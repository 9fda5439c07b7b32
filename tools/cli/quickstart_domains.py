# The second act of `edgecl quickstart`: a new domain appears, and a class is forgotten.
# Never here: the first act (quickstart.py), the loop (edgecl.evaluate.domain_run).
"""`second_act`: the same digits in negative, below the encoder of the first act."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from edgecl.classifier import Classifier
from edgecl.cli import output
from edgecl.cli.output import ProgressCallback
from edgecl.cli.report import report_page
from edgecl.cli.route_table import domain_table
from edgecl.files import write_file_atomic
from rich.console import Console

if TYPE_CHECKING:
    from edgecl.evaluate.stream_types import Stream

_ADAPTOR = "depthwise:16"
_FORGOTTEN = 9
_WHITE = 16  # of scikit-learn's digits


def _two_domains(digits: Stream) -> Stream:
    from edgecl.evaluate.stream_types import Stream, Task

    def all_of(name: str) -> Any:
        return np.concatenate([getattr(task, name) for task in digits.tasks])

    x_train, y_train, x_test, y_test = map(all_of, ("x_train", "y_train", "x_test", "y_test"))
    plain = Task("digits", x_train, y_train, x_test, y_test)
    negative = Task("negative", _WHITE - x_train, y_train, _WHITE - x_test, y_test)
    return Stream("digits, then in negative", "domain-incremental", (plain, negative), digits.input, digits.class_names)


def _export(module: Any, stream: Stream, path: Path) -> dict[str, Any]:
    import edgecl.export as exporter

    spec = stream.input
    report = exporter.from_torch(
        module,
        np.zeros((1, *spec.dims), np.float32),
        out=path,
        name="quickstart-domains",
        adaptor=_ADAPTOR,
        max_classes=stream.n_classes,
        input=exporter.InputSpec(dtype="u8", scale=spec.scale, mean=spec.mean, std=spec.std),
        recipe=exporter.Recipe(method="ridge", novelty="fit", max_domains=2),
        calibration=stream.tasks[0].x_train[:256],
    )
    return report.as_dict()


def _forget(learner: Classifier, bundle: Path, stream: Stream, seed: int) -> dict[str, Any]:
    """Takes the rows of a digit back from both domains; the first then is compared with one that never saw them."""
    from edgecl.evaluate.experiment import stream_labels

    labels = stream_labels(stream)
    for entry, task in zip(learner.domains_, stream.tasks, strict=False):
        rows = task.y_train == _FORGOTTEN
        learner.select_domain(entry["name"]).unlearn(task.x_train[rows], labels[task.y_train[rows]])
    first = stream.tasks[0]
    others = first.y_train != _FORGOTTEN
    never = Classifier(bundle, random_state=seed)
    never.partial_fit(first.x_train[others], labels[first.y_train[others]])
    kept = [place for place, label in enumerate(learner.classes_.tolist()) if label in set(never.classes_.tolist())]
    scores = learner.select_domain("base").logits(first.x_test)[:, kept]
    learner.select_domain(None)
    said = learner.predict(first.x_test) == labels[_FORGOTTEN]
    return {
        "class": str(labels[_FORGOTTEN]),
        "predictions": int(said.sum()),
        "equals_never_seen": bool(np.array_equal(scores, never.logits(first.x_test))),
    }


def second_act(
    module: Any, digits: Stream, place: Path, seed: int, threads: int, progress: ProgressCallback
) -> dict[str, Any]:
    """Exports the encoder with an adaptor and room for two domains; learns the digits, and then their negatives.

    Returns:
        The document of `run_domains`, with "adaptor_share" of the encoder's parameters, "forgotten" {"class",
        "predictions" of it on the test rows, "equals_never_seen": scores of the first domain have the bits of a learner
        that never saw it; an adaptor keeps what it was trained with}, "bundle_path", "state", "report".
    """
    from edgecl.evaluate.domain_run import run_domains

    bundle, state, page = place / "domains.ecl", place / "domains.ecs", place / "domains.html"
    stream = _two_domains(digits)
    exported = _export(module, stream, bundle)
    learner = Classifier(bundle, random_state=seed, n_threads=threads)
    document = run_domains(learner, stream, progress=progress)
    learner.save(state)
    write_file_atomic(page, report_page(document))
    own = sum(layer["stored"] for layer in exported["layers"] if layer["trainable"])
    rest = sum(layer["stored"] for layer in exported["layers"] if not layer["trainable"])
    return {
        **document,
        "adaptor_share": own / rest,
        "forgotten": _forget(learner, bundle, stream, seed),
        "bundle_path": str(bundle),
        "state": str(state),
        "report": str(page),
    }


def render_second_act(console: Console, document: dict[str, Any]) -> None:
    """Prints it."""
    forgotten = document["forgotten"]
    console.print(
        "\nSecond act: the same encoder, frozen, and a head that keeps statistics. First the digits, then their "
        "negatives, and nobody says which: the alarm rings, and a domain with an adaptor of its own grows."
    )
    console.print(domain_table(document))
    exact = "to the bit" if forgotten["equals_never_seen"] else "NOT exactly"
    console.print(
        output.facts(
            [
                ("adaptor", f"{document['adaptor_share']:.1%} of the encoder's parameters"),
                ("a domain", output.size(document["domains"][0]["bytes"])),
                (
                    f"digit {forgotten['class']} forgotten",
                    f"{forgotten['predictions']} test images are called so; the first domain scores the rest {exact} "
                    "as if it had never been seen",
                ),
                ("report", document["report"]),
                ("bundle and state", f"{document['bundle_path']}, {document['state']}"),
            ]
        )
    )
