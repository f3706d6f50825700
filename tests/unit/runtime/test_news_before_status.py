"""An Event is news against the stored status: whoever writes the status has told the news first."""

from __future__ import annotations

from typing import Any

from gpucost.core.clock import SECOND, parse_rfc3339
from gpucost.core.model import Job, JobCondition
from gpucost.kube.errors import ApiError
from gpucost.runtime.metrics import Figures
from gpucost.runtime.queue import DirtyKeys
from gpucost.runtime.training import TrainingController
from gpucost.runtime.world import World, custom_record
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
    assert server.written == ["MovedToSpot", f"status since {MOVED}"]


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


def test_the_scene_is_one_in_which_the_job_runs():
    work = controller(Server(), conditions=(JobCondition("Suspended", False, "JobResumed", "", NOW),))
    (record,) = work.world.trainingjobs.values()
    assert work.decide(record).actions == ()


async def test_a_write_of_the_cost_tells_nothing_of_an_action_that_is_still_to_be_carried_out():
    server = Server()
    work = controller(server, body={**BODY, "spec": {**BODY["spec"], "suspend": True}})
    (record,) = work.world.trainingjobs.values()
    assert work.decide(record).actions
    assert not await work.publish_cost(record)
    assert server.written == []
    assert await work.queue.take() == record.key


async def test_an_object_that_cannot_be_decided_does_not_end_the_pass_over_the_others(monkeypatch):
    work = controller(Server())
    (record,) = work.world.trainingjobs.values()
    monkeypatch.setattr(work, "cost_of", lambda _: 1 // 0)
    assert not await work.publish_cost(record)
    assert work.figures.errors["training"] == 1
