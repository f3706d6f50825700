"""Which workload stands behind a pod, by what its owner's controller has written on it."""

from __future__ import annotations

import pytest

from gpucost.core.model import Owner, Pod, Workload
from gpucost.core.owners import SET_NAME, WORKER_INDEX, above, replicas_among


@pytest.mark.parametrize(
    ("owner", "labels", "expected"),
    [
        (("ReplicaSet", "chat-abc"), {"pod-template-hash": "abc"}, ("Deployment", "chat")),
        (("ReplicaSet", "chat-abc"), {"rollouts-pod-template-hash": "abc"}, ("Rollout", "chat")),
        (("ReplicaSet", "chat"), {}, ("ReplicaSet", "chat")),
        (("ReplicaSet", "chat-abc"), {"pod-template-hash": "xyz"}, ("ReplicaSet", "chat-abc")),
        (("ReplicaSet", "chat-abc"), {"pod-template-hash": ""}, ("ReplicaSet", "chat-abc")),
        (("StatefulSet", "big"), {SET_NAME: "big"}, ("LeaderWorkerSet", "big")),
        (("StatefulSet", "big-12"), {SET_NAME: "big"}, ("LeaderWorkerSet", "big")),
        (("StatefulSet", "big-12"), {}, ("StatefulSet", "big-12")),
        (("StatefulSet", "bigger-1"), {SET_NAME: "big"}, ("StatefulSet", "bigger-1")),
        (("StatefulSet", "big-one"), {SET_NAME: "big"}, ("StatefulSet", "big-one")),
        (("CloneSet", "big"), {SET_NAME: "big"}, ("CloneSet", "big")),
    ],
)
def test_the_workload_behind_an_owner(
    owner: tuple[str, str], labels: dict[str, str], expected: tuple[str, str]
) -> None:
    assert above(*owner, labels) == Workload(*expected)


def test_of_a_group_only_the_leader_stands_for_a_replica() -> None:
    def pod(name: str, labels: dict[str, str]) -> Pod:
        return Pod(name, name, "chat", 0, owner=Owner("StatefulSet", "big", "sts"), labels=labels)

    group = [pod(f"big-0-{n}", {SET_NAME: "big", WORKER_INDEX: str(n)}) for n in range(3)]
    alone = pod("alone", {})
    assert replicas_among([*group, alone]) == (group[0], alone)
    assert replicas_among([pod("leader", {SET_NAME: "big"})])[0].name == "leader", "a group of one has no index"
