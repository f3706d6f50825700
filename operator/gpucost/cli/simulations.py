"""What every simulation does with its files, its progress and its problems.

A trace that cannot be read, a timeline that cannot be written and a question that cannot be played end each of them in
the same way, which scripts rely on: every reason as one line on stderr, and exit code 2.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click


def read_file(path: str) -> bytes:
    """A trace as it lies there."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        click.echo(f"{path}: cannot be read: {error.strerror}", err=True)
        sys.exit(2)


def open_timeline(path: str) -> IO[str]:
    """The file of `--timeline`, empty."""
    try:
        return Path(path).open("w", encoding="utf-8")
    except OSError as error:
        click.echo(f"--timeline: {path} cannot be written: {error.strerror}", err=True)
        sys.exit(2)


def progress() -> Callable[[str, float], None]:
    """Shows on a terminal how far it is; elsewhere nothing."""
    shows = sys.stderr.isatty()

    def tell(policy: str, part: float) -> None:
        if shows:
            click.echo(f"\r\033[K{policy}: {part:.0%}" if part < 1 else "\r\033[K", nl=False, err=True)

    return tell


@contextmanager
def refusing(*problems: type[Exception]) -> Iterator[None]:
    """Ends the command at one of these problems, with its `lines`, or itself where it has none."""
    try:
        yield
    except problems as problem:
        click.echo("\n".join(getattr(problem, "lines", [str(problem)])), err=True)
        sys.exit(2)
