"""The one error of an export: what could not be written where, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


class ExportError(Exception):
    """An export that could not be made. What was complete before stays as it was; trying again is safe."""


def one_line(error: BaseException) -> str:
    """An error's text without line breaks, and not too long; its name where it has no text."""
    return " ".join(str(error).split())[:300] or type(error).__name__


@contextmanager
def workbench() -> Iterator[Path]:
    """A folder on the local disk in which files are made before they are sent; a full disk is an `ExportError`."""
    try:
        with TemporaryDirectory(prefix="gpucost-export-") as folder:
            yield Path(folder)
    except OSError as error:
        raise ExportError(
            f"cannot make files in the folder for temporary files: {one_line(error)}; free space there or set TMPDIR"
        ) from error
