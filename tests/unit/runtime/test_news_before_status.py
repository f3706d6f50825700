"""An Event is news against the stored status: whoever writes the status has told the news first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gpucost.core.clock import SECOND, parse_rfc3339
from gpucost.core.model import Job, JobCondition
from gpucost.kube.errors import ApiError
from gpucost.runtime.metrics import Figures
from gpucost.runtime.queue import DirtyKeys
from gpucost.runtime.training import TrainingController
from gpucost.runtime.world import Custom, World, custom_record
from gpucost.sources.records import owner_of

MOVED = "2026-11-01T00:05:00Z"
NOW = parse_rfc3339(MOVED) + 10 * SECOND
CONTAINER = {"name": "train", "image": "example.com/train:1"}
BODY = {
    "kind": "TrainingJob",
    "metadata": {"uid": "t1", "name": "bert", "namespace": "research", "generation": 1},
    "spec": {"template": {"spec": {"containers": [CONTAINER]}}, "placement": {"policy": "Spot"}},
    "status": {"placement": {"current": "OnDemand", "since": "2026-11-01T00:00:00Z"}},
}
NOTES = {
    "placement": "spot",
    "placement-previous": "onDemand",
    "resumed-at": MOVED,
    "moved-at": MOVED,
    "pool": '{"pool":{"nodeSelector":{"karpenter.sh/capacity-type":"spot"}}}',
}


class Server:
    """Keeps what is written, in order; `refusal` answers every patch of a Job."""

    def __init__(self, refusal: ApiError | None = None) -> None:
        self.written: list[str] = []
        self.refusal = refusal

    async def create(self, _path: str, body: dict[str, Any], **_: object) -> dict[str, Any]:
        self.written.append(body.get("reason") or body["kind"])
        return body

    async def apply(self, _path: str, body: dict[str, Any], **_: object) -> dict[str, Any]:
        self.written.append("status since " + body["status"]["placement"]["since"])
        return body

    async def merge(self, _path: str, body: dict[str, Any], **_: object) -> dict[str, Any]:
        if self.refusal is not None:
            raise self.refusal
        return body


def refusing(error: ApiError) -> Any:
    async def apply(*_: object, **__: object) -> None:
        raise error

    return apply


def controller(server: Server, *, body: dict[str, Any] = BODY, **job: Any) -> TrainingController:
    world = World()
    record = custom_record(body)
    world.trainingjobs[record.key] = record
    owner = {
        "apiVersion": "gpucost.dev/v1alpha1",
        "kind": "TrainingJob",
        "name": "bert",
        "uid": "t1",
        "controller": True,
    }
    notes = {f"gpucost.dev/{key}": value for key, value in NOTES.items()}
    fields = {"owner": owner_of({"ownerReferences": [owner]}), "annotations": notes, "active": 1, **job}
    world.jobs["j1"] = Job("j1", "bert", "research", NOW, "1", **fields)
    world.job_by_key[record.key] = "j1"
    return TrainingController(
        world=world,
        client=server,  # type: ignore[arg-type]
        queue=DirtyKeys(lambda: NOW),
        figures=Figures(),
        now=lambda: NOW,
        provider=lambda: None,
        cost_of=lambda _: {"total": "1.000000"},
        interruptions_of=lambda *_: (),
    )


async def test_a_write_of_the_cost_tells_the_move_before_the_status_shows_it():
    server = Server()
    work = controller(server)
    (record,) = work.world.trainingjobs.values()
    assert await work.publish_cost(record)
    assert await work.queue.take() == record.key
    await work.process(record.key)
    assert server.written == ["MovedToSpot", f"status since {MOVED}"]


async def test_the_cost_alone_is_written_once_for_each_time_that_it_is_published():
    server = Server()
    work = controller(server)
    (record,) = work.world.trainingjobs.values()
    decision = work.decide(record)
    shown = custom_record({**BODY, "status": work.status_of(record, decision)})
    work.world.trainingjob_changed(shown)
    await work.process(shown.key)
    assert "status" not in " ".join(server.written)
    await work.publish_cost(shown)
    await work.process(shown.key)
    await work.process(shown.key)
    assert [line for line in server.written if "status" in line] == [f"status since {MOVED}"]


async def test_a_cost_that_could_not_be_written_is_written_later():
    server = Server()
    work = controller(server)
    (record,) = work.world.trainingjobs.values()
    work.world.trainingjob_changed(custom_record({**BODY, "status": work.status_of(record, work.decide(record))}))
    await work.publish_cost(record)
    server.apply = refusing(ApiError(503, reason="ServiceUnavailable"))  # type: ignore[method-assign]
    await work.process(record.key)
    del server.apply  # type: ignore[misc]
    await work.process(record.key)
    assert [line for line in server.written if "status" in line] == [f"status since {MOVED}"]


async def test_what_changed_while_the_world_was_asked_is_what_is_decided_about(monkeypatch):
    server = Server()
    work = controller(server)
    (record,) = work.world.trainingjobs.values()
    asked = []

    async def prepare(seen: Custom) -> None:
        asked.append(seen)
        suspended = {**BODY, "metadata": {**BODY["metadata"], "generation": 2}}
        work.world.trainingjob_changed(custom_record({**suspended, "spec": {**BODY["spec"], "suspend": True}}))

    monkeypatch.setattr(work, "prepare", prepare)
    await work.process(record.key)
    assert asked == [record]
    assert dict(work.figures.actions) == {("training", "Enforce", "applied"): 1}


async def test_nothing_is_decided_about_a_namesake_that_went_while_the_world_was_asked(monkeypatch):
    server = Server()
    work = controller(server)
    (record,) = work.world.trainingjobs.values()

    async def prepare(_seen: Custom) -> None:
        work.world.trainingjob_gone(record.key)

    monkeypatch.setattr(work, "prepare", prepare)
    await work.process(record.key)
    assert server.written == []


async def test_after_a_conflict_neither_event_nor_status_is_written():
    server = Server(ApiError(409, reason="Conflict", message="the object has been modified"))
    work = controller(server, body={**BODY, "spec": {**BODY["spec"], "suspend": True}})
    (key,) = work.world.trainingjobs
    await work.process(key)
    assert server.written == []


async def test_nothing_is_tried_again_in_a_namespace_that_is_being_deleted():
    words = "namespace research is being terminated"
    server = Server(ApiError(403, reason="Forbidden", message=words))
    work = controller(server, body={**BODY, "spec": {**BODY["spec"], "suspend": True}})
    (key,) = work.world.trainingjobs
    await work.process(key)
    server.refusal = AssertionError("asked again")  # type: ignore[assignment]
    await work.process(key)
    assert dict(work.figures.actions) == {("training", "Enforce", "ending"): 1}
    assert server.written == []


@pytest.mark.parametrize(
    ("error", "posted"),
    [(MemoryError("no room for a table"), ["PassFailed"]), (ApiError(503, reason="ServiceUnavailable"), [])],
    ids=["a fault", "an API server that is away"],
)
async def test_a_pass_that_fails_is_told_once_and_ends_no_later_pass(monkeypatch, error, posted):
    server = Server()
    work = controller(server)
    (record,) = work.world.trainingjobs.values()
    passes = []

    def decide(_seen: Custom) -> None:
        passes.append(list(server.written))
        raise error

    monkeypatch.setattr(work, "decide", decide)
    task = asyncio.create_task(work.work())
    for count in (1, 2, 3):
        work.queue.mark(record.key)
        async with asyncio.timeout(10):
            while len(passes) < count:
                await asyncio.sleep(0.01)
    task.cancel()
    assert (server.written, passes[-1]) == (posted, posted)
    assert work.figures.errors["training"] >= 2


def test_the_scene_is_one_in_which_the_job_runs():
    work = controller(Server(), conditions=(JobCondition("Suspended", False, "JobResumed", "", NOW),))
    (record,) = work.world.trainingjobs.values()
    assert work.decide(record).actions == ()


async def test_a_write_of_the_cost_carries_out_what_was_decided_before_it_is_told():
    server = Server()
    work = controller(server, body={**BODY, "spec": {**BODY["spec"], "suspend": True}})
    (record,) = work.world.trainingjobs.values()
    assert work.decide(record).actions
    await work.publish_cost(record)
    assert server.written == []
    server.refusal = ApiError(409, reason="Conflict")
    await work.process(await work.queue.take())
    assert server.written == []
    server.refusal = None
    await work.process(record.key)
    assert [line for line in server.written if "status" in line] == [f"status since {MOVED}"]
    assert dict(work.figures.actions) == {
        ("training", "Enforce", "conflict"): 1,
        ("training", "Enforce", "applied"): 1,
    }


async def test_an_object_that_cannot_be_decided_does_not_end_the_work_on_the_others(monkeypatch):
    work = controller(Server())
    (record,) = work.world.trainingjobs.values()
    monkeypatch.setattr(work, "cost_of", lambda _: 1 // 0)
    await work.publish_cost(record)
    working = asyncio.create_task(work.work())
    while not work.figures.errors["training"]:
        await asyncio.sleep(0)
    assert not working.done()
    working.cancel()
