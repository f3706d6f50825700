"""What is wrong with a recorded trace, told line by line: the same for traces of spot and of requests."""

from __future__ import annotations

from collections.abc import Sequence

_SHOWN = 20


class BadTrace(Exception):
    """A trace cannot be used; `lines` say why."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        rest = len(lines) - _SHOWN
        self.lines = [*lines[:_SHOWN], *([f"and {rest:,} more problems like these"] if rest > 0 else [])]
