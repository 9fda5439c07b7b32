# The files of results: what is written is read again, those that are kept are short and hold what the README quotes.
# Never here: measuring.
"""Tests of edgecl.cli.results and of tools/bench/results."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import pytest
from edgecl.cli.results import read_table, write_table

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "tools/bench/results").glob("*.json"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
MOST_LINES = 199


def _rows(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_table(ROOT / f"tools/bench/results/{name}.json")["rows"]
    return rows


def _quoted(begin: str) -> list[list[str]]:
    """The cells of the README's table whose head starts with `begin`, without that head and the line below it."""
    lines = README[README.index(begin) :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def _number(text: str) -> float:
    return float(re.sub(r"[^\d.].*", "", text))


def _half_digit(text: str) -> float:
    return 0.51 * 10.0 ** -len(text.partition(".")[2])


def test_a_row_is_a_line_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    rows: list[dict[str, Any]] = [
        {"name": "x", "ms": 1.23456789, "n": 123456789},
        {"name": "y", "seeds": [0.1, np.float64(2.000001)], "ms": float("nan")},
    ]
    write_table(path, {"date": "today", "note": "long " * 200, "versions": {"a": 1.0}, "rows": rows})
    found = read_table(path)
    assert found["rows"] == [{"name": "x", "ms": 1.2346, "n": 123456789}, {"name": "y", "seeds": [0.1, 2.0]}]
    assert found["versions"] == {"a": 1.0} and found["note"] == "long " * 200
    lines = path.read_text().splitlines()
    assert lines[-3:] == ['["x", 1.2346, 123456789, null],', '["y", null, null, [0.1, 2.0]]', "]}"]
    write_table(path, found)
    assert read_table(path) == found


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_kept_file_is_short(path: Path) -> None:
    assert read_table(path)["rows"]
    assert len(path.read_text().splitlines()) <= MOST_LINES


def test_every_file_that_the_readme_names_is_kept() -> None:
    named = set(re.findall(r"tools/bench/results/(\w+)\.json", README))
    assert named and named <= {path.stem for path in FILES}


def test_training_steps_are_those_of_the_readme() -> None:
    rows = {(r["layer"], r["batch"], r["threads"], r["sparsity"]): r for r in _rows("steps")}
    layers = {"MLP 784-256-256-10": "mlp", "MLP": "mlp", "ResNet-18, 20 channels": "resnet18-nf20"}
    layers |= {"ResNet-18, CIFAR": "resnet18"}
    quoted = _quoted("| training step, ms |")
    assert len(quoted) == 5
    for cells in quoted:
        batch = "10+10" if cells[1].startswith("10") else cells[1]
        for cell, sparsity in zip(cells[2:6], (0.0, 0.75, 0.9, 0.95), strict=True):
            row = rows[layers[cells[0]], batch, 1, sparsity]
            ms, ratio = cell.split()
            assert row["ours_ms"] == pytest.approx(float(ms), abs=_half_digit(ms))
            assert row["ratio_to_best_dense_peer"] == pytest.approx(float(ratio.strip("()")), abs=0.051)
            assert row["ours_ms"] * row["ratio_to_best_dense_peer"] == pytest.approx(float(cells[6]), rel=0.01)


def test_single_layers_are_those_of_the_readme() -> None:
    rows = [r for r in _rows("sparse") if r["threads"] == 1 and r["pass"] == "all"]
    for cells in _quoted("| 3x3 layer |"):
        sparsity = _number(cells[0]) / 100
        found = [r for r in rows if r["sparsity"] == sparsity]
        assert len(found) == len(cells) - 1
        for cell, row in zip(cells[1:], found, strict=True):
            ratio, percent = re.findall(r"[\d.]+", cell)
            assert row["ratio_to_best_dense_peer"] == pytest.approx(float(ratio), abs=0.051)
            assert row["percent_of_peak"] == pytest.approx(float(percent), abs=0.51)


def test_accuracies_are_those_of_the_readme() -> None:
    rows = [r for r in _rows("accuracy_fashion") if r["group"] in ("default", "control")]
    wanted: dict[str, Any] = {
        "dense": ("derpp", 1.0),
        "dense, class mask": ("derpp with class mask", 1.0),
        "SparCL, 75 % sparse": ("sparcl-derpp", 0.25),
        "SparCL, 90 %": ("sparcl-derpp", 0.1),
        "SparCL, 95 %": ("sparcl-derpp", 0.05),
    }
    quoted = {cells[0]: cells[1:] for cells in _quoted("| DER++ on the MLP |")}
    for name, place in wanted.items():
        row = next(r for r in rows if (r["method"], r["density"]) == place)
        for cell, values in zip(quoted[name], (row["accuracy"], row["forgetting"]), strict=False):
            centre, deviation = (float(part) for part in cell.split(" ± "))
            assert [mean(values), stdev(values)] == pytest.approx([centre, deviation], abs=0.051)
        assert row["train_macs"] / 1e9 == pytest.approx(float(quoted[name][2]), rel=0.02)
        assert mean(row["seconds"]) == pytest.approx(float(quoted[name][3]), abs=0.051)


def test_memory_is_that_of_the_readme() -> None:
    found = {(r["network"], r["density"], r["method"]): r["peak_rss_bytes"] / 2**20 for r in _rows("memory")}
    places = [("resnet18-nf20", 1.0, "er"), ("resnet18-nf20", 0.1, "er"), ("resnet18-nf20", 0.1, "sparcl-er")]
    sentence = README[README.index("500 images kept has a peak of") :].partition("Nothing is allocated")[0]
    quoted = [float(number) for number in re.findall(r"\d+\.\d+", sentence)]
    assert [found[place] for place in (*places, ("mlp", 1.0, "er"))] == pytest.approx(quoted, abs=0.16)
