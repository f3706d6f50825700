"""What nobody can know is an interval marked unknown: never guessed, never booked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from local import LocalCluster, OperatorProcess, wait_for
from support.independent_count import moment
from support.operator_world import COSTS, Team, costs, fetch, last_hour, micro, team_in

pytestmark = pytest.mark.cluster

PODS = "/api/v1/pods"


def expired(cluster: LocalCluster, version: str) -> bool:
    """Whether the API server has thrown away what happened since a resourceVersion."""
    query = f"watch=true&timeoutSeconds=1&resourceVersion={version}"
    return '"code":410' in cluster.kubectl("get", "--raw", f"{PODS}?{query}", check=False)


def test_a_pod_that_vanished_while_the_history_was_lost_is_booked_up_to_where_it_was_seen(
    own_cluster: Callable[..., LocalCluster], operator_factory: Callable[..., OperatorProcess]
) -> None:
    cluster = own_cluster("forgets", api_server_flags={"etcd-compaction-interval": "2s"})
    operator = operator_factory(cluster, {"GPUCOST_TICK_SECONDS": "1"})
    with team_in(cluster) as team:
        node = team.add_node()
        operator.start()
        team.train(template=team.template(gpus=8))
        team.until_runs_on(node)
        bound = _bound(team)
        wait_for(lambda: _booked(operator, team) > 0, 20, "something is booked")
        version = cluster.api.get(PODS)["metadata"]["resourceVersion"]
        operator.kill9()
        down, _ = last_hour()
        for kind in ("trainingjobs", "jobs"):  # a Job that waits for the garbage collector would replace its pod
            team.cluster.api.delete(team.path(kind, "bert"), propagationPolicy="Background")
        for pod in team.pods():
            cluster.api.delete(team.path("pods", pod["metadata"]["name"]), gracePeriodSeconds=0)
        wait_for(lambda: not team.pods(), 20, "the pod is gone")
        cluster.restart_apiserver()  # with it goes the history that it keeps in memory
        wait_for(lambda: expired(cluster, version), 40, "the history is gone", interval=0.5)

        operator.start()

        assert "from the ledger alone" in operator.log()
        seen = (down - bound + timedelta(seconds=1)).total_seconds()
        assert 0 < _booked(operator, team) <= seen * 55.04 / 3600 * 10**6
        found = costs(operator.api_url, team.namespace, "workload", last_hour()[1])
        assert found["quality"]["gaps"] >= 1
        assert found["difference"] == "0.000000"
        path = f"{COSTS}/namespaces/{team.namespace}/allocations/trainingjob.bert?window={last_hour()[1]}"
        [gap] = fetch(operator.api_url + path)["gaps"]
        assert moment(gap["start"]) <= down + timedelta(seconds=1)
        assert moment(gap["end"]) > down
        assert "not watching" in gap["reason"]


def _bound(team: Team) -> datetime:
    [pod] = team.running()
    return moment(next(c for c in pod["status"]["conditions"] if c["type"] == "PodScheduled")["lastTransitionTime"])


def _booked(operator: OperatorProcess, team: Team) -> int:
    found = costs(operator.api_url, team.namespace, "pod", last_hour()[1])
    return micro(found["total"]["cost"] or "0.000000")
