"""Specifications and questions that the tests of the plan share."""

from __future__ import annotations

from typing import Any

from gpucost.core.actions import Decision
from gpucost.core.clock import HOUR, parse_rfc3339
from gpucost.core.training.spec import (
    Outside,
    PlacementPolicy,
    PlacementSpec,
    Schedule,
    TrainingSpec,
    Window,
)
from support.training_world import World

TEMPLATE = {"spec": {"containers": [{"name": "train", "image": "bert"}]}}
TYPES = ["Ready", "Suspended", "Complete", "Failed", "Migrating", "Invalid"]
BEFORE = parse_rfc3339("2026-11-24T19:00:00Z")
OPENS = parse_rfc3339("2026-11-24T20:00:00Z")
CLOSES = parse_rfc3339("2026-11-25T06:00:00Z")


def spec(policy: PlacementPolicy = PlacementPolicy.SCHEDULED, **fields: Any) -> TrainingSpec:
    outside = fields.pop("outside", Outside.ON_DEMAND)
    nights = Schedule("UTC", (Window("0 20 * * *", 10 * HOUR),), outside)
    schedule = nights if policy is PlacementPolicy.SCHEDULED else None
    return TrainingSpec(**{"template": TEMPLATE, "placement": PlacementSpec(policy), "schedule": schedule, **fields})


def running(what: TrainingSpec, now: int = BEFORE) -> World:
    world = World(what, now)
    world.settle(6)
    return world


def at(world: World, now: int, rounds: int = 20) -> World:
    world.now = now
    world.settle(rounds)
    return world


def reason(world: World, kind: str = "Ready") -> str:
    return str(world.condition(kind)["reason"])


def ready(decision: Decision) -> tuple[bool | None, str]:
    found = next(one for one in decision.conditions if one.type == "Ready")
    return found.status, found.reason


def names(world: World) -> list[str]:
    return sorted(name for name, _ in world.events)
