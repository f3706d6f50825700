"""The ledger: what was observed is written down once, what it cost is computed from that, exactly and at any time.

Hours that are over are *settled*: their charges are stored, so that a pass of the operator and a report over months do
not go back to the facts. A fact that comes late has the hours that it touches booked again in the transaction that
records it, so both ways always agree.

All calls are synchronous and may come from any thread; they take turns.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import RLock
from types import TracebackType
from typing import TypeVar

from gpucost.core.allocate import FOREVER
from gpucost.core.books import Books, Fact
from gpucost.core.clock import HOUR, MINUTE, Instant, Micros, floor_to
from gpucost.core.grouping import By
from gpucost.core.model import CapacityType, Gap, NeedFact, NodeFact, PodFact, PriceFact, Workload
from gpucost.core.money import Pico
from gpucost.core.report import Amounts, Explanation, Report, Row
from gpucost.core.selector import Selector
from gpucost.core.timeline import Interval
from gpucost.ledger import charges, explanations, facts, hour_sums, lifetimes, reports, rolled, rows
from gpucost.ledger.database import Database
from gpucost.ledger.db import Db
from gpucost.ledger.desk import Desk
from gpucost.ledger.endpoints import Endpoints
from gpucost.ledger.engine import open_engine, place_of
from gpucost.ledger.errors import LedgerError, guard
from gpucost.ledger.progress import Sayings
from gpucost.ledger.rebooking import Late, late_hours, merge_prices, rebook
from gpucost.ledger.recorded import Recorded, recorded
from gpucost.ledger.replicas import ReplicaBooks
from gpucost.ledger.retirement import Retirement
from gpucost.ledger.rollups import HOURLY
from gpucost.ledger.runs import Runs
from gpucost.ledger.schema import nodes as node_table
from gpucost.ledger.schema import pods as pod_table
from gpucost.ledger.settled import Settled, WorkloadKey, key_of
from gpucost.ledger.shelf import Shelf, renames
from gpucost.ledger.standing import Standing
from gpucost.ledger.stays import RunStays
from gpucost.ledger.totals import NodeTotal, Pass
from gpucost.ledger.workload_hours import WorkloadHours, workload_hours

__all__ = ["Ledger", "LedgerError", "NodeTotal"]

GRACE = 2 * MINUTE
"""How long after its end an hour is settled: what happened in it is known by then, as a rule."""

_WATERMARK = "ledger/settled-until"
_INTERNAL = "ledger/"
_FORGET_EVERY = 24  # hours, while a backlog is settled

T = TypeVar("T")


def _open_hours(db: Db) -> tuple[Instant | None, Instant | None, Books]:
    mark = facts.read_mark(db, _WATERMARK)
    watermark = int(mark) if mark else None
    return watermark, rolled.horizon(db), facts.load(db, Interval(watermark or 0, FOREVER))


def _refuse_internal(name: str) -> None:
    if name.startswith(_INTERNAL):
        raise ValueError(f"marks under {_INTERNAL!r} are the ledger's own: {name!r}")


class Ledger:
    """Facts and charges of one cluster in a database. Every call raises `LedgerError` when the database fails."""

    def __init__(
        self,
        url: str,
        *,
        cluster: str = "default",
        currency: str = "USD",
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        """Open, create or upgrade the ledger at a URL such as `sqlite:////var/lib/gpucost/ledger.db`.

        Who opens it becomes its writer: whoever was it before can only read from now on (`LedgerFenced`).
        `may_write()` is asked before every commit.
        """
        self.cluster, self.currency, self.place = cluster, currency, place_of(url)
        self._lock = RLock()
        self._books, self._settled, self._shelf = Books(), Settled(), Shelf()
        self._watermark: Instant | None = None
        self.refused = 0
        """Late facts about time of which only roll-ups are left: they change nothing there."""
        self._pass: Pass | None = None
        self._unsummed, self._standing = True, Standing()
        with guard(self.place):
            self._database = Database(open_engine(url), self.place, cluster, may_write)
        try:
            self._reload()
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Give the file back; nothing needs to be flushed."""
        with self._lock:
            self._database.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, _type: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self.close()

    def _reload(self) -> None:
        """Take from the database what the open hours need, and forget everything else."""
        self._watermark, horizon, self._books = self._database.read(_open_hours)
        self._retirement = Retirement(self._database, horizon)
        self._settled, self._shelf, self._pass, self._unsummed = Settled(), Shelf(), None, True
        self._database.in_doubt = False

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One caller at a time, and memory that agrees with the database."""
        with self._lock:
            if self._database.in_doubt:
                self._reload()
            yield

    def _read(self, question: Callable[[Db], T]) -> T:
        with self._turn():
            return self._database.read(question)

    # --- facts --------------------------------------------------------------------------------------------------------

    def record(
        self,
        new: Iterable[Fact],
        *,
        prices: Mapping[str, Iterable[PriceFact]] | None = None,
        marks: Mapping[str, str] | None = None,
        closed: Iterable[Gap] = (),
    ) -> None:
        """Write facts in one transaction; when this returns they survive the end of the process.

        Facts are identified by UIDs (prices and usage also by their start), so writing one again changes nothing and
        their order does not matter; an `end` that was set is not cleared. `prices` replaces the whole timelines of some
        nodes, `marks` are remembered and gaps that are `closed` are forgotten, in the same transaction. What touches
        settled hours has them booked again in it.
        """
        batch, timelines = list(new), {uid: list(timeline) for uid, timeline in (prices or {}).items()}
        gone = list(closed)
        if batch or timelines or marks or gone:
            self._write(batch, timelines, marks or {}, since=None, closed=gone)

    def _write(
        self,
        batch: list[Fact],
        timelines: Mapping[str, list[PriceFact]],
        marks: Mapping[str, str],
        *,
        since: Instant | None,
        closed: Sequence[Gap] = (),
    ) -> None:
        for name in marks:
            _refuse_internal(name)

        def write(db: Db) -> tuple[list[Fact], dict[str, list[PriceFact]], Late]:
            facts.remove_gaps(db, closed)
            late, stand = late_hours(db, batch, self._watermark, self._retirement.horizon)
            facts.write(db, batch)
            priced = merge_prices(db, timelines, since, self._watermark, late)
            facts.replace_prices(db, priced)
            changed = rebook(db, late)
            facts.write_marks(db, marks)
            return stand, priced, changed

        with self._turn():
            stand, priced, changed = self._database.write(write)
            if changed.hours or changed.workloads:
                self._shelf.clear()
                self._unsummed = True
            elif renames(batch, self._books, self._watermark):
                self._shelf.rename(stand)
            self._books.put(stand)
            for uid, timeline in priced.items():
                self._books.replace_prices(uid, timeline)
            self._apply(changed)

    def replace_prices(self, node_uid: str, prices: Iterable[PriceFact], *, since: Instant | None = None) -> None:
        """Make these a node's whole price timeline; with `since`, keep what it was before that instant."""
        self.replace_all_prices({node_uid: prices}, since=since)

    def replace_all_prices(self, by_node: Mapping[str, Iterable[PriceFact]], *, since: Instant | None = None) -> None:
        """`replace_prices` for many nodes in one transaction (a PriceBook has changed)."""
        self._write([], {uid: list(timeline) for uid, timeline in by_node.items()}, {}, since=since)

    def _apply(self, changed: Late) -> None:
        self.refused += changed.refused
        if changed.hours:
            self._settled.drop(changed.workloads, changed.hours)
        elif changed.workloads:
            self._settled.drop_workloads(changed.workloads)
        self._pass = None

    def open_pods(self) -> list[PodFact]:
        """Pods without an end: what was there when facts were last written."""
        return self._read(lambda db: facts.open_facts(db, pod_table, rows.pod_fact))

    def open_nodes(self) -> list[NodeFact]:
        """Nodes without an end."""
        return self._read(lambda db: facts.open_facts(db, node_table, rows.node_fact))

    def nodes_in(self, span: Interval) -> list[NodeFact]:
        """Nodes, and other things that cost by the hour, that lived in a span."""
        return self._read(lambda db: list(map(rows.node_fact, facts.overlapping(db, node_table, "uid", span, None))))

    def last_needs(self, uids: Iterable[str]) -> list[NeedFact]:
        """What some pods count for now, of those of which something was recorded."""
        wanted = list(uids)
        return self._read(lambda db: facts.last_needs(db, wanted))

    def noted(self, prefix: str) -> list[PodFact]:
        """Pods that have ended, of nodes that have not, with notes that begin so."""
        return self._read(lambda db: facts.noted_on_open_nodes(db, prefix))

    def ended_balancers(self) -> list[str]:
        """UIDs of load balancers that have ended."""
        return self._read(facts.ended_balancers)

    def ended_pods(self, *, kind: str, capacity_type: CapacityType) -> list[tuple[PodFact, str]]:
        """Pods of workloads of a kind that have ended on nodes paid for so, each with the name of its node."""
        return self._read(lambda db: facts.ended_on(db, kind, capacity_type))

    def recorded(self, span: Interval, uids: Iterable[str]) -> Recorded:
        """What is known of a span, and of some pods whenever they lived."""
        return self._read(lambda db: recorded(db, span, uids))

    def trim(self) -> None:
        """Drop from memory what ended before the open hours: a long past may have been written."""
        with self._turn():
            if self._watermark is not None:
                self._books.forget(self._watermark)

    def workloads(self, namespace: str) -> list[Workload]:
        """Every workload of a namespace that ever held something."""
        found = self._read(lambda db: {*facts.workloads_of(db, namespace), *rolled.workloads_of(db, namespace)})
        return sorted(found, key=lambda workload: (workload.kind, workload.name))

    def mark(self, name: str, value: str) -> None:
        """Remember a small value under a name, such as how far a watch has been followed; an empty one forgets it."""
        self.record((), marks={name: value})

    def marked(self, name: str) -> str | None:
        """What is remembered under a name."""
        _refuse_internal(name)
        return self._read(lambda db: facts.read_mark(db, name))

    def marks(self, prefix: str = "") -> dict[str, str]:
        """Everything remembered by `mark`, or what is under names that begin so."""
        found = self._read(lambda db: facts.read_marks(db, prefix))
        return {name: value for name, value in found.items() if not name.startswith(_INTERNAL)}

    @property
    def sayings(self) -> Sayings:
        """What training runs have said of themselves."""
        return Sayings(self._read, self._write_quietly)

    @property
    def runs(self) -> Runs:
        """Which runs there were, and which were not made."""
        return Runs(self._read, self._write_quietly)

    @property
    def stays(self) -> RunStays:
        """The stays of training runs on nodes."""
        return RunStays(self._read, self._write_quietly)

    @property
    def replicas(self) -> ReplicaBooks:
        """What the replicas of endpoints have cost and would have cost otherwise."""
        return ReplicaBooks(self._read, self._write_quietly)

    @property
    def endpoints(self) -> Endpoints:
        """What inference endpoints did."""
        return Endpoints(self._read, self._write_quietly)

    def _write_quietly(self, work: Callable[[Db], T]) -> T:
        """A write that no cost depends on."""
        with self._turn():
            return self._database.write(work)

    # --- settling -----------------------------------------------------------------------------------------------------

    @property
    def settled_until(self) -> Instant | None:
        """All hours before this instant are settled; None before the first."""
        return self._watermark

    def settle(self, now: Instant) -> int:
        """Store the charges of the hours that are over since `GRACE`; the number of node-hours booked.

        Each hour is one transaction with the watermark: after a crash it is either settled or not.
        """
        with self._turn():
            ended = range(self._next_hour(now), floor_to(now - GRACE, HOUR), HOUR)
            booked = 0
            for turn, hour in enumerate(ended, start=1):
                booked += self._settle_hour(hour)
                if turn % _FORGET_EVERY == 0 or turn == len(ended):
                    self._books.forget(hour + HOUR)
            if ended:
                self._settled_some()
            self._sum_up()
            self._read(lambda db: self._shelf.follow(db, now, self._watermark or 0))
            return booked

    def _sum_up(self) -> None:
        """Store what one settled hour comes to of which that is not known: each takes a moment."""
        if self._unsummed and self._watermark is not None:
            span = Interval(self._retirement.horizon or 0, self._watermark)
            self._unsummed = self._database.write(lambda db: hour_sums.fill(db, span))

    def _next_hour(self, now: Instant) -> Instant:
        """First hour to settle: nothing costs anything before the first node."""
        earliest = self._books.earliest()
        return now if earliest is None else max(self._watermark or 0, floor_to(earliest, HOUR))

    def _settled_some(self) -> None:
        self._pass = None
        self._shelf.turn()
        live = {key_of(pod) for pod in self._books.pods.values()}
        self._settled.keep_only(live, set(self._books.nodes))

    def _settle_hour(self, hour: Instant) -> int:
        span = Interval(hour, hour + HOUR)
        bookings = [self._books.book(node.uid, span) for node in self._books.alive(span)]

        sums = hour_sums.HourSums.of(hour, bookings, self._books)

        def write(db: Db) -> None:
            if int(facts.read_mark(db, _WATERMARK) or 0) < span.end:  # else a lost answer was a success
                charges.write(db, bookings)
                hour_sums.write(db, hour, sums)
                facts.write_marks(db, {_WATERMARK: str(span.end)})

        self._database.write(write)
        self._watermark, self._pass = span.end, None
        self._settled.take(bookings, self._books)
        return len(bookings)

    # --- retention ----------------------------------------------------------------------------------------------------

    @property
    def detailed_since(self) -> Instant | None:
        """Before this instant only hourly sums are left; None when nothing is rolled up."""
        return self._retirement.horizon

    def retire(self, now: Instant, keep: Micros, *, hourly: Micros = HOURLY, seconds: float = 0.5) -> int:
        """Roll up hours that are older than `keep` and settled, for about so long; the number of hours.

        After `hourly` more, the hours of a day become one sum. What is not done is done next time.
        """
        limit = floor_to(min(now - keep, self._watermark or 0), HOUR)
        with self._turn():
            done = self._retirement.go_on(limit, hourly, seconds)
            if done:
                self._shelf.clear()
            return done

    # --- what it costs ------------------------------------------------------------------------------------------------

    def _at(self, now: Instant, workloads: Iterable[WorkloadKey] = ()) -> Pass:
        """Everything that one pass of the operator asks for, computed once for an instant."""
        current, unread = self._pass, list(workloads)
        if current is None or current.now != now or current.version != self._books.version:
            current = self._pass = Pass.of(self._books, now, self._watermark)
            unread += current.live
        if self._settled.missing(unread, current.nodes, current.month):
            self._database.read(lambda db: self._settled.read(db, unread, current.nodes, current.month))
        return current

    def _ask(self, question: Callable[[], T]) -> T:
        with self._turn():
            return question()

    def workload_totals(
        self, now: Instant, also: Iterable[tuple[str, Workload]] = ()
    ) -> dict[tuple[str, Workload], Row]:
        """Cost since the beginning, by `(namespace, workload)`, of whatever has live pods or is named in `also`."""
        asked = [(namespace, workload.kind, workload.name) for namespace, workload in also]
        return self._ask(lambda: self._at(now, asked).workload_rows(self._settled.sums, asked))

    def namespace_totals(self, now: Instant) -> dict[str, Row]:
        """Cost since the start of the month (UTC) by namespace."""
        return self._ask(lambda: self._at(now).namespace_rows(self._settled.sums))

    def node_totals(self, now: Instant) -> dict[str, NodeTotal]:
        """Cost of the living nodes since their start, by UID."""
        return self._ask(lambda: self._at(now).node_rows(self._settled.sums, self._books))

    def capacity_totals(
        self, now: Instant, also: Iterable[tuple[str, Workload]] = ()
    ) -> dict[tuple[tuple[str, Workload], CapacityType], Amounts]:
        """Cost since the beginning of the workloads of `workload_totals`, by how their nodes are paid for."""
        asked = [(namespace, workload.kind, workload.name) for namespace, workload in also]
        return self._ask(lambda: self._at(now, asked).capacity_amounts(self._settled.sums, asked))

    def unheld_totals(self, now: Instant) -> dict[tuple[str, CapacityType], Amounts]:
        """Cost since the beginning of what idled (`IDLE`) and what nobody could be given (`STRANDED`), on all nodes of
        all time, by how they are paid for."""
        return self._ask(lambda: self._at(now).unheld_amounts(self._settled.sums))

    def conservation(self, now: Instant) -> Pico:
        """Cost of all nodes of all time, integrated on its own, less the sum of all charges; not 0 is a defect."""
        return self._ask(lambda: self._at(now).difference + self._settled.sums.difference)

    def report(
        self,
        span: Interval,
        *,
        now: Instant,
        by: By = "namespace",
        namespace: str | None = None,
        selector: Selector | None = None,
    ) -> Report:
        """Cost of a window up to now, by one grouping.

        With `namespace` or `selector` (over labels of pods) only that part, and no idle cost: it belongs to nobody.
        An unknown grouping or an inverted window is a `ValueError`.
        """
        return self._read(lambda db: reports.report(self._desk(db, now), span, by, namespace, selector))

    def explain(self, namespace: str, workload: Workload, span: Interval, *, now: Instant) -> Explanation:
        """The arithmetic of one cost in a window up to now: its lines add up to what `report` shows.

        Of a workload, a `Pod` or `Namespace`, or, without a namespace, a `Node`, of which it says what idled too.
        """
        return self._read(lambda db: explanations.explain(self._desk(db, now), namespace, workload, span))

    def workload_hours(self, namespace: str, what: Workload, span: Interval, *, now: Instant) -> WorkloadHours:
        """What a workload's pods cost in each hour of a window up to now; they add up to what `report` shows."""
        return self._read(lambda db: workload_hours(self._desk(db, now), namespace, what, span))

    def knows(self, namespace: str, what: Workload) -> bool:
        """Whether what `explain` may be asked about ever held anything, or a node was ever there."""
        return self._read(lambda db: explanations.knows(self._desk(db, 0), namespace, what))

    def lifetime(self, namespace: str, workload: Workload, now: Instant) -> Interval | None:
        """From the start of a workload's first pod to the end of its last, or to now; None when it had none."""
        return self._read(lambda db: lifetimes.lifetime(db, namespace, workload, now))

    def first_held(self, namespace: str, kind: str, names: Collection[str]) -> dict[str, Instant]:
        """When workloads held something first, by name, or the beginning of that hour or day."""
        return self._read(lambda db: lifetimes.first_held(db, namespace, kind, names))

    def nodes_like(self, span: Interval, names: Collection[str]) -> list[tuple[NodeFact, tuple[PriceFact, ...]]]:
        """Nodes in a span of the type of those that are named, with their prices over time."""
        return self._read(lambda db: lifetimes.nodes_like(db, span, names))

    def _desk(self, db: Db, now: Instant) -> Desk:
        kept = self._shelf, self._standing, self._retirement.horizon
        return Desk(db, self.currency, self._books, self._watermark, now, *kept)
