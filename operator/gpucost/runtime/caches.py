"""The mirrors of built-in objects, wired to the world and the recorder."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from gpucost.core.dra import Claim
from gpucost.core.model import Job, Node, Pod
from gpucost.kube import paths
from gpucost.kube.client import KubeClient
from gpucost.runtime.assets import Assets
from gpucost.runtime.endpoints.registry import Endpoints
from gpucost.runtime.going import NodesGoing
from gpucost.runtime.recorder import Recorder
from gpucost.runtime.world import World
from gpucost.sources import devices, going
from gpucost.sources.assets import (
    ClaimRecord,
    ServiceRecord,
    VolumeRecord,
    claim_record,
    service_record,
    volume_record,
)
from gpucost.sources.devices import SliceRecord
from gpucost.sources.records import NamespaceRecord, job_record, namespace_record, node_record
from gpucost.sources.reflector import Change, Reflector


@dataclass
class Caches:
    """Mirrors of nodes, pods, Jobs and namespaces; their items are the world's own dictionaries."""

    nodes: Reflector[Node]
    pods: Reflector[Pod]
    jobs: Reflector[Job]
    namespaces: Reflector[NamespaceRecord]
    volumes: Reflector[VolumeRecord]
    claims: Reflector[ClaimRecord]
    services: Reflector[ServiceRecord]
    device_claims: Reflector[Claim]
    device_slices: Reflector[SliceRecord]
    claims_going: Reflector[going.ClaimGoing]
    node_events: Reflector[going.NodeWarning]
    with_karpenter: bool = False
    """Whether the cluster has Karpenter (`karpenter.sh/v1`)."""
    with_devices: bool = False
    """Whether the cluster has dynamic resource allocation (`resource.k8s.io/v1`)."""

    @classmethod
    def build(
        cls,
        client: KubeClient,
        world: World,
        recorder: Recorder,
        assets: Assets,
        nodes_going: NodesGoing,
        *,
        endpoints: Endpoints | None = None,
    ) -> Caches:
        """Wire the mirrors: a change goes to the world first, then to the recorder."""

        now = nodes_going.now

        def node(change: Change[Node]) -> None:
            world.node_changed(change)
            nodes_going.node_changed(change)
            recorder.node_changed(change)

        def pod(change: Change[Pod]) -> None:
            world.pod_changed(change)
            if endpoints is not None:
                endpoints.pod_changed(change)
            recorder.pod_changed(change)

        def job(change: Change[Job]) -> None:
            world.job_changed(change)
            if change.old is None and change.new is not None:
                recorder.owners_changed(world.pods_by_job.get(change.new.uid, ()))

        def device_claim(change: Change[Claim]) -> None:
            recorder.claims_changed(holdings.claim_changed(change))

        def device_slice(change: Change[SliceRecord]) -> None:
            recorder.devices_changed(holdings.slice_changed(change))

        holdings = recorder.holdings
        return cls(
            nodes=Reflector(client, paths.NODES, node_record, node, now, items=world.nodes),
            pods=Reflector(client, paths.PODS, recorder.read_pod, pod, now, items=world.pods),
            jobs=Reflector(client, paths.JOBS, job_record, job, now, items=world.jobs),
            namespaces=Reflector(client, paths.NAMESPACES, namespace_record, lambda _change: None, now),
            volumes=Reflector(client, paths.VOLUMES, volume_record, assets.volume_changed, now, items=assets.volumes),
            claims=Reflector(client, paths.CLAIMS, claim_record, assets.claim_changed, now, items=assets.claims),
            services=Reflector(
                client, paths.SERVICES, service_record, assets.service_changed, now, items=assets.services
            ),
            device_claims=Reflector(
                client, paths.DEVICE_CLAIMS, devices.claim_record, device_claim, now, items=holdings.claims
            ),
            device_slices=Reflector(
                client, paths.DEVICE_SLICES, devices.slice_record, device_slice, now, items=holdings.slices
            ),
            claims_going=Reflector(client, paths.NODE_CLAIMS, going.claim_record, nodes_going.claim_changed, now),
            node_events=Reflector(
                client,
                paths.EVENTS,
                going.event_record,
                nodes_going.event_changed,
                now,
                params={"fieldSelector": "involvedObject.kind=Node"},
            ),
        )

    @property
    def all(self) -> tuple[Reflector[Any], ...]:
        """Every mirror that this cluster has."""
        always = (self.nodes, self.pods, self.jobs, self.namespaces, self.volumes, self.claims, self.services)
        with_devices = (self.device_claims, self.device_slices) if self.with_devices else ()
        return (*always, self.node_events, *with_devices, *((self.claims_going,) if self.with_karpenter else ()))

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
