"""A scale-down goes only as far as replicas are free, where somebody asked for that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gpucost.core.clock import DAY, HOUR
from gpucost.core.model import Key
from gpucost.core.serving.behavior import Past
from gpucost.core.serving.plan import plan
from gpucost.core.serving.spec import Behavior, Direction, EndpointSpec, Mode, Runtime, TargetRef
from gpucost.core.serving.state import EndpointState, Measured, Target, Wish

NOW = 20_000 * DAY
SPEC = EndpointSpec(
    TargetRef("Deployment", "llama"), Runtime.VLLM, 1, 12, Mode.AUTO, behavior=Behavior(Direction(), Direction())
)
STATE = EndpointState(
    key=Key("chat", "llama"),
    uid="iep-1",
    generation=1,
    spec=SPEC,
    target=Target("dep-1", "77", 8),
    measured=Measured(True, "MetricsFound"),
    wish=Wish(3, "FallingLoad", "little arrives"),
    past=Past(begun=NOW - HOUR),
)


@pytest.mark.parametrize(
    ("free", "wanted", "becomes"),
    [(None, 3, 3), (8, 3, 3), (5, 3, 3), (2, 3, 6), (0, 3, None), (0, 10, 10), (0, 8, None)],
)
def test_as_many_go_as_are_free(free: int | None, wanted: int, becomes: int | None) -> None:
    decision = plan(replace(STATE, free=free, wish=Wish(wanted, "FallingLoad", "little arrives")), NOW)
    assert (None if decision.action is None else decision.action.replicas) == becomes


def test_it_says_why_none_goes() -> None:
    decision = plan(replace(STATE, free=0), NOW)
    ready = next(one for one in decision.conditions if one.type == "Ready")
    assert (ready.status, ready.reason) == (True, "Frozen")
    assert "answering somebody" in ready.message
