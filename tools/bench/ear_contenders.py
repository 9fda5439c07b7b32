# Ways of learning one domain after the other with one small encoder, each measured after every domain.
# Never here: data (ear_data.py), the command and the table (ear.py).
"""`Encoder`, and `CONTENDERS`: functions from an encoder and a stream to what was measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import cos, pi
from pathlib import Path
from typing import Any

import numpy as np
import torch
from edgecl import Classifier, Decision, export
from edgecl.evaluate.stream_types import Stream
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

CHANNELS = (32, 64, 96, 128)
HIDDEN = 256  # of the net for vectors
RATE, ADAPTOR_RATE, FINE_RATE = 0.05, 0.5, 0.03  # of the encoder, of adaptors, of the whole net on a stream
BATCH = 32
LARGEST_SHARE = 0.05  # of an adaptor
WINDOW, WINDOWS, ALARM_ROWS = 64, 150, 10_000

Found = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """How long what is trained: passes over the first domain, and over each later one; the adaptor's kind."""

    first: int
    later: int
    adaptor: str


@dataclass(frozen=True)
class Encoder:
    """A net that was trained on the first domain, or a file of the caller's (`source`), and how it becomes bundles."""

    source: nn.Module | Path
    spec: export.InputSpec
    stream: Stream
    plan: Plan
    seed: int

    def bundle(self, recipe: export.Recipe, **keywords: Any) -> bytes:
        """With the calibration rows of the first domain."""
        rows = self.stream.tasks[0].x_train[:256]
        common: dict[str, Any] = {"recipe": recipe, "input": self.spec, "calibration": rows, **keywords}
        if isinstance(self.source, Path):
            return export.from_onnx(self.source, **common).bundle
        example = torch.zeros(1, *self.stream.input.dims)
        return export.from_torch(self.source, example, **common).bundle

    def with_domains(self, adaptor: str | None, n: int) -> Classifier:
        """A ridge head beside the frozen encoder, room for n domains."""
        recipe = export.Recipe(method="ridge", max_domains=n, novelty="fit", novelty_window=WINDOW, batch_size=BATCH)
        room = self.stream.n_classes
        return Classifier(self.bundle(recipe, adaptor=adaptor, max_classes=room), random_state=self.seed)

    def whole(self, replay_rows: int) -> Classifier:
        """The net as it is; everything trains, with so many rows kept."""
        recipe = export.Recipe(
            method="er", learning_rate=FINE_RATE, momentum=0.9, batch_size=BATCH, replay_capacity=replay_rows,
            replay_batch=BATCH if replay_rows else 0,
        )  # fmt: skip
        return Classifier(self.bundle(recipe, classes=self.stream.n_classes), random_state=self.seed)


def new_net(dims: tuple[int, ...], classes: int) -> nn.Module:
    """Four convolutions with batch normalisation, each but the first with stride 2; along the first axis where the
    second has one place. For vectors two layers of 256."""
    if len(dims) == 1:
        layers: list[nn.Module] = [nn.Linear(dims[0], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(HIDDEN, classes))
    kernel = (3, 3 if dims[2] > 1 else 1)
    layers, inputs = [], dims[0]
    large = dims[1] * dims[2] > 1100  # then the first one has it too
    for i, outputs in enumerate(CHANNELS):
        across, along = (2 if side > 1 and (i > 0 or large) else 1 for side in dims[1:])
        stride, pads = (across, along), (kernel[0] // 2, kernel[1] // 2)
        layers += [nn.Conv2d(inputs, outputs, kernel, stride, pads, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


def adaptor_for(net: nn.Module, dims: tuple[int, ...]) -> str:
    """The widest adaptor of at most 5 % of the parameters in front of the last layer."""
    *_, weight, bias = net.parameters()
    n, channels = sum(p.numel() for p in net.parameters()) - weight.numel() - bias.numel(), weight.shape[1]
    kind, kernel = ("bottleneck", 0) if len(dims) == 1 else ("depthwise", 9 if dims[2] > 1 else 3)
    for width in (16, 8, 4, 2):
        if channels * kernel + 2 * channels * width + width + channels <= LARGEST_SHARE * n:
            return f"{kind}:{width}"
    return "film"


def train(net: nn.Module, spec: export.InputSpec, stream: Stream, epochs: int, seed: int) -> nn.Module:
    """Plain SGD on the first domain: batches of 64, momentum 0.9, weight decay 5e-4, a rate that falls as a cosine."""
    torch.manual_seed(seed)
    task = stream.tasks[0]
    x = torch.from_numpy(spec.network_input(task.x_train, stream.input.dims[0]))
    y = torch.from_numpy(task.y_train)
    batch = 64
    optimizer = torch.optim.SGD(net.parameters(), RATE, 0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * -(-len(y) // batch))
    net.train()
    for _ in range(epochs):
        order = torch.randperm(len(y))
        for start in range(0, len(y), batch):
            rows = order[start : start + batch]
            if len(rows) < 2:  # batch normalisation needs more
                continue
            loss = functional.cross_entropy(net(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return net.eval()


# --- ways of learning ---


def accuracies(learner: Classifier, stream: Stream, n: int) -> list[float]:
    """On the test rows of the first n domains."""
    return [learner.score(task.x_test, task.y_test) for task in stream.tasks[:n]]


def _measured(learner: Classifier, stream: Stream, learn: Callable[[int], None]) -> Found:
    # Before and after each domain but the first, which is learned already.
    steps, begin = [], time.perf_counter()
    for k in range(1, len(stream.tasks)):
        before = accuracies(learner, stream, k + 1)
        learn(k)
        steps.append({"domain": stream.tasks[k].name, "before": before, "after": accuracies(learner, stream, k + 1)})
    return {"steps": steps, "seconds": time.perf_counter() - begin}


def nothing(encoder: Encoder) -> Found:
    """The head learns the first domain and nothing else."""
    stream = encoder.stream
    learner = encoder.with_domains(None, 1).partial_fit(stream.tasks[0].x_train, stream.tasks[0].y_train)
    return _measured(learner, stream, lambda k: None)


def one_head(encoder: Encoder) -> Found:
    """One head learns all domains; no adaptor."""
    stream = encoder.stream
    learner = encoder.with_domains(None, 1).partial_fit(stream.tasks[0].x_train, stream.tasks[0].y_train)

    def learn(k: int) -> None:
        learner.partial_fit(stream.tasks[k].x_train, stream.tasks[k].y_train)

    return _measured(learner, stream, learn)


def heads_alone(encoder: Encoder) -> Found:
    """Domains that are a head each, without an adaptor, routed."""
    return routed(encoder, None)


def first_session(encoder: Encoder) -> Found:
    """First Session Adaptation (Panos et al. 2023): one adaptor, trained on the first new domain; one head, which
    learns the first domain's rows again with it, and then all others'."""
    stream, plan = encoder.stream, encoder.plan
    first = stream.tasks[0]
    learner = encoder.with_domains(None, 1).partial_fit(first.x_train, first.y_train)
    steps, begin = [], time.perf_counter()
    for k, task in list(enumerate(stream.tasks))[1:]:
        before = accuracies(learner, stream, k + 1)
        if k == 1:
            learner = encoder.with_domains(plan.adaptor, 1)
            learner.adapt_domain("base", task.x_train, task.y_train, plan.later, ADAPTOR_RATE, BATCH, held_out=0)
            learner.partial_fit(first.x_train, first.y_train)
        else:
            learner.partial_fit(task.x_train, task.y_train)
        steps.append({"domain": task.name, "before": before, "after": accuracies(learner, stream, k + 1)})
    return {"steps": steps, "seconds": time.perf_counter() - begin}


def fine_tuned(encoder: Encoder, replay_rows: int = 0) -> Found:
    """The whole net learns each domain by gradients, as many passes as adaptors get, a rate that falls as a cosine."""
    stream, passes = encoder.stream, encoder.plan.later
    learner = encoder.whole(replay_rows)
    if replay_rows:
        learner.remember(stream.tasks[0].x_train, stream.tasks[0].y_train)
    order = np.random.default_rng(encoder.seed)

    def learn(k: int) -> None:
        task = stream.tasks[k]
        for epoch in range(passes):
            learner.set_params(learning_rate=FINE_RATE * (1 + cos(pi * epoch / passes)) / 2)
            rows = order.permutation(len(task.y_train))
            learner.partial_fit(task.x_train[rows], task.y_train[rows])

    return {**_measured(learner, stream, learn), "replay_rows": replay_rows}


def routed(encoder: Encoder, adaptor: str | None) -> Found:
    """A domain each; with an adaptor where it helps on rows held out. Also with the domain told (oracle), where test
    rows go, what the alarm says, and rows that fit in the bytes of the new domains (`replay_rows`)."""
    stream, plan = encoder.stream, encoder.plan
    learner = encoder.with_domains(adaptor, len(stream.tasks))
    learner.partial_fit(stream.tasks[0].x_train, stream.tasks[0].y_train)
    names = ["base", *[task.name for task in stream.tasks[1:]]]
    steps, begin = [], time.perf_counter()
    for k, task in list(enumerate(stream.tasks))[1:]:
        step: Found = {"domain": task.name, "before": accuracies(learner, stream, k + 1)}
        step["alarm"] = alarm(learner, stream, k, task.x_test)
        learner.add_domain(task.name)
        step["report"] = learner.adapt_domain(task.name, task.x_train, task.y_train, plan.later, ADAPTOR_RATE, BATCH)
        step["after"] = accuracies(learner, stream, k + 1)
        step["routed"] = [float((learner.route(t.x_test).domain == names[j]).mean()) for j, t in _first(stream, k + 1)]
        step["oracle"] = [learner.select_domain(names[j]).score(t.x_test, t.y_test) for j, t in _first(stream, k + 1)]
        learner.select_domain(None)
        steps.append(step)
    seconds = time.perf_counter() - begin
    known = learner.domains_
    bundle = learner._opened()
    head = (bundle.info["head_weight"], bundle.info["head_bias"])
    parameters = sum(layer["stored"] for i, layer in enumerate(bundle.layers) if i not in head)
    adapted = steps[0]["report"]["parameters"]
    return {
        "steps": steps, "seconds": seconds, "alarm": alarm(learner, stream, len(names), None),
        "domain_bytes": known[0]["bytes"], "share": adapted / (parameters - adapted),
        "replay_rows": (len(known) - 1) * known[0]["bytes"] // stream.tasks[0].x_train[0].nbytes,
    }  # fmt: skip


def grown(encoder: Encoder) -> Found:
    """`Classifier.grow`: nobody says when a domain begins."""
    stream, plan = encoder.stream, encoder.plan
    learner = encoder.with_domains(plan.adaptor, len(stream.tasks))
    learner.grow(stream.tasks[0].x_train, stream.tasks[0].y_train)
    reports: list[Found] = []

    def learn(k: int) -> None:
        task = stream.tasks[k]
        reports.append(learner.grow(task.x_train, task.y_train, task.name, plan.later, ADAPTOR_RATE, BATCH))

    return {**_measured(learner, stream, learn), "grown": [report["grown"] for report in reports]}


def _first(stream: Stream, n: int) -> Iterator[tuple[int, Any]]:
    return iter(list(enumerate(stream.tasks))[:n])


# --- the alarm ---


def alarm(learner: Classifier, stream: Stream, known: int, new: NDArray[Any] | None) -> Found:
    """What `Classifier.drift` says of the score "fit", its thresholds from half of the test rows of the known domains.
    10,000 rows drawn from the other half: how many are not accepted, how often the alarm rose. Of `new` rows: how many
    are not accepted, and the share of windows that alarm."""
    generator = np.random.default_rng(0)
    usual, other = [], []
    for task in stream.tasks[:known]:
        order = generator.permutation(len(task.x_test))
        usual.append(task.x_test[order[::2]])
        other.append(task.x_test[order[1::2]])
    thresholds, rows = np.concatenate(usual), np.concatenate(other)
    rows = rows[generator.integers(0, len(rows), ALARM_ROWS)]
    learner.calibrate(thresholds, score="fit")
    unknown = float((learner.observe(rows) != Decision.ACCEPT).mean())
    found: Found = {"unknown": unknown, "false": learner.drift()["alarms"]}
    if new is None:
        return found
    threshold, scores, alarms = learner.ood_score(thresholds, "fit"), [], []
    for _ in range(WINDOWS):
        window = new[generator.integers(0, len(new), WINDOW)]
        learner._open().session.novelty_calibrate("fit", threshold, 0.95, 0.99)  # the window begins anew
        scores.append(float((learner.observe(window) != Decision.ACCEPT).mean()))
        alarms.append(learner.drift()["alarm"])
    return {**found, "new_unknown": float(np.mean(scores)), "true": float(np.mean(alarms))}


CONTENDERS: dict[str, Callable[[Encoder], Found]] = {
    "nothing learned": nothing,
    "one head": one_head,
    "domains, grown": grown,
    "heads alone, routed": heads_alone,
    "first session adaptation": first_session,
    "all of the net": fine_tuned,
}
