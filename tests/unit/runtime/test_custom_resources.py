"""Our own resources in the world are those of the cluster, also after deletions that kopf does not tell of."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gpucost.core.model import Key
from gpucost.kube import paths
from gpucost.kube.errors import Unreachable
from gpucost.runtime import custom
from gpucost.runtime.custom import CustomResources
from gpucost.runtime.world import World, custom_record

BERT = Key("research", "bert")


def job(uid: str = "t1", name: str = "bert") -> dict[str, Any]:
    metadata = {"uid": uid, "name": name, "namespace": "research", "generation": 1}
    return {"kind": "TrainingJob", "metadata": metadata, "spec": {}}


def book(uid: str = "b1") -> dict[str, Any]:
    return {"kind": "PriceBook", "metadata": {"uid": uid, "name": "prices"}, "spec": {}}


class Server:
    """Lists what exists; each list takes the next state, and the last state stays."""

    def __init__(self, *states: list[dict[str, Any]] | Exception) -> None:
        self.states = list(states)

    async def get(self, path: str, _params: object = None) -> dict[str, Any]:
        state = self.states[0]
        if path == paths.PRICEBOOKS and len(self.states) > 1:
            self.states.pop(0)
        if isinstance(state, Exception):
            raise state
        kind = "PriceBook" if path == paths.PRICEBOOKS else "TrainingJob"
        return {"items": [item for item in state if item["kind"] == kind]}


@pytest.fixture
def resources() -> CustomResources:
    return CustomResources(World(), on_prices=lambda: None)


def shown(resources: CustomResources, body: dict[str, Any], kind: str | None = "ADDED") -> None:
    handle = resources._pricebook if body["kind"] == "PriceBook" else resources._trainingjob
    handle({"type": kind, "object": body})


async def test_what_went_while_the_watch_was_broken_is_forgotten_when_kopf_lists_anew(
    resources: CustomResources,
) -> None:
    await resources.expect(Server([]))  # type: ignore[arg-type]
    for body in (job(), job("t2", "kept"), book()):
        shown(resources, body)
    shown(resources, job("t2", "kept"), None)
    await resources.sweep(Server([job("t2", "kept")]))  # type: ignore[arg-type]
    assert set(resources._world.trainingjobs) == {Key("research", "kept")}
    assert resources._world.pricebooks == {}


async def test_nothing_is_forgotten_while_the_api_server_does_not_answer(resources: CustomResources) -> None:
    await resources.expect(Server([]))  # type: ignore[arg-type]
    shown(resources, job(), None)
    await resources.sweep(Server(Unreachable("down")))  # type: ignore[arg-type]
    assert set(resources._world.trainingjobs) == {BERT}
    await resources.sweep(Server([]))  # type: ignore[arg-type]
    assert resources._world.trainingjobs == {}


async def test_the_deletion_of_a_namesake_does_not_hide_its_successor(resources: CustomResources) -> None:
    shown(resources, job("old"))
    shown(resources, job("new"))
    shown(resources, job("old"), "DELETED")
    assert resources._world.trainingjobs[BERT].uid == "new"


async def test_an_object_that_goes_during_the_start_does_not_hold_it_up(
    resources: CustomResources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(custom, "_PATIENCE_SECONDS", 0.01)
    server = Server([job("short-lived"), job()], [job()])
    await resources.expect(server)  # type: ignore[arg-type]
    shown(resources, job())
    await resources.shown(server)  # type: ignore[arg-type]
    assert resources.synced.is_set()


async def test_whoever_works_on_a_trainingjob_hears_that_it_is_gone(resources: CustomResources) -> None:
    marked: list[Key] = []
    shown(resources, job())
    resources._world.on_dirty = marked.append
    shown(resources, job(), "DELETED")
    assert marked == [BERT]


def test_what_repeats_in_two_objects_is_kept_once() -> None:
    text = json.dumps(
        {
            "kind": "TrainingJob",
            "metadata": {
                "name": "bert",
                "namespace": "research",
                "uid": "u1",
                "managedFields": [{"manager": "kubectl"}],
            },
            "spec": {"schedule": {"windows": [{"placement": "a placement"}]}, "note": "x" * 100},
        }
    )
    first, second = (custom_record(json.loads(text)) for _ in range(2))
    assert first == second
    assert first.body == {**json.loads(text), "metadata": {"name": "bert", "namespace": "research", "uid": "u1"}}
    (one,), (other,) = (record.spec["schedule"]["windows"] for record in (first, second))
    assert [id(part) for pair in one.items() for part in pair] == [id(part) for pair in other.items() for part in pair]
