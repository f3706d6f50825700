"""Whether a run that is due is worth its money: three answers, because not to know is neither yes nor no.

A run is worthwhile when the dataset has another version than the last run that trained, or when the model's quality is
beyond its limit. One yes is enough. A no needs every question answered: while one is open, nothing is concluded, and
the run waits within its starting deadline.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from gpucost.core.clock import Instant, format_duration, format_rfc3339
from gpucost.core.model import Unknown
from gpucost.core.training.runs.spec import Dataset, Quality, Runs


@dataclass(frozen=True, slots=True)
class Answers:
    """What the world says to the questions of a schedule, asked when a run is due."""

    version: str | Unknown | None = None
    """Version of the dataset; None where there is no dataset."""
    quality: float | Unknown | None = None
    """Value of the query; None where there is none."""


@dataclass(frozen=True, slots=True)
class Worth:
    """Whether a run is worthwhile; None is unknown."""

    value: bool | None
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Trained:
    """The last run that trained, as far as anything is known of it."""

    version: str = ""
    name: str = ""
    due: Instant | None = None


def worth(
    runs: Runs, dataset: Dataset | None, answers: Answers, trained: Trained, *, since: Instant, now: Instant
) -> Worth:
    """Judge a run that is due; `since` is when the schedule began."""
    found = list(_each(runs, dataset, answers, trained))
    if not found:
        return Worth(True, "Due", "nothing says when a run is not worthwhile (no dataset, no quality)")
    if (yes := next((one for one in found if one.value), None)) is not None:
        return yes
    last = trained.due if trained.due is not None else since
    if runs.at_least_every is not None and now - last >= runs.at_least_every:
        return Worth(True, "AtLeastEvery", f"no run has trained for {format_duration(now - last)}")
    text = "; ".join(one.message for one in found if one.value is None) or "; ".join(one.message for one in found)
    return Worth(None, "WorthUnknown", text) if any(one.value is None for one in found) else Worth(False, "", text)


def _each(runs: Runs, dataset: Dataset | None, answers: Answers, trained: Trained) -> Iterator[Worth]:
    if dataset is not None:
        yield _by_version(dataset, answers.version, trained)
    if runs.quality is not None:
        yield _by_quality(runs.quality, answers.quality)


def _by_version(dataset: Dataset, version: str | Unknown | None, trained: Trained) -> Worth:
    if version is None or isinstance(version, Unknown):
        why = version.reason if isinstance(version, Unknown) else "it was not read yet"
        return Worth(None, "WorthUnknown", f"the version of dataset {dataset.name} is unknown: {why}")
    if not trained.version:
        return Worth(True, "DatasetChanged", f"no run has trained on version {version} of dataset {dataset.name}")
    if version != trained.version:
        text = f"dataset {dataset.name} has version {version}; trained was {trained.version}"
        return Worth(True, "DatasetChanged", text)
    when = f" at {format_rfc3339(trained.due)}" if trained.due is not None else ""
    return Worth(False, "", f"dataset {dataset.name} still has version {version}, which was trained on{when}")


def _by_quality(quality: Quality, value: float | Unknown | None) -> Worth:
    if value is None or isinstance(value, Unknown) or math.isnan(value):
        reason = (
            value.reason if isinstance(value, Unknown) else "it was not asked yet" if value is None else "it is NaN"
        )
        return Worth(None, "WorthUnknown", f"the quality is unknown: {reason}")
    limit = quality.below if quality.below is not None else quality.above
    assert limit is not None
    # A finite binary float is compared exactly; infinities compare with every decimal.
    number = Decimal(value)
    beyond, side = (number < limit, "under") if quality.below is not None else (number > limit, "over")
    if beyond:
        return Worth(True, "QualityLow", f"the quality is {value:g}, {side} {limit}")
    return Worth(False, "", f"the quality is {value:g}, not {side} {limit}")
