"""One active operator per cluster, by a `coordination.k8s.io` Lease.

Compare-and-swap on the resourceVersion decides. Whether a holder is alive is judged by our own monotonic clock since
the Lease was last seen to change, so that clocks of other machines do not matter. An operator that cannot renew in time
ends itself before anybody else may take over.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gpucost.core.actions import EventNote
from gpucost.core.clock import Instant, to_datetime
from gpucost.effects import events
from gpucost.kube import paths
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable

log = logging.getLogger(__name__)

DURATION_SECONDS = 15
_RENEW_WITHIN_SECONDS = 10.0
_RETRY_SECONDS = 2.0
_RELEASE_SECONDS = 3.0


class LeaseLost(Exception):
    """The Lease could not be kept; the process has to end."""


class Lease:
    """Holds one Lease under an identity."""

    def __init__(
        self, client: KubeClient, *, namespace: str, name: str, identity: str, now: Callable[[], Instant]
    ) -> None:
        """`now` is only written into the object for people to read."""
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._now = now
        self._seen: tuple[str, float] = ("", 0.0)
        self._renewed = 0.0
        self.holder = ""
        self.problem = ""
        """Why the Lease is not ours, in words."""

    @property
    def held(self) -> bool:
        """Whether it was renewed so lately that nobody else can have it; may be asked from any thread."""
        return self.holder == self._identity and time.monotonic() < self._renewed + _RENEW_WITHIN_SECONDS

    async def acquire(self) -> None:
        """Wait until the Lease is ours."""
        waiting_for = ""
        while not await self._try():
            if self.problem != waiting_for:
                waiting_for = self.problem
                log.info("standing by: %s", waiting_for)
            await asyncio.sleep(_RETRY_SECONDS * random.uniform(0.8, 1.2))
        log.info("active: holding the Lease %s/%s as %s", self._namespace, self._name, self._identity)

    async def keep(self) -> None:
        """Renew until cancelled; raises `LeaseLost` when it was not renewed in time."""
        while True:
            await asyncio.sleep(_RETRY_SECONDS)
            left = self._renewed + _RENEW_WITHIN_SECONDS - time.monotonic()
            try:
                held = await asyncio.wait_for(self._try(), max(left, 0.01))
            except TimeoutError:
                held = False
            if held:
                continue
            if self.holder not in {"", self._identity} or time.monotonic() > self._renewed + _RENEW_WITHIN_SECONDS:
                raise LeaseLost(f"the Lease {self._namespace}/{self._name} was not renewed (holder: {self.holder})")

    async def post(self, note: EventNote, *, instance: str) -> None:
        """Tell something about the operator as a whole by an Event on its Lease."""
        with suppress(ApiError, Unreachable):
            lease = await self._client.get(paths.lease(self._namespace, self._name))
            regarding = events.Regarding(
                "Lease", self._namespace, self._name, lease["metadata"]["uid"], "coordination.k8s.io/v1"
            )
            await events.post(self._client, regarding, note, now=self._now(), instance=instance)

    async def release(self) -> None:
        """Give the Lease back, so that a standby need not wait; failing to is harmless."""
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                lease = await self._client.get(paths.lease(self._namespace, self._name))
                if lease["spec"].get("holderIdentity") == self._identity:
                    await self._swap(lease, holder="")
        except (ApiError, Unreachable, TimeoutError) as error:
            log.warning("the Lease was not released: %s", error or "no answer in time")

    async def _try(self) -> bool:
        try:
            return await self._step()
        except ApiError as error:
            if error.status == 403:
                raise
            self.problem = f"the Lease {self._namespace}/{self._name} cannot be had: {error}"
        except Unreachable as error:
            self.problem = f"the API server does not answer: {error}"
        return False

    async def _step(self) -> bool:
        started = time.monotonic()
        try:
            lease = await self._client.get(paths.lease(self._namespace, self._name))
        except ApiError as error:
            if error.status != 404:
                raise
            await self._create()
            return self._ours(started)
        self.holder = lease["spec"].get("holderIdentity") or ""
        version = lease["metadata"]["resourceVersion"]
        if version != self._seen[0]:
            self._seen = (version, started)
        expired = started - self._seen[1] > DURATION_SECONDS
        if self.holder not in {"", self._identity} and not expired:
            self.problem = f"{self.holder} holds the Lease {self._namespace}/{self._name}"
            return False
        await self._swap(lease, holder=self._identity)
        return self._ours(started)

    def _ours(self, started: float) -> bool:
        self.holder, self._renewed = self._identity, started
        return True

    async def _create(self) -> None:
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": self._spec(self._identity, 0),
        }
        await self._client.create(paths.lease(self._namespace), body, manager="gpucost")

    async def _swap(self, lease: dict[str, Any], *, holder: str) -> None:
        transitions = int(lease["spec"].get("leaseTransitions") or 0) + (lease["spec"].get("holderIdentity") != holder)
        body = {**lease, "spec": self._spec(holder, transitions)}
        stored = await self._client.request("PUT", paths.lease(self._namespace, self._name), body=body)
        self._seen = (stored["metadata"]["resourceVersion"], time.monotonic())

    def _spec(self, holder: str, transitions: int) -> dict[str, Any]:
        return {
            "holderIdentity": holder,
            "leaseDurationSeconds": DURATION_SECONDS,
            "renewTime": to_datetime(self._now()).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "leaseTransitions": transitions,
        }
