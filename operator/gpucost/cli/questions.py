"""Asks the operator, and what to do when it does not answer.

Three fall-backs, each of them told: a caller who may not see all namespaces gets the one of the context; where the cost
API is not there, the status of TrainingJobs still says what they cost; where that is not there either, nothing is made
up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, TypeVar
from urllib.parse import quote

import click
from pydantic import BaseModel, ValidationError

from gpucost.cli.doors import DirectDoor, Door
from gpucost.cli.failures import Failure, Forbidden, NotFound, NotServed
from gpucost.cli.options import Options
from gpucost.cli.statuses import from_statuses
from gpucost.web.names import canonical
from gpucost.web.schema import GROUP, VERSION, AllocationList, Explanation
from gpucost.web.schema_endpoints import UnitCost, UnitCostList
from gpucost.web.schema_estimates import OfferList
from gpucost.web.schema_runs import RunReport, RunSimulation, SavingList

_BASE = f"/apis/{GROUP}/{VERSION}"
TRAININGJOBS = "/apis/gpucost.dev/v1alpha1"
_IN_STATUSES = frozenset({"namespace", "workload"})
NO_PARAMETERS: Mapping[str, str] = {}

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Answer:
    """Costs, and where they come from."""

    document: AllocationList
    namespace: str | None
    """The one namespace they are of; None for all."""
    fallback: str = ""
    """Why they come from the status of TrainingJobs; empty when they come from the cost API."""


def open_door(options: Options) -> Door:
    """Straight to `--api-url` when it is given, else through the API server."""
    if options.api_url:
        return DirectDoor(options.api_url)
    door: Door = import_module("gpucost.cli.cluster").ClusterDoor(options.kubeconfig, options.context)
    return door


@dataclass
class Asker:
    """Asks on behalf of one command; `tell` shows a line that is not part of the answer."""

    options: Options
    tell: Callable[[str], None] = field(default=lambda line: click.echo(line, err=True))
    _door: Door | None = None

    @property
    def door(self) -> Door:
        """The way to the operator."""
        if self._door is None:
            self._door = open_door(self.options)
        return self._door

    def over(self, window: str) -> Asker:
        """The same, about another window."""
        return replace(self, options=replace(self.options, window=window))

    def namespaces_of(self, *, everywhere: bool) -> str | None:
        """The namespace to ask for: the one given, else all (`everywhere` or -A), else the context's."""
        if self.options.namespace:
            return self.options.namespace
        return None if everywhere or self.options.all_namespaces else self.door.namespace

    def one_namespace(self) -> str:
        """The namespace of one subject: the one given, else the context's. Raises `UsageError` where there is none."""
        namespace = self.namespaces_of(everywhere=False)
        if namespace is None:
            raise click.UsageError("say which namespace it is in: -n NAMESPACE")
        return namespace

    def costs(self, by: str, namespace: str | None) -> Answer:
        """Costs by a grouping, of one namespace or of all."""
        try:
            return Answer(self._list(by, namespace), namespace)
        except Forbidden as refused:
            own = self.door.namespace
            if namespace is not None or own is None or by == "node":
                raise
            self.tell(f"Showing namespace {own} only: you may not list costs of all namespaces ({refused.message})")
            return self.costs(by, own)
        except NotServed as missing:
            if by not in _IN_STATUSES:
                raise Failure(f"costs by {by} need the cost API, which does not answer: {missing.message}") from None
            return self._from_statuses(by, namespace, missing.message)

    def nodes(self, sitters: int = 0) -> AllocationList:
        """What became of each node's money; nodes belong to no namespace, so it takes the right to see all of them."""
        return self._list("node", None, {"sitters": str(sitters)} if sitters else {})

    def explanation(self, kind: str, name: str) -> Explanation:
        """The arithmetic behind the cost of a workload, a pod, a namespace or a node."""
        within = self._namespace_of(canonical(kind), name)
        path = f"{_BASE}{within}/allocations/{quote(f'{kind}.{name}', safe='')}"
        try:
            return _read(Explanation, self.door.get(path, {"window": self.options.window}))
        except NotServed as missing:
            raise Failure(f"the arithmetic needs the cost API, which does not answer: {missing.message}") from None

    def offers(self) -> OfferList:
        """What GPUs cost in the cluster, asked within a namespace: one may do that where one may see costs."""
        namespace = self.namespaces_of(everywhere=False)
        within = f"/namespaces/{quote(namespace)}" if namespace else ""
        return _read(OfferList, self.door.get(f"{_BASE}{within}/offers", {}))

    def run_report(self, name: str) -> RunReport:
        """What a training run has cost for what."""
        return _read(RunReport, self._of_run(f"{quote(name)}", {}))

    def simulation(self, name: str, terms: Mapping[str, str]) -> RunSimulation:
        """What a training run would have cost."""
        return _read(RunSimulation, self._of_run(f"{quote(name)}/simulation", terms))

    def _of_run(self, path: str, params: Mapping[str, str]) -> Any:
        namespace = self.one_namespace()
        try:
            return self.door.get(f"{_BASE}/namespaces/{quote(namespace)}/runreports/{path}", params)
        except NotServed as missing:
            raise Failure(f"reports need the cost API, which does not answer: {missing.message}") from None

    def savings(self, namespace: str | None) -> SavingList:
        """What was saved in the window."""
        within = f"/namespaces/{quote(namespace)}" if namespace else ""
        try:
            return _read(SavingList, self.door.get(f"{_BASE}{within}/savings", {"window": self.options.window}))
        except Forbidden as refused:
            own = self.door.namespace
            if namespace is not None or own is None:
                raise
            self.tell(f"Showing namespace {own} only: you may not list savings of all namespaces ({refused.message})")
            return self.savings(own)
        except NotServed as missing:
            raise Failure(f"savings need the cost API, which does not answer: {missing.message}") from None

    def unit_costs(self, namespace: str | None) -> UnitCostList:
        """What units of inference endpoints cost."""
        within = f"/namespaces/{quote(namespace)}" if namespace else ""
        return _read(UnitCostList, self._of_units(within, ""))

    def unit_cost(self, namespace: str, name: str) -> UnitCost:
        """What the units of one endpoint cost."""
        return _read(UnitCost, self._of_units(f"/namespaces/{quote(namespace)}", f"/{quote(name)}"))

    def _of_units(self, within: str, name: str) -> Any:
        try:
            return self.door.get(f"{_BASE}{within}/unitcosts{name}", {"window": self.options.window})
        except NotServed as missing:
            raise Failure(f"unit costs need the cost API, which does not answer: {missing.message}") from None

    def _namespace_of(self, kind: str, name: str) -> str:
        """The part of the path that says where a subject is; a node is nowhere, a namespace in itself."""
        if kind == "node" and not self.options.namespace:
            return ""
        namespace = name if kind == "namespace" else self.one_namespace()
        return f"/namespaces/{quote(namespace)}"

    def _list(self, by: str, namespace: str | None, more: Mapping[str, str] = NO_PARAMETERS) -> AllocationList:
        within = f"/namespaces/{quote(namespace)}" if namespace else ""
        params = {"by": by, "window": self.options.window, **more}
        if self.options.selector:
            params["labelSelector"] = self.options.selector
        return _read(AllocationList, self.door.get(f"{_BASE}{within}/allocations", params))

    def _from_statuses(self, by: str, namespace: str | None, reason: str) -> Answer:
        if not self.door.has_cluster:
            raise Failure(f"the cost API at {self.options.api_url} does not answer: {reason}")
        within = f"/namespaces/{quote(namespace)}" if namespace else ""
        params = {"labelSelector": self.options.selector} if self.options.selector else {}
        try:
            listed = self.door.get(f"{TRAININGJOBS}{within}/trainingjobs", params)
        except (NotServed, NotFound):
            raise Failure(
                "gpucost is not installed in this cluster: neither its cost API nor its TrainingJobs are there; "
                "install it with helm, or choose another --context"
            ) from None
        except Forbidden:
            if namespace is not None or self.door.namespace is None:
                raise
            self.tell(f"Showing namespace {self.door.namespace} only: you may not list TrainingJobs of all namespaces")
            return self._from_statuses(by, self.door.namespace, reason)
        return Answer(from_statuses(listed.get("items") or [], by), namespace, fallback=reason)


def names(given: str, kind: str) -> bool:
    """Whether `tj`, `trainingjobs` or `TrainingJob` was given for TrainingJob."""
    return canonical(given).removesuffix("s") == kind.lower()


def bare(name: str, kind: str, example: str) -> str:
    """`bert` of `bert`, `tj/bert` or `TrainingJob/bert`. Raises `UsageError` with the example for another kind."""
    given, slash, rest = name.partition("/")
    if not slash:
        return name
    if not names(given, kind) or not rest or "/" in rest:
        raise click.UsageError(f"{name!r} is no {kind}: give its name, such as {example}")
    return rest


def _read(model: type[M], document: Any) -> M:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise Failure(
            f"the answer is not one of the cost API v1alpha1 ({where}: {first['msg']}); do versions match?"
        ) from None
