"""What pods cost per hour at this moment, as the cost API of a running operator says."""

from __future__ import annotations

from local import wait_for
from support.live import Live
from support.operator_world import Team, costs


def rates(live: Live, team: Team) -> dict[str, str]:
    """Cost per hour of each pod, as the cost API says right now."""
    found = costs(live.api_url, team.namespace, "pod", "1h")
    assert found["difference"] == "0.000000"
    return {item["metadata"]["name"]: item["hourly"] for item in found["items"]}


def until_rates(live: Live, team: Team, expected: dict[str, str]) -> None:
    wait_for(lambda: rates(live, team) == expected, 45, lambda: f"{expected}: {rates(live, team)}")
