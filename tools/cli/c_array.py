# `edgecl export --c-array`: a bundle as a C header, with the lists of what a small build of the library needs for it.
# Never here: the build itself (CMakeLists.txt reads the lists with EDGECL_FOR).
"""Bundles as C arrays."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

BYTES_A_LINE = 24


def needs(bundle: Path) -> dict[str, list[str]]:
    """Names for the CMake variables EDGECL_OPS, EDGECL_HEADS, EDGECL_NOVELTY and EDGECL_PARTS.

    A configuration that a session changes after opening the bundle may need more.
    """
    from edgecl import _core

    model = _core.Model(str(bundle))
    ops, config = model.ops(), model.default_config()
    moves = config["structure"] != "static" or config["gradient_mask"] != "all"
    parts = {
        "sparse": any(op["sparse"] for op in ops), "structure": moves, "domains": config["max_domains"] > 0,
        "activations": any(op["kind"] == "activation" for op in ops),
    }  # fmt: skip
    return {
        # "depthwise" is how reports call a convolution with one channel a group.
        "EDGECL_OPS": sorted({str(op["kind"]).replace("depthwise", "conv") for op in ops}),
        "EDGECL_HEADS": [config["head"]],
        "EDGECL_NOVELTY": [config["novelty"]],
        "EDGECL_PARTS": ["core", *(name for name, there in parts.items() if there)],
    }


def identifier(path: Path) -> str:
    """Name of the array: the file's, with an underscore for what C does not allow."""
    name = re.sub(r"\W", "_", path.stem, flags=re.ASCII)
    return name if name[:1].isalpha() else f"bundle_{name}"


def text(bundle: Path, header: Path) -> str:
    """The header's text."""
    name, data, lists = identifier(header), bundle.read_bytes(), needs(bundle)
    rows = (data[i : i + BYTES_A_LINE] for i in range(0, len(data), BYTES_A_LINE))
    lines = [
        f"/* {bundle.name} as an array of {len(data)} bytes, written by edgecl export --c-array; and the lists of what",
        " * a build of edgecl needs for it, which CMake reads with -DEDGECL_FOR=<this file>:",
        *(f" *   {key} {';'.join(names)}" for key, names in lists.items()),
        " */",
        f"#ifndef EDGECL_{name.upper()}_H_",
        f"#define EDGECL_{name.upper()}_H_",
        "",
        f"#define {name.upper()}_BYTES {len(data)}u",
        f"static const unsigned char {name}[{name.upper()}_BYTES] __attribute__((aligned(64))) = {{",
        *(f"    {', '.join(f'0x{byte:02x}' for byte in row)}," for row in rows),
        "};",
        "",
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def write(bundle: Path, header: Path) -> dict[str, Any]:
    """Writes the header; returns what is printed about it."""
    header.write_text(text(bundle, header), encoding="ascii")
    return {"path": str(header), "array": identifier(header), "needs": needs(bundle)}
