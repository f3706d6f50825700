"""Lays out tables on the terminal: fits its width, colours only where they are wanted, pipes get plain text."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click

_UNLIMITED = 1000
_SHORTEST_NAME = 12


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: the first `names` columns are text and may be cut, the others are numbers and never are."""

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    styles: Sequence[str]
    """One rich style a row."""
    names: int = 1


def print_grid(grid: Grid, *, headers: bool = True, cut: bool = True) -> None:
    """Print a table in columns; without `cut` names keep their length and lines may be longer than the terminal."""
    table = import_module("rich.table").Table(
        box=None, show_header=headers, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold"
    )
    for index, title in enumerate(grid.titles):
        if index < grid.names and cut:
            table.add_column(title, no_wrap=True, overflow="ellipsis", min_width=_shortest(grid, index))
        else:
            width = max(len(text) for text in (title, *(row[index] for row in grid.rows)))
            table.add_column(title, no_wrap=True, justify="left" if index < grid.names else "right", min_width=width)
    for row, style in zip(grid.rows, grid.styles, strict=True):
        table.add_row(*map(_plain, row), style=style)
    _print(table, width=_width() if cut else _UNLIMITED)


def print_line(text: str = "", style: str = "") -> None:
    """Print one line, broken at ` · ` where the terminal is too narrow for it."""
    width = _width() or _terminal_width()
    line = ""
    for part in text.split(" · "):
        if line and len(line) + 3 + len(part) > width:
            _print(_plain(line, style), width=_UNLIMITED)
            line = part
        else:
            line = f"{line} · {part}" if line else part
    _print(_plain(line, style), width=_UNLIMITED)


def markdown(titles: Sequence[str], rows: Sequence[Sequence[str]], names: int = 1) -> str:
    """A table for a pull request: names to the left, numbers to the right."""
    rules = [":---" if index < names else "---:" for index in range(len(titles))]
    lines = [titles, rules, *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _shortest(grid: Grid, index: int) -> int:
    longest = max((len(row[index]) for row in grid.rows), default=0)
    return max(len(grid.titles[index]), min(longest, _SHORTEST_NAME))


def _plain(text: str, style: str = "") -> Any:
    """Text that rich does not read markup into."""
    return import_module("rich.text").Text(text, style=style)


def _width() -> int | None:
    """Width of the output: the terminal's or COLUMNS (None: rich finds out); a pipe is as wide as it needs to be."""
    return None if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit() else _UNLIMITED


def _terminal_width() -> int:
    return int(import_module("rich.console").Console().width)


def _print(renderable: Any, width: int | None = None) -> None:
    """Render, without the blanks with which rich fills lines."""
    console = import_module("rich.console").Console(width=width, highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        console.print(renderable, soft_wrap=False, no_wrap=True, overflow="ignore", crop=False)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
