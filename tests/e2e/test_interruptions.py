"""Nodes that are about to go, and what their going costs: a checkpoint before, and waste by its cause after.

The daemons of AWS, GCP and Azure, and the cluster autoscaler, cannot run here: what they write on a Node, or about one,
is written by the tests. Everything that answers to it is real: API server, scheduler, Job controller, evictions.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local import wait_for
from local.objects import pod as pod_manifest
from local.objects import run_for
from support.independent_count import IndependentCount, Stay, moment
from support.operator_world import Team, closed, micro, open_now
from support.reporting_pod import ReportingPod

if TYPE_CHECKING:
    from support.live import Live

pytestmark = pytest.mark.cluster

NOT_A_NOTICE = "none"
PREEMPT = "Preempt Scheduled: Sat, 01 Aug 2026 05:41:02 GMT. EventId: 40B7BD88-C56E-44E4-93F6-75CEDACE2869"


def taint(key: str, value: str = "") -> Callable[[Team, str], None]:
    """A taint of the Node."""

    def write(team: Team, node: str) -> None:
        taints = [{"key": key, "value": value, "effect": "NoSchedule"}]
        team.cluster.api.merge(f"/api/v1/nodes/{node}", {"spec": {"taints": taints}})

    return write


def condition(kind: str, status: str, reason: str, message: str) -> Callable[[Team, str], None]:
    """A condition of the Node, beside its others."""

    def write(team: Team, node: str) -> None:
        path = f"/api/v1/nodes/{node}"
        others = [one for one in team.cluster.api.get(path)["status"]["conditions"] if one["type"] != kind]
        said = {"type": kind, "status": status, "reason": reason, "message": message}
        said |= {"lastTransitionTime": now(), "lastHeartbeatTime": now()}
        team.cluster.api.merge(f"{path}/status", {"status": {"conditions": [*others, said]}})

    return write


def event(reason: str, component: str) -> Callable[[Team, str], None]:
    """An Event about the Node, in the namespace where those are."""

    def write(team: Team, node: str) -> None:
        about = {"kind": "Node", "apiVersion": "v1", "name": node, "uid": node}
        body = {"metadata": {"name": f"{node}.notice"}, "involvedObject": about, "type": "Warning", "reason": reason}
        times = {"firstTimestamp": now(), "lastTimestamp": now(), "count": 1}
        source = {"source": {"component": component}, "message": "the node goes"}
        team.cluster.api.create("/api/v1/namespaces/default/events", {**body, **times, **source})

    return write


NOTICES: dict[str, tuple[Callable[[Team, str], None], str]] = {
    "aws-taint": (
        taint("aws-node-termination-handler/spot-itn", "spot-itn-4f2a"),
        "taint aws-node-termination-handler/spot-itn",
    ),
    "aws-event": (event("SpotInterruption", "aws-node-termination-handler"), "Event SpotInterruption"),
    "gcp-kubelet": (condition("Ready", "False", "KubeletNotReady", "node is shutting down"), "condition Ready"),
    "gcp-taint": (
        taint("cloud.google.com/impending-node-termination"),
        "taint cloud.google.com/impending-node-termination",
    ),
    "azure-condition": (
        condition("PreemptionScheduled", "True", "SpotEvictionIncoming", PREEMPT),
        "condition PreemptionScheduled",
    ),
    "azure-event": (event("PreemptScheduled", "custom-plugin-monitor"), "Event PreemptScheduled"),
    NOT_A_NOTICE: (taint("kubernetes.azure.com/scalesetpriority", "spot"), ""),
}


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def exactly_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def own_node(team: Team, run: str, kind: str = "spot") -> str:
    """A node that only one run can use."""
    return team.add_node(kind, name=f"{run}-{kind}", labels={"mark": team.mark, "run": run})


def template(team: Team, run: str) -> dict[str, Any]:
    """Half of a node, busy all the time, and quick to end."""
    made = team.template(gpus=4, grace=10, shutdown="1s", utilization="1")
    made["spec"]["nodeSelector"]["run"] = run
    return made


def speaker(team: Team, run: str, folder: Path) -> ReportingPod:
    [pod] = wait_for(lambda: team.running(run), 45, f"{run} runs")
    return ReportingPod.of(team, pod, folder / run)


def test_a_notice_of_any_cloud_asks_for_a_checkpoint_while_the_node_is_still_there(team: Team, tmp_path: Path) -> None:
    nodes = {run: own_node(team, run) for run in NOTICES}
    for run in NOTICES:
        team.train(run, template=template(team, run), placement={"policy": "Spot"})
    pods = {run: speaker(team, run, tmp_path) for run in NOTICES}
    for run, pod in pods.items():
        answer = wait_for(lambda pod=pod: pod.tell(10, now()), 10, lambda run=run, pod=pod: f"{run}: {pod.refused}")
        assert answer["checkpoint"] is False, run
    since = now()
    wait_for(lambda: now() > since, 5, "times of the API server have whole seconds")

    for run, (write, _) in NOTICES.items():
        write(team, nodes[run])

    asked = [run for run in NOTICES if run != NOT_A_NOTICE]
    for run in asked:
        wait_for(
            lambda run=run: (pods[run].tell(11) or {}).get("checkpoint"), 10, lambda run=run: f"{run} is not asked"
        )
        [there] = team.running(run)
        assert there["spec"]["nodeName"] == nodes[run]
    for run in asked:
        [note] = wait_for(lambda run=run: team.events("NodeGoing", run), 10, f"{run} is told")
        assert NOTICES[run][1] in note["note"]
        saved = wait_for(lambda run=run: pods[run].tell(12, exactly_now()), 10, lambda run=run: pods[run].refused)
        assert saved["checkpoint"] is False, run
    answer = wait_for(lambda: pods[NOT_A_NOTICE].tell(11), 10, lambda: pods[NOT_A_NOTICE].refused)
    assert answer["checkpoint"] is False
    assert team.events("NodeGoing", NOT_A_NOTICE) == []


# --- what it costs ----------------------------------------------------------------------------------------------------


def evict(team: Team, run: str) -> None:
    """As a drain does."""
    [pod] = team.running(run)
    name = pod["metadata"]["name"]
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": team.namespace}}
    team.cluster.api.create(team.path("pods", name) + "/eviction", body)


def outrank(team: Team, run: str) -> None:
    """Something more important needs the whole node."""
    name = f"urgent-{team.mark}"
    urgent = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": 1000}
    team.cluster.api.create("/apis/scheduling.k8s.io/v1/priorityclasses", urgent)
    wanted = {"nodeSelector": {"mark": team.mark, "run": run}, "priorityClassName": name}
    team.cluster.add_pods([pod_manifest("urgent", team.namespace, gpus=8, **wanted)])


def booked(live: Live, team: Team, run: str) -> dict[str, Any] | None:
    """The first stay of a run as the ledger has it, once what was lost with it is booked."""
    uid = team.cluster.api.get(team.path("trainingjobs", run))["metadata"]["uid"]
    path = live.settings["GPUCOST_LEDGER_URL"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
        row = ledger.execute("SELECT stays FROM run_stays WHERE run = ?", (uid,)).fetchone()
    first: dict[str, Any] = json.loads(row[0])[0] if row else {}
    return first if first.get("booked") else None


def lost(stay: Stay, saved: str) -> Fraction:
    """By hand: from the checkpoint to the end of the pod, at its part of the node's price."""
    assert stay.end is not None
    seconds = (stay.end - moment(saved)).total_seconds()
    return stay.hourly * stay.share * Fraction(round(seconds), 3600)


def test_work_that_is_lost_is_booked_by_its_cause_at_the_price_of_its_time(
    live: Live, team: Team, tmp_path: Path
) -> None:
    spot = {"placement": {"policy": "Spot"}}
    runs: dict[str, dict[str, Any]] = {
        "move": {"schedule": {"windows": [closed()]}},
        "spot": spot,
        "consolidation": spot,
        "preemption": spot,
        "crash": {**spot, "backoffLimit": 0},
    }
    nodes = {run: own_node(team, run, "on-demand" if run == "move" else "spot") for run in runs}
    own_node(team, "move")
    with IndependentCount(live.cluster, team.namespace) as count:
        for run, spec in runs.items():
            made = template(team, run)
            made["metadata"]["annotations"] |= run_for(9, exit_code=1) if run == "crash" else {}
            team.train(run, template=made, **spec)
        saved = {}
        for run in reversed(runs):  # the one that is to crash has little time
            pod, saved[run] = speaker(team, run, tmp_path), now()
            wait_for(lambda pod=pod, run=run: pod.tell(10, saved[run]), 10, lambda pod=pod: pod.refused)
        wait_for(lambda: (moment(now()) - moment(max(saved.values()))).total_seconds() >= 2, 5, "something to lose")

        taint("aws-node-termination-handler/spot-itn")(team, nodes["spot"])
        evict(team, "spot")
        taint("ToBeDeletedByClusterAutoscaler")(team, nodes["consolidation"])
        wait_for(lambda: team.events("NodeGoing", "consolidation"), 10, "the autoscaler's mark is seen")
        evict(team, "consolidation")
        outrank(team, "preemption")
        team.change("move", schedule={"windows": [open_now()]})
        first = wait_for(lambda: ends(count, set(nodes.values())), 30, "all of them have ended")
        team.remove_node(nodes["spot"])

        rows = {run: wait_for(lambda run=run: booked(live, team, run), 40, f"{run} is booked") for run in runs}

    for run in runs:
        expected = lost(first[nodes[run]], saved[run])
        assert (rows[run]["cause"], expected > 0) == (run, True)
        assert abs(rows[run]["lost_cost"] - expected * 10**12) <= 1, run

        def waste(run: str = run) -> dict[str, str]:
            return dict(team.status(run).get("cost", {}).get("waste", {}))

        shown = wait_for(
            lambda run=run: (w := waste(run)).get(run) and w,
            20,
            lambda run=run: f"{run}: {json.dumps(team.status(run))}",
        )
        assert shown.keys() <= {"idle", run}
        assert abs(micro(shown[run]) / 10**4 - float(expected) * 100) <= 1
    team.cluster.api.delete(f"/apis/scheduling.k8s.io/v1/priorityclasses/urgent-{team.mark}")


def ends(count: IndependentCount, nodes: set[str]) -> dict[str, Stay] | None:
    """The stays on some nodes once each has ended."""
    found = {stay.node: stay for stay in reversed(count.stays()) if stay.node in nodes and stay.name != "urgent"}
    return found if found.keys() == nodes and all(stay.end for stay in found.values()) else None
