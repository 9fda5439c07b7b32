# `edgecl inspect`: what is in a bundle or state.
# Never here: checks beyond those that opening does (verify.py).
"""The command `inspect`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import typer
from edgecl import devices
from edgecl._core import MAX_THREADS
from edgecl.bundle import Bundle
from edgecl.cli import failure, output
from edgecl.deploy.signing import release_of
from edgecl.external_engines import PACKAGES, TITLES
from edgecl.files import read_file
from rich.console import Console

_STATE_MAGIC = b"ECS"
_MESSAGE_MAGIC = b"ECM"
_DTYPES = {0: "float32", 1: "uint8"}
_MEMORY = (
    ("learnable_bytes", "weights, gradients, momentum, sparse structure, statistics"),
    ("replay_bytes", "replay buffer"),
    ("learn_bytes", "activations and gradients of a learn step"),
    ("predict_bytes", "activations of a predict (memory of a learn step)"),
    ("scratch_bytes", "scratch of all threads"),
    ("arena_bytes", "all that a session ever uses"),
    ("state_bytes_max", "largest saved state"),
)


def _bundle_document(path: Path, threads: int, device: str | None) -> dict[str, Any]:
    bundle = Bundle(path)
    target: dict[str, Any] = {}
    if device is not None:
        try:
            profile = devices.load(device)
        except ValueError as error:
            raise failure.UsageError(f"{error}") from error
        if not devices.matches(profile, devices.this_machine()):
            target = {"level": profile.level, "pointer_bytes": profile.pointer_bytes}
    sizes = bundle.sizes(**target, n_threads=threads)
    predict_only = bundle.sizes(**target, n_threads=threads, predict_only=1, replay_capacity=0)
    return {
        "file": str(path),
        "kind": "bundle",
        **bundle.info,
        "release": release_of(read_file(path)) if bundle.info["is_signed"] else None,
        "input_dtype": _DTYPES[bundle.info["input_dtype"]],
        "encoder": _encoder_document(bundle),
        "memory": sizes,
        "memory_device": device,
        "memory_level": target.get("level", bundle.info["kernel_level"]),
        "memory_predict_only": predict_only,
        "layers": bundle.layers,
        "ops": bundle.ops,
    }


def _encoder_document(bundle: Bundle) -> dict[str, Any] | None:
    found = bundle.encoder
    if found is None:
        return None
    kept = ("engine", "file_bytes", "input_dims", "channels_last", "file_channels_last", "embedding_dim", "positions")
    described = {key: found[key] for key in kept}
    return {**described, "input_dtype": _DTYPES[found["input_dtype"]], "probe_rows": found["n_probe"]}


def _encoder(d: dict[str, Any]) -> str:
    dims = " x ".join(map(str, d["input_dims"]))
    last = ", channels last" if d["channels_last"] else ""
    return (
        f"{TITLES[d['engine']]}, {output.size(d['file_bytes'])}, run by {' or '.join(PACKAGES[d['engine']])}: "
        f"{dims} {d['input_dtype']}{last} to embeddings of {d['embedding_dim']} numbers; {d['probe_rows']} probe rows"
    )


def _state_document(path: Path, data: bytes) -> dict[str, Any]:
    from edgecl.state_file import read_state

    state = read_state(data)
    exemplars = Counter(state.replay_labels.tolist())
    return {
        "file": str(path),
        "kind": "state",
        "bytes": len(data),
        "sha256": state.sha256,
        "bundle_sha256": state.bundle_sha256,
        "config": {**state.config, "input_dtype": _DTYPES.get(state.config["input_dtype"], "unknown")},
        "recipe": state.recipe,
        "counters": state.counters,
        "classes": [{**c, "exemplars": exemplars.get(c["label"], 0)} for c in state.classes],
        "replay_fill": len(state.replay_labels),
        "parameters": len(state.parameters),
        "values": sum(p.values.size for p in state.parameters),
        "head": state.head,
        "devices": state.devices,
        "thresholds": state.thresholds,
        "domains": state.domains,
        "drift": state.drift,
        "sections": state.sections,
    }


def _message_document(path: Path, data: bytes) -> dict[str, Any]:
    from edgecl.message_file import read_message

    message = read_message(data)
    return {
        "file": str(path),
        "kind": "message",
        "bytes": len(data),
        "sha256": message.sha256,
        "bundle_sha256": message.bundle_sha256,
        "head": message.head,
        "dim": message.dim,
        "devices": message.devices,
        "domains": message.domains,
    }


def _render_message(console: Console, d: dict[str, Any]) -> None:
    console.print(
        output.facts(
            [
                ("message", f"{output.size(d['bytes'])}, head {d['head']} with {d['dim']:,} features"),
                ("sha256", d["sha256"]),
                ("of bundle", d["bundle_sha256"]),
            ]
        )
    )
    rows = [
        (r["device"], r["version"], f"{r['rows']:,}", ", ".join(f"{k} {n:,}" for k, n in r["classes"].items()))
        for r in d["devices"]
    ]
    console.print(output.table(["device>", "version>", "rows>", "classes"], rows))
    if d["domains"]:
        domains = [
            (
                r["name"],
                "own adaptor" if r["adapted"] else "",
                ", ".join(
                    f"{p['device']} {p['domains'][r['name']]:,}" for p in d["devices"] if r["name"] in p["domains"]
                ),
            )
            for r in d["domains"]
        ]
        console.print(output.table(["domain", "", "rows of devices"], domains))


def _render_bundle(console: Console, d: dict[str, Any], layers: bool, memory: bool) -> None:
    recipe = d["recipe"]
    parity = "none stored"
    if d["parity_rows"]:
        parity = (
            f"{d['parity_source']}: at most {d['parity_max_abs']:.3g} on {d['parity_rows']} rows "
            f"(outputs up to {d['parity_reference_abs']:.3g})"
        )
    dims = " x ".join(map(str, d["input_dims"]))
    console.print(
        output.facts(
            [
                (
                    "bundle",
                    f"{d['name']}, {output.size(d['bundle_bytes'])}, format {d['format_version']}, by {d['producer']}",
                ),
                ("sha256", d["digest"]),
                ("signed", f"as release {d['release']}; edgecl verify --key says by whom" if d["is_signed"] else "no"),
                ("input", f"{dims} {d['input_dtype']}" + (", channels last" if d["channels_last"] else "")),
                *([("encoder", _encoder(d["encoder"]))] if d["encoder"] else []),
                ("classes", f"{d['n_classes']} of {d['class_capacity']}: {', '.join(d['classes']) or 'none yet'}"),
                ("exemplars", f"{d['n_exemplars']} samples for the replay buffer" if d["n_exemplars"] else "none"),
                (
                    "weights",
                    f"{d['weights_stored']:,} stored of {d['weights_total']:,}; {d['weights_trainable']:,} learn",
                ),
                (
                    "forward",
                    f"{output.count(d['macs_forward_sparse'])} multiply-adds ({output.count(d['macs_forward'])} if "
                    "dense)",
                ),
                (
                    "backward",
                    f"{output.count(d['macs_backward_sparse'])} multiply-adds ({output.count(d['macs_backward'])} if "
                    "dense)",
                ),
                (
                    "recipe",
                    "; ".join(f"{k} {output.value(v)}" for k, v in recipe.items()),
                ),
                ("parity", parity),
                *([("notes", d["notes"])] if d["notes"] else []),
                (
                    "session",
                    f"{output.size(d['memory']['arena_bytes'])}; only predicting "
                    f"{output.size(d['memory_predict_only']['arena_bytes'])}",
                ),
                ("sized for", f"{d['memory_device'] or 'this machine'}, kernels {d['memory_level']}"),
                ("kernels here", d["kernel_level"]),
            ]
        )
    )
    if memory:
        rows = [(what, output.size(d["memory"][k]), f"{d['memory'][k]:,}") for k, what in _MEMORY]
        console.print(output.table(["memory of a session", "size>", "bytes>"], rows))
    if layers:
        parameters = [
            (
                layer["name"],
                " x ".join(map(str, layer["dims"])),
                "learns" if layer["trainable"] else "frozen",
                f"{layer['stored']:,}",
                f"{100 * layer['density']:.1f} %" if layer["sparse"] else "dense",
            )
            for layer in d["layers"]
        ]
        console.print(output.table(["parameter", "dims", "", "stored>", "density>"], parameters))
        ops = [
            (
                op["name"],
                op["kind"],
                output.count(op["macs_forward"]),
                output.count(op["macs_backward"]),
                output.size(op["output_bytes"]),
            )
            for op in d["ops"]
        ]
        console.print(output.table(["operator", "kind", "forward MACs>", "backward MACs>", "output a row>"], ops))


def _render_state(console: Console, d: dict[str, Any]) -> None:
    counters, config = d["counters"], d["config"]
    console.print(
        output.facts(
            [
                ("state", f"{output.size(d['bytes'])}, {_contents(d)}"),
                ("sha256", d["sha256"]),
                ("of bundle", d["bundle_sha256"]),
                (
                    "learned",
                    f"{counters['samples_learned']:,} samples in {counters['step']:,} steps, {counters['tasks']} tasks",
                ),
                (
                    "multiply-adds",
                    f"{output.count(counters['macs_learn'])} ({output.count(counters['macs_learn_dense'])} if dense)",
                ),
                ("learning rate", f"{counters['learning_rate']:.4g}"),
                ("seed", counters["seed"]),
                ("replay", f"{d['replay_fill']} of {config['replay_capacity']} exemplars"),
                *(
                    (
                        f"novelty {t['score']}",
                        f"accepted up to {t['accept']:.4g}, novel above {t['novel']:.4g} (from {t['rows']:,} rows)",
                    )
                    for t in d["thresholds"]
                ),
                *([("stream", _stream(d["drift"]))] if d["drift"] and d["drift"]["observed"] else []),
            ]
        )
    )
    in_head = (d["head"] or {}).get("class_rows")
    rows = [
        (
            *(c["label"], c["name"] if c["present"] else "(removed)", f"{c['samples_seen']:,}"),
            c["exemplars"] if in_head is None else f"{in_head.get(c['label'], 0):,}",
        )
        for c in d["classes"]
    ]
    last = "exemplars>" if in_head is None else "rows in the head>"
    console.print(output.table(["column>", "class", "samples>", last], rows))
    if d["domains"]:
        domains = [
            [
                r["name"],
                "learns" if r["selected"] else "",
                f"{r['rows']:,}" + (f" + {r['rows_merged']:,} merged" if r["rows_merged"] else ""),
                "own adaptor" if r["adapted"] else "",
                f"{r['held']:,} of {r['features']:,} features",
            ]
            for r in d["domains"]
        ]
        console.print(output.table(["domain", "", "rows>", "", "held out>"], domains))
    if any(device["device"] for device in d["devices"]):
        devices = [
            (
                r["device"] or "none",
                "this one" if r["own"] else "merged",
                r["version"],
                f"{r['rows']:,}",
                r["n_classes"],
            )
            for r in d["devices"]
        ]
        console.print(output.table(["device>", "", "version>", "rows>", "classes>"], devices))
    sections = [(s["name"], s["version"], f"{s['bytes']:,}", s["sha256"][:16]) for s in d["sections"]]
    console.print(output.table(["section", "version>", "bytes>", "sha256"], sections))


def _stream(drift: dict[str, Any]) -> str:
    now = "alarm now" if drift["alarm"] else "no alarm now"
    return f"{drift['observed']:,} samples observed, {drift['alarms']:,} alarms, {now}"


def _contents(d: dict[str, Any]) -> str:
    head = d["head"]
    if head is None:
        return f"{d['values']:,} learned values in {d['parameters']} parameters"
    bank = f", {head['bank_rows']:,} of them kept" if head["bank_rows"] else ""
    return f"head {head['head']} of {head['rows']:,} rows with {head['dim']:,} features{bank}"


@failure.command
def inspect(
    file: Path = typer.Argument(..., help="Bundle (.ecl), state (.ecs) or message to merge (.ecd)."),
    layers: bool = typer.Option(False, "--layers", help="Also every parameter and operator."),
    memory: bool = typer.Option(False, "--memory", help="Also the memory of a session by purpose."),
    threads: int = typer.Option(
        1, "--threads", "-t", min=1, max=MAX_THREADS, help="Threads that the memory is counted for."
    ),
    device: str | None = typer.Option(None, "--device", help="Device that the memory is counted for; default: here."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Show what a bundle, state or message holds and what a session of it needs.

    Example: edgecl inspect mlp.ecl --layers --memory

    JSON of a bundle: {"file", "kind": "bundle", fields of edgecl_model_info, "release" (null: not
    signed), "classes", "recipe", "encoder", "memory",
    "memory_device", "memory_level", "memory_predict_only", "layers", "ops"}; of a state: {"file", "kind": "state",
    "bytes", "sha256", "bundle_sha256", "config", "recipe", "counters", "classes", "replay_fill", "head", "devices",
    "thresholds", "domains", "drift", "sections"}; of a message: {"file", "kind": "message", "bytes", "sha256",
    "bundle_sha256", "head", "dim", "devices", "domains"}
    """
    data = read_file(file)
    if data[:3] == _MESSAGE_MAGIC:
        document = _message_document(file, data)
        output.emit(document, as_json, lambda console: _render_message(console, document))
    elif data[:3] == _STATE_MAGIC or (data[:4] != b"ECL1" and file.suffix == ".ecs"):
        document = _state_document(file, data)
        output.emit(document, as_json, lambda console: _render_state(console, document))
    else:
        document = _bundle_document(file, threads, device)
        output.emit(document, as_json, lambda console: _render_bundle(console, document, layers, memory))
