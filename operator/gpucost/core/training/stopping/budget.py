"""The budget of one run, kept by looking ahead: stopping takes time, and that time is paid for too.

Stopped is when what has been spent, and what will be spent until the pods have ended after a last checkpoint, and what
one more start would cost, come to the limit. So the limit is not crossed as long as nothing gets dearer in those
minutes. What has no price can only make the run dearer than it is known to be: a known part over the limit is over it,
a known part below it says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from gpucost.core.clock import HOUR, SECOND, Instant, Micros, format_duration
from gpucost.core.training.stopping.spec import RunBudget, Stopping

MARGIN: Micros = 60 * SECOND
"""How late a pass may come, and how long a price may have changed without being seen."""

NOT_YET = "nothing is known of its cost yet"


@dataclass(frozen=True, slots=True)
class Spending:
    """What a run has cost as of an instant, and what it costs now."""

    at: Instant
    cost: Decimal | None = None
    """None: nothing of it has a price."""
    hourly: Decimal | None = None
    gpu_hours: Decimal = Decimal(0)
    gpus: Decimal = Decimal(0)
    """GPUs held now."""
    complete: bool = True
    """Everything that it held had a price; else `cost` is a part."""
    currency: str = "USD"


class Outlook(NamedTuple):
    """One limit, and where the run stands."""

    limit: Decimal
    spent: Decimal
    rate: Decimal
    """Per hour."""
    unit: str
    complete: bool

    def after(self, span: Micros) -> Decimal:
        """Spent when it has gone on for so long."""
        return self.spent + self.rate * max(0, span) / HOUR

    def reaches(self, amount: Decimal, now: Instant) -> Instant | None:
        """When spending comes to an amount; None: not at this rate."""
        if self.rate <= 0:
            return None
        return now + max(0, int((amount - self.spent) / self.rate * HOUR))

    def text(self, amount: Decimal) -> str:
        """An amount as people read it."""
        return f"{amount:.2f} {self.unit}"


class Verdict(NamedTuple):
    """What the budget asks for now."""

    warn: Outlook | None = None
    """A limit of which the warning's part is spent."""
    ask: Outlook | None = None
    """Time for a last checkpoint before this limit."""
    stop: Outlook | None = None
    """Time to stop, checkpoint or not."""
    unknown: str = ""
    """Why a limit cannot be watched."""
    next_at: Instant | None = None
    """When one of these may change if nothing else does."""


def outlooks(budget: RunBudget, spending: Spending, now: Instant) -> Iterator[Outlook]:
    """Both limits as of now: what was known as of a tick goes on at its rate."""
    passed = max(0, now - spending.at)
    if budget.cost is not None and (spending.cost is not None or spending.hourly is not None):
        rate = spending.hourly or Decimal(0)
        spent = (spending.cost or Decimal(0)) + rate * passed / HOUR
        complete = spending.complete and spending.hourly is not None
        yield Outlook(budget.cost, spent, rate, spending.currency, complete)
    if budget.gpu_hours is not None:
        spent = spending.gpu_hours + spending.gpus * passed / HOUR
        yield Outlook(budget.gpu_hours, spent, spending.gpus, "GPU-hours", complete=True)


def lead(what: Stopping, budget: RunBudget) -> tuple[Micros, Micros]:
    """How long before the limit a last checkpoint is asked for, and how long before it the run is stopped at last."""
    stop = what.stop_grace + MARGIN + budget.restart
    return stop + what.checkpoint_timeout, stop


def judge(what: Stopping, budget: RunBudget, spending: Spending | None, now: Instant) -> Verdict:
    """Where the run stands against its budget."""
    if spending is None:
        return Verdict(unknown=NOT_YET)
    ask_lead, stop_lead = lead(what, budget)
    warn = ask = stop = None
    moments: list[Instant | None] = []
    seen = tuple(outlooks(budget, spending, now))
    for one in seen:
        threshold = one.limit * budget.warn_at_percent / 100
        warn = one if warn is None and one.spent >= threshold else warn
        ask = one if ask is None and one.after(ask_lead) >= one.limit else ask
        stop = one if stop is None and one.after(stop_lead) >= one.limit else stop
        moments.append(one.reaches(threshold, now))
        moments += [at - ahead for ahead in (ask_lead, stop_lead) if (at := one.reaches(one.limit, now)) is not None]
    next_at = min((at for at in moments if at is not None and at > now), default=None)
    return Verdict(warn, ask, stop, _unknown(budget, seen), next_at)


def _unknown(budget: RunBudget, seen: tuple[Outlook, ...]) -> str:
    if budget.cost is None:
        return ""
    money = next((one for one in seen if one.unit != "GPU-hours"), None)
    if money is None:
        return "nothing that the run holds has a price: add one to a PriceBook, or use budget.gpuHours"
    if not money.complete and money.spent < money.limit:
        return "a part of what the run holds has no price: add it to a PriceBook, or use budget.gpuHours"
    return ""


def evidence(one: Outlook, ahead: Micros) -> str:
    """The arithmetic of a stop."""
    return (
        f"spent {one.text(one.spent)} + {one.rate:.2f} an hour for {format_duration(ahead)} (last checkpoint, end of "
        f"the pods, one more start) = {one.text(one.after(ahead))}, limit {one.text(one.limit)}"
    )
