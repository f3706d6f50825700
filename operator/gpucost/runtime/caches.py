"""The mirrors of built-in objects, wired to the world and the recorder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from gpucost.core.clock import Instant
from gpucost.core.model import Job, Node, Pod
from gpucost.kube import paths
from gpucost.kube.client import KubeClient
from gpucost.runtime.recorder import Recorder
from gpucost.runtime.world import World
from gpucost.sources.records import NamespaceRecord, job_record, namespace_record, node_record, pod_record
from gpucost.sources.reflector import Change, Reflector


@dataclass
class Caches:
    """Mirrors of nodes, pods, Jobs and namespaces; their items are the world's own dictionaries."""

    nodes: Reflector[Node]
    pods: Reflector[Pod]
    jobs: Reflector[Job]
    namespaces: Reflector[NamespaceRecord]

    @classmethod
    def build(cls, client: KubeClient, world: World, recorder: Recorder, now: Callable[[], Instant]) -> Caches:
        """Wire the mirrors: a change goes to the world first, then to the recorder."""

        def node(change: Change[Node]) -> None:
            world.node_changed(change)
            recorder.node_changed(change)

        def pod(change: Change[Pod]) -> None:
            world.pod_changed(change)
            recorder.pod_changed(change)

        def job(change: Change[Job]) -> None:
            world.job_changed(change)
            if change.old is None and change.new is not None:
                recorder.owners_changed(world.pods_by_job.get(change.new.uid, ()))

        return cls(
            nodes=Reflector(client, paths.NODES, node_record, node, now, items=world.nodes),
            pods=Reflector(client, paths.PODS, pod_record, pod, now, items=world.pods),
            jobs=Reflector(client, paths.JOBS, job_record, job, now, items=world.jobs),
            namespaces=Reflector(client, paths.NAMESPACES, namespace_record, lambda _change: None, now),
        )

    @property
    def all(self) -> tuple[Reflector[Node], Reflector[Pod], Reflector[Job], Reflector[NamespaceRecord]]:
        """Every mirror."""
        return self.nodes, self.pods, self.jobs, self.namespaces

    async def synced(self) -> None:
        """Wait until every mirror is complete."""
        await asyncio.gather(*(mirror.synced.wait() for mirror in self.all))

    def problem(self) -> str | None:
        """What keeps the caches from being complete or fresh, None when all is well."""
        waiting = [mirror.path for mirror in self.all if not mirror.synced.is_set()]
        if waiting:
            return f"waiting for the first complete list of {', '.join(waiting)}"
        broken = [mirror.path for mirror in self.all if mirror.failures > 2]
        return f"the watch of {', '.join(broken)} is broken" if broken else None
