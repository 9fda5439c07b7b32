# The HTML of a report: the page, its tables.
# Never here: what a section shows (report_figures.py).
"""`page`, `table`, `settings`."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from edgecl.cli import output

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 60rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .4rem; }
p.note { color: #666; margin-top: 0; }
table { border-collapse: collapse; margin: .5rem 0; }
th, td { text-align: left; padding: .15rem 1rem .15rem 0; border-bottom: 1px solid #e4e4e4; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.number { white-space: nowrap; }
svg { max-width: 100%; height: auto; } code { overflow-wrap: anywhere; font-size: .85em; }
"""

Section = tuple[str, str, str]  # heading, note, HTML


def page(title: str, document: dict[str, Any], sections: Sequence[Section]) -> str:
    """The whole file of a run."""
    one = document["runs"][0] if document.get("runs") else document
    return html_page(
        title, f"bundle {one['bundle']}, edgecl {one['edgecl_version']}, kernels {one['kernel_level']}", sections
    )


def html_page(title: str, made: str, sections: Sequence[Section]) -> str:
    """The whole file; `made`: a line below the title."""
    body = "".join(
        f"<h2>{html.escape(heading)}</h2>\n" + (f'<p class="note">{html.escape(note)}</p>\n' if note else "") + content
        for heading, note, content in sections
    )
    shown = html.escape(title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{shown}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{_STYLE}</style></head>\n'
        f'<body><h1>{shown}</h1>\n<p class="note">{html.escape(made)}</p>\n{body}</body></html>\n'
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Columns whose name ends in ">" are right-aligned, as in `output.table`."""

    def cell(tag: str, column: str, text: Any) -> str:
        right = ' class="number"' if column.endswith(">") else ""
        return f"<{tag}{right}>{html.escape(str(text))}</{tag}>"

    head = "".join(cell("th", column, column.removesuffix(">")) for column in columns)
    body = "".join(
        f"<tr>{''.join(cell('td', column, text) for column, text in zip(columns, row, strict=True))}</tr>\n"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>\n"


def settings(config: dict[str, Any]) -> str:
    """The configuration of a session."""
    return table(["setting", "value"], [(name, output.value(value)) for name, value in sorted(config.items())])
