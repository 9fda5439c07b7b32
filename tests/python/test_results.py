# The files of results: what is written is read again, those that are kept are short and hold what is quoted.
# Never here: measuring.
"""Tests of edgecl.cli.results and of tools/bench/results."""

from __future__ import annotations

import json
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
PAGE = (ROOT / "tools/bench/README.md").read_text(encoding="utf-8")
MOST_LINES = 299  # the model zoo has one a network


def _rows(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_table(ROOT / f"tools/bench/results/{name}.json")["rows"]
    return rows


def _quoted(name: str) -> list[list[str]]:
    """The cells of the page's table of this name, without its head."""
    lines = PAGE[PAGE.index(f"<!-- table: {name} -->") :].split("<!-- end -->")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[3:]]


def _close(cell: str, value: float) -> bool:
    """A number of three digits, perhaps with commas, is the value rounded."""
    return float(cell.replace(",", "")) == pytest.approx(value, rel=0.006)


def _accuracy(name: str, method: str, density: float = 1.0, group: str = "default") -> dict[str, Any]:
    return next(r for r in _rows(name) if (r["group"], r["method"], r["density"]) == (group, method, density))


def _less(name: str, dense: str, sparse: str) -> float:
    """Points that a net of 90 % loses against the dense one."""
    return mean(_accuracy(name, dense)["accuracy"]) - mean(_accuracy(name, sparse, 0.1)["accuracy"])


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


def test_every_file_is_on_the_page_and_every_one_there_is_kept() -> None:
    named = set(re.findall(r"results/(\w+)\.json", PAGE))
    assert named <= {path.stem for path in FILES}
    assert {path.stem for path in FILES} - named == {"same_bits"}  # a table of digests; the page names its script


def test_training_steps_are_those_of_the_page() -> None:
    rows = {(r["layer"], r["batch"], r["threads"], r["sparsity"]): r for r in _rows("steps")}
    layers = {"MLP 784-256-256-10": "mlp", "ResNet-18, 20 channels": "resnet18-nf20"}
    layers |= {"ResNet-18, 64 channels": "resnet18"}
    quoted = _quoted("steps 10+10,32")
    assert len(quoted) == 6
    for cells in quoted:
        for cell, sparsity in zip(cells[2:7], (0.0, 0.5, 0.75, 0.9, 0.95), strict=True):
            row = rows[layers[cells[0]], cells[1], 1, sparsity]
            ms, ratio = cell.split()
            assert _close(ms, row["ours_ms"])
            assert row["ratio_to_best_dense_peer"] == pytest.approx(float(ratio.strip("()")), abs=0.051)
            assert _close(cells[7], min(row["torch_ms"], row["onnxruntime_ms"]))


def test_single_layers_are_those_of_the_page() -> None:
    rows = {(r["layer"], r["sparsity"]): r for r in _rows("sparse") if r["threads"] == 1 and r["pass"] == "all"}
    for cells in _quoted("layers"):
        for cell, sparsity in zip(cells[1:], (0.8, 0.9, 0.95), strict=True):
            ratio, percent = re.findall(r"[\d.]+", cell)
            row = rows[cells[0], sparsity]
            assert row["ratio_to_best_dense_peer"] == pytest.approx(float(ratio), abs=0.051)
            assert row["percent_of_peak"] == pytest.approx(float(percent), abs=0.51)


@pytest.mark.parametrize("name", [path.stem for path in FILES if re.match("accuracy|ablation", path.stem)])
def test_accuracies_are_those_of_the_page(name: str) -> None:
    quoted = _quoted(f"accuracy {name}")
    assert len(quoted) == len(_rows(name))
    for group, method, kept, seeds, *figures in quoted:
        row = _accuracy(name, method, float(kept.rstrip(" %")) / 100, group)
        assert int(seeds) == len(row["accuracy"])
        for cell, values in zip(figures, (row["accuracy"], row["forgetting"]), strict=False):
            expected = [mean(values), stdev(values)] if len(values) > 1 else values
            assert expected == pytest.approx([float(part) for part in cell.split(" ± ")], abs=0.051)
        assert figures[2] == "-" if "train_macs" not in row else _close(figures[2], row["train_macs"] / 1e9)
        assert figures[3] == "-" if "seconds" not in row else _close(figures[3], mean(row["seconds"]))


def test_memory_is_that_of_the_readme() -> None:
    found = {(r["network"], r["density"], r["method"]): r["peak_rss_bytes"] / 2**20 for r in _rows("memory")}
    sparse, dense = re.findall(r"(\d+) MiB in all at 90 %, (\d+) dense", README)[0]
    assert float(sparse) == pytest.approx(found["resnet18-nf20", 0.1, "er"], abs=0.51)
    assert float(dense) == pytest.approx(found["resnet18-nf20", 1.0, "er"], abs=0.51)


def test_what_the_readme_says_of_sparse_nets() -> None:
    quoted = re.findall(
        r"about (\d) point less after one pass .*?, (\d) after five\s.*?CIFAR-10 (\d) after one pass, (\d) after five",
        README,
        re.S,
    )[0]
    for points, name in zip(quoted, ("fashion", "fashion_5epochs", "cifar10", "cifar10_5epochs"), strict=True):
        less = _less(f"accuracy_{name}", "derpp with class mask", "sparcl-derpp")
        assert less == pytest.approx(float(points), abs=0.5)


def test_what_the_page_reads_from_its_tables() -> None:
    text = " ".join(PAGE.split())
    above, below, within = re.findall(
        r"is (\d.\d) points above DER\+\+ and (\d.\d) below .*? within (\d.\d) of it", text
    )[0]
    sparse = mean(_accuracy("accuracy_fashion", "sparcl-derpp", 0.1)["accuracy"])
    small = _accuracy("accuracy_fashion", "derpp with class mask, width 35 (for 0.1)", group="control")
    assert sparse - mean(_accuracy("accuracy_fashion", "derpp")["accuracy"]) == pytest.approx(float(above), abs=0.051)
    assert _less("accuracy_fashion", "derpp with class mask", "sparcl-derpp") == pytest.approx(float(below), abs=0.1)
    assert abs(sparse - mean(small["accuracy"])) <= float(within) + 0.05
    masking, removal = re.findall(r"save (\d+) % and (\d+) % of the multiply-adds", text)[0]
    macs = {r["method"]: r["train_macs"] for r in _rows("ablation_fashion")}
    assert 1 - macs["whole"] / macs["without DGM"] == pytest.approx(float(masking) / 100, abs=0.006)
    assert 1 - macs["whole"] / macs["without DDR"] == pytest.approx(float(removal) / 100, abs=0.006)
    emulated = json.loads((ROOT / "tools/bench/results/aarch64_instructions.json").read_text())
    quoted = re.findall(r"needs (0\.\d+) of the instructions", text)[0]
    assert emulated["sparse_instructions_of_dense"] == pytest.approx(float(quoted), abs=0.005)
