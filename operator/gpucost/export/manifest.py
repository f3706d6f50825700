"""What was exported of a day, written beside its files and after them: a day with a manifest is whole.

It is how an export knows what is left to do, so nothing needs to be remembered anywhere else, and it tells what the
rows cannot: time without a price. Its name begins with an underscore, which query engines skip.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

from gpucost.core.clock import Instant, format_rfc3339, to_datetime
from gpucost.core.focus_columns import FOCUS_VERSION, PLACES
from gpucost.core.money import PICO, Pico
from gpucost.core.timeline import Interval

SCHEMA = "gpucost.dev/focus-day/v1"
NAME = "_manifest.json"


@dataclass(frozen=True, slots=True)
class File:
    """One file of a day."""

    name: str
    bytes: int
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Unpriced:
    """Time of one thing in which nobody knew its price: it is in no row."""

    kind: str
    name: str
    uid: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Manifest:
    """One exported day."""

    cluster: str
    currency: str
    generator: str
    span: Interval
    complete: bool
    """Whether the day was over and settled."""
    granularity: str
    format: str
    rows: int
    cost: Pico
    """Sum of `BilledCost`, and of the ledger's charges."""
    node_cost: Pico
    """The same, integrated from the prices of the nodes alone."""
    fingerprint: str
    """Of everything that the rows are made from; another one means that the day has to be written again."""
    files: tuple[File, ...] = ()
    unpriced: tuple[Unpriced, ...] = ()

    def render(self) -> bytes:
        """As JSON; amounts are decimal text."""
        document = {
            "schema": SCHEMA,
            "focusVersion": FOCUS_VERSION,
            "generator": self.generator,
            "cluster": self.cluster,
            "currency": self.currency,
            "start": format_rfc3339(self.span.start),
            "end": format_rfc3339(self.span.end),
            "complete": self.complete,
            "granularity": self.granularity,
            "format": self.format,
            "rows": self.rows,
            "billedCost": amount(self.cost),
            "nodeCost": amount(self.node_cost),
            "fingerprint": self.fingerprint,
            "files": [asdict(file) for file in self.files],
            "unpriced": [asdict(thing) for thing in self.unpriced],
        }
        return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Known:
    """What an earlier manifest says, as far as an export wants to know."""

    fingerprint: str
    complete: bool
    files: tuple[File, ...]


def parse(content: bytes | None) -> Known | None:
    """Read a manifest; None for one that is missing, of another schema or damaged: such a day is written again."""
    try:
        found: Any = json.loads(content or b"null")
        if not isinstance(found, Mapping) or found.get("schema") != SCHEMA:
            return None
        files = tuple(File(f["name"], int(f["bytes"]), int(f["rows"]), f["sha256"]) for f in found["files"])
        return Known(str(found["fingerprint"]), bool(found["complete"]), files)
    except (ValueError, KeyError, TypeError):
        return None


def amount(money: Pico) -> str:
    """Booked money with all of its places."""
    sign, (units, rest) = "-" if money < 0 else "", divmod(abs(money), PICO)
    return f"{sign}{units}.{rest:0{PLACES}d}"


# --- layout -----------------------------------------------------------------------------------------------------------

CLUSTER, PERIOD, DATE = "cluster", "billing_period", "charge_date"


def cluster_folder(cluster: str) -> str:
    """Folder of a cluster, relative to the place."""
    return f"{CLUSTER}={quote(cluster, safe='')}"


def day_folder(cluster: str, day: Instant) -> str:
    """Folder of a day: partitions as Hive, Athena, Trino, Spark and DuckDB read them."""
    date = to_datetime(day).date()
    return f"{cluster_folder(cluster)}/{PERIOD}={date:%Y-%m}/{DATE}={date.isoformat()}"
