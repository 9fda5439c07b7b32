# `edgecl deploy --systemd` installs the units and lets the service manager start them: with a stand-in for systemctl in
# the device's PATH, which starts what a unit says.
# Never here: what systemd itself makes of a unit (test_deploy.py has it verified).
"""Tests of the option `--systemd`."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest

loopback, small = sys.modules["loopback_device"], sys.modules["small_bundles"]

# Knows the calls that the device's script makes. `systemctl.broken` beside the home folder says what fails.
SYSTEMCTL = r"""#!/bin/sh
echo "$*" >> "$HOME/systemctl.log"
[ "$1" = --user ] || { echo "expected --user" >&2; exit 9; }
shift
if [ "$1" = --no-block ]; then shift; fi
if grep -q -x "$1" "$HOME/systemctl.broken" 2> /dev/null; then
  echo "Failed to connect to bus" >&2
  exit 1
fi
unit=$HOME/.config/systemd/user/${2:-}
value() { sed -n "s/^$1=//p" "$unit"; }
running() { [ -f "$HOME/$1.pid" ] && kill -0 "$(cat "$HOME/$1.pid")" 2> /dev/null; }
case $1 in
  daemon-reload | enable | disable | reset-failed) exit 0 ;;
  stop | restart) if running "$2"; then kill "$(cat "$HOME/$2.pid")"; while running "$2"; do sleep 0.1; done; fi ;;
  start) if running "$2"; then exit 0; fi ;;
esac
if [ "$1" = stop ]; then exit 0; fi
cd "$(value WorkingDirectory)" || exit 1
sh -c "$(value ExecStartPre)" || exit 1
setsid nohup sh -c "echo \$\$ > '$HOME/$2.pid'; exec $(value ExecStart)" >> "$HOME/unit.log" 2>&1 < /dev/null &
"""


@pytest.fixture
def home(device: Any) -> Path:
    """The home folder of the device's user, who is not root, and whose programs come first."""
    folder: Path = device.loopback.home
    for name, text in (
        ("systemctl", SYSTEMCTL),
        ("id", "#!/bin/sh\necho 1000\n"),
        ("loginctl", "#!/bin/sh\necho no\n"),
    ):
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    return folder


def _calls(home: Path) -> list[str]:
    path = home / "systemctl.log"
    return path.read_text().splitlines() if path.exists() else []


def _name(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _pid(home: Path) -> int:
    return int((home / "edgecl.service.pid").read_text())


def test_the_first_deployment_installs_and_starts(device: Any, home: Path) -> None:
    first, second = (device.sign(small.small_bundle(seed=s), s) for s in (4, 5))
    told = device.first(first, "--systemd")
    assert told["outcome"] == "confirmed" and "enable-linger" in told["sentence"]
    assert {"step": "units", "of": "user"}.items() <= next(s for s in told["steps"] if s["step"] == "units").items()
    assert {"--user daemon-reload", "--user enable edgecl.service", "--user restart edgecl.service"} <= {*_calls(home)}
    for unit in ("edgecl.service", "edgecl-guard.service"):
        assert str(device.path) in (home / ".config/systemd/user" / unit).read_text()
    assert device.serving() == _name(first) and not (device.path / "supervisor.pid").exists()
    # The next release needs no option, and the service goes on without a new start.
    device.learn(3)
    pid = _pid(home)
    assert device.deploy(second)["outcome"] == "confirmed"
    assert device.serving() == _name(second) and _pid(home) == pid
    assert device.status()["health"]["samples_learned"] == 12


def test_a_server_that_runs_goes_over_to_systemd(device: Any, home: Path) -> None:
    bundle = device.sign(small.small_bundle(), 4)
    device.first(bundle)
    assert _calls(home) == [] and (device.path / "supervisor.pid").exists()
    device.learn(3)
    told = device.deploy(bundle, "--systemd")
    assert told["sentence"].startswith("was there already; ")
    assert device.serving() == _name(bundle) and not (device.path / "supervisor.pid").exists()
    assert "--user start edgecl.service" in _calls(home) and _pid(home) > 0
    assert device.status()["health"]["samples_learned"] == 12


@pytest.mark.parametrize("broken", ["daemon-reload", "enable", "start"])
def test_where_systemd_refuses_the_server_goes_on_as_before(device: Any, home: Path, broken: str) -> None:
    bundle, next_one = (device.sign(small.small_bundle(seed=s), s) for s in (4, 5))
    device.first(bundle)
    device.learn(3)
    (home / "systemctl.broken").write_text(f"{broken}\n")
    told = device.deploy(next_one, "--systemd", code=4)
    assert told["outcome"] == "refused" and "Failed to connect to bus" in told["sentence"]
    device.wait_for(lambda: device.serving() == _name(bundle), 20)
    assert device.status()["health"]["samples_learned"] == 12
    assert not (device.path / "unit").exists() and not [*(home / ".config/systemd/user").iterdir()]
    assert device.deploy(next_one)["outcome"] == "confirmed"  # without systemd


def test_a_folder_of_units_that_cannot_be_written_is_told(device: Any, home: Path) -> None:
    (home / ".config").write_text("a file")
    told = device.first(device.sign(small.small_bundle(), 4), "--systemd", code=4)
    assert "expected to write units" in told["sentence"] and _calls(home) == []
