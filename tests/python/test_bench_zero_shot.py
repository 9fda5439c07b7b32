# tools/bench/zero_shot.py and what its tables say, on small domains that are made here.
# Never here: formulas of scores (tests/export/test_adaptor_scores.py), how good they are on real data.
"""Tests of the bench of zero-shot scores: rank correlations, a whole run, both tables."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
torch = pytest.importorskip("torch")
pytest.importorskip("threadpoolctl")


@pytest.fixture()
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "tools/bench"))
    import zero_shot

    return zero_shot


def test_rank_correlations_are_those_of_scipy(bench: Any) -> None:
    stats = pytest.importorskip("scipy.stats")
    from rank_correlation import kendall, spearman

    generator = np.random.default_rng(0)
    for ties in (3, 1000):
        a, b = generator.integers(0, ties, (2, 40)).tolist()
        assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b)[0])
        assert kendall(a, b) == pytest.approx(stats.kendalltau(a, b)[0])
    assert spearman([1, 1, 1], [1, 2, 3]) == kendall([1, 1, 1], [1, 2, 3]) == 0
    assert spearman([1, 2, 3], [2, 3, 9]) == kendall([1, 2, 3], [2, 3, 9]) == pytest.approx(1)


def _row(seed: int, adaptor: str, parameters: int, accuracy: list[float], place: float) -> dict[str, Any]:
    from edgecl.export.adaptor_search.scores import SCORES

    row = {"stream": "s", "domain": "d", "seed": seed, "adaptor": adaptor, "parameters": parameters}
    row |= {"accuracy": accuracy, "briefly": accuracy[0]}
    return row | {f"rank_{name}": place for name in SCORES}


def test_tables_say_how_scores_order_and_what_they_choose(bench: Any) -> None:
    import zero_shot_figures as figures

    none = {"stream": "s", "domain": "d", "seed": 5, "adaptor": "none", "parameters": 0, "accuracy": [0.5]}
    none |= {f"seconds_{name}": 0.25 for name in figures.SCORES} | {"seconds_trained": 1.0, "seconds_briefly": 0.5}
    rows = [
        none, _row(5, "film", 2, [0.4, 0.6], 3), _row(5, "depthwise:1", 5, [0.6, 0.7], 2),
        _row(5, "lowrank:9", 9, [0.9, 0.8], 1),
    ]  # fmt: skip
    head, lines = figures.correlations(rows)
    found = {line[0]: dict(zip(head, line, strict=True)) for line in lines}
    assert found["zico"]["s"] == found["combined"]["mean"] == found[figures.ANOTHER]["s"] == "1.00 / 1.00"
    assert found["zico"]["seconds an adaptor"] == "0.250" and found["combined"]["seconds an adaptor"] == "1.000"
    assert lines[-1][0] == figures.ANOTHER and found[figures.BRIEFLY]["seconds an adaptor"] == "0.500"
    head, lines = figures.choices(rows)
    said = dict(zip(head, lines[0], strict=True))
    assert (said["head alone"], said["mean"], said["best"], said[figures.WIDEST]) == ("50.0", "66.7", "85.0", "65.0")
    assert said["adaptors"] == "3" and said["zico"] == "85.0"
    backwards = [none, *[{k: 4 - v if k.startswith("rank_") else v for k, v in row.items()} for row in rows[1:]]]
    assert dict(zip(head, figures.choices(backwards)[1][0], strict=True))["zico"] == "50.0"
    # Rows of the seeds that the rule was chosen on count only where there are no others.
    early = [{**row, "seed": 0} for row in backwards]
    assert figures.choices(rows + early) == figures.choices(rows)
    assert figures.choices(early)[1] == figures.choices(backwards)[1]


def test_a_run_on_own_data(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    generator, n = np.random.default_rng(0), 60
    centres = 2 * generator.standard_normal((3, 12))
    y = np.arange(2 * n) % 3
    x = (centres[y] + 0.5 * generator.standard_normal((2 * n, 12))).astype(np.float32)
    x[n:] = x[n:, ::-1] + 3
    np.savez(tmp_path / "own.npz", x=x, y=y, domain=np.array(["day"] * n + ["night"] * n))
    out = tmp_path / "found.json"
    for seed in ("0", "0"):
        arguments = ["zero_shot", "own", str(tmp_path / "own.npz"), "--epochs", "3", "--json", str(out)]
        monkeypatch.setattr(sys, "argv", [*arguments, "--seeds", seed])
        bench.main()
    rows = bench.unpacked(bench.read_table(out)["rows"])
    assert {row["domain"] for row in rows} == {"night"} and rows[0]["adaptor"] == "none"
    assert len(rows) == len({row["adaptor"] for row in rows}) > 10
    assert all(len(row["accuracy"]) == bench.STARTS and min(row["accuracy"]) > 0.5 for row in rows[1:])
    for name in bench.SCORES:
        assert sum(row[f"rank_{name}"] for row in rows[1:]) == len(rows) * (len(rows) - 1) / 2
    assert json.loads(json.dumps(rows)) == rows
    said = capsys.readouterr().out
    assert bench.zero_shot_choice_table(rows) in said
    for text in (bench.zero_shot_table(rows), bench.zero_shot_choice_table(rows)):
        assert len({line.count("|") for line in text.splitlines()}) == 1


def test_what_is_trained_behind_the_map_is_what_a_whole_bundle_trains(bench: Any) -> None:
    from ear_contenders import Plan
    from edgecl import Classifier, export
    from edgecl.evaluate.stream_types import InputSpec, Stream, Task

    generator = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = (generator.standard_normal((60, 2, 6, 6)) + y[:, None, None, None]).astype(np.float32)
    task = Task("night", x, y, x[:30], y[:30])
    stream = Stream(
        "s", "domain-incremental", (task, task), InputSpec("f32", (2, 6, 6), 1.0, (0.0,), (1.0,)), ("a", "b", "c")
    )
    torch.manual_seed(0)
    tail = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 3)]
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 8, 3, padding=1), torch.nn.ReLU(), *tail).eval()
    encoder = bench.Encoder(net, export.InputSpec(), stream, Plan(1, bench.LATER, "film"), 0)
    behind = bench.Behind(encoder, task)
    ours = behind.learner("bottleneck:2", 0)
    whole = Classifier(
        encoder.bundle(export.Recipe(method="ridge", max_domains=1, batch_size=bench.BATCH), adaptor="bottleneck:2",
                       max_classes=3),
        random_state=0,
    )  # fmt: skip
    ours.adapt_domain("base", behind.x, y, 3, 0.5, bench.BATCH, held_out=0)
    whole.adapt_domain("base", x, y, 3, 0.5, bench.BATCH, held_out=0)
    assert np.abs(ours.embed(behind.x) - whole.embed(x)).max() < 1e-3
    assert np.abs(whole.embed(x) - behind.learner(None, 0).embed(behind.x)).max() > 1e-2  # it did train
