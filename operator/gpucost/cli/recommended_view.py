"""Shows what could be saved: a ranking, and below it the command for each line.

The commands are not part of the table, because a command that is cut to the width of a terminal is none: they are
broken at words, with a backslash, so that they can be copied as they stand.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from decimal import Decimal

import click

from gpucost.cli import figures
from gpucost.cli.grid import Grid, markdown, print_grid, print_line, width
from gpucost.web.schema_runs import Recommended, SavingList

TITLES = ["", "NAMESPACE", "SUBJECT", "CHANGE", "SAVES", "PER", "SURE"]
SHOWN = 20
"""Of the table; all others are told by number, and are in the other formats."""


def show(document: SavingList, *, headers: bool, cut: bool) -> None:
    """Print what could be saved; nothing where there is nothing."""
    found = document.recommendations[: SHOWN if cut else None]
    if not found:
        return
    monthly = figures.money(Decimal(document.recommended_monthly), document.currency)
    print_line(f"{monthly} a month could be saved", "bold")
    print_line()
    rows = cells(found, document)
    print_grid(Grid(TITLES, rows, [""] * len(rows), names=4), headers=headers, cut=cut)
    if len(document.recommendations) > len(found):
        print_line(f"and {len(document.recommendations) - len(found)} more: -o wide", "dim")
    print_line()
    for number, one in enumerate(found, 1):
        print_line(f"{number}. {one.why}", "dim")
        for note in one.notes:
            print_line(f"   {note}", "dim")
        for line in command_lines(one.command, width() - 3):
            click.echo(f"   {line}")
    print_line()


def cells(found: Sequence[Recommended], document: SavingList) -> list[list[str]]:
    """The rows of the table."""
    return [
        [
            str(number),
            one.namespace,
            one.subject,
            one.change,
            figures.UNKNOWN if one.saves is None else figures.money(Decimal(one.saves), document.currency),
            one.per,
            one.confidence,
        ]
        for number, one in enumerate(found, 1)
    ]


def as_markdown(document: SavingList) -> str:
    """The table for a pull request, with the commands below it."""
    table = markdown(TITLES, cells(document.recommendations, document), names=4)
    commands = "\n".join(f"{n}. `{one.command}`" for n, one in enumerate(document.recommendations, 1))
    return f"{table}\n\n{commands}"


def command_lines(command: str, limit: int) -> Iterator[str]:
    """A command in lines that a shell reads as one."""
    line = ""
    for word in shlex.split(command):
        quoted = shlex.quote(word)
        longer = f"{line} {quoted}" if line else quoted
        if line and len(longer) > limit - 2:
            yield f"{line} \\"
            longer = f"  {quoted}"
        line = longer
    yield line
