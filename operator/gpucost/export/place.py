"""Where an export goes: a folder or any URL that fsspec knows, behind the five things that an export does with it.

A file must appear whole or not at all, also when the process is killed. How differs: an object store shows an object
only when its upload is complete, so a file is made on the local disk and sent in one go; where files can be renamed, it
is sent under a hidden name in the same folder first.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from gpucost.export.errors import ExportError, one_line

_PACKAGES = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "az": "adlfs",
}
_EXTRAS = {"s3fs": "s3", "gcsfs": "gcs", "adlfs": "azure"}
_RENAMING = frozenset({"file", "local", "sftp", "ssh", "smb", "hdfs", "webhdfs"})
_FOREIGN = (OSError, ValueError, RuntimeError, TypeError)
"""What the file systems raise for what is not there, not allowed or not reachable, beside errors of their own."""


class Place:
    """A folder, local or not. Every method raises `ExportError` with the place and a remedy."""

    def __init__(self, url: str) -> None:
        """`url` is a path or such as `s3://bucket/folder`; the file system's own settings come from its environment."""
        self.shown = without_password(url)
        self._fs, self._root = _open(url, self.shown)
        names = self._fs.protocol
        self._renames = bool(_RENAMING & set((names,) if isinstance(names, str) else names))

    def read(self, path: str) -> bytes | None:
        """Content of a file; None when there is none."""
        with self._guard("cannot read", path):
            try:
                # A listing that was kept would hide what somebody else has written meanwhile.
                self._fs.invalidate_cache()
                content: bytes = self._fs.cat_file(self._at(path))
                return content
            except FileNotFoundError:
                return None

    def size(self, path: str) -> int | None:
        """Length of a file in bytes; None when there is none."""
        with self._guard("cannot look at", path):
            try:
                return int(self._fs.size(self._at(path)))
            except FileNotFoundError:
                return None

    def put(self, source: Path, path: str) -> None:
        """Make a file with the content of a local one; whoever reads sees the old file, none, or all of the new one."""
        target = self._at(path)
        folder, _, name = target.rpartition("/")
        with self._guard("cannot write", path):
            self._fs.makedirs(folder, exist_ok=True)
            if not self._renames:
                self._fs.put_file(str(source), target)
                return
            hidden = f"{folder}/.{name}.{uuid.uuid4().hex}"
            try:
                self._fs.put_file(str(source), hidden)
                self._rename(hidden, target)
            except BaseException:
                with suppress(*_FOREIGN):
                    self._fs.rm_file(hidden)
                raise

    def remove(self, path: str) -> None:
        """Remove a file; it may be gone already."""
        with self._guard("cannot remove", path), suppress(FileNotFoundError):
            self._fs.rm_file(self._at(path))

    def folders(self, path: str) -> list[str]:
        """Names of the folders in a folder, in order; none when it is not there."""
        with self._guard("cannot list", path):
            try:
                found = self._fs.ls(self._at(path), detail=True, refresh=True)
            except FileNotFoundError:
                return []
            return sorted(_last(entry["name"]) for entry in found if entry["type"] == "directory")

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def _rename(self, hidden: str, target: str) -> None:
        if "file" in self._fs.protocol:
            with Path(hidden).open("rb") as written:
                os.fsync(written.fileno())
            Path(hidden).replace(target)
        else:
            self._fs.mv(hidden, target)

    @contextmanager
    def _guard(self, what: str, path: str) -> Iterator[None]:
        try:
            yield
        except ExportError:
            raise
        except Exception as error:  # every file system has errors of its own, all of which mean this
            raise ExportError(
                f"{what} {path or '.'} at {self.shown}: {one_line(error)}; "
                "check the URL, the credentials in the environment and the rights that they give"
            ) from error


def _open(url: str, shown: str) -> tuple[Any, str]:
    import fsspec  # noqa: PLC0415 - only whoever exports pays for it

    protocol = url.partition("://")[0] if "://" in url else "file"
    if not url.strip():
        raise ExportError("no place to export to: give a folder or a URL such as s3://bucket/focus")
    try:
        # Without its cache: two exports in one process may have different credentials.
        fs, root = fsspec.core.url_to_fs(url, auto_mkdir=True) if protocol == "file" else fsspec.core.url_to_fs(url)
    except ImportError:
        package = _PACKAGES.get(protocol)
        wanted = f"pip install 'gpucost[{_EXTRAS[package]}]' (it brings {package})" if package else "see fsspec's list"
        raise ExportError(f"{shown}: {protocol}:// needs another package: {wanted}") from None
    except Exception as error:
        raise ExportError(f"{shown}: not a place to export to: {one_line(error)}") from error
    return fs, root.rstrip("/")


def without_password(url: str) -> str:
    """A URL as messages may show it."""
    parts = urlsplit(url)
    if "@" not in parts.netloc or parts.scheme in {"abfs", "abfss"}:  # CONTAINER@ACCOUNT is no secret
        return url
    return urlunsplit(parts._replace(netloc=f"***@{parts.netloc.rpartition('@')[2]}"))


def _last(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]
