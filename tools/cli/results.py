# The files of results: a JSON document whose rows are a table, one line a row, so that a change of figures reads well.
# Never here: what a benchmark measures, what is printed.
"""`write_table`, `read_table`: result documents with rows, compact on disk.

The file is JSON: the document's other keys, then "columns" (names), then "rows" (lists in the order of the columns;
null where a row has no such value). Floats have 5 significant digits.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgecl.cli.output import plain
from edgecl.files import write_file_atomic

DIGITS = 5  # significant, of floats
WIDTH = 400  # of the lines before the rows: few, so that the rows are the file


def write_table(path: Path, document: dict[str, Any]) -> None:
    """Writes a document with "rows", a list of dicts; folders are made as needed."""
    found = _rounded(plain(document))
    rows = found.pop("rows")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [""]
    for key, value in found.items():
        text = f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)},"
        if lines[-1] and len(lines[-1]) + 1 + len(text) > WIDTH:
            lines.append("")
        lines[-1] += f" {text}" if lines[-1] else text
    table = ",\n".join(json.dumps([row.get(column) for column in columns], allow_nan=False) for row in rows)
    head = "\n".join(filter(None, lines))
    path.parent.mkdir(parents=True, exist_ok=True)
    text = f'{{{head}\n"columns": {json.dumps(columns)},\n"rows": [\n{table}\n]}}\n'
    write_file_atomic(path, text.encode())


def read_table(path: Path) -> dict[str, Any]:
    """The document of `write_table`; its rows are dicts again, without the values that a row does not have."""
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    columns = document.pop("columns")
    named = (zip(columns, row, strict=True) for row in document["rows"])
    document["rows"] = [{key: value for key, value in row if value is not None} for row in named]
    return document


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
