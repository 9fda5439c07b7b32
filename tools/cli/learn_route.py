# `edgecl learn --route`: a stream of domains, each learned where it fits or in a domain that grows.
# Never here: growth (edgecl.growth), the loop (edgecl.evaluate.domain_run), table and page (route_table.py, report.py).
"""`learn_route`: the run, its files and its end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecl.cli import failure, output
from edgecl.cli.learn_models import Models, Variant
from edgecl.cli.report import report_page
from edgecl.cli.route_table import render_route
from edgecl.files import read_file, write_file_atomic
from edgecl.state_file import read_state

if TYPE_CHECKING:
    from edgecl.evaluate.stream_types import Stream

MOST_DOMAINS = 64  # of max_domains
EPOCHS = 10  # of an adaptor, where none are given


def _room(models: Models, stream: Stream, start: bytes | None) -> int:
    # As the state has it, else the bundle, else one for each of the stream.
    given = read_state(start).recipe["max_domains"] if start is not None else models.default("max_domains")
    return int(given or 0) or min(MOST_DOMAINS, max(2, len(stream.tasks)))


def learn_route(
    models: Models,
    row: Variant,
    stream: Stream,
    seed: int | None,
    state: Path | None,
    report: Path | None,
    as_json: bool,
) -> None:
    """Runs the stream, writes the files, prints the results; ends the command where it was interrupted.

    Args:
        models: its recipe gets `novelty` "fit", and room for as many domains as the state, the bundle or the stream has
            where none is given.
    """
    from edgecl.evaluate.domain_run import run_domains
    from edgecl.evaluate.experiment import StreamInterrupted

    start = read_file(state) if state is not None and state.exists() else None
    models.recipe.setdefault("novelty", "fit")
    models.recipe.setdefault("max_domains", _room(models, stream, start))
    learner = models.learner(row, seed, stream, start)
    if start is not None:
        learner.load(start)
        output.log(f"learning on from {state}")

    def tell(document: dict[str, Any], written: dict[str, Path | None]) -> None:
        whole = {**document, **{name: None if path is None else str(path) for name, path in written.items()}}
        output.emit(whole, as_json, lambda console: render_route(console, whole))

    try:
        with output.progress() as progress:
            document = run_domains(learner, stream, epochs=models.epochs, progress=progress)
    except StreamInterrupted as interrupt:
        if interrupt.document is not None:
            tell(interrupt.document, {"state": None, "report": None})
        code = failure.exit_code(interrupt.__cause__ or interrupt)
        output.log(f"{'interrupted' if code == failure.INTERRUPTED else 'ended by SIGTERM'}; no file was written")
        failure.finish(code)
    page = None if report is None else report_page(document)  # what cannot be drawn is told before files change
    if state is not None:
        learner.save(state)
    if report is not None and page is not None:
        write_file_atomic(report, page)
    tell(document, {"state": state, "report": report})
