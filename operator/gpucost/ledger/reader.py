"""Reading the ledger without being its owner: beside a running operator, in another process, or in another thread.

Everything of one day comes from one snapshot, so a late fact that is booked meanwhile is seen whole or not at all.
Nodes are read a few at a time: memory depends on them, not on the size of the cluster or of the window.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, event, func, select
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from gpucost.core.allocate import price_timeline
from gpucost.core.booking import FIELDS
from gpucost.core.clock import DAY, HOUR, Instant, floor_to
from gpucost.core.focus import Holder, Origin, Part, Thing
from gpucost.core.focus_terms import Terms, terms
from gpucost.core.model import CapacityType, NodeFact, PriceFact
from gpucost.core.money import Pico
from gpucost.core.report import Amounts
from gpucost.core.serving.work_json import Memory
from gpucost.core.timeline import Interval, Timeline
from gpucost.core.training.progress import Progress
from gpucost.ledger import charges as store
from gpucost.ledger import rows
from gpucost.ledger.db import Db
from gpucost.ledger.endpoints import memories
from gpucost.ledger.engine import parse_url, place_of
from gpucost.ledger.errors import LedgerError, guard
from gpucost.ledger.facts import by_keys, chunks, read_marks
from gpucost.ledger.migrate import HEAD, current
from gpucost.ledger.postgres import is_postgres, open_postgres
from gpucost.ledger.progress import histories
from gpucost.ledger.schema import charges, marks, node_hours, nodes, pods, prices

WATERMARK = "ledger/settled-until"
_NODES_AT_ONCE = 50
_WAIT_SECONDS = 5.0


def _engine(url: str) -> Engine:
    parsed = parse_url(url)
    if is_postgres(parsed):
        return open_postgres(parsed, place_of(url)).execution_options(postgresql_readonly=True)
    if not parsed.database or parsed.database == ":memory:":
        raise LedgerError(f"ledger {url}: only its own process can read it; give the URL of a file or a server")
    place = f"file:{quote(parsed.database)}?mode=ro"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(place, uri=True, isolation_level=None, timeout=_WAIT_SECONDS, check_same_thread=False)

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


class Reader:
    """Read-only access to the ledger at a URL; it neither creates nor upgrades anything."""

    def __init__(self, url: str) -> None:
        """Nothing is opened before the first snapshot. Raises `LedgerError` for what is no URL of a ledger."""
        self.place = place_of(url)
        with guard(self.place):
            self._engine = _engine(url)
            self._file = Path(self.place) if self._engine.dialect.name == "sqlite" else None

    def clusters(self) -> list[str]:
        """Names of the clusters that have charges here."""
        with self._connection() as connection:
            found = connection.execute(select(marks.c.cluster).where(marks.c.name == WATERMARK))
            return sorted(row.cluster for row in found)

    @contextmanager
    def snapshot(self, cluster: str) -> Iterator[Snapshot]:
        """What the ledger says about a cluster at one instant; use it within the `with`."""
        with self._connection() as connection:
            yield Snapshot(Db(connection, cluster))

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        if self._file is not None and not self._file.is_file():
            raise LedgerError(f"ledger {self.place}: there is no such file; give the URL that the operator uses")
        with guard(self.place), self._engine.connect() as connection, connection.begin():
            self._check(connection)
            yield connection

    def _check(self, connection: Connection) -> None:
        found = current(connection)
        if found is None:
            raise LedgerError(f"ledger {self.place}: it is empty; give the URL that the operator uses")
        if found != HEAD:
            raise LedgerError(
                f"ledger {self.place}: its schema is {found}, this gpucost reads {HEAD}; use the operator's version"
            )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One consistent view of a cluster's settled hours."""

    db: Db

    def booked(self) -> Interval | None:
        """From the first settled hour to the end of the last; None when nothing is settled."""
        query = select(func.min(node_hours.c.hour)).where(node_hours.c.cluster == self.db.cluster)
        first = self.db.connection.execute(query).scalar()
        mark = select(marks.c.value).where(marks.c.cluster == self.db.cluster, marks.c.name == WATERMARK)
        until = self.db.connection.execute(mark).scalar()
        return None if first is None or until is None else Interval(int(first), int(until))

    def progress(self) -> dict[str, Progress]:
        """What every run has said of itself, by UID of its TrainingJob."""
        return histories(self.db, None)

    def marks(self, prefix: str) -> dict[str, str]:
        """What the operator remembers under names that begin so."""
        return read_marks(self.db, prefix)

    def endpoint_memories(self) -> dict[str, Memory]:
        """What is remembered of every endpoint, by UID."""
        return memories(self.db)

    def cost(self, span: Interval) -> tuple[Pico, Pico]:
        """Sum of the charges of whole hours, and what the nodes cost by their own integration."""
        total = store.sums(self.db, [charges.c.cluster], store.in_hours(span))
        return (total[0].sum[0] if total else 0), store.node_cost(self.db, span)

    def origins(self, span: Interval, step: int = DAY) -> Iterator[Origin]:
        """What is booked in a span of whole hours, in periods of `step` (an hour or a day), in a fixed order."""
        query = select(node_hours.c.node_uid).distinct().where(node_hours.c.cluster == self.db.cluster)
        query = query.where(node_hours.c.hour >= span.start, node_hours.c.hour < span.end)
        uids = sorted(row.node_uid for row in self.db.connection.execute(query))
        for part in chunks(uids, _NODES_AT_ONCE):
            yield from self._of_nodes(part, span, step)

    def _of_nodes(self, uids: list[str], span: Interval, step: int) -> Iterator[Origin]:
        facts = {fact.uid: fact for fact in by_keys(self.db, nodes, "uid", uids, rows.node_fact)}
        timelines = self._timelines(uids)
        lines = self._charges(uids, span, step)
        holders = self._holders(line.pod_uid for line in lines)
        for (uid, start), group in groupby(lines, key=lambda line: (line.node_uid, line.start)):
            period = Interval(start, min(start + step, span.end))
            node = facts[uid]
            agreed = terms(node.start, node.end, node.capacity_type, timelines[uid], period)
            yield from _split(node, period, agreed, list(group), holders)

    def _timelines(self, uids: Sequence[str]) -> dict[str, Timeline[PriceFact]]:
        found: dict[str, list[PriceFact]] = {uid: [] for uid in uids}
        for fact in by_keys(self.db, prices, "node_uid", uids, rows.price_fact):
            found[fact.node_uid].append(fact)
        return {uid: price_timeline(facts) for uid, facts in found.items()}

    def _charges(self, uids: list[str], span: Interval, step: int) -> list[_Line]:
        """Charges summed over each period."""
        keys = [charges.c.node_uid, charges.c.pod_uid, charges.c.capacity_type]
        by_hour = step == HOUR
        found = store.sums(
            self.db,
            [*keys, charges.c.hour] if by_hour else keys,
            store.in_hours(span),
            charges.c.node_uid.in_(uids),
        )
        begin = floor_to(span.start, step)
        lines = [
            _Line(t.key[0], t.key[3] if by_hour else begin, pod_uid=t.key[1], capacity_type=t.key[2], sum=t.sum)
            for t in found
        ]
        return sorted(lines, key=lambda line: (line.node_uid, line.start, line.capacity_type, line.pod_uid))

    def _holders(self, uids: Iterator[str]) -> dict[str, Holder]:
        columns = (pods.c.namespace, pods.c.name, pods.c.workload_kind, pods.c.workload_name, pods.c.category)
        found: dict[str, Holder] = {}
        for part in chunks(sorted(set(uids))):
            query = select(pods.c.uid, *columns, pods.c.labels)
            query = query.where(pods.c.cluster == self.db.cluster, pods.c.uid.in_(part))
            found.update((row.uid, Holder(*row)) for row in self.db.connection.execute(query))
        return found


@dataclass(frozen=True, slots=True)
class _Line:
    node_uid: str
    start: Instant
    pod_uid: str
    capacity_type: str
    sum: store.Sum


def _split(
    node: NodeFact,
    period: Interval,
    agreed: Mapping[CapacityType, Terms],
    lines: list[_Line],
    holders: Mapping[str, Holder],
) -> Iterator[Origin]:
    """The origins of one node and period: one for each capacity type."""
    thing = _thing(node)
    for kind, group in groupby(lines, key=lambda line: CapacityType(line.capacity_type)):
        parts = tuple(Part(line.pod_uid, holders.get(line.pod_uid), _amounts(line.sum)) for line in group)
        yield Origin(thing, kind, period, agreed.get(kind, Terms()), parts)


def _amounts(values: Sequence[Any]) -> Amounts:
    return Amounts(**dict(zip(FIELDS, values, strict=True)))


def _thing(node: NodeFact) -> Thing:
    return Thing(
        uid=node.uid,
        name=node.name,
        kind=node.kind,
        capacity=node.capacity,
        gpus=node.physical_gpus or node.capacity.gpus,
        instance_type=node.instance_type,
        gpu_model=node.gpu_model,
        region=node.region,
        zone=node.zone,
    )
