"""Headers as another version might have them: each sized struct one field shorter, or two longer.

Never here: checks. Usage: variants.py HEADER FOLDER; writes FOLDER/{same,shorter,longer}/edgecl/edgecl.h.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

# A batch has had all its fields from the beginning, and a shorter error has no room for its sentence.
NEVER_SHORTER = ("edgecl_batch", "edgecl_error")
STRUCT = re.compile(r"typedef struct (edgecl_\w+) \{(.*?)\} \1;", re.DOTALL)


def shorter(match: re.Match[str]) -> str:
    """The struct without its last declaration."""
    name, body = match[1], re.sub(r"/\*.*?\*/", "", match[2], flags=re.DOTALL)
    if name in NEVER_SHORTER:
        return match[0]
    declarations = [part.strip() for part in body.split(";") if part.strip()]
    return f"typedef struct {name} {{\n  " + ";\n  ".join(declarations[:-1]) + f";\n}} {name};"


def longer(match: re.Match[str]) -> str:
    """The struct with more fields: zeros where a later library may know some, then two that none knows."""
    tail = "  uint64_t future_zeros[32];\n  uint64_t future_number;\n  const void* future_pointer;\n"
    return f"typedef struct {match[1]} {{{match[2]}{tail}}} {match[1]};"


def main() -> None:
    header, folder = Path(sys.argv[1]).read_text(encoding="utf-8"), Path(sys.argv[2])
    for name, change in (("same", lambda match: match[0]), ("shorter", shorter), ("longer", longer)):
        target = folder / name / "edgecl/edgecl.h"
        target.parent.mkdir(parents=True, exist_ok=True)
        text, n = STRUCT.subn(change, header)
        assert n >= 17, f"expected at least 17 structs in the header; found {n}"
        target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
