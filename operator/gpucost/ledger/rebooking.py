"""Facts that come after their hours were settled: find the hours, and book them again in the same transaction.

A late fact is rare (a watch that was broken, a price that was corrected), so it may cost something; what it must not do
is leave a moment in which the stored charges and the facts disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Table, select

from gpucost.core.allocate import FOREVER, life, price_timeline
from gpucost.core.booking import NOBODY, Booking, hours
from gpucost.core.books import Books, Fact, merge_node, merge_pod
from gpucost.core.clock import HOUR, Instant, floor_to
from gpucost.core.late import node_change, pod_change, price_change
from gpucost.core.model import NeedFact, NodeFact, PodFact, PriceFact, UsageFact
from gpucost.core.timeline import Interval
from gpucost.ledger import charges, facts, hour_sums, rows
from gpucost.ledger.db import Db
from gpucost.ledger.schema import needs, pods, prices, usage
from gpucost.ledger.settled import WorkloadKey, key_of


@dataclass
class Late:
    """Hours to book again, one span for each node, and the workloads whose sums change."""

    hours: dict[str, Interval] = field(default_factory=dict)
    workloads: set[WorkloadKey] = field(default_factory=set)
    renamed: list[Interval] = field(default_factory=list)
    """Hours that come to something else because a pod gets another namespace, or becomes a volume."""
    horizon: Instant = 0
    """Hours before it are rolled up and stay as they are."""
    refused: int = 0
    """Changes that would have touched them."""

    def add(self, node_uid: str, spans: Iterable[Interval], watermark: Instant | None) -> None:
        """Note spans of a node as far as they are settled; full hours around them."""
        for span in spans:
            start, end = floor_to(span.start, HOUR), min(watermark or 0, -floor_to(-span.end, HOUR))
            self.refused += start < self.horizon and start < end
            start = max(start, self.horizon)
            if start < end:
                known = self.hours.get(node_uid, Interval(start, end))
                self.hours[node_uid] = Interval(min(start, known.start), max(end, known.end))


_Value = NeedFact | UsageFact
_VALUES = (NeedFact, UsageFact)


def late_hours(
    db: Db, batch: Sequence[Fact], watermark: Instant | None, horizon: Instant | None = None
) -> tuple[Late, list[Fact]]:
    """Compare facts that are about to be written with those stored.

    Returns what they change in settled hours, and the facts as they will stand (an end that is stored stays).
    """
    late, known = Late(horizon=horizon or 0), facts.stored(db, batch)
    before = {uid: list(timeline.values()) for uid, timeline in known.prices.items()}
    for fact in batch:
        if isinstance(fact, _VALUES):  # thousands at every pass; `_values` compares them with what is stored
            continue
        if isinstance(fact, PodFact):
            _pod(late, known.pods.get(fact.uid), fact, watermark)
        elif isinstance(fact, NodeFact):
            old = known.nodes.get(fact.uid)
            late.add(fact.uid, node_change(old, merge_node(old, fact)), watermark)
        if isinstance(fact, (PodFact, NodeFact, PriceFact)):
            known.put([fact])
    for uid in {fact.node_uid for fact in batch if isinstance(fact, PriceFact)}:
        late.add(uid, price_change(before.get(uid, ()), known.prices[uid].values()), watermark)
    _values(db, batch, late, watermark)
    rest = [fact for fact in batch if not isinstance(fact, (PodFact, NodeFact))]
    return late, [*known.nodes.values(), *known.pods.values(), *rest]


def _pod(late: Late, old: PodFact | None, fact: PodFact, watermark: Instant | None) -> None:
    new = merge_pod(old, fact)
    if old is not None and old.node_uid != new.node_uid:
        late.add(old.node_uid, pod_change(None, old), watermark)
        old = None
    late.add(new.node_uid, pod_change(old, new), watermark)
    if old is not None and (old.namespace, old.requests.storage > 0) != (new.namespace, new.requests.storage > 0):
        late.renamed.append(Interval(floor_to(min(old.start, new.start), HOUR), watermark or 0))
    if old is not None and key_of(old) != key_of(new):
        late.workloads |= {key_of(old), key_of(new)}


_FEW = 4


def _values(db: Db, batch: Sequence[Fact], late: Late, watermark: Instant | None) -> None:
    """What pods needed and did, each from an instant until the next value."""
    found = [fact for fact in batch if isinstance(fact, _VALUES) and fact.start < (watermark or 0)]
    if not found:
        return
    uids = {fact.pod_uid for fact in found}
    node_of = {p.uid: p.node_uid for p in facts.by_keys(db, pods, "uid", uids, rows.pod_fact)}
    node_of |= {fact.uid: fact.node_uid for fact in batch if isinstance(fact, PodFact)}
    several: dict[tuple[str, str], list[_Value]] = {}
    for fact in found:
        if fact.pod_uid in node_of:
            several.setdefault((type(fact).__name__, fact.pod_uid), []).append(fact)
    for (_, uid), values in several.items():
        late.add(node_of[uid], _value_change(db, values), watermark)


def _value_change(db: Db, values: Sequence[_Value]) -> list[Interval]:
    """Spans in which values of one kind of one pod differ from those stored; of many, no one is compared."""
    if len(values) > _FEW:
        first, last = min(values, key=lambda fact: fact.start), max(values, key=lambda fact: fact.start)
        return [_in_force(db, first, last)]
    return [_in_force(db, fact, fact) for fact in values if not _is_stored(db, fact)]


def _in_force(db: Db, first: _Value, last: _Value) -> Interval:
    end = facts.following(db, _table(last), last.pod_uid, last.start)
    return Interval(first.start, FOREVER if end is None else end)


def _table(fact: _Value) -> Table:
    return needs if isinstance(fact, NeedFact) else usage


def _is_stored(db: Db, fact: _Value) -> bool:
    table = _table(fact)
    query = select(table).where(
        table.c.cluster == db.cluster, table.c.pod_uid == fact.pod_uid, table.c.start == fact.start
    )
    row = db.connection.execute(query).one_or_none()
    wanted = rows.need_row(fact) if isinstance(fact, NeedFact) else rows.usage_row(fact)
    return row is not None and all(row._mapping[name] == value for name, value in wanted.items())


def merge_prices(
    db: Db, by_node: Mapping[str, list[PriceFact]], since: Instant | None, watermark: Instant | None, late: Late
) -> dict[str, list[PriceFact]]:
    """What node timelines become when they are replaced (from `since` on); only those that change.

    Settled hours that this changes are added to `late`.
    """
    stored = Books()
    stored.put(facts.by_keys(db, prices, "node_uid", by_node, rows.price_fact))
    merged: dict[str, list[PriceFact]] = {}
    for uid, new in by_node.items():
        old = list(stored.prices.get(uid, {}).values())
        timeline = new if since is None else _joined(old, new, since)
        if changes := price_change(old, timeline):
            merged[uid] = timeline
            late.add(uid, changes, watermark)
    return merged


def _joined(old: list[PriceFact], new: list[PriceFact], since: Instant) -> list[PriceFact]:
    """The old timeline until an instant and the new one after it."""
    kept = [price for price in old if price.start < since]
    in_force, before = price_timeline(new).at(since), price_timeline(kept).at(since)
    if in_force is not None and (before is None or replace(before, start=0) != replace(in_force, start=0)):
        kept.append(replace(in_force, start=since))
    return kept + [price for price in new if price.start > since]


def rebook(db: Db, late: Late) -> Late:
    """Delete the charges of the hours and book them from the facts as they stand now.

    Returns the same hours with all workloads that had or have a part in them.
    """
    hour_sums.remove(db, [*late.hours.values(), *late.renamed])
    uids: set[str] = set()
    for node_uid, span in late.hours.items():
        uids |= charges.pods_of_hours(db, [node_uid], span.start)
        charges.remove(db, node_uid, span)
        bookings = _book(facts.load(db, span, [node_uid]), node_uid, span)
        charges.write(db, bookings)
        uids |= {charge.pod_uid for booking in bookings for charge in booking.charges}
    concerned = facts.by_keys(db, pods, "uid", uids - NOBODY, rows.pod_fact)
    return replace(late, workloads=late.workloads | {key_of(pod) for pod in concerned})


def _book(books: Books, node_uid: str, span: Interval) -> list[Booking]:
    node = books.nodes.get(node_uid)
    alive = life(node, span) if node is not None else None
    if alive is None:
        return []
    first = floor_to(alive.start, HOUR)
    return [books.book(node_uid, hour) for hour in hours(Interval(first, -floor_to(-alive.end, HOUR)))]
