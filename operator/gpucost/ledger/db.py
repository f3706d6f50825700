"""An open transaction on behalf of one cluster: what every function that reads or writes is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

from sqlalchemy.engine import Connection

T = TypeVar("T")


class Db(NamedTuple):
    """A connection inside a transaction that its caller holds, and whose rows are meant."""

    connection: Connection
    cluster: str


class Transaction(Protocol):
    """Does some work in a transaction of its own."""

    def __call__(self, work: Callable[[Db], T], /) -> T:
        """What the work returns."""
