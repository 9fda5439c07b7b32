# One run over a stream or many (methods, seeds), with a file from which they go on after an interrupt.
# Never here: the loop over tasks (experiment.py), the file's format (checkpoint.py), the making of models.
"""`run_all`: runs one after the other, resumable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecl._core import version
from edgecl.classifier import Classifier
from edgecl.errors import ArgumentError
from edgecl.evaluate.checkpoint import Checkpoint, definition_of_data, definition_of_run, differences
from edgecl.evaluate.experiment import Progress, StreamInterrupted, run_stream
from edgecl.evaluate.stream_progress import StreamProgress
from edgecl.evaluate.stream_types import Stream


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        name: of the method, as the user wrote it.
        seed: of the order of samples.
        make: gives the learner, always the same one, nothing learned.
        start: state that the learner continues from; None: the bundle as shipped.
    """

    name: str
    seed: int
    make: Callable[[], Classifier]
    start: bytes | None = None


class RunsInterrupted(KeyboardInterrupt):
    """`run_all` was interrupted; the cause is the interrupt itself.

    Attributes:
        done: documents of finished runs.
        partial: document of the run that was going on, of its tasks done; None before the first.
        kept: the checkpoint holds all that, and that is something.
    """

    def __init__(self, done: list[dict[str, Any]], partial: dict[str, Any] | None, kept: bool) -> None:
        super().__init__()
        self.done, self.partial, self.kept = done, partial, kept


def checkpoint_path(output: Path) -> Path:
    """Where the checkpoint of runs with this output file lies: beside it, the name with ".progress" after it."""
    return output.with_name(output.name + ".progress")


def run_all(
    runs: Sequence[Run],
    stream: Stream,
    *,
    epochs: int = 1,
    drop_last: bool = True,
    made_from: dict[str, Any] | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    after_run: Callable[[list[dict[str, Any]]], None] | None = None,
    progress: Progress | None = None,
) -> tuple[list[dict[str, Any]], Classifier | None]:
    """Runs over one stream; the results of resumed runs are those of uninterrupted ones, bit for bit, but for times.

    Args:
        runs: at least one.
        epochs, drop_last: as `run_stream`.
        made_from: whatever else tells these runs from others, in plain JSON types; a checkpoint must agree with it.
        checkpoint: this file is written at the beginning and after each task and each run. It stays there at the end,
            for the caller to remove when the results are safe; where it is missing, no run is unfinished. An error
            before the first task is done removes it. An older one that is not resumed is replaced after the first
            task, and not before.
        resume: begin with what the file holds; without such a file from the beginning.
        after_run: called with the documents of all finished runs after each.
        progress: called with (what, done, total).

    Returns:
        The documents of `run_stream`, each with "method" and "run_seed", in order; and the learner of the last run.

    Raises:
        RunsInterrupted: in place of a KeyboardInterrupt. ArgumentError: the checkpoint is of other runs; the text
        names what differs. FileError, DataError: the checkpoint cannot be read or written.
    """
    kept = Checkpoint({})
    if checkpoint is not None:
        definition = {
            **definition_of_data(stream),
            "epochs": epochs,
            "keep last": not drop_last,
            "runs": [f"{run.name} seed {run.seed}" for run in runs],
            **(made_from or {}),
            "edgecl": version(),
        }
        if resume and checkpoint.exists():
            kept = Checkpoint.read(checkpoint)
            _refuse_other(checkpoint, kept.definition, definition)
        kept.definition = definition
    written = bool(kept.done or kept.progress)
    began = False
    learner: Classifier | None = None
    partial: dict[str, Any] | None = None
    try:
        while len(kept.done) < len(runs):
            run = runs[len(kept.done)]
            partial = None
            learner = _begin(run, kept, checkpoint)
            if checkpoint is not None and kept.progress is None and (resume or not checkpoint.exists()):
                kept.write(checkpoint)  # an older one that is not resumed stays until there is something to replace it
                began = True

            def after_task(found: StreamProgress, learner: Classifier = learner) -> None:
                nonlocal written
                if checkpoint is not None:
                    kept.progress, kept.state = found, learner.to_bytes()
                    kept.write(checkpoint)
                    written = True

            try:
                document = run_stream(
                    learner,
                    stream,
                    epochs=epochs,
                    seed=run.seed,
                    drop_last=drop_last,
                    progress=_named(progress, runs, len(kept.done)),
                    done=kept.progress,
                    after_task=after_task,
                )
            except StreamInterrupted as interrupt:
                partial = interrupt.document
                if partial is not None:
                    partial |= {"method": run.name, "run_seed": run.seed}
                raise
            document |= {"method": run.name, "run_seed": run.seed}
            if len(kept.done) + 1 == len(runs):
                # The last run stays the present one in the file, so that its state is there until the caller has it.
                return [*kept.done, document], learner
            kept.done.append(document)
            kept.run, kept.progress, kept.state = None, None, b""
            if checkpoint is not None:
                kept.write(checkpoint)
                written = True
            if after_run is not None:
                after_run(kept.done)
    except KeyboardInterrupt as interrupt:
        cause = interrupt.__cause__ if isinstance(interrupt, StreamInterrupted) else interrupt
        raise RunsInterrupted(kept.done, partial, written) from cause
    except Exception:
        if checkpoint is not None and began and not written:
            checkpoint.unlink(missing_ok=True)
        raise
    return kept.done, learner


def _begin(run: Run, kept: Checkpoint, path: Path | None) -> Classifier:
    # The learner of a run, at its beginning or where the checkpoint has it.
    learner = run.make()
    if run.start is not None:
        learner.load(run.start)
    definition = {
        **definition_of_run(learner),
        "state that it began from": None if run.start is None else learner.state_digest(),
    }
    if kept.run is None or path is None:
        kept.run = definition
        return learner
    if kept.progress is None:
        _refuse_other(path, kept.run, definition)
        return learner
    already_saved = (
        run.start is not None and definition["state that it began from"] == kept.progress.learner["state_sha256"]
    )
    if already_saved:  # interrupted between the writing of the results and the removal of the checkpoint
        definition = kept.run
    _refuse_other(path, kept.run, definition)
    return learner.load(kept.state)


def _refuse_other(path: Path, there: dict[str, Any], here: dict[str, Any]) -> None:
    found = differences(there, here)
    if found:
        raise ArgumentError(
            f"expected the unfinished run in '{path}' to be this one; found other {'; '.join(found)}; give the same "
            "arguments as then, or leave out --resume to start anew"
        )


def _named(progress: Progress | None, runs: Sequence[Run], index: int) -> Progress | None:
    if progress is None or len(runs) == 1:
        return progress
    return lambda what, done, total: progress(f"{runs[index].name}, seed {runs[index].seed}: {what}", done, total)
