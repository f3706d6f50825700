"""An open transaction on behalf of one cluster: what every function that reads or writes is given."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy.engine import Connection


class Db(NamedTuple):
    """A connection inside a transaction that its caller holds, and whose rows are meant."""

    connection: Connection
    cluster: str
