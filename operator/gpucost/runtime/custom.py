"""Our custom resources, watched by kopf.

Only `on.event` is used: handlers put the record into the world and return. kopf's own state machine (annotations,
finalizers, timers per object) would write to every object; the loop needs none of it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

import kopf

from gpucost.core.serving.spec import INFERENCE_ENDPOINT
from gpucost.kube import paths
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable
from gpucost.kube.login import LoginError, login
from gpucost.runtime.endpoints.registry import Endpoints
from gpucost.runtime.world import TRAINING_JOB, Custom, World, custom_record

log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 5.0
_SWEEP_SECONDS = 300.0


class MissingDefinitions(Exception):
    """The custom resource definitions are not installed; the message says how to install them."""


class CustomResources:
    """Feeds our objects into the caches; knows when kopf has shown all that existed at start."""

    def __init__(self, world: World, *, on_prices: Any, endpoints: Endpoints | None = None) -> None:
        """`on_prices()` is called after any change of a PriceBook."""
        self._world = world
        self._endpoints = endpoints if endpoints is not None else Endpoints(world)
        self._on_prices = on_prices
        self._awaited: set[str] | None = None
        self._swept = time.monotonic()
        self.relisted = False
        """Whether kopf has listed anew since the last sweep."""
        self.synced = asyncio.Event()

    async def expect(self, client: KubeClient) -> None:
        """List what exists, so that a pass only starts when kopf has shown all of it."""
        self._awaited = await _listed(client) - self._known().keys()
        self._check()

    async def shown(self, client: KubeClient) -> None:
        """Wait until kopf has shown everything. What was deleted since it was listed is never shown: list again."""
        while not self.synced.is_set():
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await self.synced.wait()
            except TimeoutError:
                await self.expect(client)

    async def sweep(self, client: KubeClient) -> None:
        """Forget what is gone: kopf does not tell of an object that went while its watch was broken.

        Done when kopf has listed anew, and every few minutes, because a list may be empty. Compared with it is what was
        known before it was asked for: newer objects may be missing in it.
        """
        if not self.relisted and time.monotonic() - self._swept < _SWEEP_SECONDS:
            return
        known, self.relisted = self._known(), False
        try:
            listed = await _listed(client)
        except (ApiError, Unreachable) as error:
            log.warning("whether objects have gone unseen is not to be found out at present: %s", error)
            self.relisted = True
            return
        self._swept = time.monotonic()
        for uid in known.keys() - listed:
            self._gone(known[uid])

    def _known(self) -> dict[str, Custom]:
        records = (
            *self._world.trainingjobs.values(),
            *self._world.pricebooks.values(),
            *self._endpoints.records.values(),
        )
        return {record.uid: record for record in records}

    def _gone(self, record: Custom) -> None:
        """Forget an object, unless its name has passed on to another one."""
        world, kind = self._world, record.kind
        if kind == TRAINING_JOB:
            current = world.trainingjobs.get(record.key)
        elif kind == INFERENCE_ENDPOINT:
            current = self._endpoints.records.get(record.key)
        else:
            current = world.pricebooks.get(record.name)
        if current is None or current.uid != record.uid:
            return
        if kind == TRAINING_JOB:
            world.trainingjob_gone(record.key)
        elif kind == INFERENCE_ENDPOINT:
            self._endpoints.gone(record.key)
        else:
            del world.pricebooks[record.name]
            self._on_prices()

    def registry(self) -> kopf.OperatorRegistry:
        """Handlers in a registry of their own, so that nothing is global."""
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        def sign_in(settings: kopf.OperatorSettings, **_: Any) -> kopf.ConnectionInfo:
            try:
                return login(settings)
            except LoginError as error:
                raise kopf.PermanentError(str(error)) from None

        @kopf.on.event(paths.GROUP, paths.VERSION, "trainingjobs", registry=registry)
        async def trainingjob(event: Mapping[str, Any], **_: Any) -> None:
            self._trainingjob(event)

        @kopf.on.event(paths.GROUP, paths.VERSION, "pricebooks", registry=registry)
        async def pricebook(event: Mapping[str, Any], **_: Any) -> None:
            self._pricebook(event)

        @kopf.on.event(paths.GROUP, paths.VERSION, "inferenceendpoints", registry=registry)
        async def endpoint(event: Mapping[str, Any], **_: Any) -> None:
            self._endpoint(event)

        return registry

    def _trainingjob(self, event: Mapping[str, Any]) -> None:
        record = custom_record(event["object"])
        if event["type"] == "DELETED":
            self._gone(record)
        else:
            self._world.trainingjob_changed(record)
        self._shown(record.uid, event)

    def _endpoint(self, event: Mapping[str, Any]) -> None:
        record = custom_record(event["object"])
        if event["type"] == "DELETED":
            self._gone(record)
        else:
            self._endpoints.changed(record)
        self._shown(record.uid, event)

    def _pricebook(self, event: Mapping[str, Any]) -> None:
        record = custom_record(event["object"])
        if event["type"] == "DELETED":
            self._gone(record)
        else:
            old = self._world.pricebooks.get(record.name)
            self._world.pricebooks[record.name] = record
            if old is None or (old.spec, old.annotations) != (record.spec, record.annotations):
                self._on_prices()
        self._shown(record.uid, event)

    def _shown(self, uid: str, event: Mapping[str, Any]) -> None:
        self.relisted |= self.synced.is_set() and event["type"] is None
        if self._awaited is not None:
            self._awaited.discard(uid)
            self._check()

    def _check(self) -> None:
        if not self._awaited:
            self.synced.set()


async def _listed(client: KubeClient) -> set[str]:
    """UIDs of all our custom resources."""
    found: set[str] = set()
    for path in (paths.TRAININGJOBS, paths.PRICEBOOKS, paths.INFERENCEENDPOINTS):
        try:
            listing = await client.get(path)
        except ApiError as error:
            if error.status == 404:
                raise MissingDefinitions(
                    f"{path.rsplit('/', 1)[-1]}.{paths.GROUP} is not defined in this cluster: install the chart, "
                    "or run `gpucost crds | kubectl apply --server-side -f -`"
                ) from None
            raise
        found.update(item["metadata"]["uid"] for item in listing.get("items") or ())
    return found


def kopf_settings() -> kopf.OperatorSettings:
    """Settings under which kopf only watches; the figures are explained in docs/decisions/loop.md."""
    settings = kopf.OperatorSettings()
    settings.watching.server_timeout = 290
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 10
    settings.watching.inactivity_timeout = 70
    settings.watching.chunk_size = 500
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.posting.enabled = False
    settings.execution.max_workers = 4
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.persistence.finalizer = "gpucost.dev/unused"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix="gpucost.dev")
    return settings


async def watch(resources: CustomResources, *, stop: asyncio.Event) -> None:
    """Run kopf until `stop` is set."""
    logging.getLogger("kopf").setLevel(logging.WARNING)
    await kopf.operator(
        registry=resources.registry(), settings=kopf_settings(), clusterwide=True, standalone=True, stop_flag=stop
    )
