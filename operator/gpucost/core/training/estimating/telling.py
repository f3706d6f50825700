"""What the operator says of a TrainingJob before it has run: `status.estimate`, and two Events.

An estimate belongs to what was asked for (`basis`), not to the moment: it is made once, kept while the prices move, and
can be held against the bill in the end. One that could not be made is tried again now and then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple

from gpucost.core.actions import EventNote
from gpucost.core.clock import HOUR, Micros, format_rfc3339, parse_rfc3339
from gpucost.core.training.case import Case
from gpucost.core.training.estimating.alternatives import Alternative
from gpucost.core.training.estimating.appraisal import Appraisal, appraise
from gpucost.core.training.estimating.estimate import Estimate, Setup
from gpucost.core.training.estimating.ranges import Range
from gpucost.core.training.estimating.subject import can_be_estimated, setup_of

AGAIN: Micros = 6 * HOUR
"""How long an estimate that could not be made is left alone."""
WORTH = Fraction(5, 100)
"""Share of the cost that an alternative must save to be told as an Event."""

Status = dict[str, Any]


class Foreseen(NamedTuple):
    """What is told of a run beforehand."""

    status: Status
    """`estimate`, where there is one."""
    events: tuple[EventNote, ...] = ()
    """Of a new one."""


def foresee(case: Case, *, busy: bool) -> Foreseen:
    """The estimate that is stored, as long as it holds, else a new one.

    A `busy` pass keeps what there is: a run that is over is not foreseen, and a pass that makes a Job must not wait for
    some milliseconds of arithmetic.
    """
    stored = case.state.status.get("estimate")
    if busy:
        return Foreseen(kept_estimate(case.state.status))
    if _holds(case, stored):
        return Foreseen({"estimate": {**stored, "generation": case.state.generation}} if stored else {})
    found = _appraised(case)
    return Foreseen({}) if found is None else Foreseen({"estimate": _written(case, found)}, tuple(_told(case, found)))


def kept_estimate(status: Mapping[str, Any]) -> Status:
    """The estimate of an object that cannot be read now."""
    return {"estimate": status["estimate"]} if status.get("estimate") else {}


def _told(case: Case, found: Appraisal) -> Iterator[EventNote]:
    """Events of a new estimate that has a cost."""
    if found.estimate.cost is None:
        return
    basis, currency = _basis(case), case.context.currency
    yield EventNote("CostEstimated", in_words(found, currency), basis, warning=bool(found.warnings))
    best = found.cheapest
    if best is not None and best.saves is not None and best.saves >= WORTH * found.estimate.cost.typical:
        yield EventNote("CheaperAlternative", alternative_in_words(best, currency), basis)


def _holds(case: Case, stored: Mapping[str, Any] | None) -> bool:
    """Whether what is stored need not be made anew: it never is once the run has begun to spend."""
    if not can_be_estimated(case.spec) or case.context.quotes is None:
        return True
    if not stored:
        return case.state.status.get("cost") is not None
    if case.spec.template is None and not _adopted_gpus(case):
        return True
    if stored.get("generation") != case.state.generation and stored.get("basis") != _basis(case):
        return False
    return "cost" in stored or case.now < parse_rfc3339(stored["asOf"]) + AGAIN


def _basis(case: Case) -> str:
    """What the estimate is about, without what the cluster looks like."""
    return hashlib.sha256(repr(setup_of(case.spec, start=0, gpus=_adopted_gpus(case))).encode()).hexdigest()[:12]


def _adopted_gpus(case: Case) -> int | None:
    """Those of a Job that is taken over, as far as its pods show them."""
    job = case.state.job
    if case.spec.template is not None:
        return None
    each = max((int(pod.requests.gpus) for pod in case.state.pods), default=0)
    return each * job.parallelism if job is not None else 0


def _appraised(case: Case) -> Appraisal | None:
    quotes = case.context.quotes
    setup = setup_of(case.spec, start=0, gpus=_adopted_gpus(case), models=case.context.gpu_models)
    if quotes is None or (not setup.gpus and case.spec.template is None):
        return None
    zone = case.spec.schedule.time_zone if case.spec.schedule is not None else "UTC"
    return appraise(replace(setup, start=case.now - case.now % HOUR), quotes, zone)


# --- as written -------------------------------------------------------------------------------------------------------


def _written(case: Case, found: Appraisal) -> Status:
    base, best = found.estimate, found.cheapest
    shown: Status = {
        "basis": _basis(case),
        "generation": case.state.generation,
        "currency": case.context.currency,
        "gpus": base.setup.gpus,
        "gpuModel": base.setup.gpu_model or None,
        **_bounds("cost", base.cost, 2),
        **_bounds("hours", base.hours, 1),
        "priceSource": "; ".join(sorted({quote.source for quote in base.prices})) or None,
        "assumes": list(base.assumes),
        "message": "; ".join((*found.warnings, *(f"not known: {one}" for one in base.unknown))) or None,
        "asOf": format_rfc3339(case.now - case.now % 1_000_000),
    }
    if best is not None and best.estimate.cost is not None:
        shown["cheaper"] = {
            "change": best.change,
            "how": best.how,
            "cost": decimal(best.estimate.cost.typical, 2),
            "saves": decimal(best.saves or Fraction(0), 2),
        }
    return {name: value for name, value in shown.items() if value is not None}


def _bounds(name: str, value: Range | None, places: int) -> Status:
    if value is None:
        return {}
    low, typical, high = (decimal(part, places) for part in value)
    return {name: typical, f"{name}Low": low, f"{name}High": high}


def decimal(value: Fraction, places: int) -> str:
    """A number with some decimals, rounded half to even."""
    scaled = round(value * 10**places)
    sign, digits = ("-" if scaled < 0 else ""), f"{abs(scaled):0{places + 1}d}"
    return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else f"{sign}{digits}"


# --- in words ---------------------------------------------------------------------------------------------------------


def in_words(found: Appraisal, currency: str) -> str:
    """One line: cost with its range, time, GPUs and prices, and what it rests on."""
    base = found.estimate
    parts = [f"about {amount(base.cost, currency)}", _machines(base.setup)]
    if base.hours is not None:
        parts[1] = f"{float(base.hours.typical):,.1f} h on {parts[1]}"
    text = ": ".join(parts)
    sources = "; ".join(sorted({quote.source for quote in base.prices}))
    tail = f" Prices: {sources}." if sources else ""
    warning = f" {'; '.join(found.warnings)}." if found.warnings else ""
    return f"{text}.{warning}{tail} Assumes: {'; '.join(base.assumes)}"


def alternative_in_words(one: Alternative, currency: str) -> str:
    """One line: what to change, what it then costs and saves, and what to mind."""
    caveat = f" ({one.caveat})" if one.caveat else ""
    cost, saves = amount(one.estimate.cost, currency), one.saves or Fraction(0)
    return f"{one.change}: about {cost}, {decimal(saves, 2)} {currency} less{caveat}; {one.how}"


def amount(cost: Range | None, currency: str) -> str:
    """Such as `28405.80 USD (22724.64 - 37874.40)`."""
    if cost is None:
        return "an unknown amount"
    low, typical, high = (decimal(part, 2) for part in cost)
    return f"{typical} {currency}" + (f" ({low} - {high})" if low != high else "")


def _machines(setup: Setup) -> str:
    words = {"OnDemand": "on-demand", "Spot": "spot", "Scheduled": "by schedule", "Auto": "spot or on-demand"}
    model = setup.gpu_model or "GPUs of an unknown model"
    return f"{setup.gpus} x {model}, {words[setup.placing]}"


def total(estimates: list[Estimate]) -> Range | None:
    """Of several runs together; None when one of them is not known."""
    costs = [one.cost for one in estimates if one.cost is not None]
    if len(costs) < len(estimates):
        return None
    return Range(*(sum(parts, Fraction(0)) for parts in zip(*costs, strict=True))) if costs else Range.of(0)
