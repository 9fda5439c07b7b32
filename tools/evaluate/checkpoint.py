# The file that holds an unfinished run: what it is a run of, what is done, and the learner's state.
# Never here: learning, the decision when to write (runs.py).
"""`Checkpoint`: reading, writing and comparing.

The file: a line of text that names the format, the length of a JSON document (u64, little-endian), the document, the
bytes of a saved state, and the SHA-256 of all that. It is replaced as a whole. Keys of the document: "definition"
(what the runs are made from), "done" (results of finished runs), "run" (the definition of the present one) and
"progress" (its `StreamProgress`, null before its first task is done).
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from edgecl.classifier import Classifier
from edgecl.errors import DataError
from edgecl.evaluate.stream_progress import StreamProgress
from edgecl.evaluate.stream_types import Stream
from edgecl.files import read_file, write_file_atomic

_MAGIC = b"edgecl unfinished run, format 1\n"
_DIGEST_BYTES = 32
_NOT_OF_A_RUN = ("n_threads", "predict_only")  # of a configuration: what results do not depend on


@dataclass
class Checkpoint:
    """An unfinished run, or set of runs.

    Attributes:
        definition: what all runs are made from; see `definition_of_data`.
        done: documents of finished runs, in order.
        run: of the present run; see `definition_of_run`. None between two runs.
        progress: of the present run; None before its first task is done.
        state: of the present run's learner after the last task done.
    """

    definition: dict[str, Any]
    done: list[dict[str, Any]] = field(default_factory=list)
    run: dict[str, Any] | None = None
    progress: StreamProgress | None = None
    state: bytes = b""

    def text(self) -> str:
        """How much is done, in words: "2 runs and 3 tasks"."""

        def some(n: int, what: str) -> str:
            return f"{n} {what}{'' if n == 1 else 's'}"

        tasks = some(0 if self.progress is None else self.progress.n_done, "task")
        return f"{some(len(self.done), 'run')} and {tasks}" if self.done else tasks

    def write(self, path: Path) -> None:
        """Replaces the file. FileError: as `write_file_atomic`."""
        document = {
            "definition": self.definition,
            "done": self.done,
            "run": self.run,
            "progress": None if self.progress is None else asdict(self.progress),
        }
        text = json.dumps(document, allow_nan=False).encode()
        data = _MAGIC + struct.pack("<Q", len(text)) + text + self.state
        write_file_atomic(path, data + hashlib.sha256(data).digest())

    @staticmethod
    def read(path: Path) -> Checkpoint:
        """The checkpoint in a file.

        Raises:
            FileError: it cannot be read. DataError: it is no checkpoint, or damaged.
        """
        data = read_file(path)
        begin = len(_MAGIC) + 8
        if not data.startswith(_MAGIC) or len(data) < begin + _DIGEST_BYTES:
            raise _unusable(path, "other contents")
        if hashlib.sha256(data[:-_DIGEST_BYTES]).digest() != data[-_DIGEST_BYTES:]:
            raise _unusable(path, "a wrong checksum")
        end = begin + struct.unpack("<Q", data[len(_MAGIC) : begin])[0]
        try:
            document = json.loads(data[begin:end])
            progress = document["progress"]
            return Checkpoint(
                definition=document["definition"],
                done=document["done"],
                run=document["run"],
                progress=None if progress is None else StreamProgress(**progress),
                state=data[end:-_DIGEST_BYTES],
            )
        except (ValueError, KeyError, TypeError) as error:
            raise _unusable(path, f"contents of another version ({' '.join(str(error).split())})") from error


def _unusable(path: Path, found: str) -> DataError:
    return DataError(f"expected an unfinished run in '{path}'; found {found}; remove the file and start anew")


def definition_of_data(stream: Stream) -> dict[str, Any]:
    """Name and SHA-256 of a stream. Cost: one pass over its bytes."""
    digest = hashlib.sha256(json.dumps([stream.class_names, [task.name for task in stream.tasks]]).encode())
    for task in stream.tasks:
        for array in (task.x_train, task.y_train, task.x_test, task.y_test):
            digest.update(f"{array.dtype.str} {array.shape} ".encode())
            digest.update(np.ascontiguousarray(array).data)
    return {"stream": stream.name, "data": digest.hexdigest()}


def definition_of_run(learner: Classifier) -> dict[str, Any]:
    """Bundle and configuration of a learner that is about to begin."""
    config = {name: value for name, value in learner.config().items() if name not in _NOT_OF_A_RUN}
    return {"bundle": learner.bundle_info()["digest"], **config}


def differences(kept: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One text for each entry in which two definitions differ: "epochs: 3 there, 5 here"."""

    def shown(value: Any) -> str:
        if isinstance(value, str) and len(value) == 64:  # a digest
            return value[:12]
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

    names = dict.fromkeys([*now, *kept])
    return [
        f"{name}: {shown(kept.get(name))} there, {shown(now.get(name))} here"
        for name in names
        if _plain(kept.get(name)) != _plain(now.get(name))
    ]


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))
