"""Questions about endpoints: what their tokens and requests cost. `kubectl get unitcosts` shows a line for each."""

from __future__ import annotations

from typing import Any, Protocol

from aiohttp import web

from gpucost.core.clock import Instant
from gpucost.core.timeline import Interval
from gpucost.web import schema
from gpucost.web.asking import answer, refuse_watch, span_of
from gpucost.web.schema_endpoints import UnitCost, UnitCostList
from gpucost.web.table import fixed, lines

_BASE = f"/apis/{schema.GROUP}/{schema.VERSION}"
_COLUMNS = ("Name", "Workload", "Cost", "MTok-In", "MTok-Out", "Request", "Idle", "Currency")


class UnitCostProvider(Protocol):
    """Answers them. Every method may raise `NotReady`, and `Refused` for what is not known."""

    def now(self) -> Instant:
        """The instant up to which costs are known."""
        ...

    async def unit_costs(self, span: Interval, namespace: str | None) -> UnitCostList:
        """Of all endpoints, or of those of a namespace."""
        ...

    async def unit_cost(self, span: Interval, namespace: str, name: str) -> UnitCost:
        """Of one endpoint."""
        ...


class UnitCosts:
    """The handlers over a provider."""

    def __init__(self, provider: UnitCostProvider) -> None:
        """Nothing is asked before the first request."""
        self._provider = provider

    def routes(self) -> list[web.RouteDef]:
        """All addresses."""
        within = f"{_BASE}/namespaces/{{namespace}}/unitcosts"
        return [
            web.get(f"{_BASE}/unitcosts", self.many),
            web.get(within, self.many),
            web.get(f"{within}/{{name}}", self.one),
        ]

    async def many(self, request: web.Request) -> web.Response:
        """Of a namespace, or of all."""
        refuse_watch(request)
        span, namespace = span_of(request, self._provider.now()), request.match_info.get("namespace")
        return answer(request, await self._provider.unit_costs(span, namespace), lambda shown: _table(shown.items))

    async def one(self, request: web.Request) -> web.Response:
        """Of one endpoint."""
        refuse_watch(request)
        span = span_of(request, self._provider.now())
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        return answer(request, await self._provider.unit_cost(span, namespace, name), lambda shown: _table((shown,)))


def _table(items: tuple[UnitCost, ...]) -> dict[str, Any]:
    return lines(_COLUMNS, [(one.metadata, _cells(one)) for one in items])


def _cells(one: UnitCost) -> list[str]:
    parts = {part.part: part for part in one.parts}
    is_known = "unknown" not in parts or parts["unknown"].share != 1
    idle = parts["idle"].cost if is_known else None
    average = one.average
    return [
        one.metadata.name,
        one.workload,
        fixed(one.cost, 2, none="unpriced"),
        fixed(average.per_million_input_tokens, 2, none="unknown"),
        fixed(average.per_million_output_tokens, 2, none="unknown"),
        average.per_request or "unknown",
        fixed(idle, 2, none="unknown"),
        one.currency,
    ]
