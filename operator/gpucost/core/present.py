"""How costs are written on objects: the `status.cost` of our own, the annotations of everybody else's."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from gpucost.core.clock import HOUR, Instant, format_rfc3339
from gpucost.core.money import Pico, format_pico
from gpucost.core.report import Amounts
from gpucost.core.training.waste import wasted

PREFIX = "gpucost.dev/"


def decimals(value: Fraction, places: int) -> str:
    """A non-negative fraction as a decimal string with fixed places, rounded half to even."""
    scaled = round(value * 10**places)
    whole, rest = divmod(scaled, 10**places)
    return f"{whole}.{rest:0{places}d}" if places else str(whole)


def plain(amount: Pico) -> str:
    """Money with at least two places and no further trailing zeros: `55.04`, `0.978`; for columns of kubectl."""
    text = format_pico(amount).rstrip("0")
    units, _, fraction = text.partition(".")
    return f"{units}.{fraction:0<2}"


def gpu_hours(amounts: Amounts, places: int = 3) -> str:
    """GPU-hours held, as a decimal string."""
    return decimals(Fraction(amounts.gpu_time, HOUR), places)


def cost_status(
    amounts: Amounts, *, hourly: Pico | None, currency: str, now: Instant, lost: Mapping[str, Pico] | None = None
) -> dict[str, object]:
    """`status.cost` of a custom resource; fields that are unknown are left out, because unknown is not zero.

    `wasted` is what was paid for GPUs that were measured as not computing, and for work that was `lost` (by cause);
    `saved` is what the same time would have cost more on demand.
    """
    total = amounts.known_cost
    status: dict[str, object] = {"currency": currency, "gpuHours": gpu_hours(amounts), "asOf": format_rfc3339(now)}
    if total is not None:
        status["total"] = format_pico(total)
        status["spot"] = format_pico(amounts.spot)
        status["onDemand"] = format_pico(amounts.on_demand)
        causes = wasted(amounts, lost or {})
        status["wasted"] = format_pico(min(sum(causes.values()), total))
        if lost:
            status["waste"] = {cause: format_pico(amount) for cause, amount in causes.items()}
        status["saved"] = format_pico(amounts.saved)
    if hourly is not None:
        status["hourly"] = plain(hourly)
    if amounts.coverage is not None:
        status["coverage"] = decimals(amounts.coverage, 4)
    return status


def confidence(amounts: Amounts) -> str:
    """`unpriced` when some time had no price, `measured` when activity was seen for most of it, else `estimated`."""
    if amounts.unpriced_time:
        return "unpriced"
    if amounts.gpu_time and amounts.known_gpu_time * 10 >= amounts.gpu_time * 9:
        return "measured"
    return "estimated"


def cost_annotations(
    amounts: Amounts,
    *,
    hourly: Pico | None,
    currency: str,
    now: Instant,
    price_source: str = "",
    month_to_date: Amounts | None = None,
    lost: Pico = 0,
) -> dict[str, str]:
    """Annotations `gpucost.dev/…` for a Job, Namespace or Node; unknown values are left out.

    `lost` is what lost work has cost beside idle GPUs; for a Job, so that it says the same as its TrainingJob.
    """
    values = {
        "currency": currency,
        "gpu-hours": gpu_hours(amounts),
        "confidence": confidence(amounts),
        "as-of": format_rfc3339(now - now % 1_000_000),
    }
    if amounts.known_cost is not None:
        values["cost-total"] = format_pico(amounts.cost)
        values["cost-wasted"] = format_pico(min(amounts.held + lost, amounts.cost))
    if hourly is not None:
        values["cost-hourly"] = format_pico(hourly)
    if month_to_date is not None and month_to_date.known_cost is not None:
        values["cost-month-to-date"] = format_pico(month_to_date.cost)
    if amounts.gpu_utilization is not None:
        values["gpu-utilization"] = decimals(amounts.gpu_utilization, 4)
    if price_source:
        values["price-source"] = price_source
    return {PREFIX + name: value for name, value in values.items()}
