"""From a replayed run to the document of the API: the two answers to what nobody knows become the ends of a range."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from gpucost.core.clock import MINUTE, SECOND, Instant, format_rfc3339
from gpucost.core.money import format_pico
from gpucost.core.report import Explanation
from gpucost.core.training.replay import Course
from gpucost.core.training.whatif import Record, WhatIf
from gpucost.web import schema_runs as schema
from gpucost.web.rounding import hours, ratio
from gpucost.web.schema import Metadata, Window


def document(
    metadata: Metadata,
    explained: Explanation,
    record: Record,
    found: WhatIf,
    courses: Sequence[tuple[Course, Course]],
) -> schema.RunSimulation:
    """A simulation as the API writes it, the cheapest course first; late ones last."""
    conditions = found.conditions
    cost = explained.total.known_cost
    shown = sorted(map(_course, courses), key=lambda one: (one.missed, Decimal(one.cost_high or "Infinity")))
    return schema.RunSimulation(
        metadata=metadata,
        currency=explained.currency,
        window=Window(start=_moment(conditions.start), end=_moment(conditions.deadline)),
        work_hours=hours(conditions.work),
        changeover_minutes=round(conditions.changeover / MINUTE, 2),
        node_type=_node_type(record),
        known=ratio(found.known) or 0.0,
        actual=None if cost is None else format_pico(cost),
        courses=tuple(shown),
        notes=found.notes,
    )


def _course(both: tuple[Course, Course]) -> schema.Course:
    """The dearer one tells the rest; a course that does not end, or ends late, is no cheap one."""
    one, other = both
    worse = max(both, key=lambda course: (course.missed, course.cost if course.cost is not None else Decimal(0)))
    priced = [course.cost for course in both if course.cost is not None and course.end is not None]
    ends = [one.end, other.end]
    known = [end for end in ends if end is not None]
    return schema.Course(
        policy=one.policy,
        cost_low=f"{min(priced):.6f}" if priced and None not in (one.cost, other.cost) else None,
        cost_high=f"{max(priced):.6f}" if len(priced) == len(both) else None,
        done_by=_moment(max(known)) if len(known) == len(ends) else None,
        missed=one.missed or other.missed,
        spot_hours=hours(worse.spot),
        on_demand_hours=hours(worse.on_demand),
        switches=worse.switches,
    )


def _node_type(record: Record) -> str:
    fact = next((fact for fact, _ in record.alike), None)
    return (fact.instance_type or fact.gpu_model or "unknown nodes") if fact is not None else "unknown nodes"


def _moment(instant: Instant) -> str:
    return format_rfc3339(instant - instant % SECOND)
