"""A run that is tied to one zone is told so, with what that costs."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from gpucost.core.clock import HOUR, SECOND
from gpucost.core.training.pins import ZONE, Pin, described, pin_of, priced
from gpucost.core.training.plan import plan
from gpucost.core.training.spec import PlacementPolicy
from support.training_cases import spec
from support.training_world import World

NOW = 1_795_000_000 * SECOND
EBS = "topology.ebs.csi.aws.com/zone"
VOLUME = ("PersistentVolumeClaim data (volume pv-1)", "us-east-1a")


def affinity(*zones: str, terms: int = 1) -> dict[str, Any]:
    term = {"matchExpressions": [{"key": ZONE, "operator": "In", "values": list(zones)}]}
    required = {"nodeSelectorTerms": [term] + [{"matchExpressions": []}] * (terms - 1)}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


def test_a_zone_is_fixed_by_a_selector_an_affinity_or_a_volume() -> None:
    assert pin_of({ZONE: "a"}, None, [VOLUME]) == Pin("a", f"nodeSelector {ZONE}")
    assert pin_of({}, affinity("b"), ()) == Pin("b", f"nodeAffinity {ZONE}")
    assert pin_of({}, None, [VOLUME]) == Pin("us-east-1a", VOLUME[0])


def test_a_choice_between_zones_is_no_pin() -> None:
    assert pin_of({}, affinity("a", "b"), [("claim", "")]) is None
    assert pin_of({}, affinity("a", terms=2), ()) is None
    assert pin_of({}, None, ()) is None
    twice = {"matchExpressions": [{"key": key, "operator": "In", "values": ["a"]} for key in (ZONE, EBS)]}
    other = affinity("a", terms=2)
    other["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"][0] = twice
    assert pin_of({}, other, ()) is None  # one alternative says it twice, the other not at all


def test_its_price_is_the_difference_to_the_cheapest_zone() -> None:
    pin = Pin("a", VOLUME[0])
    prices = {"a": Decimal("20.10"), "b": Decimal("14.60"), "c": Decimal("18.00")}
    assert priced(pin, prices) == Pin("a", VOLUME[0], Decimal("5.50"), "b")
    assert "spot costs 5.5 an hour more there than in b" in described(priced(pin, prices))
    assert "a volume that every zone can mount" in described(pin)
    assert priced(Pin("b", "x"), prices).hourly == 0
    assert priced(pin, {"a": Decimal(1)}).hourly is None
    assert priced(pin, {}) is pin


def test_it_is_told_once_and_only_to_runs_that_may_be_on_spot() -> None:
    world = World(spec(PlacementPolicy.SPOT), NOW)
    world.settle(6)
    tied = replace(world.state(), pin=Pin("a", VOLUME[0], Decimal("5.50"), "b"))
    decision = plan(tied, world.context())
    assert [one.reason for one in decision.events] == ["ZonePinned"]
    assert decision.status["placement"]["zonePin"] == {"zone": "a", "by": VOLUME[0], "hourly": "5.50"}  # type: ignore[index]
    again = plan(replace(tied, status=decision.status), world.context())
    assert not again.events
    dear = World(spec(PlacementPolicy.ON_DEMAND), NOW + HOUR)
    dear.settle(6)
    assert not plan(replace(dear.state(), pin=Pin("a", "x")), dear.context()).events
