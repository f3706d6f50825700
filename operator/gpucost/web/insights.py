"""Questions about runs: what GPUs cost here, what a run has cost for what, what it would have cost, what was saved.

Each is a resource of its own beside `allocations`, so that RBAC can give one without the others; all of them are asked
for within a namespace, or of all by those who may see all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from gpucost.core.clock import Instant, Micros, parse_duration, parse_rfc3339
from gpucost.core.timeline import Interval
from gpucost.web import schema, tables_of_runs
from gpucost.web.asking import answer, refuse_watch, span_of
from gpucost.web.schema_estimates import OfferList
from gpucost.web.schema_runs import RunReport, RunSimulation, SavingList
from gpucost.web.status import Refused
from gpucost.web.unit_costs import UnitCostProvider, UnitCosts

_BASE = f"/apis/{schema.GROUP}/{schema.VERSION}"
LONGEST: Micros = 366 * 24 * 3600 * 10**6
"""Of a simulated run, and what it may be given: it is played tick by tick."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a simulated run shall keep to; None: as it was."""

    deadline: Micros | None = None
    """From the start of the run."""
    complete_by: Instant | None = None
    changeover: Micros | None = None


class InsightProvider(UnitCostProvider, Protocol):
    """Answers questions about runs, and about endpoints.

    Every method may raise `NotReady`, and `Refused` for what is not known.
    """

    def now(self) -> Instant:
        """The instant up to which costs are known."""
        ...

    async def offers(self) -> OfferList:
        """What GPUs cost here now."""
        ...

    async def run(self, namespace: str, name: str) -> RunReport:
        """What a run has cost for what."""
        ...

    async def simulation(self, namespace: str, name: str, terms: Terms) -> RunSimulation:
        """What a run would have cost."""
        ...

    async def savings(self, span: Interval, namespace: str | None) -> SavingList:
        """What was saved in a window."""
        ...


class Insights:
    """The handlers over a provider."""

    def __init__(self, provider: InsightProvider) -> None:
        """Nothing is asked before the first request."""
        self._provider = provider

    def routes(self) -> list[web.RouteDef]:
        """All addresses."""
        within = f"{_BASE}/namespaces/{{namespace}}"
        return [
            web.get(f"{_BASE}/offers", self.offers),
            web.get(f"{within}/offers", self.offers),
            web.get(f"{_BASE}/savings", self.savings),
            web.get(f"{within}/savings", self.savings),
            web.get(f"{within}/runreports/{{name}}", self.run),
            web.get(f"{within}/runreports/{{name}}/simulation", self.simulation),
            *UnitCosts(self._provider).routes(),
        ]

    async def offers(self, request: web.Request) -> web.Response:
        """Prices are the same for every namespace; asking within one needs the right to that one only."""
        refuse_watch(request)
        return answer(request, await self._provider.offers(), tables_of_runs.of_offers)

    async def savings(self, request: web.Request) -> web.Response:
        """Of a window."""
        refuse_watch(request)
        span, namespace = span_of(request, self._provider.now()), request.match_info.get("namespace")
        return answer(request, await self._provider.savings(span, namespace), tables_of_runs.of_savings)

    async def run(self, request: web.Request) -> web.Response:
        """Of one TrainingJob."""
        refuse_watch(request)
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        return answer(request, await self._provider.run(namespace, name), tables_of_runs.of_run)

    async def simulation(self, request: web.Request) -> web.Response:
        """Of one TrainingJob, with a deadline."""
        namespace, name, terms = request.match_info["namespace"], request.match_info["name"], _terms(request)
        return answer(request, await self._provider.simulation(namespace, name, terms), tables_of_runs.of_simulation)


def _terms(request: web.Request) -> Terms:
    deadline, changeover = _duration(request, "deadline"), _duration(request, "changeover")
    text = request.query.get("completeBy")
    if deadline is not None and text is not None:
        raise Refused(400, "parameters deadline and completeBy exclude each other", field="deadline")
    try:
        complete_by = None if text is None else parse_rfc3339(text)
    except ValueError as error:
        raise Refused(400, f"parameter completeBy: {error}", field="completeBy") from None
    return Terms(deadline, complete_by, changeover)


def _duration(request: web.Request, name: str) -> Micros | None:
    text = request.query.get(name)
    if text is None:
        return None
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise Refused(400, f"parameter {name}: {error}", field=name) from None
    if not 0 < found <= LONGEST:
        raise Refused(400, f"parameter {name}: {text!r} is not between 0 and a year", field=name)
    return found
