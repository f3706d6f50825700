"""Mirrors of kinds that a cluster may or may not have: JobSets, and Kueue's Workloads.

Their definitions can be installed or removed while the operator runs, so every pass asks for those that are not there.
A cluster without them, or an installation whose role may not read them, lacks nothing that others need: these mirrors
count neither for being ready nor for the age of the data.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from gpucost.core.clock import Instant
from gpucost.core.training import jobset, queueing
from gpucost.kube import paths
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable
from gpucost.runtime.world import World
from gpucost.sources.jobsets import jobset_record
from gpucost.sources.queues import entry_record
from gpucost.sources.reflector import Change, Reflector

log = logging.getLogger(__name__)

_FIRST_SECONDS = 10.0
_BROKEN = 2
_NOT_FOUND = 404


@dataclass
class Optional:
    """One kind: the API versions that may serve it, best first, and its mirror once one does."""

    kind: str
    apis: tuple[str, ...]
    plural: str
    mirror: Reflector[Any]
    task: asyncio.Task[None] | None = None


@dataclass
class OptionalKinds:
    """Starts and ends the mirrors as the kinds come and go."""

    client: KubeClient
    world: World
    now: Callable[[], Instant]
    run: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]] = asyncio.create_task
    kinds: list[Optional] = field(default_factory=list)

    def __post_init__(self) -> None:
        """The mirrors, none of them running."""
        world = self.world
        jobsets = Reflector(self.client, "", jobset_record, world.jobset_changed, self.now, items=world.jobsets)
        entries = Reflector(self.client, "", entry_record, world.entry_changed, self.now, items=world.entries)
        self.kinds += [
            Optional(jobset.KIND, (paths.JOBSET_API,), "jobsets", jobsets),
            Optional(queueing.KIND, paths.QUEUE_APIS, "workloads", entries),
        ]

    async def look(self) -> None:
        """Begin to watch what the cluster has got, and forget what it has lost."""
        for one in self.kinds:
            if one.task is not None and one.task.done():
                log.error("the watch of %s ended: %r", one.kind, one.task.exception())
                one.task = None
            if one.task is None:
                if api := await self._served(one):
                    log.info("this cluster has %s: watching", one.kind)
                    one.mirror.path = f"{api}/{one.plural}"
                    one.task = self.run(self._watch(one))
            elif one.mirror.failures > _BROKEN and await self._served(one) == "":
                await self._end(one)
                log.info("this cluster has no %s any more", one.kind)

    async def first(self) -> None:
        """The state at the start, waited for a while: a kind that may not be read must not keep the rest waiting."""
        await self.look()
        running = [one.mirror.synced.wait() for one in self.kinds if one.task is not None]
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*running), _FIRST_SECONDS)

    async def close(self) -> None:
        """Stop watching."""
        for one in self.kinds:
            if one.task is not None:
                one.task.cancel()
                await asyncio.wait({one.task})

    async def _served(self, one: Optional) -> str | None:
        """The API version that serves a kind; empty when none does, None when the server does not say."""
        for api in one.apis:
            try:
                found = await self.client.get(api)
            except Unreachable:
                return None
            except ApiError as error:
                if error.status != _NOT_FOUND:
                    return None
                continue
            if any(resource.get("kind") == one.kind for resource in found.get("resources") or ()):
                return api
        return ""

    async def _watch(self, one: Optional) -> None:
        telling = asyncio.create_task(self._tell(one))
        try:
            await one.mirror.run()
        finally:
            telling.cancel()

    async def _tell(self, one: Optional) -> None:
        await one.mirror.synced.wait()
        self.world.kind_served(one.kind)

    async def _end(self, one: Optional) -> None:
        assert one.task is not None
        one.task.cancel()
        await asyncio.wait({one.task})
        one.task = None
        self.world.kind_gone(one.kind)
        for uid in list(one.mirror.items):
            one.mirror.handler(Change(one.mirror.items.pop(uid), None, seen=False))
        one.mirror.resource_version, one.mirror.failures = "", 0
        one.mirror.synced.clear()
