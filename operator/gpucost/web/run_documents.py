"""From what was gathered about runs to the documents of the API: reports, prices, savings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from gpucost.core.clock import SECOND, Instant, format_rfc3339
from gpucost.core.money import Pico, exact, format_pico
from gpucost.core.report import Explanation, Row
from gpucost.core.timeline import Interval
from gpucost.core.training import accounts
from gpucost.core.training.accounts import Ledgered
from gpucost.core.training.avoided import Avoided
from gpucost.core.training.estimating.market import Quote
from gpucost.core.training.progress import Progress
from gpucost.core.training.runs.run import Saving
from gpucost.core.training.wasted import Loss
from gpucost.web import documents
from gpucost.web import schema_runs as schema
from gpucost.web.rounding import hours, ratio
from gpucost.web.schema import Metadata, Window
from gpucost.web.schema_estimates import Offer

AGAINST = "the same time on demand, at the prices of then"


def report(
    metadata: Metadata,
    explained: Explanation,
    progress: Progress,
    lost: Sequence[Loss],
    *,
    interruptions: int,
    status: Mapping[str, Any] | None,
) -> schema.RunReport:
    """The report of a run; without a `status` its TrainingJob is gone."""
    money = Ledgered(explained.lines)
    return schema.RunReport(
        metadata=metadata,
        currency=explained.currency,
        window=window(money.span or explained.span),
        state="Gone" if status is None else _state(status),
        total=_total(explained),
        waste=tuple(map(_waste, lost)),
        progress=_progress(money, progress),
        metrics=tuple(map(_metric, accounts.metric_costs(money, progress))),
        checkpoints=_checkpoints(progress),
        placements=tuple(map(_placed, accounts.placements(explained.lines))),
        interruptions=interruptions,
        estimate=_foreseen((status or {}).get("estimate")),
        gaps=documents.gaps(explained),
        quality=documents.quality(explained.quality),
    )


def offer(quote: Quote) -> Offer:
    """A price."""
    low, typical, high = (f"{exact(part):f}" for part in quote.hourly)
    kind = str(quote.capacity_type)
    name = "-".join(part for part in (quote.instance_type or quote.gpu_model, kind) if part)
    return Offer(
        metadata=Metadata(name=name.lower().replace(" ", "-")),
        gpu_model=quote.gpu_model,
        capacity_type=kind,
        instance_type=quote.instance_type,
        gpus=quote.gpus,
        nodes=quote.nodes,
        low=low,
        typical=typical,
        high=high,
        source=quote.source,
    )


def _total(explained: Explanation) -> schema.RunCost:
    total = explained.total
    cost = total.known_cost
    return schema.RunCost(
        cost=None if cost is None else format_pico(cost),
        spot=format_pico(total.spot),
        on_demand=format_pico(total.on_demand),
        saved=format_pico(total.saved),
        all_on_demand=None if cost is None else format_pico(cost + total.saved),
        gpu_hours=hours(total.gpu_time),
        gpu_utilization=ratio(total.gpu_utilization),
        coverage=ratio(total.coverage),
    )


def _waste(loss: Loss) -> schema.Waste:
    return schema.Waste(
        cause=loss.cause,
        about=loss.about,
        cost=None if loss.cost is None else format_pico(loss.cost),
        count=loss.count,
        gpu_hours=None if loss.gpu_time is None else hours(loss.gpu_time),
    )


def _progress(money: Ledgered, progress: Progress) -> schema.RunProgress | None:
    found = accounts.steps(money, progress)
    if found is None:
        return None
    return schema.RunProgress(
        first_step=found.first,
        last_step=found.last,
        progress=found.progress,
        cost_per_step=_rational(found.per_step),
        cost_before_first=_pico(found.before_first),
        last_report=moment(found.last_at),
    )


def _metric(one: accounts.MetricCost) -> schema.MetricCost:
    return schema.MetricCost(
        name=one.name,
        better=one.better,
        first=one.first,
        best=one.best,
        last=one.last,
        improvement=one.improvement,
        cost_per_improvement=_rational(one.per_improvement),
        cost_since_best=_pico(one.since_best),
    )


def _checkpoints(progress: Progress) -> schema.Checkpoints:
    found = accounts.saves(progress)
    return schema.Checkpoints(
        count=found.count,
        last=None if found.last is None else moment(found.last),
        mean_interval_seconds=accounts.seconds(found.interval),
        mean_duration_seconds=accounts.seconds(found.duration),
    )


def _placed(one: accounts.Placed) -> schema.Placed:
    return schema.Placed(
        start=moment(one.span.start),
        end=moment(one.span.end),
        capacity_type=str(one.capacity_type),
        nodes=one.nodes,
        gpus=documents.number(one.gpus),
        cost=_pico(one.cost),
    )


def _foreseen(stored: Mapping[str, Any] | None) -> schema.Foreseen | None:
    if not stored or "cost" not in stored:
        return None
    return schema.Foreseen(
        cost=stored.get("cost"),
        cost_low=stored.get("costLow"),
        cost_high=stored.get("costHigh"),
        hours=stored.get("hours"),
    )


def saving(namespace: str, policy: str, rows: Sequence[Row]) -> schema.Saving:
    """What spot capacity saved the workloads of a namespace under one policy."""
    spot, saved = (sum(getattr(row.amounts, part) for row in rows) for part in ("spot", "saved"))
    name = f"{namespace}.{policy.rsplit(maxsplit=1)[-1].lower()}"
    return schema.Saving(
        metadata=Metadata(name=name, namespace=namespace),
        namespace=namespace,
        policy=policy,
        workloads=len(rows),
        cost=format_pico(spot),
        otherwise=format_pico(spot + saved),
        saved=format_pico(saved),
        against=AGAINST,
    )


def not_made(found: Sequence[Saving]) -> list[schema.Saving]:
    """Runs that were not made, by namespace and reason."""
    groups: dict[tuple[str, str], list[Saving]] = {}
    for one in found:
        groups.setdefault((one.namespace, "nothing new to train" if one.is_skip else "run reused"), []).append(one)
    return [_avoided(*key, members) for key, members in groups.items()]


def stopped(found: Sequence[tuple[str, Avoided]]) -> list[schema.Saving]:
    """Runs that were stopped early, by namespace and rule."""
    groups: dict[tuple[str, str], list[Avoided]] = {}
    for namespace, one in found:
        groups.setdefault((namespace, f"early stop by {one.rule}"), []).append(one)
    return [
        _saved_without_cost(
            *key,
            times=len(members),
            unknown=sum(one.saved is None for one in members),
            saved=sum(one.saved or 0 for one in members),
            against="going on at the rate of then, to the end that was expected",
        )
        for key, members in groups.items()
    ]


def _avoided(namespace: str, policy: str, members: Sequence[Saving]) -> schema.Saving:
    return _saved_without_cost(
        namespace,
        policy,
        times=sum(one.times for one in members),
        unknown=sum(one.times for one in members if one.saved is None),
        saved=sum(one.saved or 0 for one in members),
        against="what making the run would have cost",
    )


def _saved_without_cost(
    namespace: str, policy: str, *, times: int, unknown: int, saved: Pico, against: str
) -> schema.Saving:
    """Something that cost nothing, because it was not done."""
    return schema.Saving(
        metadata=Metadata(name=f"{namespace}.{policy.rsplit(maxsplit=1)[-1].lower()}", namespace=namespace),
        namespace=namespace,
        policy=policy,
        workloads=times,
        unknown=unknown,
        cost=format_pico(0),
        otherwise=format_pico(saved),
        saved=format_pico(saved),
        against=against,
    )


def window(span: Interval) -> Window:
    """A span in whole seconds."""
    return Window(start=moment(span.start), end=moment(span.end))


def moment(instant: Instant) -> str:
    """An instant in whole seconds."""
    return format_rfc3339(instant - instant % SECOND)


def _pico(amount: Pico | None) -> str | None:
    return None if amount is None else format_pico(amount)


def _rational(amount: Fraction | None) -> str | None:
    return None if amount is None else format_pico(round(amount))


def _state(status: Mapping[str, Any]) -> str:
    reasons = (one.get("reason") for one in status.get("conditions") or () if one.get("type") == "Ready")
    return str(next(reasons, None) or "Unknown")
