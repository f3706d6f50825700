"""Prices as a table: a CSV file becomes the spec of a PriceBook, and back.

Prices come from spreadsheets and exports of accounting, so what is unambiguous is tolerated: a byte order mark, `;` or
tabs between the cells, either line end, spaces around values, `instance_type` for `instanceType`, a date for its
midnight in UTC. What could be meant in two ways is refused with the line and the column, all of it at once.
The columns are described in docs/guide/prices.md.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpucost.api.convert import item_problems, spec_problems
from gpucost.api.pricebook import ALWAYS

_DATES = ("effectiveFrom", "effectiveUntil")


@dataclass(frozen=True, slots=True)
class _List:
    """One list of a PriceBook: the columns that say so, and the others that may or must be filled in."""

    name: str
    what: str
    marks: tuple[str, ...]
    needed: tuple[str, ...]
    other: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that belongs to it."""
        return tuple(dict.fromkeys((*self.marks, *self.other, *self.needed, *_DATES)))


_LISTS = (
    _List("prices", "a node or GPU", ("instanceType", "gpuModel"), ("hourly",), ("region", "zone", "capacityType")),
    _List("storage", "storage", ("storageClass",), ("perGiBMonth",), ("region",)),
    _List("loadBalancers", "a load balancer", ("loadBalancerClass",), ("hourly",), ("region",)),
    _List(
        "basePrices",
        "cores and memory",
        ("cpuHourly", "memoryGiBHourly"),
        ("cpuHourly", "memoryGiBHourly"),
        ("region", "zone", "capacityType"),
    ),
)
COLUMNS = (
    "instanceType", "gpuModel", "storageClass", "loadBalancerClass", "region", "zone", "capacityType", "hourly",
    "perGiBMonth", "cpuHourly", "memoryGiBHourly", "effectiveFrom", "effectiveUntil", "currency",
)  # fmt: skip
_ANY = "*"
_CLASSES = frozenset({"storageClass", "loadBalancerClass"})
_CAPACITY = {"ondemand": "onDemand", "spot": "spot", "reserved": "reserved"}
_NOT_IN_CSV = ("discounts", "commitments")


@dataclass(frozen=True, slots=True)
class Table:
    """What was read: the spec of a PriceBook, or else one line for each problem, such as `7: hourly: required`."""

    spec: dict[str, Any] | None
    problems: tuple[str, ...] = ()


# --- reading ----------------------------------------------------------------------------------------------------------


def read_csv(data: bytes, *, currency: str | None = None) -> Table:
    """Read a file; `currency` is used where the file names none (and USD where that is None)."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Table(None, (f"{line}: not UTF-8 text; save the file as UTF-8",))
    problems: list[str] = []
    try:
        rows = _rows(text, problems)
    except csv.Error as error:
        return Table(None, (f"1: not a CSV file: {error}",))
    if problems:
        return Table(None, tuple(problems))
    spec = _spec(rows, currency, problems)
    if not problems:
        problems += [f"1: {problem}" for problem in spec_problems(spec)]  # the limits of a whole book
    return Table(None, tuple(problems)) if problems else Table(spec)


Cells = dict[str, str]


def _rows(text: str, problems: list[str]) -> list[tuple[int, Cells]]:
    """Filled cells by column, with the number of the line that the row begins in."""
    separator = _separator(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    numbered, line = [], 1
    for cells in reader:
        numbered.append((line, [cell.strip() for cell in cells]))
        line = reader.line_num + 1
    filled = [(number, cells) for number, cells in numbered if any(cells)]
    if not filled:
        problems.append(f"1: empty; the first line names the columns: {', '.join(COLUMNS)}")
        return []
    (first, header), *rest = filled
    columns = _header(first, header, problems)
    if not rest and not problems:
        problems.append(f"{first}: no prices below the names of the columns")
    for number, cells in rest:
        if len(cells) != len(header):
            problems.append(f"{number}: has {len(cells)} cells, the first line names {len(header)} columns")
    return [(number, {c: v for c, v in zip(columns, cells, strict=False) if v}) for number, cells in rest]


def _separator(text: str) -> str:
    """What separates the names of the columns, none of which contains it."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    return max(",;\t", key=header.count) if any(mark in header for mark in ";\t") else ","


def _header(number: int, names: Sequence[str], problems: list[str]) -> list[str]:
    """The columns in order; what is wrong with them is added to `problems`."""
    known = {_plain(column): column for column in COLUMNS}
    columns = [known.get(_plain(name), "") for name in names]
    for position, (name, column) in enumerate(zip(names, columns, strict=True), start=1):
        if not column:
            shown = name or f"the {position}. column without a name"
            problems.append(f"{number}: {shown}: unknown column; the columns are {', '.join(COLUMNS)}")
        elif column in columns[: position - 1]:
            problems.append(f"{number}: {column}: there twice")
    if not any(set(each.marks) & set(columns) and set(each.needed) <= set(columns) for each in _LISTS):
        problems.append(
            f"{number}: columns are missing: give instanceType or gpuModel and hourly, or storageClass and "
            "perGiBMonth, or loadBalancerClass and hourly, or cpuHourly and memoryGiBHourly"
        )
    return columns


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()


def _spec(rows: Iterable[tuple[int, Cells]], currency: str | None, problems: list[str]) -> dict[str, Any]:
    spec: dict[str, Any] = {"currency": currency or "USD"}
    named: dict[str, int] = {}
    seen: dict[tuple[object, ...], int] = {}
    for number, cells in rows:
        if code := cells.pop("currency", ""):
            named.setdefault(code, number)
        kind, item = _item(number, cells, problems)
        if kind is None:
            continue
        key = (kind.name, *(item.get(c, _default(c)) for c in kind.columns if c not in _amounts(kind)))
        if key in seen:
            problems.append(f"{number}: the same thing from the same date as in line {seen[key]}; keep one of them")
        seen.setdefault(key, number)
        spec.setdefault(kind.name, []).append(item)
    _name_currency(spec, named, currency, problems)
    return spec


def _name_currency(spec: dict[str, Any], named: Mapping[str, int], given: str | None, problems: list[str]) -> None:
    if not named:
        return
    (first, _), *others = named.items()
    problems += [f"{number}: currency: is {code}, above it was {first}; one book has one" for code, number in others]
    if given is not None and given != first:
        problems.append(f"{named[first]}: currency: is {first}, --currency says {given}")
    spec["currency"] = first


def _amounts(kind: _List) -> frozenset[str]:
    return frozenset(kind.needed) | {"effectiveUntil"}


def _default(column: str) -> str:
    return {"capacityType": "onDemand", "effectiveFrom": ALWAYS}.get(column, "")


def _item(number: int, cells: Cells, problems: list[str]) -> tuple[_List | None, dict[str, Any]]:
    """One row as an item of one list; None when it cannot be said of which."""
    kinds = [each for each in _LISTS if any(mark in cells for mark in each.marks)]
    if len(kinds) != 1:
        marks = "instanceType, gpuModel, storageClass, loadBalancerClass or cpuHourly with memoryGiBHourly"
        problems.append(f"{number}: {'say what it is a price of: ' if not kinds else 'a price of one thing: '}{marks}")
        return None, {}
    kind = kinds[0]
    strange = [
        f"{number}: {c}: no part of a price of {kind.what}; leave it empty" for c in cells if c not in kind.columns
    ]
    item = {column: _value(column, cells[column]) for column in kind.columns if column in cells}
    problems += strange
    problems += [f"{number}: {problem}".replace(": : ", ": ") for problem in item_problems(kind.name, item)]
    return kind, {column: value for column, value in item.items() if value != ""}


def _value(column: str, text: str) -> str:
    if column in _CLASSES:
        return "" if text == _ANY else text
    if column == "capacityType":
        return _CAPACITY.get(_plain(text), text)
    if column in _DATES and re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return f"{text}T00:00:00Z"
    return text


# --- writing ----------------------------------------------------------------------------------------------------------


def write_csv(spec: Mapping[str, Any]) -> str:
    """A book as a table with the columns that it needs; what has no place in one is left out (`left_out`)."""
    rows = list(_written(spec))
    used = [column for column in COLUMNS if any(column in row for row in rows)]
    text = io.StringIO()
    writer = csv.DictWriter(text, used, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def left_out(spec: Mapping[str, Any]) -> dict[str, int]:
    """Number of terms of a book that a table has no place for, by list."""
    return {name: len(spec[name]) for name in _NOT_IN_CSV if spec.get(name)}


def _written(spec: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for kind in _LISTS:
        for item in spec.get(kind.name) or ():
            row = {c: str(item[c]) for c in kind.columns if item.get(c) and item[c] != _default(c)}
            for mark in _CLASSES & set(kind.marks):
                row.setdefault(mark, _ANY)
            yield {**row, "currency": str(spec.get("currency") or "USD")}
