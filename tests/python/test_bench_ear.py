# tools/bench/ear.py and what it is made of, on small domains that are made here.
# Never here: the data folder, how good domains are on real data.
"""Tests of the bench of domains: own data, contenders, table."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgecl.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
torch = pytest.importorskip("torch")


@pytest.fixture()
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "tools/bench"))
    import ear

    return ear


def _file(folder: Path, n: int = 120, **changes: Any) -> Path:
    # Three classes in 12 numbers; the second domain has its columns turned round and moved.
    rng = np.random.default_rng(0)
    centres = 2 * rng.standard_normal((3, 12))
    y = np.arange(2 * n) % 3
    x = (centres[y] + 0.5 * rng.standard_normal((2 * n, 12))).astype(np.float32)
    x[n:] = x[n:, ::-1] + 3
    arrays = {"x": x, "y": np.array(["a", "b", "c"])[y], "domain": np.array(["day"] * n + ["night"] * n)}
    np.savez(folder / "own.npz", **{**arrays, **changes})
    return folder / "own.npz"


def test_own_data_become_domains(bench: Any, tmp_path: Path) -> None:
    stream = bench.own_stream(_file(tmp_path))
    assert [task.name for task in stream.tasks] == ["day", "night"] and stream.n_classes == 3
    assert [len(task.y_test) for task in stream.tasks] == [24, 24] and stream.input.dims == (12,)
    scaled = (stream.tasks[0].x_train - np.array(stream.input.mean)) / np.array(stream.input.std)
    assert np.allclose(scaled.std(0), 1, atol=1e-4) and np.allclose(scaled.mean(0), 0, atol=1e-4)
    with np.load(_file(tmp_path)) as stored:
        x, y, domain = stored["x"], stored["y"], stored["domain"]
    parts = {"x_train": x, "y_train": y, "domain_train": domain, "x_test": x[::5], "y_test": y[::5]}
    np.savez(tmp_path / "parts.npz", **parts, domain_test=domain[::5])
    assert [len(task.y_test) for task in bench.own_stream(tmp_path / "parts.npz").tasks] == [24, 24]
    pictures = np.random.default_rng(0).integers(0, 256, (240, 9, 8, 3)).astype(np.uint8)
    stream = bench.own_stream(_file(tmp_path, x=pictures))
    assert stream.input.dims == (3, 9, 8) and stream.input.dtype == "u8" and len(stream.input.mean) == 3
    assert bench.own_stream(_file(tmp_path, x=pictures[..., 0])).input.dims == (1, 9, 8)


@pytest.mark.parametrize(
    ("changes", "saying"),
    [
        ({"domain": np.zeros(240, int)}, "two domains"),
        ({"y": np.zeros(239, int)}, "one label and one domain a row"),
        ({"domain": np.array([0] * 239 + [1])}, "none of one"),
    ],
)
def test_own_data_that_do_not_fit(bench: Any, tmp_path: Path, changes: dict[str, Any], saying: str) -> None:
    with pytest.raises(DataError, match=saying):
        bench.own_stream(_file(tmp_path, **changes))
    np.savez(tmp_path / "short.npz", x=np.zeros((4, 2)), y=np.zeros(4))
    with pytest.raises(DataError, match="domain"):
        bench.own_stream(tmp_path / "short.npz")


def test_adaptors_stay_within_their_share(bench: Any) -> None:
    import ear_contenders

    for dims, wanted in (((12,), "bottleneck:4"), ((6, 128, 1), "depthwise:8"), ((3, 32, 32), "depthwise:16")):
        net = ear_contenders.new_net(dims, 5)
        assert bench.adaptor_for(net, dims) == wanted
        assert net.eval()(torch.zeros(2, *dims)).shape == (2, 5)


def test_all_contenders_on_own_data(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "ear.json"
    arguments = ["ear", "own", str(_file(tmp_path)), "--epochs", "5", "--adaptor", "bottleneck:4", "--json", str(out)]
    for seed in ("0", "1", "1"):
        monkeypatch.setattr(sys, "argv", [*arguments, "--seeds", seed])
        bench.main()
    rows = bench.read_table(out)["rows"]
    assert len(rows) == 2 * (3 + len(bench.CONTENDERS)) and {row["seed"] for row in rows} == {0, 1}
    found = {row["contender"]: row for row in rows if row["seed"] == 0}
    ours = found["domains, routed"]
    assert ours["domains"] == ["night"] and ours["replay_rows"] == ours["domain_bytes"] // 48
    assert ours["after"][0][0] > 0.9 and ours["after"][0][1] > 0.9 and ours["routed"][0][1] > 0.9
    assert ours["before"][0][1] < 0.7 and ours["unknown"][0][1] > 0.9 and ours["alarms"][0][1] == 1
    assert ours["alarms"][0][0] == 0 and found["domains, grown"]["grown"] == [False]  # one head does
    assert found["nothing learned"]["after"] == found["nothing learned"]["before"]
    assert found["domains, told"]["after"] == ours["oracle"]
    assert found[bench.REPLAY]["replay_rows"] == ours["replay_rows"] and found["one head"]["after"][0][1] > 0.8
    assert json.loads(json.dumps(ours)) == ours
    assert capsys.readouterr().out.count("domains, told") == 3
    for text in (bench.ear_table(rows), bench.ear_growth_table(rows)):
        assert len({line.count("|") for line in text.splitlines()}) == 1
    assert len(bench.ear_table(rows).splitlines()) == 2 + 3 + len(bench.CONTENDERS)


def test_a_given_model_is_not_compared_with_gradients(bench: Any, tmp_path: Path) -> None:
    (tmp_path / "given_net.py").write_text(
        "import torch\n\n\ndef net():\n    torch.manual_seed(0)\n"
        "    return torch.nn.Sequential(torch.nn.Linear(12, 16), torch.nn.ReLU(), torch.nn.Linear(16, 16))\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        encoder = bench.encoder_of(bench.own_stream(_file(tmp_path)), 5, 0, "given_net:net")
    finally:
        sys.path.remove(str(tmp_path))
    contenders = {row["contender"] for row in bench.measured(encoder)}
    assert contenders >= {"domains, routed", "one head"} and not contenders & {bench.BY_GRADIENTS, bench.REPLAY}
