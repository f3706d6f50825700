"""Moves between capacity types under a running operator: never in two places, told once, paid for exactly."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest

from local import wait_for
from local.karpenter import L4, Karpenter
from support.independent_count import IndependentCount, moment, overlaps
from support.operator_world import (
    MILLION,
    ON_DEMAND_PRICE,
    SPOT_PRICE,
    Team,
    assert_paid_exactly,
    closed,
    costs,
    last_hour,
    micro,
    open_now,
    opened_ago,
    team_in,
)

if TYPE_CHECKING:
    from support.live import Live

pytestmark = pytest.mark.cluster

SELECTOR = "karpenter.sh/capacity-type"


def scheduled(window: dict, outside: str = "OnDemand") -> dict:
    return {"windows": [window], "outside": outside}


def told(team: Team) -> Counter[str]:
    """Events by reason; each object is one, however often it was posted."""
    events = team.events()
    assert not [e for e in events if e.get("series") or e.get("deprecatedCount", 1) > 1]
    return Counter(e["reason"] for e in events)


def test_an_open_window_moves_a_run_to_spot_and_every_second_is_paid_once(live: Live, team: Team) -> None:
    dear, cheap = team.add_node("on-demand"), team.add_node("spot")
    template = team.template(gpus=4, shutdown="2s", grace=10)
    with IndependentCount(live.cluster, team.namespace) as count:
        team.train(workers=2, template=template, schedule=scheduled(closed()))
        team.until_runs_on(dear, workers=2)

        team.change(schedule=scheduled(open_now()))
        wait_for(lambda: team.condition("Migrating").get("status") == "True", 20, "it says that it moves")
        team.until_runs_on(cheap, workers=2)
        wait_for(lambda: team.condition("Migrating").get("status") == "False", 20, "the move is over")
        wait_for(lambda: told(team)["MovedToSpot"] == 1, 20, "the move is told")
        assert team.job()["spec"]["template"]["spec"]["nodeSelector"][SELECTOR] == "spot"
        assert team.job()["spec"]["template"]["spec"]["nodeSelector"]["mark"] == team.mark
        placement = team.status()["placement"]
        assert placement["current"] == "Spot"
        assert moment(placement["window"]["start"]) < datetime.now(UTC) < moment(placement["window"]["end"])

        team.change(suspend=True)
        wait_for(lambda: not team.pods(), 30, "everything has ended")
        wait_for(lambda: len(count.gone) == 4, 10, "the second count saw four pods end")

    stays = count.stays()
    assert [stay.node for stay in stays] == [dear, dear, cheap, cheap]
    assert overlaps(stays) == []
    asked = moment(team.events("MovedToSpot")[0]["eventTime"])
    assert all(stay.end is not None and stay.end <= asked + timedelta(seconds=1) for stay in stays[:2])
    assert told(team)["MovedToSpot"] == 1
    assert_paid_exactly(live.api_url, team, count)
    _parts_paid_exactly(live, team, count)
    cost = wait_for(lambda: (c := team.status()["cost"])["hourly"] == "0.00" and c, 30, "the status is up to date")
    assert float(cost["spot"]) > 0
    assert float(cost["onDemand"]) > 0


def _parts_paid_exactly(live: Live, team: Team, count: IndependentCount) -> None:
    """The capacity types agree with the second count too."""
    end, window = last_hour()
    total = costs(live.api_url, team.namespace, "pod", window)["total"]
    for kind, hourly in (("spot", SPOT_PRICE), ("onDemand", ON_DEMAND_PRICE)):
        part = sum(stay.cost(end) for stay in count.stays() if stay.hourly == Fraction(hourly))
        assert abs(micro(total[kind]) - part * MILLION) <= 1, kind


def test_a_window_without_nodes_sends_the_run_back_and_is_not_tried_again(team: Team) -> None:
    dear = team.add_node("on-demand")
    placement = {"policy": "Scheduled", "schedulingTimeout": "3s"}
    team.train(placement=placement, schedule=scheduled(closed()))
    team.until_runs_on(dear)

    window = open_now()
    team.change(schedule=scheduled(window))
    wait_for(lambda: "move-refused" in team.notes(), 30, "the move is given up")
    team.until_runs_on(dear)

    note = team.condition("Ready")["message"]
    assert "no Spot node within 3s" in note
    assert told(team)["MovedToSpot"] == 1
    wait_for(lambda: told(team)["MovedToOnDemand"] == 1, 20, "the way back is told")
    version = team.job()["metadata"]["annotations"]["gpucost.dev/resumed-at"]
    team.add_node("spot")
    team.change(placement={"schedulingTimeout": "4s"})
    wait_for(lambda: team.status()["observedGeneration"] == 3, 20, "the new specification was looked at")
    assert team.notes()["resumed-at"] == version
    assert team.condition("Migrating")["status"] == "False"


def test_outside_its_windows_a_run_pauses_when_told_to(team: Team) -> None:
    cheap = team.add_node("spot")
    team.train(schedule=scheduled(open_now(), "Pause"))
    team.until_runs_on(cheap)

    team.change(schedule=scheduled(closed(), "Pause"))

    paused = team.until("Suspended", "OutsideWindow")
    assert "no window opens before" in paused["message"]
    wait_for(lambda: not team.pods(), 20, "nothing runs")
    status = team.status()
    assert status["placement"]["current"] == "Paused"
    assert status["placement"]["next"]["placement"] == "Spot"
    wait_for(lambda: told(team)["WindowClosed"] == 1, 10, "the end of the window is told")
    team.change(schedule=scheduled(open_now(), "Pause"))
    team.until_runs_on(cheap)


def test_a_window_opens_by_the_clock_alone(team: Team) -> None:
    dear, cheap = team.add_node("on-demand"), team.add_node("spot")
    window = opened_ago(-timedelta(seconds=80), "2h")  # at a full minute, and time enough to run before it
    team.train(schedule={**scheduled(window), "timeZone": "UTC"})
    team.until_runs_on(dear)
    change = team.status()["placement"]["next"]
    assert change["placement"] == "Spot"

    team.until_runs_on(cheap, timeout=110)

    assert moment(team.status()["placement"]["window"]["start"]) == moment(change["at"])
    assert moment(team.notes()["moved-at"]) >= moment(change["at"])
    wait_for(lambda: told(team)["WindowOpened"] == 1, 10, "the window is told")


def test_a_suspension_by_somebody_else_outlasts_a_window(team: Team) -> None:
    dear = team.add_node("on-demand")
    team.add_node("spot")
    team.train(schedule=scheduled(closed()))
    team.until_runs_on(dear)
    team.cluster.kubectl("patch", "job", "bert", "-n", team.namespace, "-p", '{"spec":{"suspend":true}}')
    team.until("Ready", "SuspendedByOther")

    team.change(schedule=scheduled(open_now()))

    wait_for(lambda: team.status()["observedGeneration"] == 2, 20, "the window was looked at")
    assert team.job()["spec"]["suspend"] is True
    assert "suspended-by" not in team.notes()


def test_a_run_whose_spot_node_is_lost_comes_back_and_the_loss_is_counted(team: Team) -> None:
    lost = team.add_node("spot", name="lost")
    team.train(placement={"policy": "Spot"})
    team.until_runs_on(lost)
    assert team.status().get("interruptions", {}).get("count", 0) == 0
    other = team.add_node("spot", name="other")

    team.remove_node(lost)

    team.until_runs_on(other, timeout=80)
    wait_for(lambda: team.status().get("interruptions", {}).get("count") == 1, 20, "the loss is counted")
    [event] = wait_for(lambda: team.events("SpotInterrupted"), 10, "the loss is told")
    assert event["type"] == "Warning"
    assert lost in event["note"]
    assert team.job()["status"].get("failed", 0) == 0


def test_with_karpenter_a_run_moves_to_a_node_that_is_bought_and_survives_its_loss(
    live: Live, karpenter: Karpenter
) -> None:
    with team_in(live.cluster) as team:
        template = team.template(gpus=1, shutdown="1s")
        template["spec"]["nodeSelector"] = {"node.kubernetes.io/instance-type": L4.name}
        team.train(template=template, placement={"policy": "Scheduled"}, schedule=scheduled(closed()))
        first = _bought(team, "on-demand")
        team.change(schedule=scheduled(open_now()))
        second = _bought(team, "spot")
        assert first != second

        karpenter.interrupt(second)

        wait_for(lambda: team.status().get("interruptions", {}).get("count") == 1, 60, "the loss is counted")
        third = wait_for(lambda: (node := _bought(team, "spot")) != second and node, 60, "another spot node")
        assert third not in {first, second}
        assert told(team)["SpotInterrupted"] == 1
        assert told(team)["MovedToSpot"] == 1
        assert team.job()["status"].get("failed", 0) == 0


def _bought(team: Team, kind: str) -> str:
    """Name of the node of a capacity type on which the one worker runs."""

    def node() -> str | None:
        for pod in team.running():
            found = team.cluster.api.get(f"/api/v1/nodes/{pod['spec']['nodeName']}")
            if found["metadata"]["labels"][SELECTOR] == kind and team.condition("Ready").get("reason") == "Running":
                return str(found["metadata"]["name"])
        return None

    return wait_for(node, 60, f"bert runs on {kind}")
