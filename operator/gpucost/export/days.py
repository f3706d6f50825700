"""One day from the ledger to its files: compared with what is there, written whole, then declared by its manifest.

Level-triggered: what has to be done follows from the ledger and from the manifests that are there. Exporting a day
twice changes nothing; a late correction gives the day another fingerprint, and its files are replaced.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from gpucost.core.clock import DAY, HOUR, SECOND, Instant, Micros, floor_to, format_rfc3339, parse_rfc3339
from gpucost.core.focus import REVISION, Issuer, Origin, Row, rows_of, unpriced
from gpucost.core.money import PICO, Pico
from gpucost.core.timeline import Interval
from gpucost.export import manifest
from gpucost.export.errors import ExportError, workbench
from gpucost.export.formats import format_of
from gpucost.export.manifest import File, Known, Manifest, Unpriced
from gpucost.export.place import Place

STEPS = {"day": DAY, "hour": HOUR}
"""Length of a charge period by granularity."""


class View(Protocol):
    """The ledger of one cluster at one instant."""

    def booked(self) -> Interval | None:
        """From the first settled hour to the end of the last; None when nothing is settled."""
        ...

    def cost(self, span: Interval) -> tuple[Pico, Pico]:
        """Sum of the charges of whole hours, and what the nodes cost by their own integration."""
        ...

    def origins(self, span: Interval, step: int) -> Iterator[Origin]:
        """What is booked in a span, in periods of `step`, in a fixed order."""
        ...


class Source(Protocol):
    """Where days come from."""

    def snapshot(self, cluster: str) -> AbstractContextManager[View]:
        """A consistent view, for use within the `with`."""
        ...


class Action(StrEnum):
    """What became of a day."""

    WRITTEN = "written"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done about a day, or would be."""

    day: Instant
    action: Action
    complete: bool
    rows: int
    cost: Pico
    unpriced: tuple[Unpriced, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """What to write, and how."""

    issuer: Issuer
    generator: str
    """Name and version of the program."""
    format: str = "parquet"
    granularity: str = "day"
    partial: bool = False
    """Write also the day that is not over, as far as it is settled."""

    @property
    def cluster(self) -> str:
        """Whose costs."""
        return self.issuer.cluster


@dataclass
class _Tally:
    """What is seen while the origins pass by."""

    hash: Any = field(default_factory=hashlib.sha256)
    rows: int = 0
    cost: Pico = 0
    time: dict[tuple[str, str, str], Micros] = field(default_factory=dict)

    def watch(self, origins: Iterable[Origin]) -> Iterator[Origin]:
        for origin in origins:
            self.hash.update(repr((origin.thing, origin.capacity_type, origin.period, origin.terms)).encode())
            for part in origin.parts:
                self.hash.update(repr(part).encode())
            if missing := unpriced(origin):
                key = (origin.thing.kind.value, origin.thing.name, origin.thing.uid)
                self.time[key] = self.time.get(key, 0) + missing
            yield origin

    def count(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            self.rows += 1
            self.cost += int(row["BilledCost"] * PICO)
            yield row

    @property
    def unpriced(self) -> tuple[Unpriced, ...]:
        return tuple(Unpriced(*key, seconds=time / SECOND) for key, time in sorted(self.time.items()))


class Exporter:
    """Brings a place up to date with a ledger, day by day."""

    def __init__(self, source: Source, place: Place, job: Job) -> None:
        """Raises `ExportError` for a format that cannot be written here."""
        self._source, self._place, self._job = source, place, job
        footer = {"generator": job.generator, "cluster": job.cluster, "granularity": job.granularity}
        self._format = format_of(job.format, footer)
        self._step = STEPS[job.granularity]

    def days(self, window: Interval | None = None) -> list[Instant]:
        """Starts of the days that can be exported, in order: settled ones, and with `partial` the one under way.

        Days before the ledger begins are never among them: what it has forgotten stays exported.
        """
        with self._source.snapshot(self._job.cluster) as view:
            booked = view.booked()
        if booked is None:
            return []
        first, last = booked if window is None else (max(window.start, booked.start), min(window.end, booked.end))
        days = range(floor_to(first, DAY), last, DAY)
        return [day for day in days if self._job.partial or day + DAY <= booked.end]

    def last(self) -> Instant | None:
        """Start of the last day that is there and complete."""
        root = manifest.cluster_folder(self._job.cluster)
        for period in reversed(self._place.folders(root)):
            for date in reversed(self._place.folders(f"{root}/{period}")):
                known = manifest.parse(self._place.read(f"{root}/{period}/{date}/{manifest.NAME}"))
                if known is not None and known.complete:
                    return parse_rfc3339(f"{date.partition('=')[2]}T00:00:00Z")
        return None

    def day(self, day: Instant, *, dry_run: bool = False) -> Outcome:
        """Bring one day up to date. With `dry_run` only what would be done is found out."""
        folder = manifest.day_folder(self._job.cluster, day)
        known = manifest.parse(self._place.read(f"{folder}/{manifest.NAME}"))
        with self._source.snapshot(self._job.cluster) as view:
            span, complete = self._span(view, day)
            if known is not None or dry_run:
                outcome, fingerprint = self._look(view, span, complete)
                if known is not None and known.fingerprint == fingerprint and self._there(folder, known):
                    return outcome
            action = Action.WRITTEN if known is None else Action.REPLACED
            if dry_run:
                return Outcome(day, action, complete, outcome.rows, outcome.cost, outcome.unpriced)
            return self._write(view, span, folder, known, action, complete=complete)

    def _span(self, view: View, day: Instant) -> tuple[Interval, bool]:
        booked = view.booked()
        end = day if booked is None else min(day + DAY, booked.end)
        return Interval(day, max(day, end)), end == day + DAY

    def _look(self, view: View, span: Interval, complete: bool) -> tuple[Outcome, str]:
        tally = _Tally()
        rows = 0
        for origin in tally.watch(view.origins(span, self._step)):
            tally.cost += origin.cost
            rows += sum(part.amounts.known_cost is not None for part in origin.parts)
        outcome = Outcome(span.start, Action.UNCHANGED, complete, rows, tally.cost, tally.unpriced)
        return outcome, self._fingerprint(tally, span)

    def _fingerprint(self, tally: _Tally, span: Interval) -> str:
        """Of the origins and of everything else that decides what the files hold."""
        job = self._job
        tally.hash.update(repr((REVISION, job.issuer, job.format, job.granularity, span)).encode())
        found: str = tally.hash.hexdigest()
        return found

    def _there(self, folder: str, known: Known) -> bool:
        return all(self._place.size(f"{folder}/{file.name}") == file.bytes for file in known.files)

    def _write(
        self, view: View, span: Interval, folder: str, known: Known | None, action: Action, *, complete: bool
    ) -> Outcome:
        job, tally = self._job, _Tally()
        cost, node_cost = view.cost(span)
        with workbench() as bench:
            path = bench / f"focus.{self._format.suffix}"
            origins = tally.watch(view.origins(span, self._step))
            rows = self._format.write(tally.count(r for o in origins for r in rows_of(o, job.issuer)), path)
            self._check(tally.cost, cost, span)
            files = (_file(path, rows),) if rows else ()
            made = Manifest(
                cluster=job.cluster,
                currency=job.issuer.currency,
                generator=job.generator,
                span=span,
                complete=complete,
                granularity=job.granularity,
                format=job.format,
                rows=rows,
                cost=cost,
                node_cost=node_cost,
                fingerprint=self._fingerprint(tally, span),
                files=files,
                unpriced=tally.unpriced,
            )
            self._send(made, path, folder)
        old = {file.name for file in known.files} if known is not None else set()
        for name in sorted(old - {file.name for file in files}):
            self._place.remove(f"{folder}/{name}")
        return Outcome(span.start, action, complete, rows, cost, tally.unpriced)

    def _check(self, exported: Pico, booked: Pico, span: Interval) -> None:
        if exported != booked:
            raise ExportError(
                f"rows of {format_rfc3339(span.start)} add up to {manifest.amount(exported)}, the ledger says "
                f"{manifest.amount(booked)}: nothing was written; this is a defect of gpucost, please report it"
            )

    def _send(self, made: Manifest, path: Path, folder: str) -> None:
        """Files first: a manifest speaks of nothing that is not there."""
        for file in made.files:
            self._place.put(path.with_name(file.name), f"{folder}/{file.name}")
        declared = path.with_name(manifest.NAME)
        declared.write_bytes(made.render())
        self._place.put(declared, f"{folder}/{manifest.NAME}")


def _file(path: Path, rows: int) -> File:
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return File(path.name, path.stat().st_size, rows, digest)


def run(
    exporter: Exporter, days: Iterable[Instant], *, dry_run: bool = False, tell: Callable[[Outcome], None]
) -> list[Outcome]:
    """Export some days in order, telling each as it is done; the first that fails ends it."""
    done = []
    for day in days:
        done.append(outcome := exporter.day(day, dry_run=dry_run))
        tell(outcome)
    return done
