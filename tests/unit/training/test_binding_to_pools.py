"""Binding a pod template to the nodes of a capacity type, and moving it to others."""

from __future__ import annotations

from typing import Any

import pytest

from gpucost.core.capacity import Provider
from gpucost.core.model import CapacityType
from gpucost.core.training.placement import (
    Directives,
    Pool,
    applied,
    directives_of,
    directives_patch,
    from_json,
    pool_for,
    to_json,
)
from gpucost.core.training.spec import PlacementSpec, PoolSelector
from support.training_world import merge

SPOT, ON_DEMAND = CapacityType.SPOT, CapacityType.ON_DEMAND
NONE = PlacementSpec()


def required(*terms: Any) -> dict[str, Any]:
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}}


def pool(provider: Provider, kind: CapacityType) -> Pool:
    found = pool_for(kind, NONE, provider)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("provider", "kind", "selector", "taints"),
    [
        (Provider.KARPENTER, SPOT, {"karpenter.sh/capacity-type": "spot"}, []),
        (Provider.KARPENTER, ON_DEMAND, {"karpenter.sh/capacity-type": "on-demand"}, []),
        (Provider.EKS, SPOT, {"eks.amazonaws.com/capacityType": "SPOT"}, []),
        (Provider.GKE, SPOT, {"cloud.google.com/gke-spot": "true"}, ["cloud.google.com/gke-spot"]),
        (Provider.GKE, ON_DEMAND, {}, []),
        (
            Provider.AKS,
            SPOT,
            {"kubernetes.azure.com/scalesetpriority": "spot"},
            ["kubernetes.azure.com/scalesetpriority"],
        ),
        (Provider.AKS, ON_DEMAND, {}, []),
    ],
)
def test_every_provider_has_its_own_selector(
    provider: Provider, kind: CapacityType, selector: dict[str, str], taints: list[str]
) -> None:
    found = pool(provider, kind)
    assert found.node_selector == selector
    assert [one["key"] for one in found.tolerations] == taints
    assert bool(found.excluded) == (not selector)


def test_an_unknown_provider_has_no_selector_unless_the_user_gives_one() -> None:
    assert pool_for(SPOT, NONE, None) is None
    given = PlacementSpec(spot=PoolSelector({"pool": "cheap"}))
    assert pool_for(SPOT, given, Provider.KARPENTER) == Pool({"pool": "cheap"})
    assert pool_for(ON_DEMAND, given, None) == Pool(excluded={"pool": "cheap"})


def test_on_demand_on_gke_stays_out_of_both_kinds_of_spot_nodes() -> None:
    bound, _ = applied(Directives(), pool(Provider.GKE, ON_DEMAND))
    assert bound.affinity == required(
        {
            "matchExpressions": [
                {"key": "cloud.google.com/gke-preemptible", "operator": "NotIn", "values": ["true"]},
                {"key": "cloud.google.com/gke-spot", "operator": "NotIn", "values": ["true"]},
            ]
        }
    )


USER = Directives(
    {"gpu": "h100"},
    ({"key": "nvidia.com/gpu", "operator": "Exists"},),
    {
        **required(
            {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]},
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]},
        ),
        "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "rack"}]},
    },
)


@pytest.mark.parametrize("provider", list(Provider))
@pytest.mark.parametrize("start", [Directives(), USER])
def test_moving_there_and_away_leaves_what_the_user_wrote(provider: Provider, start: Directives) -> None:
    on_spot, first = applied(start, pool(provider, SPOT))
    on_demand, second = applied(on_spot, pool(provider, ON_DEMAND), before=first)
    back, third = applied(on_demand, pool(provider, SPOT), before=second)
    assert (back, third) == (on_spot, first)
    assert applied(on_demand, None, before=second) == (start, None)
    assert set(start.node_selector) <= set(on_demand.node_selector)


def test_every_alternative_of_the_users_affinity_gets_the_expression() -> None:
    moved, _ = applied(USER, pool(Provider.AKS, ON_DEMAND))
    assert moved.affinity is not None
    ours = {"key": "kubernetes.azure.com/scalesetpriority", "operator": "NotIn", "values": ["spot"]}
    terms = moved.affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [ours in term["matchExpressions"] for term in terms] == [True, True]
    assert moved.affinity["podAffinity"] == (USER.affinity or {})["podAffinity"]


def test_a_toleration_that_the_user_has_too_is_neither_doubled_nor_taken_away() -> None:
    spot = pool(Provider.GKE, SPOT)
    own = Directives(tolerations=spot.tolerations)
    on_spot, bound = applied(own, spot)
    assert on_spot.tolerations == spot.tolerations
    on_demand, _ = applied(on_spot, pool(Provider.GKE, ON_DEMAND), before=bound)
    assert on_demand.tolerations == spot.tolerations


def test_a_selector_of_another_provider_gives_way() -> None:
    adopted = Directives({"eks.amazonaws.com/capacityType": "ON_DEMAND", "pool": "dear", "zone": "a"})
    moved, _ = applied(adopted, pool(Provider.KARPENTER, SPOT), known=(PoolSelector({"pool": "cheap"}), None))
    assert moved.node_selector == {"karpenter.sh/capacity-type": "spot", "zone": "a"}


@pytest.mark.parametrize("provider", list(Provider))
@pytest.mark.parametrize("start", [Directives(), USER])
def test_the_merge_patch_leads_from_one_set_of_directives_to_the_other(provider: Provider, start: Directives) -> None:
    fields = {"nodeSelector": start.node_selector, "tolerations": list(start.tolerations), "affinity": start.affinity}
    body = {key: value for key, value in fields.items() if value}
    current, before = start, None
    for kind in (SPOT, ON_DEMAND, SPOT, ON_DEMAND):
        new, before = applied(current, pool(provider, kind), before=before)
        body = merge(body, directives_patch(current, new))
        assert directives_of(body) == new
        assert directives_patch(new, new) == {}
        current = new


def test_a_bound_pool_survives_its_annotation() -> None:
    _, bound = applied(USER, pool(Provider.GKE, SPOT))
    assert bound is not None
    assert from_json(to_json(bound)) == bound


@pytest.mark.parametrize("text", [None, "", "{", "[]", "7"])
def test_an_annotation_that_nobody_can_read_counts_as_absent(text: str | None) -> None:
    assert from_json(text) is None
