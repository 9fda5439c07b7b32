"""`edgecl bench`: measured on this machine, predicted elsewhere and never without that word; bytes are exact.

Never here: how fast anything is.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="the bundle is exported from PyTorch")
RUNNER = CliRunner()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from edgecl import export

    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.ReLU(), torch.nn.Linear(64, 4))
    path = tmp_path_factory.mktemp("bench") / "small.ecl"
    recipe = export.Recipe(method="derpp", momentum=0.9, replay_capacity=20)
    export.from_torch(module, torch.zeros(1, 32), out=path, density=0.5, recipe=recipe)
    return path


def run(*arguments: object) -> tuple[int, str]:
    from edgecl.cli.main import app

    result = RUNNER.invoke(app, ["bench", *map(str, arguments)])
    return result.exit_code, result.output


def document(*arguments: object) -> dict[str, Any]:
    code, text = run(*arguments, "--json")
    assert code == 0, text
    found: dict[str, Any] = json.loads(text[text.index("{") :])
    return found


def test_this_machine_is_measured(bundle: Path) -> None:
    found = document(bundle, "--batch", "1,4", "--repeat", 5)
    assert found["device"] == "host" and found["kind"] == "measured"
    assert [(r["what"], r["batch"]) for r in found["rows"]] == [
        ("predict", 1), ("predict", 4), ("learn", 1), ("learn", 4), ("commit", 0),
    ]  # fmt: skip
    for row in found["rows"]:
        assert row["kind"] == "measured" and 0 < row["low_ms"] <= row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"]
        assert row["p99_ms"] <= row["high_ms"]
    *calls, commit = found["rows"]
    for row in calls:
        assert 0 < row["percent_of_peak"] < 110 and row["gflops"] > 0
        assert any(op["macs"] for op in row["operators"]), "operators are timed too"
        assert sum(op["ms"] for op in row["operators"]) <= 1.5 * row["high_ms"]
    assert [row["replayed"] for row in calls] == [0, 0, 20, 20], "DER++ draws twice ten"
    assert commit["bytes"] > 0 and commit["macs"] == 0 and "synchronised" in commit["without"]


def test_bytes_are_those_of_the_model(bundle: Path) -> None:
    from edgecl._core import Model

    model = Model(path=str(bundle))
    found = document(bundle, "--batch", "8", "--what", "learn", "--device", "rpi4")
    assert found["bundle_bytes"] == bundle.stat().st_size
    assert found["peak_bytes"] == model.sizes_for("neon", 8, max_batch=8, add_unseen_labels=1)["arena_bytes"]


@pytest.mark.parametrize("device", ["rpi3", "rpi4", "rpi5", "jetson-nano", "graviton2", "stm32h743", "visionfive2"])
def test_another_board_is_predicted_and_says_so(bundle: Path, device: str) -> None:
    found = document(bundle, "--device", device, "--batch", "1")
    assert found["kind"] == "predicted" and found["range_source"]
    for row in found["rows"]:
        assert row["kind"] == "predicted" and row["low_ms"] < row["p50_ms"] < row["high_ms"] and row["p95_ms"] is None
        if row["what"] != "commit":
            assert row["operators"] and sum(op["ms"] for op in row["operators"]) == pytest.approx(row["p50_ms"])
    assert found["rows"][-1]["what"] == "commit" and found["energy_source"] is None and found["throttling"] is None
    code, text = run(bundle, "--device", device, "--batch", "1")
    assert code == 0 and "measured" not in text
    assert all("predicted" in line for line in text.splitlines() if line.startswith("edgecl "))


def test_a_budget_decides_the_exit_code(bundle: Path) -> None:
    assert run(bundle, "--device", "rpi4", "--batch", "1", "--budget", "10s")[0] == 0
    code, text = run(bundle, "--device", "rpi4", "--batch", "1", "--budget", "1us")
    assert code == 1 and "EXCEEDED" in text


def test_what_does_not_fit_is_named_with_how_much(bundle: Path) -> None:
    code, text = run(bundle, "--device", "rpi4", "--batch", "1", "--budget", "1us", "--memory", "8KiB", "--json")
    found = json.loads(text[text.index("{") :])
    assert code == 1 and found["within_budget"] is False
    assert {miss["what"].split(" ")[0] for miss in found["misses"]} == {"predict", "learn", "memory"}
    memory = found["misses"][-1]
    assert memory["limit"] == 8192 and memory["found"] == found["peak_bytes"] == memory["excess"] + 8192
    assert "more than 8.0 KiB (--memory)" in memory["text"]
    row = found["rows"][0]
    assert found["misses"][0]["excess"] == pytest.approx(row["high_ms"] - 0.001)
    kept = document(bundle, "--device", "rpi4", "--batch", "1", "--memory", "1GiB")
    assert kept["within_budget"] is True and not kept["misses"]


def test_a_chip_without_room_says_so_and_fails_only_where_asked(bundle: Path) -> None:
    found = document(bundle, "--device", "stm32f407", "--batch", "256")
    assert found["room"] == {"memory": 131072, "flash": 1048576} and found["within_budget"] is None
    assert [miss["what"] for miss in found["misses"]] == ["memory"]
    code, text = run(bundle, "--device", "stm32f407", "--batch", "256")
    assert code == 0 and "NO: memory" in text and "nothing was run" in text
    assert run(bundle, "--device", "stm32f407", "--batch", "256", "--budget", "1000s")[0] == 1


def test_all_boards_stand_side_by_side(bundle: Path) -> None:
    from edgecl import devices

    found = document(bundle, "--device", "all", "--batch", "64")
    assert {entry["device"] for entry in found["devices"]} == set(devices.available()) - {"host"}
    times = [entry["predict_ms"] for entry in found["devices"]]
    assert all(low < middle < high for low, middle, high in times) and times == sorted(times, key=lambda t: t[1])
    one = document(bundle, "--device", "rpi5", "--batch", "64")
    entry = next(entry for entry in found["devices"] if entry["device"] == "rpi5")
    assert entry["peak_bytes"] == one["peak_bytes"] and entry["learn_ms"][1] == pytest.approx(one["rows"][1]["p50_ms"])
    tight = run(bundle, "--device", "all", "--batch", "64", "--memory", "1KiB")
    assert tight[0] == 1 and all(len(line) <= 80 for line in tight[1].splitlines() if line.startswith(" "))


def test_a_profile_of_a_file_is_a_device(bundle: Path, tmp_path: Path) -> None:
    from edgecl.devices import profile

    source = Path(profile.__file__).parent / "rpi4.toml"
    file = tmp_path / "twice.toml"
    file.write_text(source.read_text().replace("value = 1.8e9", "value = 3.6e9"))
    slow, fast = (document(bundle, "--device", d, "--batch", "16", "--what", "learn") for d in ("rpi4", file))
    assert fast["kind"] == "predicted" and fast["device"] == "twice"
    assert fast["rows"][0]["p50_ms"] < slow["rows"][0]["p50_ms"]
    file.write_text("nothing")
    code, text = run(bundle, "--device", file, "--batch", "1")
    assert code == 2 and "twice.toml" in text and "Traceback" not in text


@pytest.mark.parametrize("device", ["host", "rpi4", "all"])
def test_a_report_is_one_page_that_needs_nothing_else(bundle: Path, tmp_path: Path, device: str) -> None:
    pytest.importorskip("matplotlib")
    page = tmp_path / "page.html"
    code, text = run(bundle, "--device", device, "--batch", "2", "--repeat", 3, "--report", page)
    assert code == 0, text
    html = page.read_text(encoding="utf-8")
    assert html.count("<svg") >= 2 and "mathdefault" not in html and "http" not in html.split("<svg")[0]
    for word in {"host": ["measured"], "rpi4": ["predicted", "Roofline"], "all": ["stm32f407", "What does not fit"]}[
        device
    ]:
        assert word in html
    assert run(bundle, "--device", device, "--report", tmp_path / "page.pdf")[0] == 2


def test_domains_are_routed(tmp_path: Path) -> None:
    from edgecl import export

    path = tmp_path / "domains.ecl"
    recipe = export.Recipe(method="ridge", max_domains=2, novelty="fit")
    export.from_embeddings(8, out=path, classes=0, max_classes=4, recipe=recipe)
    for device, kind in (("host", "measured"), ("rpi4", "predicted")):
        found = document(path, "--device", device, "--batch", "4", "--repeat", 3)
        assert [(row["what"], row["kind"]) for row in found["rows"]] == [
            (what, kind) for what in ("predict", "learn", "route", "commit")
        ]


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of a machine behind a stand-in for ssh: it runs the last word with sh there."""
    home, programs = tmp_path / "home", tmp_path / "bin"
    home.mkdir()
    programs.mkdir()
    ssh = programs / "ssh"
    ssh.write_text(f'#!/bin/sh\nfor last; do :; done\ncd {home} && exec sh -c "$last"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return home


def test_another_machine_measures_over_ssh(bundle: Path, board: Path, tmp_path: Path) -> None:
    runner = tmp_path / "static-runner"
    line = {
        "kernel_level": "neon", "arena_bytes": 4096, "learn_steps": 7, "macs_learn": 7000, "learn_p50_ms": 2.0,
        "learn_p95_ms": 3.0, "predict_p50_ms": 0.5, "predict_p95_ms": 0.75,
    }  # fmt: skip
    runner.write_text(f"#!/bin/sh\necho \"$@\" >> asked\necho '{json.dumps(line)}'\n")
    found = document(bundle, "--to", "pi@board", "--runner", runner, "--batch", "1,4", "--repeat", 7)
    assert (board / "edgecl-bench/bundle.ecl").read_bytes() == bundle.read_bytes()
    asked = (board / "asked").read_text().splitlines()
    assert asked == [
        f"edgecl-bench/bundle.ecl run --learn 7 --predict 7 --batch {batch} --threads 1" for batch in (1, 4)
    ]
    assert [(row["what"], row["batch"], row["p50_ms"], row["p95_ms"], row["kind"]) for row in found["rows"][:2]] == [
        ("predict", 1, 0.5, 0.75, "measured"), ("learn", 1, 2.0, 3.0, "measured"),
    ]  # fmt: skip
    assert found["peak_bytes"] == 4096 and found["device_title"].startswith("pi@board, ")
    again = run(bundle, "--to", "pi@board", "--batch", "1", "--budget", "1ms", "--what", "learn")
    said = " ".join(again[1].split())
    assert again[0] == 1 and "95 % of calls within 3 ms, 2 ms more than 1 ms" in said, "the runner is there already"
    (board / "edgecl-bench/edgecl-run").write_text("#!/bin/sh\necho hello\n")
    code, text = run(bundle, "--to", "pi@board", "--batch", "1")
    assert code == 3 and "line of JSON" in text and "Traceback" not in text
    (board / "edgecl-bench/edgecl-run").write_text("#!/bin/sh\necho no room >&2\nexit 4\n")
    code, text = run(bundle, "--to", "pi@board", "--batch", "1")
    assert code == 3 and "no room" in text


def test_energy_is_told_only_where_it_can_be_read(tmp_path: Path) -> None:
    from edgecl.cli.bench_energy import EnergyMeter, throttling

    assert EnergyMeter(tmp_path, tmp_path).joules(lambda: None) is None
    zone, counter = tmp_path / "intel-rapl:0", tmp_path / "intel-rapl:0/energy_uj"
    zone.mkdir()
    counter.write_text("999000")
    (zone / "max_energy_range_uj").write_text("1000000")

    def call() -> None:
        counter.write_text(str((int(counter.read_text()) + 2000) % 1_000_000))

    meter = EnergyMeter(tmp_path, tmp_path / "none")
    assert meter.source == "powercap, whole processor"
    assert meter.joules(call, seconds=0.0) == pytest.approx(0.002), "the counter ran over its end"
    monitor = tmp_path / "monitors/hwmon0"
    monitor.mkdir(parents=True)
    (monitor / "name").write_text("ina3221\n")
    (monitor / "power1_input").write_text("5000000")
    rail = EnergyMeter(tmp_path / "none", tmp_path / "monitors")
    found = rail.joules(lambda: time.sleep(0.01), seconds=0.05)
    assert rail.source == "hwmon ina3221, first rail" and found is not None and 0.049 < found < 5
    (tmp_path / "cpufreq").mkdir()
    for name, value in (("scaling_cur_freq", "600000"), ("cpuinfo_max_freq", "1500000")):
        (tmp_path / "cpufreq" / name).write_text(value)
    assert throttling(tmp_path) == "clock 0.60 of 1.50 GHz" and throttling(tmp_path / "none") is None


def test_a_comparison_shows_what_changed(bundle: Path, tmp_path: Path) -> None:
    base = document(bundle, "--device", "rpi4", "--batch", "1", "--what", "predict")
    file = tmp_path / "base.json"
    file.write_text(json.dumps(base))
    same = document(bundle, "--device", "rpi4", "--batch", "1", "--what", "predict", "--compare", file)
    assert same["rows"][0]["change"] == "none"
    base["rows"][0]["p50_ms"] /= 2
    file.write_text(json.dumps(base))
    slower = document(bundle, "--device", "rpi4", "--batch", "1", "--what", "predict", "--compare", file)
    assert slower["rows"][0]["change"] == "+100 %"


@pytest.mark.parametrize(
    "change", [{"kind": None}, {"p50_ms": 0}, {"p50_ms": float("nan")}, {"p50_ms": "1"}, {"batch": [1]}, {"what": {}}]
)
def test_rows_that_cannot_be_compared_are_refused(bundle: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    row = {"what": "predict", "batch": 1, "threads": 1, "kind": "predicted", "p50_ms": 1.0}
    file = tmp_path / "base.json"
    for rows in ([{**row, **change}], [row, {k: v for k, v in row.items() if k not in change}], 3, [3]):
        file.write_text(json.dumps({"rows": rows}))
        code, text = run(bundle, "--device", "rpi4", "--batch", "1", "--what", "predict", "--compare", file)
        assert code == 3 and "expected rows with what" in text and "internal" not in text, text


def test_more_threads_than_cores_are_told(bundle: Path) -> None:
    code, text = run(bundle, "--device", "rpi4", "--batch", "1", "--what", "predict", "--threads", "2,8")
    assert code == 0 and "at most 4, the cores of rpi4; found 8" in text
    assert "cores of" not in run(bundle, "--device", "rpi4", "--batch", "1", "--what", "predict", "--threads", "4")[1]


def test_pytorch_beside_it(bundle: Path, tmp_path: Path) -> None:
    source = tmp_path / "net.py"
    source.write_text("import torch\ndef make():\n    return torch.nn.Sequential(torch.nn.Linear(32, 4))\n")
    found = document(bundle, "--batch", "2", "--repeat", 3, "--against", "torch", "--model", f"{source}:make")
    assert [row["what"] for row in found["rows"] if row.get("by") == "torch"] == ["predict", "learn"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--batch", "none"], "--batch"),
        (["--what", "sleep"], "--what"),
        (["--budget", "fast"], "--budget"),
        (["--budget", "nanms"], "--budget"),
        (["--budget", "infms"], "--budget"),
        (["--budget", "1e400ms"], "--budget"),
        (["--budget=-1ms"], "--budget"),
        (["--budget", "0ms"], "--budget"),
        (["--memory", "0.5B"], "--memory"),
        (["--memory", "9" * 400 + "B"], "--memory"),
        (["--memory", "much"], "--memory"),
        (["--memory", "0MiB"], "--memory"),
        (["--batch", "99999999"], "expected --batch"),
        (["--device", "all", "--batch", "99999999"], "expected --batch"),
        (["--threads", "5000"], "expected --threads"),
        (["--what", "route"], "max_domains"),
        (["--device", "all", "--against", "torch"], "--device all"),
        (["--report", "page.txt"], ".html"),
        (["--to", "-oProxyCommand=x"], "--to"),
        (["--runner", "x"], "--to"),
        (["--to", "a@b", "--device", "rpi4"], "--to"),
        (["--to", "a@b", "--runner", "no-such-file"], "--runner"),
        (["--device", "rpi9"], "rpi9"),
        (["--device", "rpi4", "--against", "torch"], "never predicted"),
        (["--against", "torch", "--repeat", "3", "--batch", "1"], "--model"),
    ],
)
def test_wrong_usage_ends_with_two(bundle: Path, arguments: list[str], word: str) -> None:
    code, text = run(bundle, *arguments)
    assert code == 2 and word in text, text
