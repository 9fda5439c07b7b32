"""Device profiles: every figure has a source, wrong files are refused by field, boards are recognised, fits hold.

Never here: the bench command (tests/devices/test_bench.py).
"""

from __future__ import annotations

import importlib.util
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import pytest
from edgecl import devices
from edgecl.devices import calibrate, learn_operators, loops, machine, predict, profile
from edgecl.devices.machine import matches, measure_peak_flops, this_machine

ROOT = Path(__file__).resolve().parents[2]
BOARDS = profile.profile_names()
LINUX = ("graviton2", "jetson-nano", "jetson-orin-nano", "rpi-zero2w", "rpi3", "rpi4", "rpi5", "visionfive2")
MICROCONTROLLERS = ("alif-ensemble-e8", "corstone-300", "esp32-s3", "stm32f407", "stm32f767", "stm32h743")
PI4_CPUINFO = """processor\t: 0
CPU implementer\t: 0x41
CPU part\t: 0xd08

Model\t\t: Raspberry Pi 4 Model B Rev 1.4
"""


@lru_cache
def calibration() -> ModuleType:
    spec = importlib.util.spec_from_file_location("calibrate_devices", ROOT / "tools/dev/calibrate_devices.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_boards_that_the_readme_names_are_there() -> None:
    assert set(BOARDS) == set(LINUX) | set(MICROCONTROLLERS)
    assert devices.available() == ["host", *BOARDS]


@pytest.mark.parametrize("name", BOARDS)
def test_every_figure_has_value_source_and_date(name: str) -> None:
    device = devices.load(name)
    assert set(profile.FIGURES) <= set(device.figures) <= set(profile.ALL_FIGURES)
    for figure in device.figures.values():
        assert figure.source and figure.date.year >= 2020 and figure.kind in profile.KINDS
    assert device.range_low < 1 < device.range_high and device.range_source


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("value = 1.8e9", "value = -1.0", "clock_hz"),
        ('kind = "specification"', 'kind = "guess"', "kind"),
        ("[figures.cores]", "[figures.kores]", "figures.cores"),
        ("date = 2026-11-22", 'date = "soon"', "date"),
        ("[range]\nlow = 0", "[range]\nlow = 2", "range"),
        ("title =", "titel =", "title"),
        ("title =", "colour = 1\ntitle =", "found colour"),
        ("value = 1.8e9", "value = true", "clock_hz"),
        ("value = 1.8e9", "value = 1", "1,000,000..10,000,000,000 Hz"),
        ('core = "cortex-a72"', 'core = "cortex-a99"', "core"),
        ("[range]", "[rates]\nconvv = 1.0\n\n[range]", "found convv"),
        ("[range]", "[rates]\nconv = true\n\n[range]", "rates"),
        ("[range]\n", "[range]\nsauce = 1\n", "sauce"),
    ],
)
def test_a_wrong_file_is_refused_by_field(old: str, new: str, field: str) -> None:
    text = (Path(profile.__file__).parent / "rpi4.toml").read_text()
    assert old in text
    with pytest.raises(ValueError, match=field) as caught:
        profile.parse(text.replace(old, new, 1), "rpi4")
    assert "expected" in str(caught.value) and "found" in str(caught.value)


def test_a_range_without_a_source_is_refused_and_says_which() -> None:
    text = (Path(profile.__file__).parent / "rpi4.toml").read_text()
    head, tail = text.split("[range]")
    tail = "".join(line for line in tail.split("[[")[0].splitlines(True) if not line.startswith("source"))
    with pytest.raises(ValueError, match=r"expected range.source as text in board.toml, found nothing;"):
        profile.parse(f"{head}[range]{tail}", "board")


def test_an_unknown_architecture_is_told() -> None:
    text = (Path(profile.__file__).parent / "rpi4.toml").read_text()
    with pytest.warns(UserWarning, match="found 'pdp-11'"):
        assert profile.parse(text.replace('"aarch64"', '"pdp-11"', 1), "rpi4").level == "reference"


def test_a_written_profile_counts_bytes() -> None:
    device = calibrate.with_figures(devices.load("rpi4"), memory_bytes=25276534784, l2_bytes=1310720)
    text = calibrate.profile_text(device, "board")
    again = profile.parse(text, "board")
    assert again.figures["memory_bytes"].value == 25276534784 and "value = 1310720\n" in text


def test_every_rate_that_is_measured_has_a_name_that_is_read() -> None:
    from edgecl.devices.cost_model import rate_kind

    for layer in calibrate.LAYERS:
        for op in learn_operators([layer.described()], layer.rows, momentum=False):
            assert rate_kind(op) in profile.RATES or op.kind == "update"


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="rpi4"):
        devices.load("rpi9")


def test_a_pi_4_is_recognised_and_only_as_that() -> None:
    machine = this_machine(PI4_CPUINFO, "Raspberry Pi 4 Model B Rev 1.4", "aarch64")
    assert [name for name in BOARDS if matches(devices.load(name), machine)] == ["rpi4"]
    other = this_machine(PI4_CPUINFO.replace("Raspberry Pi 4", "RockPro64"), "RockPro64", "aarch64")
    assert devices.match(other) is None, "the same core on another board is not a Pi 4"


def test_the_host_profile_describes_this_machine() -> None:
    host = devices.load("host")
    assert matches(host, this_machine())
    assert host.cores >= 1 and host.llc_bytes >= host.l1d_bytes and host.memory_bytes > 1 << 27
    assert 1e9 < host.peak_flops() < 1e12


def test_the_peak_is_a_rate_of_this_machine() -> None:
    peak = measure_peak_flops(0.05)
    if peak is None:
        pytest.skip("no C compiler here to measure the peak with")
    assert 1e9 < peak < 1e12


@pytest.mark.parametrize(
    ("name", "level", "pointer_bytes"),
    [("rpi3", "neon", 8), ("graviton2", "neon", 8), ("visionfive2", "reference", 8), ("stm32f407", "reference", 4),
     ("alif-ensemble-e8", "reference", 4), ("esp32-s3", "reference", 4)],
)  # fmt: skip
def test_a_board_has_the_kernels_of_its_architecture(name: str, level: str, pointer_bytes: int) -> None:
    board = devices.load(name)
    assert (board.level, board.pointer_bytes) == (level, pointer_bytes)


@pytest.mark.parametrize("name", MICROCONTROLLERS)
def test_a_microcontroller_says_its_flash_and_that_nothing_was_run(name: str) -> None:
    device = devices.load(name)
    flash = device.optional("flash_bytes")
    assert flash is not None and flash >= 1 << 19 and device.memory_bytes < 1 << 23
    assert "nothing was" in device.note and "run" in device.note and "nothing was run" in device.range_source
    assert device.optional("busy_watts") is None, "nobody published it"


def test_the_simulated_core_of_a_profile_exists() -> None:
    for name in BOARDS:
        assert devices.load(name).core in loops.document()["cores"], name


@pytest.mark.parametrize("name", BOARDS)
def test_efficiency_is_the_fit_and_the_range_is_that_of_the_other_boards(name: str) -> None:
    tool = calibration()
    device = devices.load(name)
    boards = {r.board: r.precision for r in device.published}
    if not boards:
        return
    for key, value in tool.fit(device, next(iter(boards))).items():
        if device.figures[key].kind == "fitted":
            assert getattr(device, key) == pytest.approx(value, rel=0.01)
    low, high = tool.range_of(tool.all_rows(), name)
    assert (device.range_low, device.range_high) == (pytest.approx(low, abs=0.006), pytest.approx(high, abs=0.006))


def test_published_times_lie_in_ranges_that_did_not_see_them() -> None:
    rows = [row for row in calibration().all_rows() if not row.calibrates]
    inside = [devices.load(r.profile).range_low <= r.ratio <= devices.load(r.profile).range_high for r in rows]
    assert len(rows) >= 50 and sum(inside) >= 0.8 * len(rows)
    assert sorted(row.error for row in rows)[len(rows) // 2] <= 1.4


def test_a_profile_of_a_file_is_read_and_wrong_ones_are_refused(tmp_path: Path) -> None:
    text = (Path(profile.__file__).parent / "stm32f407.toml").read_text()
    file = tmp_path / "mine.toml"
    file.write_text(text + '\n[rates]\nconv = 0.5\n"sparse conv" = 0.25\n')
    device = devices.load(str(file))
    assert device.name == "mine" and dict(device.rates) == {"conv": 0.5, "sparse conv": 0.25}
    for wrong, field in (
        (text + "\n[rates]\nconv = 0.0\n", "rates"),
        (text.replace("[figures.flash_bytes]\nvalue = 1048576", "[figures.flash_bytes]\nvalue = 1"), "flash_bytes"),
        (text.replace('"armv7e-m"', "7"), "architecture"),
        (text + '\n[[published]]\nnetwork = "x"\n', "published"),
        ("figures = 3\n" + text.split("[figures", 1)[0] + "[range]\nlow = 0.5\nhigh = 2.0\n", "figures"),
        (text + "[", "TOML"),
    ):
        file.write_text(wrong)
        with pytest.raises(ValueError, match=field) as caught:
            devices.load(str(file))
        assert "expected" in str(caught.value) and "found" in str(caught.value)
    with pytest.raises(ValueError, match=r"none\.toml"):
        devices.load(str(tmp_path / "none.toml"))


def test_what_was_measured_here_is_a_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    times = [(op, 1e-3) for op in learn_operators([calibrate.LAYERS[0].described()], 8, momentum=False)[:3]]
    pointwise = [(op, 1e-3) for op in learn_operators([calibrate.LAYERS[4].described()], 1, momentum=False)[:1]]
    monkeypatch.setattr(calibrate, "layer_times", lambda update: times + pointwise)
    monkeypatch.setattr(calibrate, "host", lambda: machine.host(peak_flops=1e11))
    device, notes = calibrate.calibrated()
    again = profile.parse(calibrate.profile_text(device, 'a "board"'), "board")
    assert not notes and again.title == 'a "board"' and again.core == device.core
    assert again.rates == tuple((kind, pytest.approx(rate, abs=1e-4)) for kind, rate in device.rates)
    assert again.figures["bandwidth_bytes_per_s"].kind == "measured" and again.efficiency == pytest.approx(
        device.efficiency, 1e-4
    )
    predicted = sum(predict([op], again).ms for op, _ in times + pointwise)
    assert predicted == pytest.approx(1e3 * sum(seconds for _, seconds in times + pointwise), rel=0.5)
