# `edgecl export`: a PyTorch, ONNX or TFLite model becomes a bundle.
# Never here: how (edgecl.export), the networks (models.py).
"""The command `export`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import typer
from edgecl._core import MAX_CLASSES
from edgecl.cli import c_array as c_arrays
from edgecl.cli import failure, output
from edgecl.cli.recipe_options import MAX_SEED, SET, recipe_settings
from edgecl.files import check_output, write_file_atomic
from edgecl.labels import is_integer_text
from edgecl.methods import GRADIENT_HEADS
from rich.console import Console


class Distribution(str, Enum):
    """How sparsity is shared among layers."""

    uniform = "uniform"
    erk = "erk"


class Encoder(str, Enum):
    """In which numbers a frozen part computes."""

    auto = "auto"
    float32 = "float32"
    int8 = "int8"


class LayerChoice(str, Enum):
    """Who says which of the sparse layers had better stay dense."""

    sparse = "sparse"
    predicted = "predicted"
    measured = "measured"


class InputDtype(str, Enum):
    """Element type of raw samples."""

    u8 = "u8"
    f32 = "f32"


class ExemplarChoice(str, Enum):
    """Which samples of a class travel along."""

    herding = "herding"
    random = "random"


class ExemplarDtype(str, Enum):
    """How they are stored."""

    input = "input"
    i8 = "i8"


def _labelled_samples(path: Path) -> tuple[Any, Any]:
    from edgecl.npz import read_npz

    arrays = read_npz(path, ())
    names = ("x", "y") if "x" in arrays else ("x_train", "y_train")
    arrays = read_npz(path, names)
    return arrays[names[0]], arrays[names[1]]


def _adaptor_data(path: Path | None, budget: float | None, share: float | None, score: str | None) -> Any:
    import edgecl.export as exporter

    given: dict[str, Any] = {"budget": budget, "share": share, "score": score}
    given = {name: value for name, value in given.items() if value is not None}
    if path is None:
        if given:
            raise failure.UsageError(
                f"expected --adaptor-data with --adaptor-{next(iter(given))}; found none; hand in rows of the new "
                "domain, or leave it out"
            )
        return None
    return exporter.AdaptorData(*_labelled_samples(path), **given)


def numbers(text: str | None, option: str, kind: type) -> tuple[Any, ...] | None:
    """A comma-separated list such as 3,32,32; None stays None.

    Raises:
        UsageError.
    """
    if text is None:
        return None
    try:
        values = tuple(kind(part) for part in text.split(","))
    except ValueError as error:
        raise failure.UsageError(
            f"expected numbers with commas for {option}; found '{text}'; write for example 3,32,32"
        ) from error
    if kind is int and any(v < 1 for v in values):
        raise failure.UsageError(f"expected numbers of at least 1 for {option}; found '{text}'; correct them")
    return values


def _classes(text: str | None, built_in: bool) -> int | list[str] | list[int] | None:
    if text is None:
        return 0 if built_in else None  # an untrained network knows no class yet
    if text.isdecimal():
        if len(text) > len(str(MAX_CLASSES)) or int(text) > MAX_CLASSES:
            raise failure.UsageError(f"expected at most {MAX_CLASSES} for --classes; found {text[:40]}; give fewer")
        return int(text)
    names = text.split(",")
    return [int(name) for name in names] if all(map(is_integer_text, names)) else names


@contextmanager
def _in_full(verbose: bool) -> Iterator[None]:
    """An error tells every node where that is wanted."""
    from edgecl.export.errors import ExportError

    try:
        yield
    except ExportError as error:
        if verbose and error.blockers:
            raise error.in_full() from error
        raise


def _render(console: Console, d: dict[str, Any], found: Any, verbose: bool) -> None:
    from edgecl.export.errors import Blocker, grouped
    from edgecl.export.report import ParityFigures

    parity, macs, sizes = d["parity"], d["macs"], d["sizes"]
    parts = ("learnable_bytes", "replay_bytes", "learn_bytes", "scratch_bytes")
    written = f" in {d['path']}" if d["path"] else " (dry run: nothing was written)" if d["dry_run"] else ""
    console.print(
        output.facts(
            [
                ("bundle", f"{d['name']}, {output.size(d['bundle_bytes'])}{written}"),
                (
                    "parity",
                    "no source model to compare with"
                    if parity is None
                    else f"{parity['source']}, {parity['n_rows']} rows: differs by at most {parity['max_abs']:.2g} "
                    f"(outputs up to {parity['reference_abs']:.3g}, {ParityFigures(**parity).limit()})",
                ),
                (
                    "forward",
                    f"{output.count(macs['forward_sparse'])} multiply-adds a row "
                    f"({output.count(macs['forward'])} if dense)",
                ),
                (
                    "backward",
                    f"{output.count(macs['backward_sparse'])} multiply-adds a row "
                    f"({output.count(macs['backward'])} if dense); trains: {_what_learns(d)}",
                ),
                (
                    "session",
                    f"{output.size(sizes['arena_bytes'])}: "
                    + ", ".join(f"{part.removesuffix('_bytes')} {output.size(sizes[part])}" for part in parts),
                ),
            ]
        )
    )
    rows = [
        (
            layer["name"],
            layer["kind"],
            " x ".join(map(str, layer["dims"])),
            "learns" if layer["trainable"] else "frozen",
            "dense" if layer["density"] == 1 else output.percent(layer["density"]),
            output.count(layer["macs_forward"] * layer["density"]),
            output.count(layer["macs_backward"] * layer["density"]),
        )
        for layer in d["layers"]
    ]
    console.print(output.table(["layer", "kind", "weights", "", "density>", "forward>", "backward>"], rows))
    fixed = [Blocker(**blocker) for blocker in d["untrainable"]]
    for line in map(str, fixed) if verbose else grouped(fixed):
        console.print(f"cannot learn: {line}")
    if found is not None:
        for line in [*found.table(), found.why()]:
            console.print(line)
    for note in d["notes"]:
        console.print(f"note: {note}")
    if d["c_array"] is not None:
        console.print(f"C array '{d['c_array']['array']}' in {d['c_array']['path']}; a build for it alone has")
        for key, names in d["c_array"]["needs"].items():
            console.print(f"  {key}={';'.join(names)}")


@failure.command
def export(
    model: str = typer.Argument(
        ...,
        help="file.onnx | file.tflite | module:callable | path.py:callable | embeddings:NUMBER (your encoder makes "
        "them) | a built-in: mlp, small-cnn, resnet18-nf20, resnet18, har-cnn, efficientnet-lite0.",
    ),
    out: Path = typer.Option(..., "--output", "-o", help="Bundle to write (.ecl)."),
    trainable: str = typer.Option(
        "all", "--trainable", help="all | tail | tail:LAYER | head | none | prefixes of parameter names with commas."
    ),
    head: str | None = typer.Option(
        None,
        "--head",
        help="ncm | ncm-distance | lda | ridge | hd | fecam: a head that keeps statistics takes the place of the last "
        "layer, and the rest is frozen; the same as --method. cosine: the last layer is kept and trained by gradients, "
        "with cosines for scores. new:10: a fresh last layer of ten columns, trained by gradients, on any encoder.",
    ),
    logits: str | None = typer.Option(
        None, "--logits", help="Of a model with several outputs the one to learn: its name, key or position."
    ),
    projection: int = typer.Option(
        0, "--projection", min=0, max=8192, help="Width of a random projection before such a head; 0: none."
    ),
    normalise: bool = typer.Option(
        True, "--normalise/--no-normalise", help="Embeddings of length 1 before such a head."
    ),
    adaptor: str | None = typer.Option(
        None,
        "--adaptor",
        help="film | bottleneck:16 | depthwise:16 | lowrank:16: parameters before such a head that each domain has of "
        "its own; with --set max_domains=4. search: the one that suits --adaptor-data.",
    ),
    adaptor_data: Path | None = typer.Option(
        None,
        "--adaptor-data",
        help="Samples of a new domain, x and y (or x_train, y_train) of an .npz, that --adaptor search goes by.",
    ),
    adaptor_budget: float | None = typer.Option(
        None, "--adaptor-budget", help="Seconds after which it scores no further one; default: it scores all."
    ),
    adaptor_share: float | None = typer.Option(
        None, "--adaptor-share", help="Largest adaptor, as a share of the encoder's parameters; default: 0.05."
    ),
    adaptor_score: str | None = typer.Option(
        None, "--adaptor-score", help="What decides: a column of the table, or combined; default: the README has it."
    ),
    density: float = typer.Option(
        1.0, "--density", help="Fraction of weights kept in sparse layers, 0 < density <= 1."
    ),
    distribution: Distribution = typer.Option(
        Distribution.uniform, "--distribution", help="How density is shared among layers."
    ),
    sparse_layers: str | None = typer.Option(
        None, "--sparse-layers", help="Layer names with commas; default: all that are large enough."
    ),
    layer_choice: LayerChoice = typer.Option(
        LayerChoice.sparse,
        "--layer-choice",
        help="predicted, measured: a layer that would not learn faster sparse stays dense (cost model for --device, or "
        "timed here).",
    ),
    classes: str | None = typer.Option(
        None,
        "--classes",
        help="Classes known already: how many, or names or integer labels with commas; default: all outputs "
        "(built-in: 0).",
    ),
    max_classes: int | None = typer.Option(
        None,
        "--max-classes",
        min=1,
        max=MAX_CLASSES,
        help="Room for classes; default: the model's outputs (built-in: 10).",
    ),
    input_shape: str | None = typer.Option(
        None, "--input-shape", help="One sample without the batch axis, such as 3,32,32."
    ),
    input_dtype: InputDtype | None = typer.Option(
        None, "--input-dtype", help="Raw samples: u8 or f32 (built-in: as its data; TFLite: as its input)."
    ),
    channels_last: bool = typer.Option(False, "--channels-last", help="Raw images are height,width,channels."),
    scale: float | None = typer.Option(None, "--scale", help="Factor on raw values; default 1/255 for u8, 1 for f32."),
    mean: str | None = typer.Option(None, "--mean", help="After scaling; one number or one a channel, with commas."),
    std: str | None = typer.Option(None, "--std", help="Likewise."),
    method: str = typer.Option("er", "--method", help="Recipe: er, derpp, sparcl-derpp, ...; see `edgecl methods`."),
    learning_rate: float | None = typer.Option(
        None, "--learning-rate", "--lr", help="Recipe. Default: 0.03; mlp with sparse layers: 0.1."
    ),
    momentum: float | None = typer.Option(None, "--momentum", help="Recipe."),
    weight_decay: float | None = typer.Option(None, "--weight-decay", help="Recipe."),
    batch_size: int | None = typer.Option(None, "--batch-size", min=1, help="Recipe: rows a step."),
    replay_batch: int | None = typer.Option(None, "--replay-batch", min=0, help="Recipe: rows a draw."),
    replay_capacity: int | None = typer.Option(None, "--replay-capacity", min=0, help="Recipe: exemplars kept."),
    alpha: float | None = typer.Option(None, "--alpha", help="Recipe, DER++: weight of the logit term."),
    beta: float | None = typer.Option(None, "--beta", help="Recipe, DER++: weight of the label term."),
    class_mask: bool | None = typer.Option(
        None,
        "--class-mask/--no-class-mask",
        help="Recipe: current loss over the batch's classes only. Default: the method.",
    ),
    augment_crop: int | None = typer.Option(None, "--augment-crop", min=0, help="Recipe: pixels of random crop."),
    augment_flip: bool | None = typer.Option(
        None, "--augment-flip/--no-augment-flip", help="Recipe: random horizontal flip."
    ),
    settings: list[str] = SET,
    calib: Path | None = typer.Option(
        None,
        "--calib",
        "--calibrate",
        help="Raw samples for the parity check and the ranges of --encoder int8: .npy, or array 'x' of an .npz.",
    ),
    encoder: Encoder = typer.Option(
        Encoder.auto,
        "--encoder",
        help="In which numbers the frozen part computes. auto: those of the file (an int8 .tflite or .onnx stays "
        "int8). int8: made here, wants --calibrate. float32.",
    ),
    remember: Path | None = typer.Option(
        None,
        "--remember",
        help="Samples of the shipped classes, x and y (or x_train, y_train) of an .npz: some travel in the bundle and "
        "fill the device's replay buffer.",
    ),
    exemplars: int = typer.Option(200, "--exemplars", min=1, max=16384, help="How many of --remember."),
    exemplar_choice: ExemplarChoice = typer.Option(
        ExemplarChoice.herding, "--exemplar-choice", help="Which: closest to the class mean, or at random."
    ),
    exemplar_dtype: ExemplarDtype = typer.Option(
        ExemplarDtype.input, "--exemplar-dtype", help="As the input has them, or one byte a number (i8)."
    ),
    external: bool = typer.Option(
        False,
        "--external",
        help="The encoder stays an ONNX or TFLite file, which onnxruntime, ai-edge-litert or tflite-runtime runs on "
        "the device: for operators that edgecl lacks. With --head.",
    ),
    external_output: str | None = typer.Option(
        None,
        "--external-output",
        help="Tensor of an ONNX file that is the embedding; default: the input of its classifier.",
    ),
    device: str | None = typer.Option(
        None, "--device", help="Profile name: for --layer-choice predicted, and kept in the report."
    ),
    fit: str | None = typer.Option(
        None,
        "--fit",
        help="20ms: the form (density, what learns, int8) whose predict and learn step stay below it on --device, "
        "predicted; exit 1 when none does.",
    ),
    name: str | None = typer.Option(None, "--name", help="Name of the bundle."),
    c_array: Path | None = typer.Option(
        None,
        "--c-array",
        help="Write the bundle as a C header too, with the operators and parts that a small build needs for it.",
    ),
    seed: int = typer.Option(0, "--seed", min=0, max=MAX_SEED, help="Of fresh weights and random masks."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Do everything but write the file."),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="A line for each node that stands in the way."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Compile a model to a bundle; always compares it with the source and stores the result inside.

    Example: edgecl export mlp -o mlp.ecl --density 0.1 --method er_ace

    Example: edgecl export resnet18-nf20 -o small.ecl --device rpi4 --fit 200ms

    JSON: {"path", "name", "trainable", "device", "bundle_bytes", "parity": {"n_rows", "max_abs", "mean_abs",
    "reference_abs", "tolerance", "source", "float32_max_abs"}, "sizes": {"arena_bytes", ...}, "untrainable": [{"node",
    "op_type", "reason", "remedy"}], "layers": [...], "macs": {...}, "notes", "adaptor_search": null or {"chosen",
    "why", "rule", "rows": [{"name", "parameters", "scores", "rank", "seconds"}], "not_scored", ...}, "dry_run",
    "c_array": null or {"path", "array", "needs"}, "fit"? (with --fit:
    "chosen", "why", "rule", "rows": [{"form", "predict_ms", "learn_ms" ([low, middle, high]), "fits"}])}
    """
    from edgecl.cli.model_source import load_model
    from edgecl.cli.run import load_samples

    if not dry_run:
        check_output(out)
        if c_array is not None:
            check_output(c_array)
    shape = numbers(input_shape, "--input-shape", int)
    if (external or external_output) and not model.endswith((".onnx", ".tflite")):
        raise failure.UsageError(
            f"expected an ONNX or TFLite file for --external; found '{model}'; write a PyTorch module as one with "
            "torch.onnx.export, and pass that"
        )
    source = load_model(model, shape, max_classes or 10, seed)
    new_head, head = _new_head(head)
    with (
        failure.needs("the packages that export needs", "export"),
        output.doing("reading the model") as update,
        ExitStack() as stack,
    ):
        import edgecl.export as exporter
        from edgecl.export.stages import watched

        stack.enter_context(watched(update))
        stack.enter_context(_in_full(verbose))

        rate = source.built_in.learning_rate(density) if source.built_in is not None else None
        recipe = exporter.Recipe(
            **recipe_settings(
                settings,
                method=_method(method, head),
                head=head if head in GRADIENT_HEADS else None,
                learning_rate=rate if learning_rate is None else learning_rate,
                momentum=momentum,
                weight_decay=weight_decay,
                batch_size=batch_size,
                replay_batch=replay_batch,
                replay_capacity=replay_capacity,
                alpha=alpha,
                beta=beta,
                class_mask=class_mask,
                augment_crop=augment_crop,
                augment_flip=augment_flip,
            )
        )
        entry = source.built_in
        default = "f32" if entry is None else entry.dtype
        dtype: Literal["u8", "f32"] = "u8" if (default if input_dtype is None else input_dtype.value) == "u8" else "f32"
        as_meant = entry is not None and dtype == entry.dtype  # the built-in's own normalisation fits the raw data
        given_mean, given_std = numbers(mean, "--mean", float), numbers(std, "--std", float)
        given = (input_dtype, scale, given_mean, given_std)
        from_file = source.is_tflite and all(value is None for value in given)
        spec = exporter.InputSpec(
            dtype=dtype,
            channels_last=channels_last,
            scale=scale
            if scale is not None
            else entry.scale
            if as_meant and entry
            else 1 / 255
            if dtype == "u8"
            else 1.0,
            mean=given_mean or (entry.mean if as_meant and entry else (0.0,)),
            std=given_std or (entry.std if as_meant and entry else (1.0,)),
        )
        keywords: dict[str, Any] = {
            "out": None if dry_run else out,
            "name": name or source.name,
            "trainable": trainable.split(",") if "," in trainable else _trainable(trainable),
            "density": density,
            "distribution": distribution.value,
            "sparse_layers": None if sparse_layers is None else sparse_layers.split(","),
            "layer_choice": layer_choice.value,
            "mask_seed": seed,
            "initial_scale": "variance" if entry is not None and not entry.trained else "none",
            "classes": _classes(classes, entry is not None or recipe.head not in GRADIENT_HEADS),
            "max_classes": max_classes,
            "input": source.own_input(channels_last, external) if from_file else spec,
            "recipe": recipe,
            "calibration": None if calib is None else load_samples(calib),
            "device": device,
            "projection": projection,
            "normalise": normalise,
            "adaptor": adaptor,
            "adaptor_data": _adaptor_data(adaptor_data, adaptor_budget, adaptor_share, adaptor_score),
            "encoder": encoder.value,
            "external": external,
            "external_output": external_output,
            "new_head": new_head,
            "logits": int(logits) if logits is not None and logits.isdecimal() else logits,
            "remember": None
            if remember is None
            else exporter.Exemplars(
                *_labelled_samples(remember), exemplars, exemplar_choice.value, exemplar_dtype.value, seed
            ),
        }
        if fit is not None:
            from edgecl.cli.bench_options import milliseconds
            from edgecl.cli.export_fit import fitting

            if source.embedding_dim or external:
                raise failure.UsageError(
                    "expected a network for --fit; found embeddings, whose encoder is not edgecl's; leave --fit out"
                )

            def attempt(changed: dict[str, Any]) -> Any:
                # A network's weights are set to those of its bundle: each form begins with its own.
                fresh = load_model(model, shape, max_classes or 10, seed)
                if fresh.built_in is not None and learning_rate is None:
                    rate = fresh.built_in.learning_rate(changed["density"])
                    own = {"method": recipe.preset, "learning_rate": rate}
                    changed["recipe"] = exporter.Recipe(**recipe.as_config() | own)
                return _network(fresh, shape, changed)

            found, result = fitting(keywords, device, milliseconds(fit, "--fit"), attempt)
            return _tell_fit(found, result, None if dry_run else out, c_array, as_json, verbose)
        if source.embedding_dim:
            wanted = ["out", "name", "classes", "max_classes", "recipe", "calibration", "projection", "normalise"]
            wanted += ["adaptor", "adaptor_data", "mask_seed", "device"]
            result = exporter.from_embeddings(source.embedding_dim, **{key: keywords[key] for key in wanted})
        else:
            result = _network(source, shape, keywords)
    document = {**result.as_dict(), "dry_run": dry_run, "c_array": None}
    if c_array is not None and not dry_run:
        document["c_array"] = c_arrays.write(out, c_array)
    output.emit(document, as_json, lambda console: _render(console, document, result.adaptor_search, verbose))


def _network(source: Any, shape: tuple[Any, ...] | None, keywords: dict[str, Any]) -> Any:
    """Exports a file or a PyTorch module."""
    import edgecl.export as exporter
    import numpy as np
    from edgecl.cli.model_source import prints_to_stderr

    if source.is_tflite:
        if keywords.pop("logits") is not None:
            raise failure.UsageError("expected an ONNX file or a PyTorch module for --logits; found a TFLite file")
        return source.export(**keywords)
    if source.file is not None:
        return source.export(**keywords)
    sample = shape or (source.built_in.shape if source.built_in is not None else None)
    if sample is None:
        raise failure.UsageError(
            "expected --input-shape, which PyTorch modules do not know; found none; pass for example 3,32,32"
        )
    of_files = ("external", "external_output")
    keywords = {key: value for key, value in keywords.items() if key not in of_files}
    with prints_to_stderr():
        return exporter.from_torch(source.module, np.zeros((1, *sample), np.float32), **keywords)


def _tell_fit(found: Any, report: Any, out: Path | None, c_array: Path | None, as_json: bool, verbose: bool) -> None:
    """Writes the form that fits and prints what was tried; ends with 1 where nothing fits."""
    array = None
    if report is not None and out is not None:
        write_file_atomic(out, report.bundle)
        report = replace(report, path=str(out))
        array = None if c_array is None else c_arrays.write(out, c_array)
    document = {} if report is None else report.as_dict()
    document |= {"fit": found.as_dict(), "dry_run": out is None, "c_array": array}

    def render(console: Console) -> None:
        console.print(output.table(*found.table()))
        console.print(found.why())
        if report is not None:
            console.print()
            _render(console, document, report.adaptor_search, verbose)

    output.emit(document, as_json, render)
    if report is None:
        failure.finish(failure.NO)


def _what_learns(d: dict[str, Any]) -> str:
    return str(d["trainable"]) if d["macs"]["backward"] else "nothing by gradients"


def _trainable(text: str) -> str | list[str]:
    return text if text in ("all", "tail", "head", "none") or text.startswith("tail:") else [text]


def _new_head(head: str | None) -> tuple[int | None, str | None]:
    """The columns of new:COLUMNS, and what else --head says."""
    if head is None or not head.startswith("new:"):
        return None, head
    if not head.removeprefix("new:").isdecimal():
        raise failure.UsageError(f"expected --head new:COLUMNS, as in new:10; found '{head}'")
    return int(head.removeprefix("new:")), None


def _method(method: str, head: str | None) -> str:
    if head is None or head in GRADIENT_HEADS:
        return method
    if method != "er" and method != head:
        raise failure.UsageError(
            f"expected --head or --method, since such a head is a method; found '{head}' and '{method}'; leave out one"
        )
    return head
