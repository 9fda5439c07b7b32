# What this machine tells of its energy and of throttling: counters and sensors that are there and readable.
# Never here: timing, and power of machines that are not here.
"""`EnergyMeter`, `throttling`."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
HWMON = Path("/sys/class/hwmon")
CPU = Path("/sys/devices/system/cpu/cpu0")
SLOW = 0.9  # a clock of less than this share of the highest is told
_INA = re.compile(r"ina2\d\d|ina3221")  # Texas Instruments' current monitors, as on Jetson boards
_THROTTLED = ("under-voltage", "clock capped", "throttled", "soft temperature limit")  # bits 0 to 3 of vcgencmd


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _vcgencmd(*words: str) -> str | None:
    if shutil.which("vcgencmd") is None:
        return None
    done = subprocess.run(["vcgencmd", *words], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


class EnergyMeter:
    """Joules of the whole chip or board while calls run; `source` says from where, None where nothing can be read."""

    def __init__(self, powercap: Path = POWERCAP, hwmon: Path = HWMON) -> None:
        self.source: str | None = None
        self._counters: list[tuple[Path, int]] = []
        self._watts: Callable[[], float | None] | None = None
        for zone in sorted(powercap.glob("intel-rapl:[0-9]")):  # whole packages alone
            if _number(zone / "energy_uj") is not None:
                self._counters.append((zone / "energy_uj", _number(zone / "max_energy_range_uj") or 1 << 32))
        if self._counters:
            self.source = "powercap, whole processor"
            return
        for chip in sorted(hwmon.glob("hwmon*")):
            name = (chip / "name").read_text().strip() if (chip / "name").exists() else ""
            if _INA.match(name) and _number(chip / "power1_input") is not None:
                self.source = f"hwmon {name}, first rail"
                self._watts = lambda path=chip / "power1_input": (_number(path) or 0) / 1e6
                return
        if self._pmic() is not None:
            self.source, self._watts = "vcgencmd pmic_read_adc, all rails", self._pmic

    @staticmethod
    def _pmic() -> float | None:
        """Watts of a Raspberry Pi 5: volts times amperes of each rail."""
        text = _vcgencmd("pmic_read_adc") or ""
        read = {kind: dict(re.findall(rf"(\w+)_{kind} \w+\(\d+\)=([\d.]+)", text)) for kind in "AV"}
        rails = read["A"].keys() & read["V"].keys()
        return sum(float(read["A"][rail]) * float(read["V"][rail]) for rail in rails) if rails else None

    def joules(self, call: Callable[[], object], seconds: float = 0.5) -> float | None:
        """Energy of one call, of calls repeated for `seconds`; None without a sensor."""
        if self.source is None:
            return None
        calls, begin = 0, time.perf_counter()
        before = [_number(path) for path, _ in self._counters]
        watts: list[float] = []
        while time.perf_counter() - begin < seconds or not calls:
            call()
            calls += 1
            if self._watts is not None and (power := self._watts()) is not None:
                watts.append(power)
        if self._watts is not None:
            return sum(watts) / len(watts) * (time.perf_counter() - begin) / calls if watts else None
        used = 0
        for (path, size), old in zip(self._counters, before, strict=True):
            new = _number(path)
            if new is None or old is None:
                return None
            used += (new - old) % size
        return used / 1e6 / calls


def throttling(cpu: Path = CPU) -> str | None:
    """What slows this machine down now, in words; None where nothing does or nothing can be read."""
    found = []
    said = re.search(r"0x([0-9a-fA-F]+)", _vcgencmd("get_throttled") or "")
    if said:
        found += [word for bit, word in enumerate(_THROTTLED) if int(said[1], 16) >> bit & 1]
    now, most = (_number(cpu / "cpufreq" / name) for name in ("scaling_cur_freq", "cpuinfo_max_freq"))
    if now is not None and most is not None and now < SLOW * most:
        found.append(f"clock {now / 1e6:.2f} of {most / 1e6:.2f} GHz")
    return ", ".join(found) or None
