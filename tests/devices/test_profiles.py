"""Device profiles: every figure has a source, wrong files are refused by field, boards are recognised, fits hold.

Never here: the bench command (tests/devices/test_bench.py).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from edgecl import devices
from edgecl.devices import profile
from edgecl.devices.machine import matches, measure_peak_flops, this_machine

ROOT = Path(__file__).resolve().parents[2]
BOARDS = profile.profile_names()
PI4_CPUINFO = """processor\t: 0
CPU implementer\t: 0x41
CPU part\t: 0xd08

Model\t\t: Raspberry Pi 4 Model B Rev 1.4
"""


def calibration() -> ModuleType:
    spec = importlib.util.spec_from_file_location("calibrate_devices", ROOT / "tools/dev/calibrate_devices.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_boards_that_the_readme_names_are_there() -> None:
    assert set(BOARDS) == {"jetson-nano", "jetson-orin-nano", "rpi-zero2w", "rpi4", "rpi5"}
    assert devices.available() == ["host", *BOARDS]


@pytest.mark.parametrize("name", BOARDS)
def test_every_figure_has_value_source_and_date(name: str) -> None:
    device = devices.load(name)
    assert set(device.figures) == set(profile.FIGURES)
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
        ("low = 0.62", "low = 2.0", "range"),
        ("title =", "titel =", "title"),
    ],
)
def test_a_wrong_file_is_refused_by_field(old: str, new: str, field: str) -> None:
    text = (Path(profile.__file__).parent / "rpi4.toml").read_text()
    assert old in text
    with pytest.raises(ValueError, match=field) as caught:
        profile.parse(text.replace(old, new, 1), "rpi4")
    assert "expected" in str(caught.value) and "found" in str(caught.value)


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


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_has_the_kernels_of_its_architecture(name: str) -> None:
    board = devices.load(name)
    assert (board.level, board.pointer_bytes) == ("neon", 8)


@pytest.mark.parametrize("name", BOARDS)
def test_efficiency_is_the_fit_and_the_range_covers_what_it_misses(name: str) -> None:
    tool = calibration()
    device = devices.load(name)
    boards = {r.board: r.precision for r in device.published}
    for board, precision in boards.items():
        if precision != "fp32":
            continue
        for key, value in tool.fit(device, board).items():
            assert getattr(device, key) == pytest.approx(value, rel=0.01)
        for network, threads, _, ratio in tool.residuals(device, board):
            if network != "resnet18":  # computed by Winograd's method there
                assert device.range_low - 0.01 <= ratio <= device.range_high + 0.01, (network, threads, ratio)
