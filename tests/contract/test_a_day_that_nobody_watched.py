"""A day of pods and nodes coming and going that nobody watched, filled in from the series in a real Prometheus."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gpucost.core.clock import DAY, HOUR, MINUTE, SECOND
from gpucost.core.model import Workload
from gpucost.core.timeline import Interval
from gpucost.ledger import Ledger
from gpucost.sources.history import HistorySource
from gpucost.sources.promql import PromQL
from support.past_truth import backfill, compare, fill_in, record_present
from support.past_world import Past, random_past, scrapes
from support.recorded_prometheus import prometheus_of

pytestmark = pytest.mark.cluster  # it needs the programs, though no cluster

ACTIVE = 0.75


@pytest.fixture(scope="module")
def day() -> Interval:
    """The day before a full hour a while ago; Prometheus keeps no future."""
    end = (time.time_ns() // 1000 // HOUR - 3) * HOUR
    return Interval(end - DAY, end)


@pytest.fixture(scope="module")
def past(day: Interval) -> Past:
    """The pods of one node compute; kube-state-metrics was down for forty minutes, and later for two scrapes."""
    made = random_past(7, day, MINUTE, nodes=3)
    dark = Interval(day.start + 9 * HOUR + 5 * MINUTE, day.start + 9 * HOUR + 45 * MINUTE)
    short = Interval(day.start + 15 * HOUR, day.start + 15 * HOUR + 2 * MINUTE)
    pods = [replace(pod, active=ACTIVE if pod.node.name == "node-0" else None) for pod in made.pods]
    return replace(made, pods=pods, scrapes=scrapes(day, MINUTE, (dark, short)))


@pytest.fixture(scope="module")
def url(past: Past) -> Iterator[str]:
    """A real Prometheus that scraped that day."""
    with prometheus_of(past) as address:
        yield address


def test_the_ledger_of_the_day_agrees_with_the_truth(url: str, past: Past, day: Interval, tmp_path: Path) -> None:
    source = HistorySource(PromQL(url))
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as ledger:
        alive = record_present(ledger, past, day.end)
        filling = fill_in(ledger, source, past, day, alive)

        counts = compare(ledger, past, day)

        lived = [pod for pod in past.pods if pod.bound < day.end and (pod.ended is None or pod.ended > day.start)]
        assert counts["exact"] + counts["bounded"] >= 0.8 * len(lived)
        assert filling.spans == []
        assert filling.dropped == {}
        assert source.engine.queries < 500  # of which those that are answered with nothing cost nothing
        _activity_is_known(ledger, past, day)
        _owners_are_found(ledger, day)


def _activity_is_known(ledger: Ledger, past: Past, day: Interval) -> None:
    """Where an exporter was scraped, three quarters of the time that GPUs were held they computed."""
    report = ledger.report(day, now=day.end, by="pod")
    measured = {pod.shown_name for pod in past.pods if pod.active is not None and pod.ended is not None
                and pod.ended - pod.bound > HOUR}  # fmt: skip
    rows = [row for row in report.rows if row.name in measured]
    assert rows
    for row in rows:
        known = row.amounts.known_gpu_time
        assert known > 0
        assert row.amounts.active_gpu_time == pytest.approx(ACTIVE * known, rel=0.001)
    others = {pod.shown_name for pod in past.pods if pod.active is None}
    assert all(row.amounts.known_gpu_time == 0 for row in report.rows if row.name in others)


def _owners_are_found(ledger: Ledger, day: Interval) -> None:
    workloads = {row.workload for row in ledger.report(day, now=day.end, by="workload").rows}
    assert {Workload("TrainingJob", "bert"), Workload("Deployment", "web"), Workload("StatefulSet", "db")} <= workloads


def test_filling_in_goes_on_where_it_was_broken_off(url: str, past: Past, day: Interval, tmp_path: Path) -> None:
    """Two operators, the first of which dies in the middle, come to what one comes to."""
    place = f"sqlite:///{tmp_path}/ledger.db"
    with Ledger(place) as ledger:
        alive = record_present(ledger, past, day.end)
        first = backfill(ledger, HistorySource(PromQL(url)), alive, days=1)

        async def begin() -> None:
            await first.plan(0, day.end, ledger.recorded(day, ()).nodes, watched=False)
            ledger.settle(day.end)
            await first.step()
            await first.step()

        asyncio.run(begin())
        assert first.spans[0].end < day.end - 5 * HOUR
    with Ledger(place) as ledger:
        second = backfill(ledger, HistorySource(PromQL(url)), alive, days=2)

        async def go_on() -> None:
            await second.plan(day.end, day.end + SECOND, [], watched=True)
            assert [span.end for span in second.spans] == [first.spans[0].end, day.end + SECOND]
            await second.fill_in()

        asyncio.run(go_on())
        compare(ledger, past, day)
