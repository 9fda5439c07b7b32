# `edgecl bench --suite sparse`: passes of single layers, sparse, beside dense and sparse peers.
# Never here: how a peer runs (bench_workers), turns (bench_turns.py), the shape of a row (bench_suite.py).
"""The suite of single layers."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from edgecl.cli.bench_layers import NAMES, Layer, parse_layer, write_layer_onnx
from edgecl.cli.bench_suite import Figure, Peer, Settings, make_rows
from edgecl.cli.bench_turns import Team, Timing, Worker, take_turns, team
from edgecl.cli.failure import UsageError
from edgecl.cli.output import ProgressCallback
from edgecl.errors import UnsupportedError
from edgecl.parts import missing_part

SPARSITIES = (0.8, 0.9, 0.95)
BATCHES = ("32",)
PASSES = ("forward", "dX", "dW")
BOTH_GRADIENTS = "dX+dW"
ALL = "all"  # the three passes together
OURS = "edgecl"
NO_SINGLE_LAYER = "onnxruntime trains whole networks; a single layer has its forward pass only"
INSTALL = {"sparseprop": "pip install --no-build-isolation --no-deps sparseprop builds it (a C++ compiler, pybind11)"}
ONE_SWEEP = "sparseprop computes dX and dW in one sweep; compare forward and all"

Timings = dict[str, dict[str, Timing]]  # worker -> case -> turns


def rows(
    settings: Settings, peak: float | None, update: ProgressCallback, versions: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """All rows, measured as they are asked for; `versions` receives those of the kernels and peers."""
    if importlib.util.find_spec("edgecl_kernels") is None:
        raise UnsupportedError(missing_part("edgecl_kernels") or "")
    layers = [parse_layer(name) for name in settings.layers or NAMES]
    batches = [_batch(text) for text in settings.batches or BATCHES]
    sparsities = [s for s in settings.sparsities or SPARSITIES if s > 0]  # the dense kernels take part in every row
    if not sparsities:
        raise UsageError("expected --sparsity with a share above 0; found 0 alone; write 0.8,0.9")
    places = [(t, layer, b) for t in settings.threads for layer in layers for b in batches]
    turns_done, all_turns = 0, len(places) * len(PASSES) * settings.rounds
    with tempfile.TemporaryDirectory() as folder:
        for threads, layer, batch in places:
            title = f"{layer.name} batch {batch}, {threads} thread(s)"

            def tick(title: str = title) -> None:
                nonlocal turns_done
                turns_done += 1
                update(title, turns_done, all_turns)

            update(title, turns_done, all_turns)
            starts, failed = _starts(settings, layer, batch, threads, sparsities, Path(folder))
            with team(starts) as crew:
                crew.failed |= failed
                timings = _measure(crew, settings, tick)
            if OURS in crew.failed:
                raise RuntimeError(f"the kernels did not run: {crew.failed[OURS]}")
            for name, facts in crew.facts.items():
                versions[name] = facts.get("version") or facts["level"]
            place = {"layer": layer.name, "batch": batch, "batch_text": str(batch), "threads": threads}
            yield from _rows(place, crew, timings, sparsities, settings.against, peak)


def _batch(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise UsageError(f"expected --batch as numbers of at least 1 with commas; found '{text}'; write 20,32")
    return int(text)


def _starts(
    settings: Settings, layer: Layer, batch: int, threads: int, sparsities: list[float], folder: Path
) -> tuple[dict[str, Callable[[], Worker]], dict[str, str]]:
    config = asdict(layer) | {"batch": batch, "threads": threads, "sparsities": sparsities}
    starts: dict[str, Callable[[], Worker]] = {OURS: partial(Worker, "layer_edgecl", config, threads)}
    failed: dict[str, str] = {}
    for peer in settings.against:
        if peer != "onnxruntime":
            starts[peer] = partial(Worker, f"layer_{peer}", config, threads)
            continue
        file = folder / "layer.onnx"
        try:
            shape = write_layer_onnx(layer, batch, file)
        except ImportError as error:
            failed[peer] = str(error)
            continue
        files = {"file": str(file), "shape": shape, "threads": threads}
        starts[peer] = partial(Worker, "layer_onnxruntime", files, threads, settings.ort_python)
    return starts, failed


def _measure(crew: Team, settings: Settings, tick: Callable[[], None]) -> Timings:
    """Turns by pass: all contenders of one pass, in every sparsity and variant, alternate."""
    result: Timings = {name: {} for name in crew.workers}
    for pass_name in PASSES:
        turns = {}
        for worker, facts in crew.facts.items():
            for case in facts["cases"]:
                last = case.split()[-1]
                if last == pass_name or (last == BOTH_GRADIENTS and pass_name == "dW"):
                    turns[f"{worker} {case}"] = (worker, case)
        for label, timing in take_turns(crew, turns, settings.rounds, settings.seconds, tick).items():
            worker, case = turns[label]
            result[worker][case] = timing
    return result


def _peer(name: str, crew: Team, timings: Timings, threads: int, sparsity: float, pass_name: str) -> Peer:
    """The peer's figures of one pass; `all` adds the passes of each variant."""
    if name in crew.failed:
        return Peer(note="; ".join(filter(None, (crew.failed[name], INSTALL.get(name)))))
    variants: dict[str, dict[str, Figure]] = {}
    for case, timing in timings[name].items():
        *words, part = case.split()
        if name == "sparseprop" and words.pop(0) != f"{sparsity:g}":
            continue
        variants.setdefault(" ".join(words), {})[part] = Figure.of(timing, threads)
    if pass_name != ALL:
        found = {variant: parts[pass_name] for variant, parts in variants.items() if pass_name in parts}
    else:
        found = {}
        for variant, parts in variants.items():
            if len(parts) > 1:
                first, *others = parts.values()
                found[variant] = sum(others, start=first)
    if found:
        return Peer(found)
    return Peer(note=NO_SINGLE_LAYER if name == "onnxruntime" else ONE_SWEEP)


def _rows(
    place: dict[str, Any],
    crew: Team,
    timings: Timings,
    sparsities: list[float],
    against: tuple[str, ...],
    peak: float | None,
) -> Iterator[dict[str, Any]]:
    ours, macs = timings[OURS], crew.facts[OURS]["macs"]
    for pass_name in (*PASSES, ALL):
        parts = PASSES if pass_name == ALL else (pass_name,)

        def total(sparsity: float, parts: tuple[str, ...] = parts) -> Figure:
            first, *others = (Figure.of(ours[f"{sparsity:g} {part}"], place["threads"]) for part in parts)
            return sum(others, start=first)

        for sparsity in sparsities:
            work = (sum(macs[f"{share:g} {part}"] for part in parts) for share in (sparsity, 0.0))
            peers = {name: _peer(name, crew, timings, place["threads"], sparsity, pass_name) for name in against}
            where = place | {"sparsity": sparsity, "pass": pass_name}
            yield from make_rows(where, total(sparsity), total(0.0), tuple(work), peak, peers)
