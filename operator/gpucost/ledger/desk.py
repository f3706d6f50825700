"""What is at hand when somebody asks, and how the window that is asked for is cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gpucost.core.booking import hours
from gpucost.core.books import Books
from gpucost.core.clock import HOUR, Instant, floor_to
from gpucost.core.timeline import Interval
from gpucost.ledger.db import Db
from gpucost.ledger.shelf import Shelf
from gpucost.ledger.standing import Standing


@dataclass(frozen=True, slots=True)
class Desk:
    """What is at hand for an answer: the database inside a transaction, and the open hours."""

    db: Db
    currency: str
    books: Books
    watermark: Instant | None
    now: Instant
    shelf: Shelf
    standing: Standing
    horizon: Instant | None = None
    """Before it, only roll-ups are left."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A window cut at whole settled hours; any part may be empty."""

    rolled: Interval
    """The hours that begin in it: an hour of which only a sum is left cannot be cut, and windows that meet still add
    up."""
    settled: Interval
    edges: tuple[Interval, ...]
    open: Interval


def cut(span: Interval, watermark: Instant | None, horizon: Instant | None = None) -> Cut:
    """Cut a window: roll-ups, whole hours before the watermark, partial hours before it, and what comes after."""
    rolled_until = max(span.start, min(span.end, horizon or 0))
    old, span = Interval(span.start, rolled_until), Interval(rolled_until, span.end)
    border = max(span.start, min(span.end, watermark or 0))
    first, last = -floor_to(-span.start, HOUR), floor_to(border, HOUR)
    opened = Interval(border, span.end)
    if first >= last:
        return Cut(old, Interval(first, first), tuple(_not_empty(hours(Interval(span.start, border)))), opened)
    edges = (Interval(span.start, first), Interval(last, border))
    return Cut(old, Interval(first, last), tuple(_not_empty(iter(edges))), opened)


def _not_empty(spans: Iterator[Interval]) -> Iterator[Interval]:
    return (span for span in spans if span.length > 0)


def until_now(span: Interval, now: Instant) -> Interval:
    """The part of a window that has happened; an inverted window is a `ValueError`."""
    if span.start > span.end:
        raise ValueError(f"the window ends ({span.end}) before it starts ({span.start})")
    end = max(span.start, min(span.end, now))
    return Interval(span.start, end)
