"""How a pod template is bound to the nodes of one capacity type, and unbound again.

A `Pool` is what must be added to a pod template; `applied` adds it to whatever directives are there and takes away
what an earlier pool had added, so that an adopted Job keeps everything its owner wrote. What was added is remembered as
JSON in an annotation of the Job: nothing else could tell our toleration from the user's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpucost.core.capacity import (
    AKS,
    CAPACITY_LABELS,
    EKS,
    GKE_PREEMPTIBLE,
    GKE_SPOT,
    KARPENTER,
    Override,
    Provider,
)
from gpucost.core.model import CapacityType
from gpucost.core.training.notes import json_object
from gpucost.core.training.spec import PlacementSpec, PoolSelector

Json = Mapping[str, Any]
Tolerations = tuple[Mapping[str, object], ...]


@dataclass(frozen=True)
class Pool:
    """What selects the nodes of one capacity type."""

    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Tolerations = ()
    excluded: Mapping[str, str] = field(default_factory=dict)
    """Labels that a node must not have; one that lacks the key is fine (`NotIn`)."""


@dataclass(frozen=True)
class Directives:
    """The scheduling directives of a pod template that may change while its Job is suspended (KEP-2926)."""

    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Tolerations = ()
    affinity: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Bound:
    """A pool as it was applied to a Job, with the tolerations that were not there before."""

    pool: Pool
    added: Tolerations = ()


def _taint(key: str, value: str) -> Tolerations:
    return ({"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"},)


_POOLS: Mapping[tuple[Provider, CapacityType], Pool] = {
    (Provider.KARPENTER, CapacityType.SPOT): Pool({KARPENTER: "spot"}),
    (Provider.KARPENTER, CapacityType.ON_DEMAND): Pool({KARPENTER: "on-demand"}),
    (Provider.KARPENTER, CapacityType.RESERVED): Pool({KARPENTER: "reserved"}),
    (Provider.EKS, CapacityType.SPOT): Pool({EKS: "SPOT"}),
    (Provider.EKS, CapacityType.ON_DEMAND): Pool({EKS: "ON_DEMAND"}),
    (Provider.EKS, CapacityType.RESERVED): Pool({EKS: "CAPACITY_BLOCK"}),
    (Provider.GKE, CapacityType.SPOT): Pool({GKE_SPOT: "true"}, _taint(GKE_SPOT, "true")),
    (Provider.GKE, CapacityType.ON_DEMAND): Pool(excluded={GKE_SPOT: "true", GKE_PREEMPTIBLE: "true"}),
    (Provider.AKS, CapacityType.SPOT): Pool({AKS: "spot"}, _taint(AKS, "spot")),
    (Provider.AKS, CapacityType.ON_DEMAND): Pool(excluded={AKS: "spot"}),
}


def pool_for(placement: CapacityType, spec: PlacementSpec, provider: Provider | None) -> Pool | None:
    """What selects a capacity type: the user's selector, else the provider's labels; None when nobody knows.

    Where the user names only the spot pool and the provider is unknown, on-demand is every node outside that pool,
    as far as one label tells it.
    """
    given = {CapacityType.SPOT: spec.spot, CapacityType.ON_DEMAND: spec.on_demand}.get(placement)
    if given is not None:
        return Pool(given.node_selector, given.tolerations)
    if provider is not None:
        return _POOLS.get((provider, placement))
    if placement is CapacityType.ON_DEMAND and spec.spot is not None and len(spec.spot.node_selector) == 1:
        return Pool(excluded=spec.spot.node_selector)
    return None


def overrides(spec: PlacementSpec) -> tuple[Override, ...]:
    """The user's selectors as a way to read a node's capacity type."""
    pairs = ((spec.spot, CapacityType.SPOT), (spec.on_demand, CapacityType.ON_DEMAND))
    return tuple((pool.node_selector, kind) for pool, kind in pairs if pool is not None and pool.node_selector)


# --- applying ---------------------------------------------------------------------------------------------------------


def applied(
    directives: Directives, pool: Pool | None, *, before: Bound | None = None, known: Sequence[PoolSelector | None] = ()
) -> tuple[Directives, Bound | None]:
    """Directives for a pool in place of those of the pool before, and what to remember; no pool only unbinds.

    Selector keys that choose a capacity type (every provider's, the `known` pools') give way to a pool's, whoever set
    them: two of them would select nothing.
    """
    gone = set(before.pool.node_selector) if before else set()
    if pool is not None:
        gone.update(CAPACITY_LABELS, *(selector.node_selector for selector in known if selector))
    kept = {key: value for key, value in directives.node_selector.items() if key not in gone}
    base = tuple(t for t in directives.tolerations if before is None or t not in before.added)
    affinity = _without(directives.affinity, before.pool.excluded) if before else directives.affinity
    if pool is None:
        return Directives(kept, base, affinity), None
    added = tuple(t for t in pool.tolerations if t not in base)
    selector = {**kept, **pool.node_selector}
    return Directives(selector, base + added, _with(affinity, pool.excluded)), Bound(pool, added)


def _expressions(excluded: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "operator": "NotIn", "values": [value]} for key, value in sorted(excluded.items())]


def _terms(affinity: Json | None) -> list[dict[str, Any]]:
    required = ((affinity or {}).get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    return [dict(term) for term in required.get("nodeSelectorTerms") or ()]


def _with_terms(affinity: Json | None, terms: list[dict[str, Any]]) -> dict[str, Any] | None:
    """An affinity with other required node terms; what is left empty is left out."""
    whole = dict(affinity or {})
    nodes = dict(whole.pop("nodeAffinity", None) or {})
    nodes.pop("requiredDuringSchedulingIgnoredDuringExecution", None)
    if terms:
        nodes["requiredDuringSchedulingIgnoredDuringExecution"] = {"nodeSelectorTerms": terms}
    if nodes:
        whole["nodeAffinity"] = nodes
    return whole or None


def _with(affinity: Json | None, excluded: Mapping[str, str]) -> Json | None:
    """Terms are alternatives, so that every one of them gets the expressions; an empty term matches nothing."""
    wanted = _expressions(excluded)
    if not wanted:
        return affinity
    terms = [_extended(term, wanted) if term else term for term in _terms(affinity)]
    return _with_terms(affinity, terms or [{"matchExpressions": wanted}])


def _extended(term: dict[str, Any], wanted: list[dict[str, Any]]) -> dict[str, Any]:
    there = list(term.get("matchExpressions") or ())
    return {**term, "matchExpressions": there + [one for one in wanted if one not in there]}


def _without(affinity: Json | None, excluded: Mapping[str, str]) -> Json | None:
    ours = _expressions(excluded)
    if not ours or not _terms(affinity):
        return affinity
    return _with_terms(affinity, [term for old in _terms(affinity) if (term := _reduced(old, ours)) or not old])


def _reduced(term: dict[str, Any], ours: list[dict[str, Any]]) -> dict[str, Any]:
    left = [one for one in term.get("matchExpressions") or () if one not in ours]
    rest = {key: value for key, value in term.items() if key != "matchExpressions"}
    return {**rest, "matchExpressions": left} if left else rest


# --- between pod templates, patches and annotations -------------------------------------------------------------------


def directives_of(pod_spec: Json) -> Directives:
    """The directives of a raw pod spec."""
    return Directives(
        pod_spec.get("nodeSelector") or {}, tuple(pod_spec.get("tolerations") or ()), pod_spec.get("affinity")
    )


def pod_spec_fields(directives: Directives) -> dict[str, Any]:
    """The directives as fields of a pod spec; None for those that are empty."""
    return {
        "nodeSelector": dict(directives.node_selector) or None,
        "tolerations": [dict(one) for one in directives.tolerations] or None,
        "affinity": directives.affinity or None,
    }


def directives_patch(old: Directives, new: Directives) -> dict[str, Any]:
    """Merge patch of a pod spec from one set of directives to another; empty when they are the same."""
    return merge_patch(pod_spec_fields(old), pod_spec_fields(new))


def merge_patch(old: Json, new: Json) -> dict[str, Any]:
    """The smallest JSON merge patch (RFC 7386) between two objects; None and absent are the same."""
    patch: dict[str, Any] = {key: None for key in old if old[key] is not None and new.get(key) is None}
    for key, value in new.items():
        before = old.get(key)
        if value is None or before == value:
            continue
        nested = isinstance(before, Mapping) and isinstance(value, Mapping)
        patch[key] = merge_patch(before or {}, value) if nested else value
    return patch


def to_json(bound: Bound) -> str:
    """A bound pool as the text of an annotation."""
    fields = {
        "nodeSelector": dict(bound.pool.node_selector),
        "tolerations": [dict(one) for one in bound.pool.tolerations],
        "excluded": dict(bound.pool.excluded),
        "added": [dict(one) for one in bound.added],
    }
    return json.dumps({key: value for key, value in fields.items() if value}, sort_keys=True, separators=(",", ":"))


def from_json(text: str | None) -> Bound | None:
    """Read the annotation; what somebody has made unreadable counts as never written."""
    raw = json_object(text)
    if raw is None:
        return None
    selector, excluded = raw.get("nodeSelector") or {}, raw.get("excluded") or {}
    tolerations, added = raw.get("tolerations") or [], raw.get("added") or []
    if not (_is_selector(selector) and _is_selector(excluded) and _are_tolerations(tolerations, added)):
        return None
    return Bound(Pool(selector, tuple(tolerations), excluded), tuple(added))


def _is_selector(found: object) -> bool:
    return isinstance(found, dict) and all(isinstance(value, str) for value in found.values())


def _are_tolerations(*each: object) -> bool:
    return all(isinstance(found, list) and all(isinstance(one, dict) for one in found) for found in each)
