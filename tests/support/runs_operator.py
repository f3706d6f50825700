"""The operator's memory of runs over a world of records, and an API server that holds what a test puts there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gpucost.api.convert import training_spec
from gpucost.core.actions import Decision
from gpucost.core.clock import Instant, format_rfc3339, parse_rfc3339
from gpucost.core.model import Job, Key, Owner
from gpucost.core.training.plan import TrainingContext, TrainingState, plan
from gpucost.core.training.progress import Progress
from gpucost.core.training.runs.twins import Twins
from gpucost.kube.errors import ApiError
from gpucost.runtime.runs.book import RunBook
from gpucost.runtime.runs.keeper import RunKeeper
from gpucost.runtime.world import Custom, World, custom_record

Json = dict[str, Any]
NOON = parse_rfc3339("2026-11-24T12:00:00Z")
IMAGE = "registry.example.com/bert@sha256:" + "ab" * 32
TEMPLATE = {"spec": {"containers": [{"name": "train", "image": IMAGE}]}}
_WORDS = {True: "True", False: "False", None: "Unknown"}


@dataclass
class Held:
    """Answers of an API server: what is there, else 404; `forbidden` paths are refused."""

    objects: dict[str, Json] = field(default_factory=dict)
    forbidden: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Json:  # noqa: ARG002
        self.asked.append(path)
        if path in self.forbidden:
            raise ApiError(403, reason="Forbidden", message="may not")
        if path not in self.objects:
            raise ApiError(404, reason="NotFound", message="not found")
        return self.objects[path]


@dataclass
class RunsOperator:
    """TrainingJobs and Jobs as the caches have them, and decisions about them."""

    now: Instant = NOON
    world: World = field(default_factory=World)
    api: Held = field(default_factory=Held)
    costs: dict[str, int] = field(default_factory=dict)
    said: dict[str, Progress] = field(default_factory=dict)
    keeper: RunKeeper = field(init=False)

    def __post_init__(self) -> None:
        self.restart(RunBook())

    def restart(self, book: RunBook) -> None:
        """A new process, with what the ledger kept."""
        self.keeper = RunKeeper(
            self.world,
            self.api,  # type: ignore[arg-type]
            lambda: self.now,
            lambda key: self.said.get(key.name, Progress()),
            lambda key: self.costs.get(key.name),
            book=book,
        )

    def add(self, name: str, namespace: str = "research", *, metadata: Json | None = None, **spec: Any) -> Custom:
        stamped = {
            "uid": f"uid-{namespace}-{name}",
            "name": name,
            "namespace": namespace,
            "generation": 1,
            "creationTimestamp": format_rfc3339(self.now),
            **(metadata or {}),
        }
        spec.setdefault("template", TEMPLATE)
        record = custom_record({"kind": "TrainingJob", "metadata": stamped, "spec": spec})
        self.world.trainingjob_changed(record)
        return record

    def change(self, name: str, namespace: str = "research", **fields: Any) -> Custom:
        """Change parts of the object: spec, status, metadata."""
        body = {**self.record(name, namespace).body}
        for part, value in fields.items():
            body[part] = {**(body.get(part) or {}), **value}
        body["metadata"] = {**body["metadata"], "generation": body["metadata"]["generation"] + ("spec" in fields)}
        record = custom_record(body)
        self.world.trainingjob_changed(record)
        return record

    def record(self, name: str, namespace: str = "research") -> Custom:
        return self.world.trainingjobs[Key(namespace, name)]

    def begin(self, name: str, namespace: str = "research") -> Job:
        """Its Job exists from now on."""
        self.look(name, namespace)
        record = self.record(name, namespace)
        uid = f"job-{record.uid}-{self.now}"
        job = Job(uid, name, namespace, self.now, "1", Owner("TrainingJob", name, record.uid))
        self.world.jobs[uid] = job
        self.world.job_by_key[Key(namespace, name)] = uid
        self.look(name, namespace)
        return job

    def end(self, name: str, kind: str = "Complete", reason: str = "", *, namespace: str = "research") -> None:
        condition = {"type": kind, "status": "True", "reason": reason or kind, "message": "it is over"}
        condition["lastTransitionTime"] = format_rfc3339(self.now)
        self.change(name, namespace, status={"conditions": [condition]})
        self.look(name, namespace)

    def delete(self, name: str, namespace: str = "research") -> None:
        self.world.trainingjob_gone(Key(namespace, name))
        uid = self.world.job_by_key.pop(Key(namespace, name), "")
        self.world.jobs.pop(uid, None)

    def look(self, name: str, namespace: str = "research") -> tuple[TrainingState, Twins]:
        """What the next decision sees; the world is asked first, as the operator does."""
        record = self.record(name, namespace)
        asyncio.run(self.keeper.prepare(record))
        spec, job = training_spec(record.body).value, self.world.job_of(record)
        twins = self.keeper.twins(record, spec, job)
        self.keeper.observe(record, spec, job, twins)
        state = TrainingState(
            record.key,
            record.uid,
            record.generation,
            record.labels,
            spec,
            job=job,
            status=record.status,
            calendar=self.keeper.calendar(record, spec),
            twins=twins,
        )
        return state, twins

    def decide(self, name: str, namespace: str = "research") -> Decision:
        state, _ = self.look(name, namespace)
        return plan(state, TrainingContext(now=self.now))

    def operate(self, name: str) -> Decision:
        """Decide, book, and store the status."""
        decision = self.decide(name)
        asyncio.run(self.keeper.settle(decision))
        conditions = [
            {"type": c.type, "status": _WORDS[c.status], "reason": c.reason, "message": c.message}
            for c in decision.conditions
        ]
        self.change(name, status={**decision.status, "conditions": conditions})
        return decision


def condition(decision: Decision, kind: str) -> tuple[bool | None, str]:
    found = next((one for one in decision.conditions if one.type == kind), None)
    return (found.status, found.reason) if found is not None else (None, "")
