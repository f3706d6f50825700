"""What a run is made from, and when runs are made, as a TrainingJob's specification says it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from gpucost.core.clock import HOUR, Micros

VERSION_ANNOTATION = "gpucost.dev/dataset-version"
"""On a TrainingJob: version of its dataset, for pipelines that write no specification; of a claim: the same."""


class Deduplication(StrEnum):
    """What happens when a run is known already."""

    OFF = "Off"
    WARN = "Warn"
    REUSE = "Reuse"


@dataclass(frozen=True, slots=True)
class VersionSource:
    """An object of the same namespace in which the version of a dataset stands."""

    kind: str
    """`ConfigMap` (a key of its data) or `PersistentVolumeClaim` (an annotation)."""
    name: str
    key: str

    def __str__(self) -> str:
        what = "key" if self.kind == "ConfigMap" else "annotation"
        return f"{what} {self.key} of {self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Dataset:
    """What is trained on."""

    name: str
    version: str = ""
    source: VersionSource | None = None
    """Where the version stands when it is not given; neither: in the annotation `VERSION_ANNOTATION`."""


@dataclass(frozen=True, slots=True)
class BaseModel:
    """What a run begins with."""

    name: str
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Quality:
    """A query for how good the present model is; exactly one limit is set."""

    query: str
    below: Decimal | None = None
    """Training is worthwhile when the value is under it."""
    above: Decimal | None = None
    """Training is worthwhile when the value is over it (an error rate, a loss)."""


@dataclass(frozen=True, slots=True)
class Runs:
    """When runs are made, in the time zone of the schedule. Never two at once."""

    cron: str
    starting_deadline: Micros = HOUR
    quality: Quality | None = None
    at_least_every: Micros | None = None
    """A run is worthwhile whatever else is known when the last one that trained is so long ago."""
    keep_complete: int = 3
    keep_failed: int = 1
