"""Where a report's numbers come from and how far they can be trusted."""

from __future__ import annotations

from collections.abc import Iterable

from gpucost.core.books import Books
from gpucost.core.clock import HOUR, Instant, Micros, floor_to
from gpucost.core.in_force import InForce, in_force, united
from gpucost.core.model import Gpus
from gpucost.core.report import DataQuality
from gpucost.core.timeline import Interval
from gpucost.ledger import facts, prices_in_force
from gpucost.ledger.desk import Desk, cut
from gpucost.ledger.gaps import in_window
from gpucost.ledger.standing import Holding

USAGE_MARK = "usage-observed"
"""Mark under which whoever measures may leave the instant of the newest sample, in microseconds."""


def quality(desk: Desk, span: Interval, namespace: str | None = None) -> DataQuality:
    """Quality of a window; what is measured is told as of now."""
    now = desk.now
    held, measured, newest = _measured(desk.books, desk.standing.holdings(desk.books, namespace), now)
    prices = _prices(desk, span)
    marked = facts.read_mark(desk.db, USAGE_MARK)
    newest = int(marked) if marked else newest
    return DataQuality(
        as_of=now,
        price_sources=tuple(sorted(prices.sources)),
        gpus_held=held,
        gpus_measured=measured,
        data_age=_age(newest, now),
        unpriced_nodes=tuple(sorted(prices.unpriced)),
        gaps=len(in_window(desk.db, span, namespace)),
    )


def _age(newest: Instant | None, now: Instant) -> Micros | None:
    return None if newest is None else max(0, now - newest)


def _measured(books: Books, holdings: Iterable[Holding], now: Instant) -> tuple[Gpus, Gpus, Instant | None]:
    """GPUs held at an instant, how many are measured, and when the newest value in force began."""
    held: Gpus = 0
    measured: Gpus = 0
    newest: Instant | None = None
    activities = books.activities
    for start, end, gpus, uid in holdings:
        if not start <= now < end:
            continue
        held += gpus
        activity = activities.get(uid)
        known = activity.known_since(now) if activity is not None else None
        if known is not None:
            measured += gpus
            if newest is None or known > newest:
                newest = known
    return held, measured, newest


def _prices(desk: Desk, span: Interval) -> InForce:
    pieces = cut(span, desk.watermark, desk.horizon)
    found = [hour.prices for hour in desk.shelf.hours(desk.db, pieces.settled)]
    if pieces.rolled.length > 0:
        found.append(prices_in_force.read(desk.db, pieces.rolled))
    found.extend(in_force(desk.shelf.edge(desk.db, floor_to(edge.start, HOUR)), edge) for edge in pieces.edges)
    found.append(in_force(desk.books, pieces.open))
    return united(found)
