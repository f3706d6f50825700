"""Queries about the past, as Prometheus' own engine understands them, and what becomes of one that fails."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gpucost.core.clock import DAY, HOUR, parse_rfc3339
from gpucost.core.timeline import Interval
from gpucost.ledger import Ledger
from gpucost.runtime.backfill import Backfill
from gpucost.sources.history import HistorySource
from gpucost.sources.promql import PrometheusError
from local.programs import program

NOW = parse_rfc3339("2026-11-01T00:00:00Z")


class Engine:
    """Keeps the questions; answers nothing, or fails."""

    url = "http://prometheus.example"

    def __init__(self, error: str = "") -> None:
        self.asked: list[str] = []
        self.error = error

    async def query(self, _promql: str, _at: int | None = None) -> list[Any]:
        return []

    async def query_range(self, promql: str, *_span: int) -> list[Any]:
        self.asked.append(promql)
        if self.error:
            raise PrometheusError(self.error)
        return []


async def test_two_metrics_of_one_gpu_are_no_reason_to_refuse_an_answer(tmp_path: Path) -> None:
    """Both have the same labels, as dcgm-exporter gives them: a function that drops names makes them one series."""
    engine = Engine()
    await HistorySource(engine).newest(Interval(NOW - DAY, NOW))  # type: ignore[arg-type]
    labels = '{gpu="0",UUID="GPU-1"}'
    names = ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_DEV_GPU_UTIL")
    series = [{"series": f"{name}{labels}", "values": "1x40"} for name in names]
    series.append({"series": 'kube_node_info{node="a"}', "values": "1x40"})
    asked = {"expr": engine.asked[0], "eval_time": "5m", "exp_samples": [{"labels": "{}", "value": 3}]}
    assert _promtool(tmp_path, {"interval": "15s", "input_series": series, "promql_expr_test": [asked]}) == ""


def _promtool(folder: Path, test: dict[str, Any]) -> str:
    """What promtool complains of."""
    file = folder / "test.json"  # JSON is YAML
    file.write_text(json.dumps({"tests": [test]}))
    done = subprocess.run(
        [program("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    return done.stderr + done.stdout if done.returncode else ""


async def test_an_engine_that_always_refuses_is_asked_a_few_times_and_then_left_in_peace() -> None:
    engine = Engine(error="HTTP Status Code 422")
    with Ledger("sqlite://") as ledger:

        async def call(function: Any) -> Any:
            return function()

        async def nothing() -> list[Any]:
            return []

        filling = Backfill(
            ledger,
            call,
            HistorySource(engine),
            SimpleNamespace(),
            frozenset,
            nothing,  # type: ignore[arg-type]
        )
        await filling.plan(0, NOW, (), watched=True)
        task = asyncio.create_task(filling.fill_in())
        for _ in range(500):  # more turns than it would need to ask a hundred times
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert filling.problem == "HTTP Status Code 422"
    assert 1 <= Counter(engine.asked).total() <= 10
    assert filling.spans[-1].end - filling.spans[-1].start > HOUR
