"""A ledger with something of everything in it, and ways to export it and to read back what was written."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from gpucost.core.books import Fact
from gpucost.core.clock import DAY
from gpucost.core.focus import Issuer, Origin
from gpucost.core.model import Category, NodeKind, PodFact, Resources, Workload
from gpucost.core.timeline import Interval
from gpucost.export.days import Exporter, Job
from gpucost.export.place import Place
from gpucost.ledger import Ledger
from gpucost.ledger.reader import Reader
from support.ledger_world import GIB, T0, at, busy, node, pod, price

TRAITS = {"instance_type": "p5.48xlarge", "gpu_model": "H100", "region": "us-east-1", "zone": "us-east-1a"}
STRANGE = {"team": 'nlp, "x"\n=1+1', "ü": "日本"}

SPOT = [
    node("n1", gpus=8, capacity_type="spot", **TRAITS),
    replace(price("8", capacity_type="spot"), on_demand=Decimal(16)),
    pod("a", 0, 2, gpus=4, workload="bert"),
    pod("b", 1, None, gpus=2, workload="bert", labels=STRANGE),
    busy("a", 0.5),
]
"""8 GPUs of spot at 8 an hour, 16 on demand: a day costs 192. `a` holds 4 for 2 hours (8), `b` 2 for 23 (46)."""

CHANGES = [
    node("n2", gpus=1, cpus=4, memory=16),
    price("1", 0, "n2"),
    price("4", 5, "n2"),
    price(None, 10, "n2"),
    pod("early", 0, 5, gpus=1, node_uid="n2"),
    pod("late", 5, 10, gpus=1, node_uid="n2"),
    pod("nobody-knows", 12, 13, gpus=1, node_uid="n2"),
]
"""One GPU at 1 an hour, from the fifth hour on at 4, from the tenth on at nobody knows what."""


def _held_whole(uid: str, kind: str, name: str, node_uid: str) -> PodFact:
    return PodFact(uid, "data", name, Workload(kind, name), Category.DATA, node_uid, at(0), None, Resources())


OTHERS = [
    replace(node("v1", gpus=0, name="pv-1"), kind=NodeKind.VOLUME, capacity=Resources(storage=100 * GIB)),
    price("0.25", 0, "v1"),
    replace(_held_whole("claim", "PersistentVolumeClaim", "index", "v1"), requests=Resources(storage=100 * GIB)),
    replace(node("l1", gpus=0, name="lb-1"), kind=NodeKind.LOAD_BALANCER, capacity=Resources()),
    price("0.025", 0, "l1"),
    _held_whole("service", "Service", "gateway", "l1"),
    replace(node("n3", gpus=7), capacity=Resources(gpus=7), physical_gpus=8, stranded_gpus=1),
    price("8", 0, "n3", capacity_type="reserved"),
    pod("slice", 0, 12, gpus=7, node_uid="n3"),
]
"""A volume and a load balancer held whole, and a reserved node of which one GPU in eight is stranded."""


def filled(url: str, facts: list[Fact], hours: float) -> Ledger:
    """A ledger at a URL, settled up to some hours after `T0`."""
    ledger = Ledger(url)
    ledger.record(facts)
    ledger.settle(at(hours))
    return ledger


def origins(url: str, hours: int = 24, step: int = DAY) -> list[Origin]:
    """All origins of the first hours."""
    with Reader(url).snapshot("default") as view:
        return list(view.origins(Interval(T0, at(hours)), step))


def exporter(url: str, to: str | Path, **job: object) -> Exporter:
    """Something that exports a ledger to a place."""
    settings = {"issuer": Issuer("default"), "generator": "gpucost test", "format": "csv", **job}
    return Exporter(Reader(url), Place(str(to)), Job(**settings))  # type: ignore[arg-type]


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file, plain or packed."""
    content = path.read_bytes()
    text = gzip.decompress(content) if path.suffix == ".gz" else content
    return list(csv.DictReader(io.StringIO(text.decode(), newline="")))


def files(folder: Path) -> Iterator[str]:
    """Every file below a folder, by its path."""
    return iter(sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()))
