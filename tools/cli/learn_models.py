# What `edgecl learn` runs: a stream from the options, and for each method and seed a learner.
# Never here: learning, printing.
"""From the options of `learn` to streams and `Run`s."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from edgecl.bundle import Bundle, open_bundle
from edgecl.classifier import Classifier
from edgecl.cli import failure, output
from edgecl.files import read_file
from edgecl.methods import method_settings
from edgecl.state_file import read_state

if TYPE_CHECKING:
    from edgecl.evaluate.runs import Run
    from edgecl.evaluate.stream_types import Stream
    from edgecl.export.report import ExportReport


@dataclass(frozen=True)
class Variant:
    """A row of a comparison: a method (None: as the bundle says) and the density of a model exported on the fly."""

    label: str
    method: str | None
    density: float | None


def variants(methods: str | None, method: str | None, density: float | None) -> list[Variant]:
    """What --methods, --method and --density ask for: NAME or NAME@DENSITY.

    Raises:
        UsageError, ArgumentError: they do not go together, or a method is unknown.
    """
    if methods is None:
        if method is not None:
            method_settings(method)
        return [Variant(method or "bundle's recipe", method, density)]
    if method is not None:
        raise failure.UsageError("expected --method or --methods; found both; leave one out")
    found = []
    for label in filter(None, (part.strip() for part in methods.split(","))):
        name, at, share = label.partition("@")
        method_settings(name)
        try:
            own = float(share) if at else density
        except ValueError as error:
            raise failure.UsageError(
                f"expected NAME or NAME@DENSITY in --methods, such as sparcl-derpp@0.1; found '{label}'; correct it"
            ) from error
        found.append(Variant(label, name, own))
    if not found or len({variant.label for variant in found}) < len(found):
        raise failure.UsageError(f"expected different methods in --methods; found '{methods}'; name each once")
    return found


def read_stream(name: str | None, data: Path | None, classes_per_task: int | None) -> Stream:
    """The stream of --stream or --data."""
    from edgecl.evaluate.streams import load_stream, stream_from_npz, stream_names

    if (name is None) == (data is None):
        raise failure.UsageError(
            f"expected either --stream NAME or --data FILE; found {'both' if name else 'neither'}; "
            f"streams: {', '.join(stream_names())}"
        )
    return load_stream(name) if name is not None else stream_from_npz(str(data), classes_per_task)


@dataclass
class Models:
    """Learners of the BUNDLE argument for any variant and seed.

    Attributes:
        argument: a bundle, or a model that is exported for the stream on the fly.
        recipe: fields of the recipe that the options give, but for the method.
        adaptor: of a model exported on the fly.
    """

    argument: str
    recipe: dict[str, Any]
    threads: int
    epochs: int
    adaptor: str | None = None
    _opened: Bundle | None = field(default=None, init=False)
    _last: tuple[tuple[Variant, int], bytes] | None = field(default=None, init=False)

    @property
    def is_bundle(self) -> bool:
        """Whether the argument is a bundle; it then can be checked before data are read."""
        path = Path(self.argument)
        return path.suffix == ".ecl" or (path.exists() and path.suffix not in (".onnx", ".tflite", ".py"))

    def default(self, name: str) -> Any:
        """A field of the recipe of the bundle; None of a model that is exported on the fly."""
        return self._bundle().default_config()[name] if self.is_bundle else None

    def hush(self) -> None:
        """Inside `failure.command`: no warning that shipped classes may be forgotten, where the export on the fly is
        what declared the classes, and nothing was trained for them."""
        if not self.is_bundle:
            warnings.filterwarnings("ignore", message="this bundle ships classes")

    def check(self, rows: Sequence[Variant]) -> None:
        """A bad bundle or option is told before data are read."""
        if not self.is_bundle:
            return
        if self.adaptor is not None:
            raise failure.UsageError(
                "expected --adaptor with a model that is exported on the fly; found a bundle, whose adaptor is what it "
                "is; leave it out, or export with it"
            )
        for row in rows:
            if row.density is not None:
                raise failure.UsageError(
                    "expected a density with a model that is exported on the fly; found a bundle, whose layers are "
                    "what they are; leave it out, or export with it"
                )
            self._learner(self._bundle(), row, None).config()

    def identity(self, rows: Sequence[Variant]) -> dict[str, Any]:
        """What tells these models from others, for a checkpoint."""
        model: str = self.argument
        if self.is_bundle:
            model = self._bundle().digest
        elif Path(self.argument.partition(":")[0]).is_file():
            model = hashlib.sha256(read_file(self.argument.partition(":")[0])).hexdigest()
        return {"model": model, "density": [row.density for row in rows], **self.recipe}

    def run(self, row: Variant, seed: int | None, stream: Stream, start: bytes | None = None) -> Run:
        """One run; `seed` None is 0, or the one of the state that the learner continues from."""
        from edgecl.evaluate.runs import Run

        return Run(row.label, seed or 0, lambda: self.learner(row, seed, stream, start), start)

    def learner(self, row: Variant, seed: int | None, stream: Stream, start: bytes | None = None) -> Classifier:
        """A fresh learner, whose intervals fit the stream's tasks, or are those of the state that it is to load."""
        from edgecl.evaluate.experiment import task_intervals

        source: Bundle | bytes = self._bundle() if self.is_bundle else self._exported(row, seed or 0, stream)
        learner = self._learner(source, row, seed)
        if row.method is None:
            return learner
        config = learner.config()
        intervals = task_intervals(config, len(stream.tasks[0].x_train) // config["max_batch"] * self.epochs)
        if start is not None:
            recipe = read_state(start).recipe
            intervals = {name: recipe[name] for name in intervals if name in recipe}
        return learner.set_params(**{**intervals, **self._settings(row)}).clone()

    def _settings(self, row: Variant) -> dict[str, Any]:
        return {**self.recipe, **({} if row.method is None else {"method": row.method})}

    def _learner(self, source: Bundle | bytes, row: Variant, seed: int | None) -> Classifier:
        return Classifier(source, random_state=seed, n_threads=self.threads, **self._settings(row))

    def _bundle(self) -> Bundle:
        if self._opened is None:
            self._opened = open_bundle(self.argument)
        return self._opened

    def _exported(self, row: Variant, seed: int, stream: Stream) -> bytes:
        if self._last is None or self._last[0] != (row, seed):  # the check before all runs and the first run share one
            density = 1.0 if row.density is None else row.density
            bundle = _export(self.argument, stream, density, seed, self._settings(row), self.adaptor)
            self._last = (row, seed), bundle
        return self._last[1]


def _export(
    model: str, stream: Stream, density: float, seed: int, settings: dict[str, Any], adaptor: str | None
) -> bytes:
    """A bundle of a model for the samples and classes of a stream; all classes take part from the first step on."""
    from edgecl.cli.model_source import load_model
    from edgecl.evaluate.experiment import stream_labels

    shape = tuple(stream.tasks[0].x_train.shape[1:])
    source = load_model(model, shape, stream.n_classes, seed)
    import edgecl.export as exporter
    import torch

    # A model of the user's was trained on something: it gets numbers as they are, bytes as 0..1.
    own = source.built_in is None
    spec = exporter.InputSpec(
        dtype="u8" if stream.tasks[0].x_train.dtype == np.uint8 else "f32",
        scale=stream.input.scale,
        mean=(0.0,) if own else stream.input.mean,
        std=(1.0,) if own else stream.input.std,
    )
    if own:
        output.log(
            "note: samples go into the model as they are, bytes as 0..1; for others export with --mean and --std"
        )
    if source.built_in is not None:
        schedule = settings.setdefault("rate_schedule", "linear")
        settings.setdefault("learning_rate", source.built_in.learning_rate(density, schedule))
    keywords: dict[str, Any] = {
        "name": source.name,
        "density": density,
        "mask_seed": seed,
        "initial_scale": "variance" if source.built_in is not None and not source.built_in.trained else "none",
        "classes": stream_labels(stream).tolist(),
        "input": spec,
        "recipe": exporter.Recipe(**settings),
        "adaptor": adaptor,
    }
    if source.embedding_dim:
        wanted = ("name", "classes", "recipe", "adaptor", "mask_seed")
        return exporter.from_embeddings(source.embedding_dim, **{key: keywords[key] for key in wanted}).bundle
    if source.file is not None:
        report: ExportReport = source.export(**keywords)
        return report.bundle
    return exporter.from_torch(source.module, torch.zeros(1, *shape), **keywords).bundle
