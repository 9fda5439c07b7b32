# `edgecl bench`: times of predict and learn, measured where this machine is the device, else predicted.
# Never here: cost model (edgecl.devices), timing loops (bench_measure.py), peers (bench_peers.py), bench_suite*.
"""The command `bench`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import typer
from edgecl.cli import failure, output
from edgecl.cli.bench_options import (
    milliseconds,
    numbers,
    option_names,
    refuse_alone,
    refuse_options,
    suite_settings,
    tell_of_cores,
    words,
)
from edgecl.cli.report import check_report
from edgecl.errors import DataError
from edgecl.files import check_output, write_file_atomic
from rich.console import Console

DEFAULT_BATCHES, DEFAULT_REPEAT = "1,10,32", 30
WHAT = ("predict", "learn", "route", "commit")
SHOWN_OPERATORS = 5
DEFAULT_ROUNDS, DEFAULT_SECONDS = 5, 1.0  # of the suites
NOISE = 0.05  # a change of less than this share is called none


def _compare(rows: list[dict[str, Any]], path: Path) -> None:
    """Adds to each row what changed against the rows of an earlier --json document."""
    try:
        base = json.loads(path.read_text(encoding="utf-8"))["rows"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"expected the output of `edgecl bench --json` in '{path}'; found: {error}; write it again"
        ) from error
    if not isinstance(base, list) or not all(map(_is_row, base)):
        wrong = base if not isinstance(base, list) else next(row for row in base if not _is_row(row))
        raise DataError(
            "expected rows with what, batch, threads, kind and a p50_ms above 0, as `edgecl bench --json` writes them, "
            f"in '{path}'; found {str(wrong)[:80]}; write it again"
        )
    known = {(r["what"], r["batch"], r["threads"], r["kind"], r.get("by", "edgecl")): r for r in base}
    for row in rows:
        old = known.get((row["what"], row["batch"], row["threads"], row["kind"], row.get("by", "edgecl")))
        if old is None or not row["p50_ms"] or old["p50_ms"] is None:
            continue
        row["base_p50_ms"] = old["p50_ms"]
        ratio = row["p50_ms"] / old["p50_ms"]
        row["change"] = "none" if abs(ratio - 1) < NOISE else f"{100 * (ratio - 1):+.0f} %"


def _is_row(row: Any) -> bool:
    """Whether it can be compared with; a peer that could not be timed has no p50_ms."""
    if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in ("what", "kind")):
        return False
    if not all(isinstance(row.get(name), int) for name in ("batch", "threads")) or "p50_ms" not in row:
        return False
    ms = row["p50_ms"]
    named = isinstance(row.get("by", ""), str)
    return named and (ms is None or (isinstance(ms, int | float) and not isinstance(ms, bool) and 0 < ms < math.inf))


def _render(console: Console, document: dict[str, Any], all_operators: bool) -> None:
    console.print(f"{document['bundle']} on {document['device_title']}: {document['kind']}")
    # One kind and one library fill no column of their own.
    kinds = {row["kind"] for row in document["rows"]}
    predicts, measures = "predicted" in kinds, "measured" in kinds
    shows = {
        "by": len({row.get("by", "edgecl") for row in document["rows"]}) > 1,
        "kind": len(kinds) > 1,
        "range>": predicts,
        "95 %>": measures,
        "99 %>": measures,
        "mJ>": any(row.get("joules") is not None for row in document["rows"]),
        "change>": any("change" in row for row in document["rows"]),
    }
    rows = []
    for row in document["rows"]:
        percent = "" if row["percent_of_peak"] is None else f"{row['percent_of_peak']:.0f} %"
        late = {name: "" if row.get(name) is None else output.digits(row[name]) for name in ("p95_ms", "p99_ms")}
        cells = {
            "by": row.get("by", "edgecl"),
            "what": row["what"],
            "batch>": (f"{row['batch']}+{row['replayed']}" if row["replayed"] else row["batch"]) or "",
            "threads>": row["threads"],
            "ms>": f"{row['p50_ms']:.3f}",
            "range>": output.span(row["low_ms"], row["high_ms"]) if row["kind"] == "predicted" else "",
            "95 %>": late["p95_ms"],
            "99 %>": late["p99_ms"],
            "kind": row["kind"],
            "GFLOP/s>": f"{row['gflops']:.1f}" if row["macs"] else "",
            "of peak>": percent,
            "mJ>": "" if row.get("joules") is None else output.digits(1e3 * row["joules"]),
            "change>": row.get("change", ""),
        }
        rows.append({name: cell for name, cell in cells.items() if shows.get(name, True)})
    console.print(output.table(list(rows[0]), [list(row.values()) for row in rows]))
    for row in {row["what"]: row for row in document["rows"] if "without" in row}.values():
        console.print(f"{row['what']}: {row['without']}")
    _render_operators(console, document["rows"], all_operators)
    console.print()
    console.print(output.facts(_facts(document)))


def _render_operators(console: Console, rows: list[dict[str, Any]], all_operators: bool) -> None:
    for row in rows if all_operators else rows[:1]:
        operators = row.get("operators") or []
        listed = operators if all_operators else sorted(operators, key=lambda op: -op["ms"])[:SHOWN_OPERATORS]
        if not listed:
            continue
        whole = sum(op["ms"] for op in operators)
        what = "operators" if all_operators else "slowest operators"
        console.print(f"\n{what} of {row['what']} {row['batch']} ({row['kind']}):")
        if row["kind"] == "predicted":
            columns = ["operator", "kind", "ms>", "range>", "share>", "bound by"]
        else:
            columns = ["operator", "kind", "ms>", "share>", "GFLOP/s>"]
        cells = []
        for op in listed:
            share = output.percent(op["ms"] / whole if whole else 0.0)
            common = [op["name"], op["kind"], f"{op['ms']:.3f}"]
            if row["kind"] == "predicted":
                cells.append([*common, output.span(op["low_ms"], op["high_ms"]), share, op["bound"]])
            else:
                rate = f"{2 * op['macs'] / op['ms'] / 1e6:.1f}" if op["macs"] and op["ms"] else ""
                cells.append([*common, share, rate])
        console.print(output.table(columns, cells))


def _facts(document: dict[str, Any]) -> list[tuple[str, str]]:
    room = document["room"]
    of = {name: "" if room[name] is None else f" of {output.size(room[name])}" for name in room}
    facts = [
        *([("encoder", document["encoder"])] if document["encoder"] else []),
        *([("note", document["note"])] if document["note"] else []),
        ("bundle (flash)", output.size(document["bundle_bytes"]) + of["flash"] + ", exact"),
        ("largest session (memory)", output.size(document["peak_bytes"]) + of["memory"] + ", exact"),
    ]
    if document["kind"] == "predicted":
        facts.append(("range", document["range_source"]))
    if document["energy_source"]:
        facts.append(("energy", document["energy_source"]))
    if document["throttling"]:
        facts.append(("slowed down", document["throttling"]))
    asked = document["budget_ms"] is not None or document["budget_bytes"] is not None
    if document["misses"]:
        lines = [entry["text"] for entry in document["misses"]]
        facts.append(("budget" if asked else "fits", ("EXCEEDED: " if asked else "NO: ") + "; ".join(lines)))
    elif asked:
        facts.append(("budget", "kept"))
    return facts


def _encoder_note(encoder: dict[str, Any] | None, here: bool) -> str | None:
    if encoder is None:
        return None
    if here:
        return "of another engine: in the times, one sample after the other; not in multiply-adds and memory"
    return "of another engine: in no figure; what follows it alone is predicted"


@failure.command
def bench(
    bundle: Path | None = typer.Argument(None, help="Bundle (.ecl); none with --suite."),
    device: str = typer.Option(
        "host", "--device", "-d", help="Profile (`edgecl devices` lists them), FILE.toml, or all: boards side by side."
    ),
    batch: str | None = typer.Option(
        None, "--batch", "-b", help=f"Rows of a call, several with commas [default: {DEFAULT_BATCHES}; suites: 32]."
    ),
    threads: str = typer.Option("1", "--threads", "-t", help="Threads, several with commas."),
    what: str | None = typer.Option(
        None,
        "--what",
        help="predict, learn (with the replay of the recipe), route, commit [default: all that the bundle can].",
    ),
    repeat: int = typer.Option(
        DEFAULT_REPEAT, "--repeat", "-n", min=3, help="Timed calls a row (at most ten seconds a row)."
    ),
    against: str | None = typer.Option(
        None, "--against", help="Peers on this machine: torch,onnxruntime,litert; suite sparse also sparseprop."
    ),
    model: str | None = typer.Option(
        None, "--model", help="Source of the bundle for --against, as `edgecl export` takes it."
    ),
    tflite: Path | None = typer.Option(None, "--tflite", help="The same network as .tflite, for --against litert."),
    to: str | None = typer.Option(
        None, "--to", help="user@host: measure there over ssh, with --runner (predict and learn)."
    ),
    runner: Path | None = typer.Option(
        None, "--runner", help="For --to: edgecl's static runner for that machine; default: the one sent before."
    ),
    compare: Path | None = typer.Option(None, "--compare", help="Output of an earlier --json: show what changed."),
    budget: str | None = typer.Option(None, "--budget", help="Exit with 1 when a row takes longer (20ms, 1.5s)."),
    memory: str | None = typer.Option(None, "--memory", help="Exit with 1 when a session needs more (64MiB, 512KiB)."),
    operators: bool = typer.Option(False, "--operators", help="All operators of all rows, not the slowest of one."),
    report: Path | None = typer.Option(
        None, "--report", help="Write one HTML page: roofline, operators, memory, boards (extra: report)."
    ),
    suite: str | None = typer.Option(
        None, "--suite", help="sparse: passes of single layers; steps: whole training steps. Takes no bundle."
    ),
    layer: str | None = typer.Option(
        None, "--layer", help="Suites: only these layers (CxHxW, C-OxHxWs2, linear-IxO) or networks."
    ),
    sparsity: str | None = typer.Option(None, "--sparsity", help="Suites: shares of zeros, with commas."),
    rounds: int = typer.Option(
        DEFAULT_ROUNDS, "--rounds", min=1, help="Suites: rounds in which all contenders take turns."
    ),
    seconds: float = typer.Option(
        DEFAULT_SECONDS, "--seconds", help="Suites: seconds a contender and row, over all rounds."
    ),
    ort_python: str | None = typer.Option(
        None, "--ort-python", help="Suites: interpreter with onnxruntime-training (its own environment)."
    ),
    out: Path | None = typer.Option(
        None, "--out", help="Suites: also keep the figures in this file, one line a place."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Time and memory on a device: measured if it is "host" or this machine has that profile, else predicted with a
    range. A FILE.toml is always predicted, also that of this machine.

    Example: edgecl bench model.ecl --device rpi4 --batch 1,10 --budget 50ms --memory 64MiB

    Example: edgecl bench model.ecl --device all --report boards.html

    JSON: {"device", "kind", "rows": [{"what", "batch", "replayed", "threads", "kind": measured|predicted, "p50_ms",
    "p95_ms", "p99_ms", "low_ms", "high_ms", "gflops", "percent_of_peak", "macs", "joules", "operators", "without"?,
    "bytes"?, "by"?, "change"?}], "peak_bytes", "bundle_bytes", "room": {"memory", "flash"}, "memory": {region: bytes},
    "throttling", "misses": [{"what", "limit", "found", "excess", "text"}], "within_budget"}; with --device all:
    {"devices": [{"device", "title", "predict_ms", "learn_ms" ([low, middle, high]), "peak_bytes", "fits", "misses"}]}

    Suites measure this machine beside other libraries, all contenders of a row in turns:

    edgecl bench --suite sparse --against torch,onnxruntime,sparseprop --threads 1,2

    edgecl bench --suite steps --against torch,onnxruntime --batch 10+10,32     (10 new and 10 replayed rows)

    JSON: {"suite", "date", "machine", "peak_flops_one_core", "rows": [{"layer", "sparsity", "batch", "threads", "pass":
    forward|dX|dW|all|step, "ours_ms", "percent_of_peak" (of non-zeros), "peer", "peer_ms", "ratio" (peer_ms / ours_ms),
    "ours_dense_ms", "ratio_to_own_dense", "counted_ratio_to_own_dense" (of multiply-adds), "ratio_to_best_dense_peer",
    "note"? (why a peer has no time)}]}; ms are those of the quietest round: processor time with one thread, else wall
    time ("ours_wall_ms", "peer_wall_ms" always are)
    """
    if suite is not None:
        from edgecl.cli.bench_suite import run_suite

        of_bundle = {
            "a bundle": bundle, "--model": model, "--tflite": tflite, "--compare": compare, "--budget": budget,
            "--memory": memory, "--report": report, "--what": what, "--to": to, "--runner": runner,
        }  # fmt: skip
        defaults: dict[str, tuple[object, object]]
        defaults = {
            "--device": (device, "host"),
            "--repeat": (repeat, DEFAULT_REPEAT),
            "--operators": (operators, False),
        }
        refuse_options({name: (value, None) for name, value in of_bundle.items()} | defaults, with_suite=True)
        settings = suite_settings(suite, against, layer, batch, threads, sparsity, rounds, seconds, ort_python)
        return run_suite(suite, settings, out, as_json)
    of_suite = {"--layer": layer, "--sparsity": sparsity, "--ort-python": ort_python, "--out": out}
    defaults = {"--rounds": (rounds, DEFAULT_ROUNDS), "--seconds": (seconds, DEFAULT_SECONDS)}
    refuse_options({name: (value, None) for name, value in of_suite.items()} | defaults, with_suite=False)
    if bundle is None:
        raise failure.UsageError("expected a bundle or --suite; found neither; name a .ecl file, or --suite sparse")
    from edgecl import devices
    from edgecl._core import Model
    from edgecl.cli.bench_energy import EnergyMeter, throttling
    from edgecl.cli.bench_fit import memory_bytes, misses
    from edgecl.cli.bench_measure import encoder_at, measured, session_config
    from edgecl.cli.bench_predict import predicted

    batches, thread_counts = numbers(batch or DEFAULT_BATCHES, "batch"), numbers(threads, "threads")
    limit = None if budget is None else milliseconds(budget)
    limit_bytes = None if memory is None else memory_bytes(memory)
    if report is not None:
        check_report(report)
        check_output(report)
    opened = Model(path=str(bundle))
    kinds = _kinds(opened, what)
    if to is None:
        refuse_alone({"--runner": (runner, None)}, "a machine here (no --to)")
    else:
        elsewhere: dict[str, tuple[object, object]] = {"--device": (device, "host"), "--report": (report, None)}
        elsewhere |= {"--against": (against, None), "--operators": (operators, False)}
        refuse_alone(elsewhere, "--to")
    if device == "all":
        from edgecl.cli.bench_boards import boards

        alone = {"--against": (against, None), "--compare": (compare, None), "--operators": (operators, False)}
        refuse_alone(alone, "--device all")
        return boards(bundle, opened, kinds, batches[0], thread_counts[0], limit, limit_bytes, report, as_json)
    if to is not None:
        from edgecl.cli.bench_remote import remote_rows

        timed = [kind for kind in kinds if kind in ("predict", "learn")]
        there = remote_rows(to, bundle, runner, timed, batches, thread_counts, repeat)
        return _finish(_remote_document(bundle, opened, to, there, limit, limit_bytes), compare, False, as_json)
    try:
        profile = devices.load(device)
    except ValueError as error:
        raise failure.UsageError(f"{error}") from error
    tell_of_cores(profile, thread_counts)
    here = devices.matches(profile, devices.this_machine()) and not device.endswith(".toml")
    if against is not None and not here:
        raise failure.UsageError(
            f"expected --against on the device itself; found --device {device} elsewhere; peers are never predicted"
        )
    if against is not None and opened.encoder() is not None:
        raise failure.UsageError(
            "expected a bundle whose encoder edgecl runs for --against; found one with a file of another engine; leave "
            "it out"
        )

    def sizes(**config: Any) -> dict[str, int]:
        if here:
            return opened.sizes(**config)
        return opened.sizes_for(profile.level, profile.pointer_bytes, **config)

    rows: list[dict[str, Any]] = []
    largest: dict[str, int] = {"arena_bytes": 0}
    meter = EnergyMeter() if here else None
    with option_names(), output.progress() as update:
        combinations = [(w, b, t) for w in kinds for b in batches for t in thread_counts]
        combinations = [c for c in combinations if c[0] != "commit" or c[1:] == (batches[0], thread_counts[0])]
        for done, (w, b, t) in enumerate(combinations):
            update(f"{w} batch {b}", done, len(combinations))
            config = session_config(opened, w, b)
            found = sizes(n_threads=t, **config)
            largest = max(largest, found, key=lambda entry: entry["arena_bytes"])
            if here:
                peak = profile.peak_flops(1)
                rows.append(measured(opened, config, w, b, t, repeat, peak, encoder_at(bundle, t), meter))
            else:
                rows.append(predicted(opened, profile, config, w, b, t, found["state_bytes_max"]))
        if against is not None:
            from edgecl.cli.bench_peers import peer_rows

            peers = words(against, ("torch", "onnxruntime", "litert"), "against")
            beside = [c for c in combinations if c[0] in ("predict", "learn")]
            rows += peer_rows(peers, model, tflite, opened, beside, repeat, profile.peak_flops(1))
    own = [row for row in rows if "by" not in row]
    peak_bytes, bundle_bytes = largest["arena_bytes"], int(opened.describe()["bundle_bytes"])
    missed = misses(own, peak_bytes, bundle_bytes, profile, limit, limit_bytes)
    asked = limit is not None or limit_bytes is not None
    document: dict[str, Any] = {
        "device": profile.name,
        "device_title": profile.title,
        "kind": "measured" if here else "predicted",
        "range_source": None if here else profile.range_source,
        "note": profile.note or None,
        "bundle": str(bundle),
        "bundle_bytes": bundle_bytes,
        "peak_bytes": peak_bytes,
        "memory": largest,
        "room": {"memory": int(profile.memory_bytes), "flash": profile.optional("flash_bytes")},
        "peak_flops_one_core": profile.peak_flops(1),
        "bandwidth_bytes_per_s": profile.bandwidth_bytes_per_s,
        "kernel_level": opened.describe()["kernel_level"] if here else profile.level,
        "energy_source": None if meter is None else meter.source,
        "throttling": throttling() if here else None,
        "budget_ms": limit,
        "budget_bytes": limit_bytes,
        "misses": missed,
        "within_budget": not missed if asked else None,
        "encoder": _encoder_note(opened.encoder(), here),
        "rows": rows,
    }
    if report is not None:
        from edgecl.cli.bench_report import bench_page

        write_file_atomic(report, bench_page(document))
    _finish(document, compare, operators, as_json)


def _finish(document: dict[str, Any], compare: Path | None, operators: bool, as_json: bool) -> None:
    """Compares and prints; ends with 1 where a budget is exceeded."""
    if compare is not None:
        _compare(document["rows"], compare)
    output.emit(document, as_json, lambda console: _render(console, document, operators))
    if document["within_budget"] is False:
        failure.finish(failure.NO)


def _remote_document(
    bundle: Path, model: Any, host: str, found: dict[str, Any], limit: float | None, limit_bytes: int | None
) -> dict[str, Any]:
    """What the runner measured on another machine, as a document of a device that has no profile."""
    from edgecl.cli.bench_fit import misses

    bundle_bytes = int(model.describe()["bundle_bytes"])
    missed = misses(found["rows"], found["peak_bytes"], bundle_bytes, None, limit, limit_bytes)
    asked = limit is not None or limit_bytes is not None
    return {
        "device": host, "device_title": found["machine"], "kind": "measured", "range_source": None, "note": None,
        "bundle": str(bundle), "bundle_bytes": bundle_bytes, "peak_bytes": found["peak_bytes"],
        "memory": {"arena_bytes": found["peak_bytes"]}, "room": {"memory": None, "flash": None},
        "kernel_level": found["kernel_level"], "energy_source": None, "throttling": None, "budget_ms": limit,
        "budget_bytes": limit_bytes, "misses": missed, "within_budget": not missed if asked else None, "encoder": None,
        "rows": found["rows"],
    }  # fmt: skip


def _kinds(model: Any, what: str | None) -> list[str]:
    """The rows that were asked for, or all that the bundle can have."""
    routes = int(model.default_config()["max_domains"]) > 0
    if what is None:
        return [kind for kind in WHAT if kind != "route" or routes]
    found = words(what, WHAT, "what")
    if "route" in found and not routes:
        raise failure.UsageError(
            "expected a bundle with room for domains (max_domains) for --what route; found one without; leave "
            "route out, or export it with --set max_domains=4"
        )
    return found
