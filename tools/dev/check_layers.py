"""Checks which file may include or import which: the arrows kernels <- core <- bundle, state <- heads <- learn
<- api <- python, runner; evaluate, export and devices stand on the package, the command line on all of them.

Never here: checks of style (ruff, clang-tidy) or of what the code does (tests).
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# System headers of code that must run without an operating system, and those that Linux files add.
FREESTANDING = {"float.h", "limits.h", "math.h", "stddef.h", "stdint.h", "string.h", "stdarg.h"}
INSTRUCTIONS = {"immintrin.h", "arm_neon.h", "arm_acle.h", "arm_mve.h"}
KERNEL_SYSTEM = FREESTANDING | INSTRUCTIONS | {"cpuid.h", "sys/auxv.h", "asm/hwcap.h"}
RUNTIME_SYSTEM = FREESTANDING | {"stdio.h", "stdlib.h", "atomic", "new", "type_traits", "xmmintrin.h", "utility"}
FILE_SYSTEM = {"errno.h", "fcntl.h", "unistd.h", "sys/mman.h", "sys/stat.h", "sys/types.h"}
ANYTHING = None

# Folder -> (project headers it may include, system headers it may include). The longest matching folder counts.
C_RULES: dict[str, tuple[tuple[str, ...], set[str] | None]] = {
    "kernels": (("kernels/",), KERNEL_SYSTEM),
    "runtime/include": ((), FREESTANDING),
    "runtime/core": (("kernels/kernels.h", "kernels/arithmetic.h", "kernels/built.h", "runtime/core/"), RUNTIME_SYSTEM),
    "runtime/core/status.h": (("runtime/include/",), FREESTANDING),  # the numbers of the status codes
    "runtime/core/sha256": (("runtime/core/",), RUNTIME_SYSTEM | {"cpuid.h", "immintrin.h"}),  # the SHA instructions
    "runtime/bundle": (("kernels/kernels.h", "runtime/core/", "runtime/bundle/"), RUNTIME_SYSTEM),
    "runtime/bundle/bundle_writer": (("kernels/kernels.h", "runtime/core/", "runtime/bundle/"), ANYTHING),
    "runtime/state": (("runtime/core/", "runtime/state/"), RUNTIME_SYSTEM),
    "runtime/heads": (
        ("kernels/kernels.h", "kernels/arithmetic.h", "runtime/core/", "runtime/state/", "runtime/heads/"),
        RUNTIME_SYSTEM,
    ),
    "runtime/novelty": (
        (
            *("kernels/kernels.h", "kernels/arithmetic.h", "kernels/exp_log.h", "runtime/core/", "runtime/state/"),
            *("runtime/heads/", "runtime/novelty/"),
        ),
        RUNTIME_SYSTEM,
    ),
    "runtime/adapt": (
        (
            *("kernels/kernels.h", "kernels/arithmetic.h", "runtime/core/", "runtime/state/", "runtime/heads/"),
            *("runtime/novelty/", "runtime/adapt/"),
        ),
        RUNTIME_SYSTEM,
    ),
    "runtime/learn": (
        (
            *("kernels/kernels.h", "kernels/arithmetic.h", "kernels/exp_log.h", "runtime/core/", "runtime/state/"),
            *("runtime/heads/", "runtime/novelty/", "runtime/adapt/", "runtime/learn/"),
        ),
        RUNTIME_SYSTEM,
    ),
    "runtime/api": (
        (
            *("kernels/kernels.h", "runtime/core/", "runtime/bundle/", "runtime/state/", "runtime/heads/"),
            *("runtime/novelty/", "runtime/adapt/", "runtime/learn/", "runtime/api/", "runtime/include/"),
        ),
        RUNTIME_SYSTEM | FILE_SYSTEM,
    ),
    "runtime/python": (
        ("runtime/include/", "runtime/core/", "runtime/bundle/", "runtime/state/", "runtime/python/"),
        ANYTHING,
    ),
    "runtime/runner": (("runtime/include/", "runtime/runner/"), ANYTHING),
    "tools": (("runtime/include/", "kernels/kernels.h", "tools/"), ANYTHING),
    "tools/kernels_module": (("kernels/", "runtime/python/thread_pool", "tools/kernels_module/"), ANYTHING),
    "devices": (("runtime/include/", "devices/"), ANYTHING),  # programs of users: the C header alone
    "tests": (("kernels/", "runtime/", "devices/firmware/", "tests/"), ANYTHING),
}

# Room -> third-party packages that its modules may import when they are loaded, and edgecl modules that they may not.
DEVICE_PATH = {"numpy"}
HOST = ("edgecl.export", "edgecl.evaluate", "edgecl.kernels_numba")  # what a device's installation lacks
PY_RULES: dict[str, tuple[set[str], tuple[str, ...]]] = {
    "runtime/python": (DEVICE_PATH, (*HOST, "edgecl.cli", "edgecl.devices")),
    "devices": (DEVICE_PATH | {"tomli"}, (*HOST, "edgecl.cli")),
    "export": (DEVICE_PATH | {"onnx", "tflite", "torch"}, ("edgecl.cli", "edgecl.evaluate", "edgecl.kernels_numba")),
    "export/adaptor_search": (DEVICE_PATH, ("edgecl.cli", "edgecl.evaluate", "edgecl.kernels_numba", "edgecl._core")),
    "export/__init__.py": (DEVICE_PATH, ("edgecl.",)),  # loads the modules lazily
    "tools/cli": (DEVICE_PATH | {"typer", "rich"}, HOST),  # a device runs some of the commands
    "tools/deploy": (DEVICE_PATH, ("edgecl.cli", *HOST)),
    "tools/cli/start.py": (set(), ("edgecl.cli", *HOST)),
    "tools/evaluate": (DEVICE_PATH, ("edgecl.cli", "edgecl.devices", "edgecl.export", "edgecl.kernels_numba")),
    "tools/evaluate/__init__.py": (DEVICE_PATH, ("edgecl.",)),
    "kernels/numba": (DEVICE_PATH | {"numba"}, ("edgecl.export", "edgecl.cli", "edgecl.evaluate")),
}
NEVER_IMPORTED = {"tests", "tools", "export", "devices", "runtime", "kernels"}  # our rooms are named edgecl.* only

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def longest_rule(path: str, folders: Iterator[str]) -> str | None:
    """The longest of `folders` that `path` lies under, or None."""
    return max((f for f in folders if path.startswith(f)), key=len, default=None)


def resolve(source: Path, name: str) -> str:
    """The repository path of a project header, as the compiler finds it; the bare name if it is none."""
    for base in (source.parent, ROOT, ROOT / "runtime/include"):
        if (base / name).is_file():
            return str((base / name).resolve().relative_to(ROOT))
    return name


def check_c(path: Path) -> Iterator[str]:
    """Yields one complaint for each include of `path` that its folder may not have."""
    relative = str(path.relative_to(ROOT))
    rule = longest_rule(relative, iter(C_RULES))
    if rule is None:
        return
    project, system = C_RULES[rule]
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        target = resolve(path, match[2])
        if (ROOT / target).is_file():
            if not target.startswith(project):
                yield f"{relative}:{number}: {rule} must not include {target}; it may include {', '.join(project)}"
        elif system is not None and target not in system:
            yield f"{relative}:{number}: {rule} must not include <{target}>; move what needs it to a layer above"


def loaded_imports(tree: ast.Module) -> Iterator[tuple[int, str, bool]]:
    """Yields (line, dotted name, relative?) of each import that runs when the module is loaded.

    Imports inside functions run later, and those under `if TYPE_CHECKING` never.
    """
    pending: list[ast.stmt] = list(tree.body)
    while pending:
        node = pending.pop(0)
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, False
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or "", node.level > 0
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}", node.level > 0
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            pending += node.orelse
        elif isinstance(node, (ast.If, ast.Try, ast.With, ast.ClassDef)):
            for field in ("body", "orelse", "finalbody"):
                pending += getattr(node, field, [])
            for handler in getattr(node, "handlers", []):
                pending += handler.body


def check_python(path: Path) -> Iterator[str]:
    """Yields one complaint for each import of `path` that its room may not have."""
    relative = str(path.relative_to(ROOT))
    room = longest_rule(relative, iter(PY_RULES))
    if room is None:
        return
    third_party, refused = PY_RULES[room]
    tree = ast.parse(path.read_text(encoding="utf-8"), relative)
    for number, name, is_relative in loaded_imports(tree):
        top = name.split(".")[0]
        if is_relative:
            yield f"{relative}:{number}: relative import; write `from edgecl...` (a second copy would load otherwise)"
        elif top == "edgecl":
            if name.startswith(refused):
                yield f"{relative}:{number}: {room} must not import {name} when it is loaded; do it inside a function"
        elif top not in third_party and top not in sys.stdlib_module_names:
            yield f"{relative}:{number}: {room} must not import {top} when it is loaded; do it inside a function"
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        else:
            continue
        for name in names:
            if name.split(".")[0] in NEVER_IMPORTED:
                yield f"{relative}:{node.lineno}: nothing imports {name}; packages of this tree are named edgecl.*"


def files(*suffixes: str) -> Iterator[Path]:
    """All source files of the rooms with one of `suffixes`."""
    for room in ("kernels", "runtime", "export", "devices", "tools", "tests"):
        for path in sorted((ROOT / room).rglob("*")):
            if path.suffix in suffixes and path.is_file():
                yield path


def complaints() -> list[str]:
    """All violations in the tree, as `file:line: sentence`."""
    found: list[str] = []
    for path in files(".h", ".c", ".cpp", ".inc"):
        found += dict.fromkeys(check_c(path))
    for path in files(".py"):
        found += dict.fromkeys(check_python(path))
    return found


if __name__ == "__main__":
    found = complaints()
    print("\n".join(found) or "layers: every include and import points the right way")
    sys.exit(1 if found else 0)
