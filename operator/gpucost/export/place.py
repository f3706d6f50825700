"""Where an export goes: a folder or any URL that fsspec knows, behind the five things that an export does with it.

A file must appear whole or not at all, also when the process is killed. How differs: an object store shows an object
only when its upload is complete, so a file is made on the local disk and sent in one go; where files can be renamed, it
is sent under a hidden name in the same folder first.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from gpucost.export.errors import ExportError, one_line

_STORES = {
    "s3": ("s3", "s3fs"),
    "s3a": ("s3", "s3fs"),
    "gs": ("gs", "gcsfs"),
    "gcs": ("gs", "gcsfs"),
    "abfs": ("abfs", "adlfs"),
    "abfss": ("abfss", "adlfs"),
    "az": ("abfs", "adlfs"),
}
"""Object stores: the name by which pyarrow knows one, and the package that fsspec has for it."""
_RENAMING = frozenset({"file", "local", "sftp", "ssh", "smb", "hdfs", "webhdfs"})
_BLOCK = 1 << 20
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
        with self._guard("cannot write", path):
            if not self._renames:
                self._send(source, target)
                return
            folder, _, name = target.rpartition("/")
            self._fs.makedirs(folder, exist_ok=True)
            hidden = f"{folder}/.{name}.{uuid.uuid4().hex}"
            try:
                self._fs.put_file(str(source), hidden)
                self._rename(hidden, target)
            except BaseException:
                with suppress(*_FOREIGN):
                    self._fs.rm_file(hidden)
                raise

    def _send(self, source: Path, target: str) -> None:
        """One upload. pyarrow's own stream, where it is pyarrow's: the wrapper would make objects for folders."""
        stream = getattr(getattr(self._fs, "fs", None), "open_output_stream", None)
        if stream is None:
            self._fs.put_file(str(source), target)
            return
        with source.open("rb") as content, stream(target) as out:
            shutil.copyfileobj(content, out, _BLOCK)

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

    if not url.strip():
        raise ExportError("no place to export to: give a folder or a URL such as s3://bucket/focus")
    protocol, there, rest = url.partition("://")
    try:
        fs, root = fsspec.core.url_to_fs(url)
    except ImportError:
        fs, root = _open_with_arrow(protocol, rest, shown)
    except Exception as error:
        raise ExportError(f"{shown}: not a place to export to: {one_line(error)}") from error
    return fs, root.rstrip("/") if there else str(root)


def _open_with_arrow(protocol: str, rest: str, shown: str) -> tuple[Any, str]:
    """pyarrow brings the object stores along; packages of their own are only needed for what it cannot do."""
    name, package = _STORES.get(protocol, ("", ""))
    if not name:
        raise ExportError(f"{shown}: {protocol}:// needs a package that is not installed; see fsspec's list of them")
    try:
        from fsspec.implementations.arrow import ArrowFSWrapper  # noqa: PLC0415
        from pyarrow.fs import FileSystem  # noqa: PLC0415
    except ImportError:
        raise ExportError(
            f"{shown}: {protocol}:// needs pyarrow: pip install 'gpucost[parquet]' (or {package}, as fsspec wants it)"
        ) from None
    try:
        fs, root = FileSystem.from_uri(f"{name}://{rest}")
    except Exception as error:
        raise ExportError(f"{shown}: not a place to export to: {one_line(error)}") from error
    return ArrowFSWrapper(fs), str(root).rstrip("/")


def without_password(url: str) -> str:
    """A URL as messages may show it: neither a password nor parameters, among which somebody may have put a key."""
    parts = urlsplit(url)
    if parts.query:
        return without_password(urlunsplit(parts._replace(query="")))
    if "@" not in parts.netloc or parts.scheme in {"abfs", "abfss"}:  # CONTAINER@ACCOUNT is no secret
        return url
    return urlunsplit(parts._replace(netloc=f"***@{parts.netloc.rpartition('@')[2]}"))


def _last(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]
