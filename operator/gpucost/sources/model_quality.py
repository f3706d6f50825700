"""How good a model is, by a PromQL query with one value; anything else is unknown, with its reason."""

from __future__ import annotations

import math

from gpucost.core.model import Unknown
from gpucost.sources.promql import PrometheusError, PromQL


async def quality_of(engine: PromQL | None, query: str) -> float | Unknown:
    """The value of a query now."""
    if engine is None:
        return Unknown("no Prometheus is set up (prometheus.url of the chart)")
    try:
        found = await engine.query(query)
    except PrometheusError as error:
        return Unknown(str(error))
    if not found:
        return Unknown("the query finds no series")
    if len(found) > 1:
        return Unknown(f"the query finds {len(found)} series; make one of them, as min(...) does")
    value = found[0].value
    if not math.isfinite(value):  # nobody can tell a division by zero from a model that has gone wrong
        return Unknown(f"the query gives {'NaN' if math.isnan(value) else 'infinity'}")
    return value
