# Ed25519 signatures of bundles (FORMAT.md, section 6), by the package `cryptography`.
# Never here: key stores, passwords.
"""`new_key`, `sign`, `check`, `release_of`, `read_public_key`."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecl import _core
from edgecl.bundle import Bundle
from edgecl.errors import ArgumentError, BundleError, FileError, UnsupportedError
from edgecl.files import read_file
from edgecl.parts import from_source

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_PREFIX = b"edgecl bundle 2\0"
_SECTION_SIGNATURE = 12
_E_SIGNATURE = -32


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise UnsupportedError(
            f"expected the package cryptography for signatures; found none ({error}); {from_source('sign')}"
        ) from error
    return ed25519


def _read_key(path: Path, what: str) -> bytes:
    data = read_file(path)
    if len(data) == 32:
        return data
    try:
        key = bytes.fromhex(data.decode().strip())
    except (UnicodeDecodeError, ValueError):
        key = b""
    if len(key) != 32:
        raise FileError(
            f"expected an Ed25519 {what} key in '{path}', 32 bytes raw or as hexadecimal text; found {len(data)} "
            "bytes; check the file"
        )
    return key


def read_public_key(path: Path) -> bytes:
    """The 32 bytes of a public key. FileError: the file holds none."""
    return _read_key(path, "public")


def new_key(path: Path) -> bytes:
    """Makes a key: the secret half in `path` (mode 600), the public half in `path`.pub, each as hexadecimal text.

    Returns:
        the public half. FileError: one of the files exists or cannot be written.
    """
    secret = _ed25519().Ed25519PrivateKey.generate()
    public: bytes = secret.public_key().public_bytes_raw()
    for target in (path, _beside(path)):
        if target.exists():
            raise FileError(f"expected a new file for a key at '{target}'; found one that exists; name another")
    for target, data, mode in ((path, secret.private_bytes_raw(), 0o600), (_beside(path), public, 0o644)):
        try:
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        except OSError as error:
            raise FileError(
                f"expected to write a new key to '{target}'; found: {error.strerror}; name another"
            ) from error
        with os.fdopen(descriptor, "w") as stream:
            stream.write(data.hex() + "\n")
    return public


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".pub")


def _refuse_public_half(path: Path, public: bytes) -> None:
    # Any 32 bytes are a secret key; what is known is what lies beside it, as `new_key` writes it.
    if path.suffix == ".pub":
        raise FileError(
            f"expected a secret key; found '{path}', the public half by its name; name the file without .pub"
        )
    if _beside(path).is_file() and read_public_key(_beside(path)) != public:
        raise FileError(
            f"expected the secret half of '{_beside(path)}' in '{path}'; found another key; name the file that "
            "`edgecl sign --new-key` made with it"
        )


def _message(bundle: bytes, release: int) -> bytes:
    return _PREFIX + bytes.fromhex(Bundle(bundle).digest) + struct.pack("<Q", release)


def sign(bundle: bytes, secret_key: Path, release: int) -> bytes:
    """The bundle with a signature over its content digest and `release`, a counter from 1 on: devices go back to no
    lower one. The content digest, and with it states, stay what they are.

    Raises:
        BundleError, FileError (the key), ArgumentError (release), UnsupportedError (no cryptography).
    """
    if not 1 <= release < 2**63:
        raise ArgumentError(f"expected a release in 1..2^63-1; found {release}; count releases from 1 on")
    secret: Ed25519PrivateKey = _ed25519().Ed25519PrivateKey.from_private_bytes(_read_key(secret_key, "secret"))
    _refuse_public_half(secret_key, secret.public_key().public_bytes_raw())
    hint = secret.public_key().public_bytes_raw()[:16]
    return _core.attach_signature(bundle, secret.sign(_message(bundle, release)), hint, release)


def _record(bundle: bytes) -> tuple[int, bytes] | None:
    # Release and signature of a sound bundle; None without a signature.
    (n_sections,) = struct.unpack_from("<I", bundle, 16)
    for i in range(n_sections):
        kind, _, offset = struct.unpack_from("<IIQ", bundle, 64 + 64 * i)
        if kind == _SECTION_SIGNATURE:
            (release,) = struct.unpack_from("<Q", bundle, offset + 8)
            return release, bundle[offset + 32 : offset + 96]
    return None


def release_of(bundle: bytes) -> int:
    """The release that a sound bundle was signed as; 0 without a signature. Says nothing of who signed."""
    record = _record(bundle)
    return 0 if record is None else record[0]


def check(bundle: bytes, public_key: bytes) -> int:
    """The release of a sound bundle that this key signed.

    Raises:
        BundleError (status E_BUNDLE_SIGNATURE): no signature, or not by this key. UnsupportedError (no cryptography).
    """
    record = _record(bundle)
    if record is None:
        raise BundleError("expected a signed bundle; found no signature; sign it with `edgecl sign`", _E_SIGNATURE)
    ed25519 = _ed25519()
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public_key).verify(record[1], _message(bundle, record[0]))
    except (InvalidSignature, ValueError) as error:
        raise BundleError(
            "expected a signature by this key; found one by another, or of other contents; sign the bundle again",
            _E_SIGNATURE,
        ) from error
    return record[0]
