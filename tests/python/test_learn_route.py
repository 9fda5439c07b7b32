# `edgecl learn --route` and `--report`: tables, documents, pages, interrupts, and what does not go together.
# Never here: growth itself (test_growth.py), accuracy on real data (tools/bench/ear.py).
"""Tests of edgecl.evaluate.domain_run and the commands that use it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import edgecl
import numpy as np
import pytest
from edgecl.cli import failure
from edgecl.cli.main import app
from edgecl.evaluate import domain_run
from typer.testing import CliRunner

N, TEST, DIM, CLASSES = 300, 90, 12, 3


def _call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """A Python file with a model."""
    pytest.importorskip("torch")
    path = tmp_path / "own.py"
    path.write_text(
        "import torch\n\n\ndef net():\n    torch.manual_seed(0)\n"
        f"    return torch.nn.Sequential(torch.nn.Linear({DIM}, 16), torch.nn.Linear(16, {CLASSES})).eval()\n"
    )
    return path


@pytest.fixture
def domains(tmp_path: Path) -> Path:
    """Two domains by name, in which the same classes lie elsewhere and under other labels."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CLASSES, DIM))
    parts: dict[str, list[Any]] = {}
    for name, shift, turn in (("spring", 0.0, 0), ("autumn", 3.0, 1)):
        for part, n in (("train", N), ("test", TEST)):
            y = np.arange(n) % CLASSES
            x = centres[y] + shift + 0.5 * rng.standard_normal((n, DIM))
            parts.setdefault(f"x_{part}", []).append(x.astype(np.float32))
            parts.setdefault(f"y_{part}", []).append((y + turn) % CLASSES)
            parts.setdefault(f"domain_{part}", []).append(np.full(n, name))
    path = tmp_path / "domains.npz"
    np.savez(path, **{name: np.concatenate(arrays) for name, arrays in parts.items()})
    return path


class _Outside(HTMLParser):
    """Whatever a page would fetch."""

    found: list[str]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [str(v) for k, v in attrs if k in ("src", "href", "xlink:href") and not str(v).startswith("#")]
        self.found += [tag] if tag in ("script", "link", "iframe") else []


def _check_page(path: Path, *wanted: str) -> None:
    text = path.read_text()
    page = _Outside()
    page.found = []
    page.feed(text)
    assert not page.found and "url(http" not in text
    assert text.startswith("<!doctype html>") and text.rstrip().endswith("</html>")
    for word in wanted:
        assert word in text
    identities = re.findall(r'\bid="([^"]+)"', text)
    assert len(identities) == len(set(identities))


def test_a_domain_grows_and_the_page_tells(encoder: Path, domains: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    page, state = tmp_path / "out.html", tmp_path / "out.ecs"
    command = ("learn", f"{encoder}:net", "--data", domains, "--route", "--adaptor", "bottleneck:8")
    result = _call(*command, "--report", page, "--state", state, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["tasks"] == ["spring", "autumn"] and document["kind"] == "domains"
    first, second = document["growth"]
    assert (first["domain"], first["grown"]) == ("base", False)
    assert (second["domain"], second["grown"], second["alarm"]) == ("autumn", True, True)
    assert document["accuracy_before"][0] is None and document["accuracy_before"][1] < 0.5
    assert document["average_accuracy"] > 0.85
    assert document["accuracy_matrix"][0][1] is None
    assert document["routes"][1][0]["base"] > 0.9 and document["routes"][1][1]["autumn"] > 0.9
    assert document["alarms"][-1] == [False, False]
    assert document["novelty"][0]["scores"] is None
    assert np.median(document["novelty"][1]["scores"]) > document["novelty"][1]["novel"]
    assert np.median(document["novelty"][1]["known"]) < document["novelty"][1]["accept"]
    assert document["config"]["max_domains"] == 2 and document["config"]["novelty"] == "fit"
    _check_page(page, "<svg", "autumn", "Where test rows go at the end", document["growth"][1]["task"])
    assert len(re.findall("<svg", page.read_text())) == 3

    again = json.loads(_call(*command, "--json").stdout)
    assert again["state_sha256"] == document["state_sha256"]
    on = json.loads(_call(*command, "--state", state, "--json").stdout)  # both are known by now
    assert [entry["grown"] for entry in on["growth"]] == [False, False]
    assert [entry["domain"] for entry in on["growth"]] == ["base", "autumn"]


def test_the_table_fits(encoder: Path, domains: Path) -> None:
    result = _call("learn", f"{encoder}:net", "--data", domains, "--route")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("autumn") and " yes " in line and "own" in line for line in lines)
    assert "as they are, bytes as 0..1" in result.stderr
    assert any("alarm on test rows of" in line and "none" in line for line in lines)


def test_names_may_hold_anything(encoder: Path, domains: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with np.load(domains) as stored:
        parts = dict(stored)
    names = {"spring": r"$\frac$", "autumn": "<b>_a & $x_y$"}
    for part in ("domain_train", "domain_test"):
        parts[part] = np.array([names[name] for name in parts[part].tolist()])
    np.savez(tmp_path / "odd.npz", **parts)
    page = tmp_path / "odd.html"
    result = _call("learn", f"{encoder}:net", "--data", tmp_path / "odd.npz", "--route", "--report", page)
    assert result.exit_code == 0, result.output
    _check_page(page, "&lt;b&gt;_a &amp; $x_y$")


def test_room_is_that_of_state_or_bundle(encoder: Path, domains: Path, tmp_path: Path) -> None:
    bundle, state = tmp_path / "own.ecl", tmp_path / "own.ecs"
    options = ("--input-shape", DIM, "--head", "ridge", "--set", "max_domains=5", "--max-classes", CLASSES)
    assert _call("export", f"{encoder}:net", "-o", bundle, *options).exit_code == 0
    command = ("learn", bundle, "--data", domains, "--route", "--json", "--state", state)
    for _ in range(2):
        document = json.loads(_call(*command).stdout)
        assert document["config"]["max_domains"] == 5
    assert [entry["known"] for entry in document["growth"]] == [True, True]


def test_few_rows_are_not_called_known(encoder: Path, domains: Path, tmp_path: Path) -> None:
    with np.load(domains) as stored:
        parts = dict(stored)
    few = parts["domain_train"] == "spring"
    few |= np.arange(len(few)) < N + 40
    np.savez(tmp_path / "few.npz", **{k: v[few] if k.endswith("_train") else v for k, v in parts.items()})
    result = _call("learn", f"{encoder}:net", "--data", tmp_path / "few.npz", "--route")
    assert any(line.startswith("autumn") and "too few rows to tell" in line for line in result.stdout.splitlines())


def test_embeddings_go_in_without_a_model(domains: Path) -> None:
    pytest.importorskip("torch")
    result = _call("learn", f"embeddings:{DIM}", "--data", domains, "--route", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["growth"][1]["grown"]


def test_pages_of_one_run_and_of_methods(bundle_path: Path, make_stream_file: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    stream, page = make_stream_file(6, 360, 240), tmp_path / "run.html"
    options = ("learn", bundle_path, "--data", stream, "--classes-per-task", 2, "--report", page)
    result = _call(*options, "--json")
    assert result.exit_code == 0 and json.loads(result.stdout)["report"] == str(page)
    _check_page(page, "one run", "classes 0, 1", "multiply-adds")
    result = _call(*options, "--seeds", 2, "--methods", "er,finetune")
    assert result.exit_code == 0, result.output
    _check_page(page, "methods compared", "finetune", "2 seeds")


def test_an_interrupt_prints_what_is_done(
    encoder: Path, domains: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner, calls = edgecl.Classifier.grow, []

    def grow(self: Any, *arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return inner(self, *arguments, **named)

    monkeypatch.setattr(domain_run.Classifier, "grow", grow)
    state = tmp_path / "out.ecs"
    result = _call("learn", f"{encoder}:net", "--data", domains, "--route", "--state", state)
    assert result.exit_code == failure.INTERRUPTED
    assert "1 of 2 domains learned" in result.stdout and "spring" in result.stdout and not state.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--route", "--seeds", "2"), "--seeds, --methods"),
        (("--route", "--csv", "x.csv"), "--csv"),
        (("--route", "--resume", "--state", "x.ecs"), "--resume"),
        (("--adaptor", "film"), "--route"),
        (("--route", "--adaptor", "film"), "a bundle, whose adaptor"),
        (("--route",), "a head that keeps statistics"),
        (("--report", "x.pdf"), ".html"),
        (("--route", "--set", "novelty=energy", "--method", "ncm"), "frozen"),
    ],
)
def test_what_does_not_go_together(
    bundle_path: Path, domains: Path, options: tuple[str, ...], words: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    result = _call("learn", bundle_path, "--data", domains, *options)
    assert result.exit_code in (failure.USAGE, failure.INPUT), result.output
    assert words in result.stderr and "Traceback" not in result.output
    assert sorted(tmp_path.iterdir()) == before


def test_another_score_cannot_grow(encoder: Path, domains: Path) -> None:
    result = _call("learn", f"{encoder}:net", "--data", domains, "--route", "--set", "novelty=energy")
    assert result.exit_code == failure.USAGE and "novelty 'fit' to grow" in result.stderr
