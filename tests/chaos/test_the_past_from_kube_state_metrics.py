"""What happened while the operator was down and the API server forgot it: from kube-state-metrics and Prometheus."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from local import LocalCluster, OperatorProcess, kube_state_metrics, wait_for
from local.objects import pod, run_for
from support.independent_count import IndependentCount, Stay
from support.operator_world import COSTS, ON_DEMAND_PRICE, Team, costs, fetch, last_hour, micro, team_in

pytestmark = pytest.mark.cluster

SCRAPES = timedelta(seconds=2 * 5 + 4)  # one may fail


def series(cluster: LocalCluster, promql: str) -> list[dict[str, str]]:
    """Labels of the series that Prometheus answers with."""
    url = f"{cluster.prometheus_url}/api/v1/query?query={urllib.parse.quote(promql)}"
    return [one["metric"] for one in fetch(url)["data"]["result"]]


def run(team: Team, name: str, *, gpus: int = 2, seconds: float = 600) -> None:
    """A bare pod on the team's nodes that ends by itself after a while."""
    manifest = pod(
        name, team.namespace, gpus=gpus, annotations=run_for(seconds), nodeSelector={"mark": team.mark}
    )  # fmt: skip
    team.cluster.api.create(team.path("pods"), manifest)


def phase(team: Team, name: str) -> str:
    found = team.find("pods", name)
    return found["status"].get("phase", "") if found else "gone"


def delete(team: Team, *names: str) -> None:
    for name in names:
        team.cluster.api.delete(team.path("pods", name))  # the simulated kubelet ends them at once
    wait_for(lambda: all(phase(team, name) == "gone" for name in names), 20, f"{names} are gone")


def test_pods_that_came_and_went_unwatched_are_paid_for(
    own_cluster: Callable[..., LocalCluster], operator_factory: Callable[..., OperatorProcess]
) -> None:
    cluster = own_cluster("recalls", with_prometheus=True, api_server_flags={"etcd-compaction-interval": "2s"})
    kube_state_metrics.start(cluster)
    operator = operator_factory(cluster, {"GPUCOST_TICK_SECONDS": "1"})
    with team_in(cluster) as team, IndependentCount(cluster, team.namespace) as count:
        node = team.add_node()
        operator.start()
        run(team, "before")
        wait_for(lambda: phase(team, "before") == "Running", 20, "the first pod runs")
        wait_for(lambda: "before" in _booked(operator, team), 20, "it is booked")
        version = cluster.api.get("/api/v1/pods")["metadata"]["resourceVersion"]
        operator.kill9()

        brief_life(team)
        delete(team, "before")
        team_cluster_forgets(cluster, version)
        operator.start()
        wait_for(lambda: operator.log().count("history is filled in completely") == 2, 60, "both starts looked back")

        assert "from the ledger alone" in operator.log()
        wait_for(count.settled, 20, "the second count has seen everything")
        _agrees(operator, team, count.stays(), node)


def brief_life(team: Team) -> None:
    """Two pods that nobody watches: one completes and is cleaned away, one is deleted while it runs; one stays."""
    run(team, "done", seconds=7)
    run(team, "deleted")
    run(team, "stays")
    for name in ("done", "deleted", "stays"):
        wait_for(lambda name=name: series(team.cluster, f'kube_pod_info{{pod="{name}",node!=""}}'), 30, f"{name} seen")
    wait_for(lambda: series(team.cluster, 'kube_pod_completion_time{pod="done"}'), 30, "its completion was scraped")
    delete(team, "done", "deleted")
    wait_for(lambda: not series(team.cluster, 'kube_pod_info{pod=~"done|deleted"}'), 30, "their series have ended")


def team_cluster_forgets(cluster: LocalCluster, version: str) -> None:
    """Throw away the history of the API server."""
    cluster.restart_apiserver()
    query = f"/api/v1/pods?watch=true&timeoutSeconds=1&resourceVersion={version}"
    wait_for(
        lambda: '"code":410' in cluster.kubectl("get", "--raw", query, check=False), 40, "history gone", interval=0.5
    )


def _booked(operator: OperatorProcess, team: Team) -> dict[str, int]:
    """Micro-units by pod."""
    found = costs(operator.api_url, team.namespace, "pod", last_hour()[1])
    return {item["metadata"]["name"]: micro(item["cost"]) for item in found["items"]}


def _agrees(operator: OperatorProcess, team: Team, stays: list[Stay], node: str) -> None:
    """The ledger is the second count, less at most the time between two scrapes, which is marked.

    A scrape may show a pod in the second in which it ended: the API server's times have whole seconds.
    """
    end, window = last_hour()
    found = costs(operator.api_url, team.namespace, "pod", window)
    booked = {item["metadata"]["name"]: micro(item["cost"]) for item in found["items"]}
    assert found["difference"] == "0.000000"
    assert booked.keys() == {stay.name for stay in stays} == {"before", "done", "deleted", "stays"}
    for stay in stays:
        assert stay.node == node
        second = float(stay.share) * float(ON_DEMAND_PRICE) * 10**6 / 3600
        less, more = (0.0, 0.0) if stay.name in {"done", "stays"} else (SCRAPES.total_seconds(), 1.0)
        due = float(stay.cost(end)) * 10**6
        assert due - less * second - 1 <= booked[stay.name] <= due + more * second + 1, (stay, booked)
    gaps = fetch(f"{operator.api_url}{COSTS}/namespaces/{team.namespace}/allocations/pod.deleted?window={window}")[
        "gaps"
    ]
    ended = next(stay.end for stay in stays if stay.name == "deleted")
    assert ended is not None
    second = timedelta(seconds=1)
    assert any(_moment(gap["start"]) - second <= ended <= _moment(gap["end"]) for gap in gaps), (gaps, ended)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
