"""Many rows in one statement, in each dialect's fastest way.

SQLite takes rows one by one without a round trip. For PostgreSQL the rows travel as one JSON parameter: ten times less
work for the driver than a parameter for each value, and its server is quick at taking them apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import String, Table, Text, bindparam, cast, column, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

Row = dict[str, Any]
Finish = Callable[[Any], Any]
"""Adds ON CONFLICT to an INSERT."""
_AT_ONCE = 20_000  # rows: some ten megabytes of JSON


def insert(
    connection: Connection, table: Table, rows: Sequence[Row], finish: Finish = lambda statement: statement
) -> None:
    """Insert rows that all have the same columns; `finish` may make it an upsert."""
    if not rows:
        return
    if connection.dialect.name != "postgresql":
        connection.execute(finish(sqlite.insert(table)), rows)
        return
    statement = finish(_from_json(table, tuple(rows[0])))
    for begin in range(0, len(rows), _AT_ONCE):
        part = [_fitting(table, row) for row in rows[begin : begin + _AT_ONCE]]
        connection.execute(statement, {"rows": json.dumps(part, separators=(",", ":"))})


def upsert(keys: Sequence[str], others: Iterable[str]) -> Finish:
    """Makes the row that is there under the same keys have these other values."""
    names = list(others)

    def finish(statement: Any) -> Any:
        changed = {name: statement.excluded[name] for name in names}
        return statement.on_conflict_do_update(index_elements=list(keys), set_=changed)

    return finish


def _from_json(table: Table, names: Sequence[str]) -> Any:
    document = cast(bindparam("rows", type_=Text), postgresql.JSON)
    columns = [column(name, table.c[name].type) for name in names]
    derived = func.json_to_recordset(document).table_valued(*columns).render_derived(name="r", with_types=True)
    return postgresql.insert(table).from_select(list(names), select(*(derived.c[name] for name in names)))


def _fitting(table: Table, row: Row) -> Row:
    """Text as PostgreSQL can store it: no NUL, and no longer than the column (SQLite minds neither)."""
    return {name: _text(table, name, value) if type(value) is str else value for name, value in row.items()}


def _text(table: Table, name: str, value: str) -> str:
    kind = table.c[name].type
    value = value.replace("\0", "") if "\0" in value else value
    return value[: kind.length] if isinstance(kind, String) and kind.length else value


def last_of(rows: Iterable[Row], keys: Sequence[str]) -> list[Row]:
    """One row for each key, the last one: an upsert may touch a row only once."""
    return list({tuple(row[key] for key in keys): row for row in rows}.values())
