# `adaptor="search"` in an export and on the command line.
# Never here: formulas of scores (test_adaptor_scores.py), how adaptors learn (tests/python/test_domains.py).
"""Tests of the zero-shot choice of an adaptor: what is chosen, by which rows, in which time, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import edgecl
import edgecl.export as export
import numpy as np
import pytest
import torch
from edgecl.cli.main import app
from edgecl.errors import Error
from edgecl.export.adaptor_choice import balanced_rows
from edgecl.export.adaptor_search.batch import Batch
from edgecl.export.adaptor_search.candidates import every_candidate
from edgecl.export.adaptor_search.forms import Candidate
from edgecl.export.adaptor_search.scores import RULES, SCORES, ruling
from edgecl.export.adaptor_search.search import DEFAULT_RULE, search
from torch import nn
from typer.testing import CliRunner

DIMS = (2, 6, 6)
CODE = """
import torch
def net():
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(2, 64, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(64, 64, 3, padding=1)]
    layers += [torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(64, 5)]
    return torch.nn.Sequential(*layers)
"""


def _net() -> nn.Sequential:
    found: dict[str, Any] = {}
    exec(CODE, found)
    net: nn.Sequential = found["net"]()
    return net.eval()


def _data(n: int = 60, classes: int = 3, dims: tuple[int, ...] = DIMS) -> tuple[Any, Any]:
    y = np.arange(n) % classes
    x = np.random.default_rng(0).standard_normal((n, *dims)) + y.reshape(-1, *[1] * len(dims))
    return x.astype(np.float32), y


def _export(net: nn.Module | None = None, dims: tuple[int, ...] = DIMS, **keywords: Any) -> export.ExportReport:
    settings: dict[str, Any] = {"recipe": export.Recipe(method="ridge", max_domains=2), "adaptor": "search", **keywords}
    return export.from_torch(net or _net(), np.zeros((1, *dims), np.float32), **settings)


def test_the_chosen_adaptor_is_that_of_its_name() -> None:
    report = _export(adaptor_data=_data(), max_classes=5)
    found = report.adaptor_search
    assert found is not None and len(found.rows) >= 20 and found.not_scored == []
    assert found.rule == DEFAULT_RULE and found.samples == 60 and found.classes == 3 and found.shape == (64, 6, 6)
    guessed = ruling(DEFAULT_RULE, [row.scores for row in found.rows]).tolist()
    assert guessed == sorted(guessed, reverse=True) and len(set(guessed)) > 5
    assert [row.rank for row in found.rows] == [i + 1 for i in range(len(found.rows))]
    assert all(set(row.scores) == set(row.seconds) == set(SCORES) for row in found.rows)
    size = sum(p.numel() for p in _net()[:-1].parameters())
    assert all(row.parameters <= 0.05 * size for row in found.rows)
    assert report.bundle == _export(adaptor=found.chosen, max_classes=5).bundle
    assert f"'{found.chosen}' was chosen of {len(found.rows)}" in found.why()
    lines = report.summary().splitlines()
    assert found.why() in lines and sum(row.name in " ".join(lines) for row in found.rows) == len(found.rows)
    document = json.loads(json.dumps(report.as_dict()))["adaptor_search"]
    assert document["chosen"] == found.chosen and len(document["rows"]) == len(found.rows)
    learner = edgecl.Classifier(report.bundle)
    learner.partial_fit(*_data()).add_domain("night")
    assert learner.adapt_domain("night", *_data(), epochs=1)["parameters"] == found.rows[0].parameters


def test_scores_see_the_map_of_the_source() -> None:
    x, y = _data()
    found = _export(adaptor_data=(x, y), normalise=False).adaptor_search
    with torch.no_grad():
        maps = _net()[:4](torch.tensor(x)).numpy().astype(np.float64)
    batch = Batch(np.ascontiguousarray(maps.swapaxes(0, 1)), y, False, 0)
    assert found is not None
    for row in found.rows[:3]:
        kind, _, width = row.name.partition(":")
        for name, score in SCORES.items():
            assert row.scores[name] == pytest.approx(score(batch, Candidate(kind, int(width or 0))), rel=1e-3), name


def test_equal_seeds_choose_equally_and_rows_are_shared_among_classes() -> None:
    def scores(seed: int) -> list[Any]:
        data = export.AdaptorData(*_data(), rows=20)
        found = _export(adaptor_data=data, mask_seed=seed).adaptor_search
        assert found is not None and found.samples == 20
        return [(row.name, row.scores) for row in found.rows]

    assert scores(0) == scores(0) != scores(1)
    columns = np.array([0] * 50 + [1] * 3 + [2] * 20)
    kept = balanced_rows(columns, 17, 0)
    assert np.bincount(columns[kept]).tolist() == [7, 3, 7] and (np.diff(kept) > 0).all()
    assert len(balanced_rows(columns, 500, 0)) == 73 and (balanced_rows(columns, 17, 1) != kept).any()


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_can_decide(rule: str) -> None:
    data = export.AdaptorData(*_data(), score=rule, share=0.02)
    found = _export(adaptor_data=data).adaptor_search
    assert found is not None and found.rule == rule
    if rule != "combined":
        values = [row.scores[rule] for row in found.rows]
        assert values == sorted(values, reverse=True)
        assert (
            found.chosen == min((r for r in found.rows if r.scores[rule] == values[0]), key=lambda r: r.parameters).name
        )


def _clock(step: float) -> Callable[[], float]:
    ticks: Iterator[float] = (step * i for i in range(10**6))
    return lambda: next(ticks)


def test_a_budget_stops_and_names_what_was_left_out() -> None:
    x, y = _data()
    batch = Batch(np.maximum(x.swapaxes(0, 1).astype(np.float64), 0), y)
    every = every_candidate(batch.shape)
    whole = search(batch, every, clock=_clock(1.0))
    calls = 2 * len(SCORES) + 1  # of the clock, a candidate
    some = search(batch, every, budget=2.5 * calls, clock=_clock(1.0))
    assert len(some.rows) == 3 and len(some.not_scored) == len(every) - 3
    names = {row.name for row in some.rows}
    assert names | set(some.not_scored) == {candidate.name for candidate in every} and not names & set(some.not_scored)
    assert all(name in some.why() for name in some.not_scored) and "time ran out" not in whole.why()
    scores = {row.name: row.scores for row in whole.rows}
    assert all(row.scores == scores[row.name] for row in some.rows)
    assert len(search(batch, every, budget=1e-9, clock=_clock(1.0)).rows) == 1


def test_encoders_without_maps_and_without_a_head() -> None:
    vectors = nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))
    found = _export(vectors, (12,), adaptor_data=_data(dims=(12,))).adaptor_search
    assert found is not None and found.shape == (64, 1, 1) and found.unseen == ()
    maps = _net()[:4]
    report = _export(maps, adaptor_data=_data())
    assert report.adaptor_search is not None and report.adaptor_search.shape == (64, 6, 6)
    deep = nn.Sequential(*_net()[:6], nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 4))
    found = _export(deep, adaptor_data=_data(), projection=64).adaptor_search
    assert found is not None and found.shape == (64, 6, 6) and found.unseen[-1] == "the random projection"
    assert len(found.unseen) == 2 and all(name in found.why() for name in found.unseen)
    flat = nn.Sequential(*_net()[:4], nn.Flatten(), nn.Linear(64 * 36, 4))
    found = _export(flat, adaptor_data=_data()).adaptor_search
    assert found is not None and found.shape == (64, 6, 6) and len(found.unseen) == 1
    report = export.from_embeddings(9, adaptor="search", adaptor_data=_data(dims=(9,)))
    assert report.adaptor_search is not None and report.adaptor_search.shape == (9, 1, 1)
    assert len(report.adaptor_search.rows) == len(every_candidate((9, 1, 1)))


def test_bytes_and_other_labels() -> None:
    x, y = _data()
    pictures = (20 * x + 100).clip(0, 255).astype(np.uint8)
    names = np.array(["a", "b", "c"])[y]
    report = _export(adaptor_data=(pictures, names), input=export.InputSpec("u8"))
    assert report.adaptor_search is not None and report.adaptor_search.classes == 3


def _with_nan(x: Any) -> Any:
    x = x.copy()
    x[3, 1, 2, 2] = np.nan
    return x


X, Y = _data()
WRONG: list[tuple[Any, str]] = [
    ((X[:, :1], Y), r"\(n, 2, 6, 6\) and float32; found \(60, 1, 6, 6\)"),
    ((X.astype(np.float64), Y), "float64"),
    ((X[0], Y), "shape"),
    ((X, Y[:-1]), "found 59"),
    ((X, np.zeros(60)), "two classes"),
    ((X, [None] * 60), "expected"),
    ((_with_nan(X), Y), "NaN"),
    ((X[:15], Y[:15]), "16 rows or more"),
    ((X[:0], Y[:0]), "16 rows or more"),
    (X, "expected adaptor_data"),
    (None, "rows of the new domain"),
]


@pytest.mark.parametrize(("data", "saying"), WRONG)
def test_wrong_rows_are_one_error_and_no_file(data: Any, saying: str, tmp_path: Path) -> None:
    with pytest.raises(export.ExportError, match=saying) as raised:
        _export(adaptor_data=data, out=tmp_path / "m.ecl")
    assert str(raised.value).startswith("expected ") and "; found" in str(raised.value)
    assert not (tmp_path / "m.ecl").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"budget": 0},
        {"budget": np.nan},
        {"share": 0},
        {"share": np.inf},
        {"score": "best"},
        {"rows": 15},
        {"rows": 2.5},
    ],
)
def test_wrong_settings(settings: dict[str, Any]) -> None:
    with pytest.raises(export.ExportError, match="expected"):
        export.AdaptorData(*_data(), **settings)


def test_what_does_not_go_together() -> None:
    with pytest.raises(export.ExportError, match="only with adaptor 'search'"):
        _export(adaptor="film", adaptor_data=_data())
    with pytest.raises(export.ExportError, match="head that keeps statistics"):
        _export(adaptor_data=_data(), recipe=export.Recipe())
    small = nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    with pytest.raises(export.ExportError, match=r"film, has 8 \(66.7 %\)"):
        _export(small, adaptor_data=_data())
    assert _export(small, adaptor_data=export.AdaptorData(*_data(), share=1)).adaptor_search is not None
    far = _net()
    with torch.no_grad():
        far[2].weight *= 1e38
    with pytest.raises(Error, match=r"NaN or infinity|finite"):
        _export(far, adaptor_data=_data())


# --- command line ---


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "own_net.py").write_text(CODE)
    x, y = _data()
    np.savez(tmp_path / "new.npz", x=x, y=y)
    np.savez(tmp_path / "one.npz", x=x, y=0 * y)
    np.savez(tmp_path / "no_labels.npz", x=x)
    (tmp_path / "text.npz").write_text("no archive")
    return {"net": tmp_path / "own_net.py", "out": tmp_path / "m.ecl", **{p.stem: p for p in tmp_path.glob("*.npz")}}


def _call(files: dict[str, Path], *arguments: object) -> Any:
    common = ["export", f"{files['net']}:net", "-o", files["out"], "--input-shape", "2,6,6", "--head", "ridge"]
    return CliRunner().invoke(app, list(map(str, [*common, *arguments])), env={"COLUMNS": "80", "TERM": "dumb"})


def test_the_command_prints_the_table_within_80_columns(files: dict[str, Path]) -> None:
    done = _call(files, "--adaptor", "search", "--adaptor-data", files["new"], "--set", "max_domains=2")
    assert done.exit_code == 0 and files["out"].exists()
    lines = done.output.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("rank adaptor"))
    assert all(name in lines[at] for name in ("naswot", "zen", "synflow", "zico", "spectral", "ridge", "hidden"))
    assert lines[at + 1].split()[0] == "1" and max(len(line.rstrip()) for line in lines) <= 80
    assert f"'{lines[at + 1].split()[1]}' was chosen" in done.output
    files["out"].unlink()
    done = _call(
        files, "--adaptor", "search", "--adaptor-data", files["new"], "--adaptor-share", 0.5, "--adaptor-score", "zico",
        "--adaptor-budget", 1e-6, "--json",
    )  # fmt: skip
    found = json.loads(done.stdout)["adaptor_search"]
    assert found["rule"] == "zico" and len(found["rows"]) == 1 and found["not_scored"][0] in found["why"]


@pytest.mark.parametrize(
    ("arguments", "code", "saying"),
    [
        (["--adaptor", "search"], 2, "--adaptor-data"),
        (["--adaptor", "search", "--adaptor-budget", "3"], 2, "--adaptor-data"),
        (["--adaptor", "film", "--adaptor-data", "new"], 2, "only with adaptor 'search'"),
        (["--adaptor", "search", "--adaptor-data", "new", "--adaptor-score", "best"], 2, "naswot"),
        (["--adaptor", "search", "--adaptor-data", "new", "--adaptor-share", "1e-6"], 2, "larger share"),
        (["--adaptor", "search", "--adaptor-data", "new", "--adaptor-budget", "nan"], 2, "budget"),
        (["--adaptor", "search", "--adaptor-data", "one"], 3, "two classes"),
        (["--adaptor", "search", "--adaptor-data", "no_labels"], 3, "x, y"),
        (["--adaptor", "search", "--adaptor-data", "text"], 3, "readable"),
        (["--adaptor", "search", "--adaptor-data", "missing"], 3, "found none"),
    ],
)
def test_the_command_refuses(files: dict[str, Path], arguments: list[str], code: int, saying: str) -> None:
    done = _call(files, *[files.get(a, a) for a in arguments])
    assert done.exit_code == code and saying in done.output and done.output.count("error: ") == 1
    assert "Traceback" not in done.output and not files["out"].exists()
