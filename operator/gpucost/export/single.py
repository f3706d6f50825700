"""All days in one file, for whoever opens it by hand. It is made from one view of the ledger and has no manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpucost.core.clock import DAY, Instant
from gpucost.core.focus import Row, rows_of
from gpucost.core.money import PICO, Pico
from gpucost.core.timeline import Interval
from gpucost.export.days import STEPS, Job, Source
from gpucost.export.errors import ExportError, workbench
from gpucost.export.formats import format_of
from gpucost.export.place import Place


@dataclass
class Whole:
    """What a file holds."""

    rows: int = 0
    cost: Pico = 0


def write_single(source: Source, url: str, job: Job, days: Sequence[Instant]) -> Whole:
    """Write some days (in order, at least one) to the file at `url`; an existing one is replaced."""
    folder, name = split(url)
    place, made, step = Place(folder), Whole(), STEPS[job.granularity]
    file = format_of(job.format, {"generator": job.generator, "cluster": job.cluster, "granularity": job.granularity})
    with source.snapshot(job.cluster) as view, workbench() as bench:
        booked = view.booked()
        end = days[-1] + DAY if booked is None else min(days[-1] + DAY, booked.end)

        def rows() -> Iterator[Row]:
            for day in days:
                for origin in view.origins(Interval(day, min(day + DAY, end)), step):
                    for row in rows_of(origin, job.issuer):
                        made.cost += int(row["BilledCost"] * PICO)
                        yield row

        path = bench / "focus"
        made.rows = file.write(rows(), path)
        if made.cost != (booked_cost := view.cost(Interval(days[0], end))[0]):
            raise ExportError(f"rows add up to {made.cost}, the ledger says {booked_cost} (10^-12): please report it")
        place.put(path, name)
    return made


def split(url: str) -> tuple[str, str]:
    """Folder and name of a file's URL. Raises `ExportError` for a folder."""
    folder, slash, name = url.rpartition("/")
    if not name or Path(url).is_dir():
        raise ExportError(f"{url!r} is a folder; name the file that all days go to")
    return (folder or slash or "."), name
