"""A TrainingJob with a running pod, a ledger and the progress door; the API server's token review is made up.

What a token means is decided by the real API server in tests/contract; here tokens are names of pods.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from gpucost.core.clock import SECOND, Instant, parse_rfc3339
from gpucost.core.model import Job, Key, Owner, Pod
from gpucost.core.training.reporting import path_of
from gpucost.ledger import Ledger
from gpucost.runtime.progress import RunHistories
from gpucost.runtime.world import World, custom_record
from gpucost.sources.token_reviews import BoundPod, CannotAsk
from gpucost.web.app import create_app
from gpucost.web.auth import Nobody
from gpucost.web.progress import ProgressApi
from unit.web.cost_example import ExampleProvider

BORN = parse_rfc3339("2026-11-25T03:00:00Z")
BERT, GPT = Key("research", "bert"), Key("research", "gpt")


@dataclass
class MadeUpTokens:
    """A token is the name of a pod; `down` is why nobody can be asked."""

    down: str = ""

    async def pod_of(self, token: str) -> BoundPod | None:
        if self.down:
            raise CannotAsk(self.down)
        namespace, _, name = token.partition("/")
        return BoundPod(namespace, name, f"uid-{name}") if name else None


@dataclass
class ProgressWorld:
    """Two TrainingJobs, each with a Job and a pod; time stands still unless a test moves it."""

    now: Instant = BORN + 3600 * SECOND
    world: World = field(default_factory=World)
    tokens: MadeUpTokens = field(default_factory=MadeUpTokens)
    marked: list[Key] = field(default_factory=list)
    ledger: Ledger | None = None

    def __post_init__(self) -> None:
        for key in (BERT, GPT):
            self.add(key)
        self.histories = RunHistories(self.world, lambda: self.now, self.marked.append)
        self.api = ProgressApi(self.tokens, self.histories)

    def add(self, key: Key) -> None:
        metadata = {"uid": f"tj-{key.name}", "name": key.name, "namespace": key.namespace}
        stamped = {**metadata, "creationTimestamp": "2026-11-25T03:00:00Z"}
        self.world.trainingjob_changed(custom_record({"kind": "TrainingJob", "metadata": stamped, "spec": {}}))
        owner = Owner("TrainingJob", key.name, f"tj-{key.name}")
        self.world.jobs[f"job-{key.name}"] = Job(f"job-{key.name}", key.name, key.namespace, BORN, "1", owner)
        self.add_pod(f"{key.name}-0", key.namespace, f"job-{key.name}")

    def add_pod(self, name: str, namespace: str = "research", job: str = "") -> None:
        owner = Owner("Job", name, job) if job else None
        self.world.pods[f"uid-{name}"] = Pod(f"uid-{name}", name, namespace, BORN, owner=owner)

    def with_ledger(self, ledger: Ledger) -> None:
        async def write(changes: Any) -> None:
            ledger.sayings.record(changes)

        self.histories.write = write
        self.histories.load(ledger.sayings.progress(self.world.trainingjob_uids))


@dataclass
class Caller:
    """Sends messages to the real application."""

    client: TestClient[Any, Any]
    world: ProgressWorld

    async def send(
        self, body: Any, *, token: str = "research/bert-0", key: Key = BERT, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Authorization": f"Bearer {token}"} if headers is None else headers
        response: ClientResponse = await self.client.post(path_of(key), data=data, headers=given)
        self.headers = response.headers
        return response.status, await response.json()

    async def say(self, *, seconds: float = 5, **status: Any) -> tuple[int, dict[str, Any]]:
        """Some seconds later, a plain report."""
        self.world.now += round(seconds * SECOND)
        return await self.send({"trainerStatus": status})


@asynccontextmanager
async def calling(world: ProgressWorld) -> AsyncIterator[Caller]:
    """The application with nobody let in but runs."""
    app = create_app(ExampleProvider(), authenticator=Nobody(), progress=world.api)
    async with TestClient(TestServer(app)) as client:
        yield Caller(client, world)
