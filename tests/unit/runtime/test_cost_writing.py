"""Costs on the objects that people know: one that cannot be written keeps nothing else from being written."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gpucost.core.clock import HOUR
from gpucost.core.model import Job, Workload
from gpucost.core.money import PICO
from gpucost.core.report import Amounts, Row
from gpucost.runtime import publisher
from gpucost.runtime.accounting import Totals
from gpucost.runtime.parts import Parts, now
from gpucost.runtime.settings import Settings


class Server:
    """Behind a webhook that never answers for one object."""

    def __init__(self, *, hangs: set[str]) -> None:
        self.hangs, self.written = hangs, []

    async def apply(self, _path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        if body["metadata"]["name"] in self.hangs:
            await asyncio.Event().wait()
        self.written.append(body["metadata"]["name"])
        return body


def scene(server: Server, names: list[str]) -> tuple[Parts, Totals]:
    parts = Parts(Settings(), identity="test", dry_run=False)
    parts.publisher.client = server  # type: ignore[assignment]
    rows = {}
    for index, name in enumerate(names):
        parts.world.jobs[name] = Job(name, name, "research", now(), "1")
        amounts = Amounts(cost=(len(names) - index) * PICO, held_time=HOUR)
        rows["research", Workload("Job", name)] = Row(name, amounts, PICO)
    return parts, Totals(at=now(), workloads=rows)


async def test_a_write_that_hangs_is_given_up_and_the_others_go_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "_WRITE_SECONDS", 0.05)
    server = Server(hangs={"a"})
    parts, totals = scene(server, ["a", "b", "c"])
    await asyncio.wait_for(parts.publisher.publish(totals), 5)
    assert sorted(server.written) == ["b", "c"]


async def test_when_everything_hangs_a_pass_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "_WRITE_SECONDS", 0.05)
    monkeypatch.setattr(publisher, "_PASS_SECONDS", 0.1)
    names = [f"j{number}" for number in range(200)]
    parts, totals = scene(Server(hangs=set(names)), names)
    parts.publisher.budget.burst = 1000.0
    assert await asyncio.wait_for(parts.publisher.publish(totals), 5) < 20
