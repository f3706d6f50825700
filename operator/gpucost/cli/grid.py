"""Lays out tables on the terminal: fits its width, colours only where they are wanted, pipes get plain text.

The layout is our own because a table of money has a rule that general ones do not know: names may be cut, numbers
never, and no column may silently go missing.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module

import click

_UNLIMITED = 100_000
_SHORTEST_NAME = 8
_GAP = "  "


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
    lines = [grid.titles, *grid.rows] if headers else list(grid.rows)
    styles = ["bold", *grid.styles] if headers else grid.styles
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    if cut:
        widths = _fitted(widths, grid.names, width())
    texts = (_line(cells, widths, grid.names) for cells in lines)
    _print(zip(texts, styles, strict=True))


def print_line(text: str = "", style: str = "") -> None:
    """Print one line, broken at ` · ` where the terminal is too narrow for it, else between words."""
    limit, lines = width(), [""]
    for part in text.split(" · "):
        longer = f"{lines[-1]} · {part}" if lines[-1] else part
        if lines[-1] and len(longer) > limit:
            lines.append(f"  {part}")
        else:
            lines[-1] = longer
    _print((part, style) for line in lines for part in _broken(line, limit))


def _broken(line: str, limit: int) -> list[str]:
    """A line in parts that fit; a word that is too long for one keeps its length, so that it can be copied."""
    if len(line) <= limit:
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    wrap = import_module("textwrap").TextWrapper(
        limit, initial_indent=indent, subsequent_indent=f"{indent}  ", break_long_words=False, break_on_hyphens=False
    )
    parts: list[str] = wrap.wrap(line.strip())
    return parts


def markdown(titles: Sequence[str], rows: Sequence[Sequence[str]], names: int = 1) -> str:
    """A table for a pull request: names to the left, numbers to the right."""
    rules = [":---" if index < names else "---:" for index in range(len(titles))]
    lines = [titles, rules, *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def width() -> int:
    """Width of the output: COLUMNS or the terminal's; a pipe is as wide as it needs to be."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return shutil.get_terminal_size().columns
    return _UNLIMITED


def _fitted(widths: Sequence[int], names: int, limit: int) -> list[int]:
    """Take from the widest name until the line fits, or until names cannot get any shorter."""
    fitted = list(widths)
    excess = sum(fitted) + len(_GAP) * (len(fitted) - 1) - limit
    while excess > 0 and max(fitted[:names]) > _SHORTEST_NAME:
        fitted[fitted.index(max(fitted[:names]))] -= 1
        excess -= 1
    return fitted


def _line(cells: Sequence[str], widths: Sequence[int], names: int) -> str:
    """Names to the left, numbers to the right."""
    shown = [
        _cut(cell, size).ljust(size) if index < names else cell.rjust(size)
        for index, (cell, size) in enumerate(zip(cells, widths, strict=True))
    ]
    return _GAP.join(shown)


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else f"{text[: size - 1]}…"


def _print(lines: Iterable[tuple[str, str]]) -> None:
    """Print styled lines; rich knows what the terminal can do, and NO_COLOR turns off bold and dim too."""
    plain = bool(os.environ.get("NO_COLOR"))
    console = import_module("rich.console").Console(width=_UNLIMITED, highlight=False, markup=False, emoji=False)
    styled = import_module("rich.text").Text
    with console.capture() as captured:
        for text, style in lines:
            console.print(styled(text.rstrip(), style="" if plain else style), crop=False, overflow="ignore")
    click.echo(captured.get(), nl=False)
