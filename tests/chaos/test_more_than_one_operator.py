"""One active operator at a time, and an orderly end."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from local import LocalCluster, OperatorProcess, wait_for
from support.operator_world import Team, own_writes

pytestmark = pytest.mark.cluster

LEASE = "/apis/coordination.k8s.io/v1/namespaces/gpucost-system/leases/gpucost-operator"


def holder(cluster: LocalCluster) -> str:
    return cluster.api.get(LEASE)["spec"].get("holderIdentity") or ""


def test_the_loser_of_the_lease_does_nothing_and_takes_over_when_the_winner_dies(
    team: Team, operator_factory: Callable[..., OperatorProcess]
) -> None:
    node = team.add_node()
    first = operator_factory(team.cluster, {"GPUCOST_TICK_SECONDS": "1"}, name=f"first-{team.mark}")
    second = operator_factory(team.cluster, {"GPUCOST_TICK_SECONDS": "1"}, name=f"second-{team.mark}")
    first.start()
    second.start(wait=False)
    second.wait_log(f"standing by: {first.name} holds the Lease")
    team.train()
    team.until_runs_on(node)
    assert own_writes(second) == {}
    assert "not ready" in second.metrics() or "gpucost_ticks_total 0.0" in second.metrics()

    killed = time.monotonic()
    first.kill9()
    team.train("orphan", template=team.template(gpus=1))

    wait_for(lambda: team.find("jobs", "orphan"), 30, "the other one takes over")
    assert 10 < time.monotonic() - killed < 25
    assert holder(team.cluster) == second.name
    begun = time.monotonic()
    assert second.stop() == 0
    assert time.monotonic() - begun < 10
    assert holder(team.cluster) == ""


def test_an_operator_whose_lease_was_taken_ends_itself(team: Team, operator: OperatorProcess) -> None:
    operator.start()

    def steal() -> bool:
        lease = team.cluster.api.get(LEASE)
        lease["spec"] |= {"holderIdentity": "thief"}
        try:
            team.cluster.api.put(LEASE, lease)
        except RuntimeError:  # renewed between reading and writing
            return False
        return True

    wait_for(steal, 10, "the Lease is stolen")

    assert operator.wait_exit(20) == 1
    assert "thief" in operator.log()
    team.cluster.api.delete(LEASE)
