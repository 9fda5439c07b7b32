"""Domains beside one frozen encoder: what each is told before and after it came, and what is left of the others.

    python tools/bench/ear.py phone-watch watch-phone speakers digits --seeds 0 --json tools/bench/results/ear.json
    python tools/bench/ear.py own data.npz
    python tools/bench/ear.py own data.npz --model encoder.onnx --adaptor bottleneck:8

A small net is trained in PyTorch on the first domain alone; then the other domains come one after the other, told when
one begins, never again which one a sample is from. `domains, routed` is Classifier.adapt_domain with its veto, an
adaptor of at most 5 % of the encoder's parameters; `domains, told` the same learner with the domain said at the test
(oracle). Against it, from the same net: nothing learned; one ridge head for all; a ridge head each without adaptors,
routed; First Session Adaptation (one adaptor from the first new domain, one head that learns all rows again); all of
the net by gradients, without and with a replay buffer of as many bytes as the new domains take. `domains, grown` is
Classifier.grow, which nobody tells when a domain begins. The alarm by the score "fit" has its thresholds from half of
the test rows of known domains; 10,000 rows of the other half say how often it is false. Rows of other streams and seeds
in the JSON file stay. `own`: arrays as ear_data.own_stream says; a given model (ONNX, or MODULE:CALLABLE that returns a
torch module) gets numbers as they are, bytes as 0..1, and is not compared with learning by gradients. Needs the data
folder (EDGECL_DATA) but for own data. Never here: data (ear_data.py), ways of learning (ear_contenders.py).
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from ear_contenders import CONTENDERS, Encoder, Plan, adaptor_for, fine_tuned, new_net, routed, train
from ear_data import STREAMS, own_stream
from edgecl import export
from edgecl.cli.results import read_table
from edgecl.evaluate.stream_types import Stream
from pages import ear_growth_table, ear_table
from torch import nn
from written import write_measured

FIRST, LATER = {"digits": 3, "speakers": 20}, 10  # passes over the first domain, else 40; over each later one
BY_GRADIENTS = "all of the net"
REPLAY = "all of the net, replay"


def encoder_of(stream: Stream, first: int, seed: int, model: str | None = None, adaptor: str | None = None) -> Encoder:
    """Trained on the first domain, or the caller's."""
    given = stream.input
    dtype: Literal["u8", "f32"] = "u8" if given.dtype == "u8" else "f32"
    if model is not None:
        spec = export.InputSpec(dtype, scale=given.scale)
        return Encoder(_loaded(model), spec, stream, Plan(0, LATER, adaptor or "bottleneck:8"), seed)
    spec = export.InputSpec(dtype, False, given.scale, given.mean, given.std)
    torch.manual_seed(seed)
    net = train(new_net(given.dims, stream.n_classes), spec, stream, first, seed)
    return Encoder(net, spec, stream, Plan(first, LATER, adaptor or adaptor_for(net, given.dims)), seed)


def _loaded(model: str) -> nn.Module | Path:
    name, _, function = model.rpartition(":")
    if not name or model.endswith(".onnx"):
        return Path(model)
    sys.path.insert(0, "")
    module: nn.Module = getattr(importlib.import_module(name), function)()
    return module.eval()


def measured(encoder: Encoder) -> Iterator[dict[str, Any]]:
    """A row of each contender."""
    found = routed(encoder, encoder.plan.adaptor)
    common = {"stream": encoder.stream.name, "seed": encoder.seed}
    steps = [{"domain": s["domain"], "before": s["before"], "after": s["oracle"]} for s in found["steps"]]
    told = {"steps": steps, "seconds": found["seconds"]}
    yield {**common, "contender": "domains, routed", **_row(found), "adaptor": encoder.plan.adaptor}
    yield {**common, "contender": "domains, told", **_row(told)}
    for name, contender in CONTENDERS.items():
        if name != BY_GRADIENTS or encoder.plan.first:
            yield {**common, "contender": name, **_row(contender(encoder))}
    if encoder.plan.first:
        yield {**common, "contender": REPLAY, **_row(fine_tuned(encoder, found["replay_rows"]))}


def _row(found: dict[str, Any]) -> dict[str, Any]:
    steps = found["steps"]
    row = {
        "domains": [step["domain"] for step in steps], "before": [step["before"] for step in steps],
        "after": [step["after"] for step in steps], "seconds": found["seconds"],
    }  # fmt: skip
    if found.get("replay_rows"):
        row["replay_rows"] = found["replay_rows"]
    if "grown" in found:
        row["grown"] = found["grown"]
    if "routed" in steps[0]:
        row |= {
            "routed": [step["routed"] for step in steps], "oracle": [step["oracle"] for step in steps],
            "share": found["share"], "domain_bytes": found["domain_bytes"],
            "kept": [step["report"]["kept"] for step in steps],
            "held_out": [[step["report"][f"accuracy_{w}"] for w in ("head", "adapted")] for step in steps],
            "unknown": [[step["alarm"][w] for w in ("unknown", "new_unknown")] for step in steps],
            "alarms": [[step["alarm"][w] for w in ("false", "true")] for step in steps],
            "unknown_end": found["alarm"]["unknown"], "false_end": found["alarm"]["false"],
        }  # fmt: skip
    return row


def main() -> None:
    """Runs what is asked for and prints both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="+", help=f"of {', '.join(STREAMS)}; or: own FILE.npz")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, help="passes over the first domain")
    parser.add_argument("--model", help="own data: FILE.onnx, or MODULE:CALLABLE")
    parser.add_argument("--adaptor", help="as `edgecl export --adaptor` has it")
    parser.add_argument("--json", type=Path, help="rows of other streams and seeds that are there stay")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    own = arguments.what[0] == "own" and len(arguments.what) == 2
    if not own and not {*arguments.what} <= {*STREAMS}:
        parser.error(f"expected streams among {', '.join(STREAMS)}, or own FILE.npz; found {' '.join(arguments.what)}")
    if arguments.model and not own:
        parser.error("expected --model with own data; found a named stream; leave it out")
    if own:
        streams = {"own": own_stream(Path(arguments.what[1]))}
    else:
        streams = {name: STREAMS[name]() for name in arguments.what}
    rows: list[dict[str, Any]] = []
    if arguments.json and arguments.json.exists():
        rows = read_table(arguments.json)["rows"]
    for name, stream in streams.items():
        for seed in arguments.seeds:
            rows = [r for r in rows if (r["stream"], r["seed"]) != (stream.name, seed)]
            first = arguments.epochs or FIRST.get(name, 40)
            encoder = encoder_of(stream, first, seed, arguments.model, arguments.adaptor)
            for found in measured(encoder):
                rows.append(found)
                print(json.dumps(found), file=sys.stderr, flush=True)
            if arguments.json:
                write_measured(arguments.json, rows, passes=LATER)
    print(ear_table(rows), ear_growth_table(rows), sep="\n\n")


if __name__ == "__main__":
    main()
