"""What an explanation may be about: a workload, a pod, a namespace, or a node, which belongs to none.

An explanation ends in exactly the amount that a list of the same window reports for its subject, so each kind has its
list.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from gpucost.core.grouping import NAMESPACE, NODE, POD
from gpucost.core.model import Workload
from gpucost.core.timeline import Interval
from gpucost.core.training.runs.child import is_run_of, where_it_costs
from gpucost.web import documents, names, schema
from gpucost.web.documents import Reported
from gpucost.web.provider import CostProvider
from gpucost.web.status import Refused

_KINDS = {kind.lower(): kind for kind in (POD, NAMESPACE)}
TRAINING_JOB = "trainingjob"


async def explanation(provider: CostProvider, namespace: str, wanted: str, span: Interval) -> schema.Explanation:
    """Explain `KIND.NAME` of a namespace, or `node.NAME` of none. Raises `Refused` (404) for what is not known."""
    kind, dot, name = wanted.partition(".")
    if not dot or not name:
        raise Refused(404, f"{wanted!r} is not KIND.NAME, such as trainingjob.bert", name=wanted)
    find = _in_namespace if namespace else _node
    what = await find(provider, namespace, kind, name)
    if what is None:
        raise Refused(404, await _unknown(provider, namespace, kind, name), name=wanted)
    reported = await _reported(provider, namespace, what, span)
    return documents.explanation(await provider.explain(namespace, what, span), reported)


async def _node(provider: CostProvider, namespace: str, kind: str, name: str) -> Workload | None:
    if names.canonical(kind) != NODE.lower():
        raise Refused(
            404, f"{kind}/{name} belongs to a namespace: ask there; without one there are nodes only", name=name
        )
    node = Workload(NODE, name)
    return node if await provider.knows(namespace, node) else None


async def _in_namespace(provider: CostProvider, namespace: str, kind: str, name: str) -> Workload | None:
    if known := _KINDS.get(names.canonical(kind)):
        what = Workload(known, name)
        matching = known != NAMESPACE or name == namespace
        return what if matching and await provider.knows(namespace, what) else None
    return names.find(kind, name, await provider.workloads(namespace))


async def _unknown(provider: CostProvider, namespace: str, kind: str, name: str) -> str:
    if not namespace:
        return f"no node {name} is known; see `kubectl cost node`"
    short = names.canonical(kind)
    known = await provider.workloads(namespace)
    runs = [one.name for one in known if is_run_of(one.name, name)]
    if runs and short == TRAINING_JOB:
        return f"trainingjob/{name} {where_it_costs(name, namespace, max(runs))}"
    others = "" if short in _KINDS else " or ".join(names.similar(kind, name, known))
    lists = {NODE.lower(): "`kubectl cost explain node/NAME` without -n", "pod": f"`kubectl cost pod -n {namespace}`"}
    hint = others or lists.get(short, f"`kubectl get allocations -n {namespace}`")
    return f"no cost is known for {kind}/{name} in namespace {namespace}; try {hint}"


async def _reported(provider: CostProvider, namespace: str, what: Workload, span: Interval) -> Reported | None:
    """What the list of its kind says about a subject."""
    by = what.kind.lower() if what.kind in (POD, NAMESPACE) or not namespace else "workload"
    report = await provider.report(span, by=by, namespace=namespace or None)
    document = documents.allocation_list(report, by)
    if not namespace:
        return _sum([(node.cost, node.hourly) for node in document.nodes if node.name == what.name])
    key = {POD: f"{namespace}/{what.name}", NAMESPACE: namespace}.get(what.kind, f"{namespace}/{what.kind}/{what.name}")
    return next((Reported(row.cost, row.hourly) for row in document.items if row.key == key), None)


def _sum(nodes: Iterable[tuple[str | None, str | None]]) -> Reported | None:
    """Nodes of one name together; None when there are none."""
    found = list(nodes)
    if not found:
        return None
    costs = [Decimal(cost) for cost, _ in found if cost is not None]
    rates = [Decimal(rate) for _, rate in found if rate is not None]
    cost = f"{sum(costs, Decimal(0)):.6f}" if costs else None
    return Reported(cost, f"{sum(rates, Decimal(0)):.6f}" if len(rates) == len(found) else None)
