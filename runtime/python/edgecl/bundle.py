# The opened bundle as Python users see it.
# Never here: anything that changes; a bundle is immutable.
"""`open_bundle` and `Bundle`."""

from __future__ import annotations

import os
from typing import Any

from edgecl import _core
from edgecl.errors import ArgumentError
from edgecl.files import read_file


class Bundle:
    """An opened, verified bundle. Immutable; may be shared by threads and by any number of learners.

    Attributes:
        path: where it was opened from, or None when it came from bytes.
        info: fields of `edgecl_model_info` (dims as lists, digest as hex text) with "kernel_level", "classes" and
            "recipe".
        layers: one dict a parameter tensor (name, dims, density, trainable, stored).
        ops: one dict an operator (name, kind, multiply-adds, bytes).
        encoder: fields of `edgecl_encoder_info` where the bundle carries a model file of another engine; else None.
        samples: what a learner takes: input_dims, input_dtype, input_elements, input (scale, mean, inv_std) of the
            encoder, or without one of `info`.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes) -> None:
        """Opens a path, which is read whole and may change afterwards, or the bytes of a bundle.

        Raises:
            FileError, BundleError, UnsupportedError.
        """
        self.path: str | None
        if isinstance(source, bytes | bytearray | memoryview):
            self._data: bytes | None = bytes(source)
            self.path = None
            self.model = _core.Model(data=self._data)
        elif isinstance(source, str | os.PathLike):
            self._data = None
            self.path = os.fspath(source)
            self.model = _core.Model(path=self.path)
        else:
            raise ArgumentError(
                f"expected the path of a bundle or its bytes; found {type(source).__name__}; pass a str, a Path or "
                "bytes"
            )
        self.info: dict[str, Any] = self.model.describe()
        self.layers: list[dict[str, Any]] = self.model.layers()
        self.ops: list[dict[str, Any]] = self.model.ops()
        self.encoder: dict[str, Any] | None = self.model.encoder()
        taken = self.info if self.encoder is None else self.encoder
        keys = ("input_dims", "input_dtype", "input_elements", "channels_last", "input")
        self.samples: dict[str, Any] = {key: taken[key] for key in keys}

    @property
    def digest(self) -> str:
        """SHA-256 of the header and section table, in hex: the name of the bundle."""
        return str(self.info["digest"])

    def default_config(self) -> dict[str, Any]:
        """The recipe of the bundle as session configuration; every key is accepted by `sizes` and by `Classifier`'s
        session."""
        return self.model.default_config()

    def sizes(self, *, level: str | None = None, pointer_bytes: int = 8, **config: Any) -> dict[str, int]:
        """Exact bytes that a session of this configuration needs, before anything is allocated.

        Args:
            level: SIMD level of the machine that is meant ("reference", "x86-64-v1", "x86-64-v3", "x86-64-v4",
                "x86-64-v4-vnni", "neon", "neon-dot"); None: this machine. `devices.load(name).level` names a board's.
            pointer_bytes: of the machine that is meant, 8, or with "reference" also 4; not read without a level.
            config: fields of the session configuration by name; the rest as the bundle's recipe says.

        Returns:
            arena_bytes and its parts (learnable_bytes, replay_bytes, learn_bytes, predict_bytes, scratch_bytes),
            state_bytes_max.

        Raises:
            ArgumentError, CapacityError.
        """
        if level is None:
            return self.model.sizes(**config)
        return self.model.sizes_for(level, pointer_bytes, **config)

    def migrate(self, state: bytes, to: Bundle) -> tuple[bytes, dict[str, int]]:
        """A state of this bundle as a state of `to`, the same model exported again.

        Returns:
            The new state, and what came along: n_params (trained parameters), n_renamed, n_frozen_changed (frozen ones
            whose values are the new bundle's), n_classes_left (shipped by the new bundle, not in the state: gone).

        Raises:
            StateError: corrupt, not of this bundle, or `to` trains other shapes.
        """
        return self.model.migrate(state, to.model)

    def verify(self, key: bytes | None = None) -> None:
        """Checks structure, every digest and every index again; with a 32-byte public key also the signature.

        Raises:
            BundleError.
        """
        data = self._data if self._data is not None else read_file(self.path or "")
        _core.verify_bundle(data, key)

    def __deepcopy__(self, memo: dict[int, Any]) -> Bundle:
        return self

    def __reduce__(self) -> tuple[type[Bundle], tuple[Any]]:
        return (Bundle, (self._data if self._data is not None else self.path,))

    def __repr__(self) -> str:
        info = self.info
        return (
            f"Bundle(name={info['name']!r}, input={self.samples['input_dims']}, "
            f"classes={info['n_classes']}/{info['class_capacity']}, "
            f"digest={self.digest[:12]})"
        )


def open_bundle(path: str | os.PathLike[str] | bytes) -> Bundle:
    """Opens a bundle after checking every byte of it.

    Args:
        path: a file, or the bytes themselves.

    Raises:
        FileError: it cannot be read.
        BundleError: it is corrupt, of a newer format, or needs an operator that this build lacks.
    """
    return Bundle(path)
