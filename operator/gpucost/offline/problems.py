"""Collects what is wrong with a scenario, so that one run names everything that has to be mended."""

from __future__ import annotations

import re

_SHOWN = 50
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_LONGEST = 400


def at(path: str, key: str) -> str:
    """Path of a member: `$.requests.cpu`, or `$.requests["nvidia.com/gpu"]` where the name needs quotes."""
    return f"{path}.{key}" if _PLAIN.fullmatch(key) else f'{path}["{key}"]'


class Problems:
    """Problems in the order in which they were found; what is said twice counts once."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, path: str, message: str) -> None:
        """Something is wrong at a place such as `$.pods[3].node`."""
        text = " ".join(f"{path}: {message}".split())
        self._lines[text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"] = None

    def lines(self) -> list[str]:
        """One line each; of very many the first, and how many there are besides."""
        found = list(self._lines)
        rest = len(found) - _SHOWN
        return found if rest <= 0 else [*found[:_SHOWN], f"$: and {rest:,} more problems like these"]


class BadScenario(Exception):
    """The scenario cannot be computed; `lines` say why."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
