"""What was learned of endpoints is in the ledger, is read back at a start, and goes with the endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from gpucost.core.clock import MINUTE, SECOND
from gpucost.core.model import Key
from gpucost.ledger import LedgerError
from gpucost.runtime.endpoints.advisor import Advisor
from gpucost.runtime.endpoints.keeping import PREFIX, Kept, packed, unpacked
from gpucost.runtime.endpoints.registry import Endpoints
from gpucost.runtime.metrics import Figures
from gpucost.runtime.serving_feed import ServingFeed
from gpucost.runtime.world import World, custom_record

CAPACITY = {"levels": [[141, 10.0, 0.0, 0.0, 0.3]], "at": 1, "inTokens": True, "work": 600.0, "requests": 3.0}


@dataclass
class Shelf:
    """A ledger that keeps marks, or is away."""

    kept: dict[str, str] = field(default_factory=dict)
    is_away: bool = False
    writes: int = 0

    @property
    def ledger(self) -> Shelf:
        return self

    async def call(self, work: Any) -> Any:
        return await asyncio.to_thread(work)

    def marks(self, prefix: str) -> dict[str, str]:
        return {name: text for name, text in self.kept.items() if name.startswith(prefix)}

    def record(self, _facts: Any, *, marks: dict[str, str]) -> None:
        if self.is_away:
            raise LedgerError("away")
        self.writes += 1
        self.kept = {name: text for name, text in (self.kept | marks).items() if text}


def scene(shelf: Shelf) -> Kept:
    endpoints = Endpoints(World())
    metadata = {"name": "llama", "namespace": "chat", "uid": "iep", "creationTimestamp": "2026-11-30T00:00:00Z"}
    spec = {"scaleTargetRef": {"name": "llama"}, "runtime": "vllm"}
    endpoints.changed(custom_record({"kind": "InferenceEndpoint", "metadata": metadata, "spec": spec}))
    advisor = Advisor(endpoints, lambda: 10 * MINUTE, lambda _key: None)
    feed = ServingFeed(advisor.asked, None, Figures(), lambda: 10 * MINUTE, 15 * SECOND)
    return Kept(feed, advisor, shelf)  # type: ignore[arg-type]


@contextmanager
def away(shelf: Shelf) -> Iterator[None]:
    shelf.is_away = True
    yield
    shelf.is_away = False


async def test_it_is_there_after_a_restart_and_written_only_when_it_changed() -> None:
    shelf = Shelf()
    first = scene(shelf)
    first.feed.load({"iep": CAPACITY})
    with away(shelf):
        assert not await first.flush()
    assert await first.flush()
    assert await first.flush()
    assert shelf.writes == 1
    second = scene(shelf)
    await second.load()
    assert second.feed.learned() == {"iep": CAPACITY}
    assert await second.flush()
    assert shelf.writes == 1


async def test_what_is_gone_leaves_nothing_behind_and_nonsense_is_no_knowledge() -> None:
    shelf = Shelf({f"{PREFIX}iep": "nonsense", f"{PREFIX}other": packed({"capacity": CAPACITY}), "else": "untouched"})
    kept = scene(shelf)
    await kept.load()
    assert set(kept.feed.learned()) == {"other"}
    kept.feed._memories.clear()
    kept.advisor.endpoints.gone(Key("chat", "llama"))
    assert await kept.flush()
    assert shelf.kept == {"else": "untouched"}
    writes = shelf.writes
    assert await kept.flush()
    assert shelf.writes == writes, "what is gone is not written again"


async def test_what_another_workload_has_taught_does_not_come_back() -> None:
    shelf = Shelf()
    first = scene(shelf)
    first.feed.load({"iep": CAPACITY})
    assert await first.flush()
    first.feed._memories.clear()  # as when the endpoint is about another workload
    assert await first.flush()
    assert shelf.kept == {}


def test_packing_is_short_and_reading_is_bounded() -> None:
    document = {"policy": {"habits": [round(index % 7 / 7, 3) for index in range(5000)]}}
    assert unpacked(packed(document)) == document
    assert len(packed(document)) < 1000
    assert unpacked(packed({"bomb": "x" * 10_000_000})) == {}
    assert unpacked("") == {}
