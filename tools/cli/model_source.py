# What the MODEL argument means: an ONNX or TFLite file, a callable in Python code, or a built-in name.
# Never here: exporting, the networks.
"""From the MODEL argument to a module, ONNX file or TFLite file."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from contextlib import AbstractContextManager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from edgecl.cli.failure import ModelError, UsageError, needs
from edgecl.cli.models import BUILT_IN, BuiltIn
from edgecl.errors import Error, FileError


@dataclass(frozen=True)
class ModelSource:
    """One of them: `file` is the path of an ONNX or TFLite model, `module` a torch module (with `built_in` where it has
    a name here), or `embedding_dim` the numbers of embeddings that an encoder of the user's makes."""

    file: Path | None = None
    embedding_dim: int = 0
    module: Any = None
    built_in: BuiltIn | None = None
    name: str = ""

    @property
    def is_tflite(self) -> bool:
        """A file of TFLite."""
        return self.file is not None and self.file.suffix == ".tflite"

    def onnx_model(self) -> Any:
        """The file as an `onnx.ModelProto`, channels first."""
        assert self.file is not None
        if self.is_tflite:
            from edgecl.export.tflite_front import onnx_of_tflite

            return onnx_of_tflite(self.file).model
        from edgecl.export.onnx_front import load_onnx

        return load_onnx(self.file)[0]

    def own_input(self, channels_last: bool, external: bool = False) -> Any:
        """The `edgecl.export.InputSpec` of a TFLite file's own input. `external`: as the engine that runs it says."""
        from edgecl.export.external import tflite_input
        from edgecl.export.tflite_front import onnx_of_tflite

        assert self.file is not None
        if external:
            return replace(tflite_input(self.file.read_bytes()), channels_last=channels_last)
        return replace(onnx_of_tflite(self.file).input, channels_last=channels_last)

    def export(self, **keywords: Any) -> Any:
        """The report of exporting the file; keywords as of `edgecl.export.from_onnx`."""
        import edgecl.export as exporter

        assert self.file is not None
        return (exporter.from_tflite if self.is_tflite else exporter.from_onnx)(self.file, **keywords)


def prints_to_stderr() -> AbstractContextManager[Any]:
    """Inside, what the code of a model prints does not mix with what the command prints."""
    return redirect_stdout(sys.stderr)


def load_model(argument: str, input_shape: tuple[int, ...] | None, columns: int, seed: int) -> ModelSource:
    """Resolves the argument; for torch modules torch is loaded and seeded first, so that equal seeds give equal
    weights.

    Raises:
        UsageError: none of the three forms, or a name that is not there. FileError: no such file. ModelError: the code
            fails, or gives no module. UnsupportedError: torch is missing.
    """
    if argument.endswith((".onnx", ".tflite")):
        path = Path(argument)
        if not path.is_file():
            kind = "a TFLite" if path.suffix == ".tflite" else "an ONNX"
            found = "a folder" if path.is_dir() else "none"
            raise FileError(f"expected {kind} file at '{path}'; found {found}; check the path")
        return ModelSource(file=path, name=path.stem)
    if argument.startswith("embeddings:"):
        text = argument.removeprefix("embeddings:")
        if not text.isdecimal() or int(text) == 0:
            raise UsageError(
                f"expected embeddings:NUMBER with the numbers of an embedding; found '{argument}'; correct it"
            )
        return ModelSource(embedding_dim=int(text), name="embeddings")
    with needs("PyTorch, which this model is made with", "export"):
        import torch
    torch.manual_seed(seed)
    if argument in BUILT_IN:
        entry = BUILT_IN[argument]
        shape = input_shape or entry.shape
        try:
            module = entry.build(shape, columns)
        except (RuntimeError, OverflowError) as error:
            if isinstance(error, Error):
                raise
            raise UsageError(
                f"expected a network that fits into this machine's memory; found {argument} for inputs of {shape} and "
                f"{columns} classes; take a smaller --input-shape"
            ) from error
        return ModelSource(module=module, built_in=entry, name=argument)
    place, _, attribute = argument.rpartition(":")
    if not place or not attribute:
        raise UsageError(
            "expected MODEL to be a file.onnx, file.tflite, module:callable, path.py:callable, embeddings:NUMBER or "
            f"one of {', '.join(BUILT_IN)}; found '{argument}'; check the spelling"
        )
    module = _call(_resolve(place, attribute), argument)
    if not isinstance(module, torch.nn.Module):
        raise ModelError(
            f"expected '{argument}' to give a torch.nn.Module; found {type(module).__name__}; return the module from "
            "the callable"
        )
    return ModelSource(module=module, name=type(module).__name__)


def _resolve(place: str, attribute: str) -> Any:
    from_file = place.endswith(".py")
    if from_file and not Path(place).is_file():
        raise FileError(f"expected a Python file at '{place}'; found none; check the path")
    # The code finds its neighbours, as it does when it is run by itself.
    sys.path.insert(0, str(Path(place).resolve().parent if from_file else Path.cwd()))
    try:
        with prints_to_stderr():
            found = _load_file(Path(place)) if from_file else importlib.import_module(place)
    except (Exception, SystemExit) as error:
        from edgecl.export.errors import raised

        missing = isinstance(error, ModuleNotFoundError) and f"{place}.".startswith(f"{error.name}.")
        raise (UsageError if missing else ModelError)(
            f"expected '{place}' to load; found {raised(error)}; "
            + ("check the spelling" if missing else "mend it there, or run it in Python by itself")
        ) from error
    finally:
        sys.path.pop(0)
    if not hasattr(found, attribute):
        raise UsageError(f"expected '{attribute}' in '{place}'; found no such name; check the spelling")
    return getattr(found, attribute)


def _load_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"no loader for '{path}'")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _call(found: Any, argument: str) -> Any:
    import torch

    if isinstance(found, torch.nn.Module) or not callable(found):
        return found
    try:
        with prints_to_stderr():
            return found()
    except (Exception, SystemExit) as error:
        from edgecl.export.errors import raised

        at_the_call = error.__traceback__ is not None and error.__traceback__.tb_next is None
        if isinstance(error, TypeError) and at_the_call:
            raise UsageError(
                f"expected '{argument}' to be callable without arguments; found {raised(error)}; wrap it in a function "
                "that gives the module"
            ) from error
        raise ModelError(
            f"expected '{argument}' to give a torch.nn.Module; found that it raised {raised(error)}; mend it there, or "
            "run it in Python by itself"
        ) from error
