"""Lays the rooms out as the one package `edgecl`, with links, for tools that want a package to be one folder (mypy).

Never here: anything that is shipped; the wheel maps the rooms itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]


def make_view(folder: Path) -> None:
    """Makes `folder`/edgecl with a link for each module and each mapped room; replaces what was there."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    table: dict[str, str] = settings["tool"]["scikit-build"]["wheel"]["packages"]
    table["edgecl/kernels_numba"] = "kernels/numba"  # installed by CMake
    package = folder / "edgecl"
    stub = folder / "edgecl_kernels.pyi"
    stub.unlink(missing_ok=True)
    package.mkdir(parents=True, exist_ok=True)
    for old in package.iterdir():
        old.unlink()
    stub.symlink_to(ROOT / "tools/kernels_module/edgecl_kernels.pyi")
    for name, source in table.items():
        room = ROOT / source
        if not room.is_dir():
            continue
        if name == "edgecl":
            for path in room.iterdir():
                if path.suffix in (".py", ".pyi", ".typed"):
                    (package / path.name).symlink_to(path)
        else:
            (package / name.removeprefix("edgecl/")).symlink_to(room)


if __name__ == "__main__":
    make_view(Path(sys.argv[1]))
