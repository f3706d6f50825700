"""A streaming mirror of one collection of built-in objects.

One WatchList request brings the present state and then the changes (Kubernetes "streaming lists", on by default since
1.34); where the server refuses it, a paged LIST and a WATCH do the same. Measured, this costs a twenty-fifth of kopf's
own indices. Losing the connection, a silent stream and an expired resourceVersion all end in the same place: the state
is listed again, and what is gone from it is reported as gone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from gpucost.core.clock import SECOND, Instant
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Gone, Unreachable

log = logging.getLogger(__name__)

_SILENCE_SECONDS = 75.0  # bookmarks come about once a minute
_SERVER_SECONDS = 290
_PAGE = 500
_CATCH_UP = 2 * SECOND  # within it of a reconnection, the server sends what happened meanwhile
_INITIAL_END = "k8s.io/initial-events-end"
_SHORTEST_SECONDS = 0.5  # between the beginnings of two streams


class Identified(Protocol):
    """A record with a UID."""

    @property
    def uid(self) -> str:
        """UID of the object."""
        ...


R = TypeVar("R", bound=Identified)
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change(Generic[R]):
    """What happened to one object. `new` is None when it is gone; `body` is its last state as the server sent it."""

    old: R | None
    new: R | None
    body: Json | None = None
    seen: bool = True
    """Whether the deletion itself was watched; False when the object was only found missing."""
    last_seen: Instant = 0
    """Of an object found missing: until when it is known to have existed."""


Handler = Callable[[Change[R]], None]


@dataclass
class Reflector(Generic[R]):
    """Mirrors `path` into `items` (by UID) and tells `handler` about every change."""

    client: KubeClient
    path: str
    parse: Callable[[Json], R]
    handler: Handler[R]
    now: Callable[[], Instant]
    items: dict[str, R] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    """What else is asked with every request, such as a fieldSelector."""
    synced: asyncio.Event = field(default_factory=asyncio.Event)
    resource_version: str = ""
    last_heard: Instant = 0
    relists: int = 0
    failures: int = 0
    """Consecutive failures; 0 while the stream is healthy."""
    rejected: int = 0
    """Objects that could not be read; they are skipped, the others go on."""
    good_until: Instant = 0
    """Up to when the stream is known to have been whole."""
    _paged: bool = False
    _whole: bool = False
    """Whether `items` was complete when the last listing or stream ended."""
    _complete_until: Instant = 0

    @property
    def following(self) -> bool:
        """Whether every change up to now has been taken in, as far as anybody can tell."""
        return self._whole and bool(self.resource_version) and not self.failures

    async def run(self) -> None:
        """Mirror until cancelled."""
        while True:
            begun = time.monotonic()
            try:
                await self._session()
                self.failures = 0
            except Gone:
                self.resource_version = ""
            except (ApiError, Unreachable) as error:
                await self._recover(error)
            if (left := begun + _SHORTEST_SECONDS - time.monotonic()) > 0:  # a server that closes every stream at once
                await asyncio.sleep(left * random.uniform(0.5, 1.0))

    async def _recover(self, error: ApiError | Unreachable) -> None:
        if isinstance(error, ApiError) and error.status in {400, 422} and not self._paged:
            self._paged = True  # the server does not know streaming lists
            return
        self.failures += 1
        delay = min(30.0, 0.2 * 2 ** min(self.failures, 8)) * random.uniform(0.5, 1.0)
        log.warning("watch of %s interrupted (%s), again in %.1f s", self.path, error, delay)
        await asyncio.sleep(delay)

    async def _session(self) -> None:
        if self.resource_version:
            await self._watch({"resourceVersion": self.resource_version}, listing=False)
        elif self._paged:
            await self._list()
            await self._watch({"resourceVersion": self.resource_version}, listing=False)
        else:
            initial = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "resourceVersion": ""}
            await self._watch(initial, listing=True)

    async def _watch(self, params: Mapping[str, str], *, listing: bool) -> None:
        query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(_SERVER_SECONDS)}
        query |= {**self.params, **params}
        present: set[str] = set()
        self._begin(listing=listing)
        async with self.client.stream(self.path, query, silence=_SILENCE_SECONDS) as lines:
            if not listing:
                self.failures = 0  # what was missed is on its way
            opened = self.now()
            missed = 0 if listing else self._missed(opened)
            async for line in lines:
                event = json.loads(line)
                kind, body = event["type"], event["object"]
                self.last_heard = self.now()
                self.failures = 0
                if missed and (kind == "BOOKMARK" or self.last_heard > opened + _CATCH_UP):
                    missed = 0
                if kind == "ERROR":
                    raise (
                        Gone(body.get("message", ""))
                        if body.get("code") == 410
                        else ApiError.of(body.get("code", 500), body)
                    )
                if kind != "BOOKMARK":
                    self._take(kind, body, missed)
                    if listing:
                        present.add(body["metadata"]["uid"])
                elif listing and _INITIAL_END in (body["metadata"].get("annotations") or {}):
                    self._complete(present)
                    listing = False
                if not listing:
                    self.resource_version = body["metadata"]["resourceVersion"]
                    self.good_until = self.last_heard
        self.good_until = self.now()  # the server ended the stream in order: nothing was missed up to here

    def _missed(self, opened: Instant) -> Instant:
        """Since when events may have been missed that come now all at once; 0 when none can have been."""
        return self.good_until if self.good_until and opened - self.good_until > _CATCH_UP else 0

    def _begin(self, *, listing: bool) -> None:
        if listing:
            self.relists += 1
            if self._whole:  # else the listing before broke off: it proves nothing of what it had not come to
                self._complete_until = self.last_heard
            self._whole = False

    async def _list(self) -> None:
        """Paged LIST for servers without streaming lists."""
        present: set[str] = set()
        params = {**self.params, "limit": str(_PAGE)}
        self._begin(listing=True)
        while True:
            page = await self.client.get(self.path, params)
            for body in page.get("items") or ():
                self._take("ADDED", body)
                present.add(body["metadata"]["uid"])
            token = page["metadata"].get("continue")
            if not token:
                self.resource_version = page["metadata"]["resourceVersion"]
                break
            params["continue"] = token
        self._complete(present)

    def _take(self, kind: str, body: Json, missed: Instant = 0) -> None:
        """Apply one event to the mirror; with `missed`, it happened at some time since then."""
        uid = body["metadata"]["uid"]
        try:
            record = self.parse(body)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            self.rejected += 1
            log.warning("skipping %s %s: %s: %s", self.path, uid, type(error).__name__, error)
            if kind != "DELETED" or uid not in self.items:
                return
            self.handler(
                Change(self.items.pop(uid), None, seen=not missed, last_seen=missed)
            )  # it is gone all the same
            return
        old = self.items.get(uid)
        if kind == "DELETED":
            self.items.pop(uid, None)
            self.handler(Change(old or record, None, body, seen=not missed, last_seen=missed))
        elif old != record:
            self.items[uid] = record
            self.handler(Change(old, record, body))

    def _complete(self, present: set[str]) -> None:
        """The initial state is whole: what it does not contain is gone, and nobody saw it go."""
        for uid in [uid for uid in self.items if uid not in present]:
            self.handler(Change(self.items.pop(uid), None, seen=False, last_seen=self._complete_until))
        self._whole = True
        self.synced.set()
