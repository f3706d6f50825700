"""Whoever asks for the cost of a schedule is told where it stands: it never holds anything itself."""

from __future__ import annotations

import asyncio

import pytest

from gpucost.core.model import Workload
from gpucost.core.timeline import Interval
from gpucost.core.training.runs.child import is_run_of
from gpucost.web.status import Refused
from gpucost.web.subjects import explanation
from unit.web.cost_example import ExampleProvider


class WithRuns(ExampleProvider):
    async def workloads(self, namespace: str) -> list[Workload]:  # noqa: ARG002
        return [Workload("TrainingJob", name) for name in ("nightly-29926200", "nightly-29926260", "nightly-x")]


def test_a_schedule_is_explained_by_its_runs() -> None:
    with pytest.raises(Refused) as refused:
        asyncio.run(explanation(WithRuns(), "research", "tj.nightly", Interval(0, 1)))
    assert "`kubectl cost explain tj/nightly-29926260 -n research`" in str(refused.value)
    assert "`kubectl cost label gpucost.dev/scheduled-by nightly -n research`" in str(refused.value)


def test_a_run_is_told_by_its_name() -> None:
    assert is_run_of("nightly-29926200", "nightly")
    assert not any(
        is_run_of(name, "nightly") for name in ("nightly", "nightly-2", "nightly-abcdefgh", "daily-29926200")
    )
