"""The one error of an export: what could not be written where, and what to do about it."""

from __future__ import annotations


class ExportError(Exception):
    """An export that could not be made. What was complete before stays as it was; trying again is safe."""


def one_line(error: BaseException) -> str:
    """An error's text without line breaks, and not too long; its name where it has no text."""
    return " ".join(str(error).split())[:300] or type(error).__name__
