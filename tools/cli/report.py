# `edgecl learn --report`: one HTML file that needs nothing else, neither the net nor a script.
# Never here: what a section shows (report_figures.py), the page around them (report_page.py), learning.
"""`check_report` and `report_page`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgecl.cli.failure import UsageError, needs
from edgecl.cli.report_page import page


def check_report(path: Path) -> None:
    """Whether a report can be made.

    Raises:
        UnsupportedError: matplotlib is missing. UsageError: another ending than .html.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"expected a file that ends in .html for --report; found '{path.name}'; rename it")
    with needs("matplotlib, which draws the pictures of --report", "report"):
        import matplotlib
    matplotlib.use("Agg")


def report_page(document: dict[str, Any]) -> bytes:
    """The page of a document of `edgecl learn`: of one run, of a comparison, or of domains."""
    from edgecl.cli import report_figures as figures

    if document.get("kind") == "domains":
        title, sections = "domains", figures.domain_sections(document)
    elif "methods" in document:
        title, sections = "methods compared", figures.comparison_sections(document)
    else:
        title, sections = "one run", figures.run_sections(document)
    return page(f"edgecl learn: {document['stream']}, {title}", document, sections).encode()
