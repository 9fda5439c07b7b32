# Where the bundle of a state is, when the user does not say.
# Never here: what is done with it.
"""`bundle_of`: the bundle that a file belongs to."""

from __future__ import annotations

from pathlib import Path

from edgecl.bundle import Bundle
from edgecl.cli import failure
from edgecl.errors import Error


def bundle_of(files: list[Path], sha256: str, given: Path | None) -> Bundle:
    """`given`, or the bundle of this digest that lies beside one of the files or in the current folder.

    Raises:
        UsageError: there is none. Errors of opening `given`.
    """
    if given is not None:
        return Bundle(given)
    folders = list(dict.fromkeys([*(file.absolute().parent for file in files), Path.cwd()]))
    for path in (path for folder in folders for path in sorted(folder.glob("*.ecl"))):
        try:
            bundle = Bundle(path)
        except Error:  # of another kind, or damaged: not the one that is looked for
            continue
        if bundle.digest == sha256:
            return bundle
    raise failure.UsageError(
        f"expected the bundle {sha256[:12]} of '{files[0]}' beside it; found none in "
        f"{', '.join(repr(str(folder)) for folder in folders)}; name it with --bundle"
    )
