# `edgecl bench --suite steps`: whole training steps, dense and sparse, beside dense peers.
# Never here: how a peer runs (bench_workers), turns (bench_turns.py), the shape of a row (bench_suite.py).
"""The suite of training steps."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from edgecl.cli.bench_networks import INPUT_SHAPE, TRAINED, write_bundle, write_onnx
from edgecl.cli.bench_suite import Figure, Peer, Settings, make_rows
from edgecl.cli.bench_turns import Worker, WorkerFailed, take_turns, team
from edgecl.cli.failure import UsageError, needs
from edgecl.cli.output import ProgressCallback

SPARSITIES = (0.0, 0.5, 0.75, 0.9, 0.95)
BATCHES = {"mlp": ("10+10", "32"), "resnet18-nf20": ("10+10", "32"), "resnet18": ("32",)}
STEP = "step"
_BATCH = re.compile(r"(\d+)(?:\+(\d+))?")


def parse_batch(text: str) -> tuple[int, int]:
    """(new rows, replayed rows) of a step: "32" or "10+10"."""
    found = _BATCH.fullmatch(text)
    if not found or int(found[1]) < 1:
        raise UsageError(
            f"expected --batch as rows, or new+replayed rows, of at least 1; found '{text}'; write 32 or 10+10"
        )
    return int(found[1]), int(found[2] or 0)


def _networks(settings: Settings) -> list[str]:
    for name in settings.layers or ():
        if name not in TRAINED:
            raise UsageError(
                f"expected --layer as a network of {','.join(TRAINED)}; found '{name}'; check the spelling"
            )
    return [name for name in TRAINED if settings.layers is None or name in settings.layers]


def rows(
    settings: Settings, peak: float | None, update: ProgressCallback, versions: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """All rows, measured as they are asked for; `versions` receives those of the kernels and peers."""
    with needs("PyTorch to make the suite's networks with", "export"):
        import torch  # noqa: F401
    networks = _networks(settings)
    sparsities = sorted({0.0, *(SPARSITIES if settings.sparsities is None else settings.sparsities)})
    batches = {name: [parse_batch(b) for b in settings.batches or BATCHES[name]] for name in networks}
    places = [(name, *batch, t) for name in networks for batch in batches[name] for t in settings.threads]
    turns_done, all_turns = 0, len(places) * settings.rounds
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        files = {name: _files(name, sparsities, settings, folder, update) for name in networks}
        for name, batch, replayed, threads in places:
            batch_text = f"{batch}+{replayed}" if replayed else str(batch)
            title = f"{name} batch {batch_text}, {threads} thread(s)"

            def tick(title: str = title) -> None:
                nonlocal turns_done
                turns_done += 1
                update(title, turns_done, all_turns)

            update(title, turns_done, all_turns)
            bundles, onnx, failed = files[name]
            starts = _starts(settings, name, bundles, onnx, (batch, replayed), threads)
            with team(starts) as crew:
                crew.failed |= failed
                turns = {label: (label, "learn") for label in crew.workers}
                timings = take_turns(crew, turns, settings.rounds, settings.seconds, tick)
            for sparsity in sparsities:
                if _own(sparsity) in crew.failed:
                    raise RuntimeError(f"the step did not run: {crew.failed[_own(sparsity)]}")
            for label, facts in crew.facts.items():
                versions[label.split()[0]] = facts.get("version") or facts["level"]
            figures = {label: Figure.of(timing, threads) for label, timing in timings.items()}
            place = {"layer": name, "batch": batch + replayed, "replayed": replayed, "batch_text": batch_text}
            for sparsity in sparsities:
                yield from make_rows(
                    place | {"threads": threads, "pass": STEP, "sparsity": sparsity},
                    figures[_own(sparsity)],
                    figures[_own(0.0)],
                    (crew.facts[_own(sparsity)]["macs"], crew.facts[_own(0.0)]["macs"]),
                    peak,
                    {peer: _peer(peer, figures, crew.failed) for peer in settings.against},
                )


def _own(sparsity: float) -> str:
    return f"edgecl {sparsity:g}"


def _peer(name: str, figures: dict[str, Figure], failed: dict[str, str]) -> Peer:
    found = {label.removeprefix(name).strip(): f for label, f in figures.items() if label.split()[0] == name}
    notes = [why for label, why in failed.items() if label.split()[0] == name]
    return Peer(found, None if found or not notes else notes[0])


def _files(
    name: str, sparsities: list[float], settings: Settings, folder: Path, update: ProgressCallback
) -> tuple[dict[float, Path], Path | None, dict[str, str]]:
    """The network's bundles by sparsity, its ONNX artifacts, and why there are none."""
    bundles = {}
    for done, sparsity in enumerate(sparsities):
        update(f"exporting {name}, {100 * sparsity:g} % sparse", done, len(sparsities))
        bundles[sparsity] = write_bundle(name, folder / f"{name}-{sparsity:g}.ecl", 1.0 - sparsity, trainable="all")
    if "onnxruntime" not in settings.against:
        return bundles, None, {}
    update(f"exporting {name} for onnxruntime", 0, 1)
    try:
        return bundles, write_onnx(name, folder / name, True, settings.ort_python), {}
    except (WorkerFailed, OSError) as error:
        return bundles, None, {"onnxruntime": f"{error}; --ort-python names an interpreter with onnxruntime-training"}


def _starts(
    settings: Settings,
    name: str,
    bundles: dict[float, Path],
    onnx: Path | None,
    batch: tuple[int, int],
    threads: int,
) -> dict[str, Callable[[], Worker]]:
    """Ours learn new and replayed rows; the peers, which have no replay, one batch of as many rows."""
    new, replayed = batch
    starts: dict[str, Callable[[], Worker]] = {}
    common = {"threads": threads, "what": "learn"}
    for sparsity, path in bundles.items():
        config = common | {"bundle": str(path), "batch": new, "replayed": replayed}
        starts[_own(sparsity)] = partial(Worker, "step_edgecl", config, threads)
    common["batch"] = new + replayed
    if "torch" in settings.against:
        for layout in ("eager", "channels_last") if len(INPUT_SHAPE[name]) == 3 else ("eager",):
            config = common | {"network": name, "layout": layout}
            starts[f"torch {layout}"] = partial(Worker, "step_torch", config, threads)
    if onnx is not None:
        config = common | {"folder": str(onnx), "shape": INPUT_SHAPE[name]}
        starts["onnxruntime"] = partial(Worker, "step_onnxruntime", config, threads, settings.ort_python)
    return starts
