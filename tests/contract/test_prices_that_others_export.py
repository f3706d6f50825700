"""Exported prices as a real Prometheus answers them: the queries are right, and special values come through."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import requests

from gpucost.core.clock import MINUTE, SECOND
from gpucost.core.exported import (
    OPENCOST_PRICES,
    Offering,
    karpenter_history,
    karpenter_prices,
    opencost_history,
    opencost_prices,
)
from gpucost.core.model import CapacityType
from gpucost.sources.exported_prices import ExportedPrices
from gpucost.sources.promql import PromQL
from local import wait_for
from local.programs import program
from support.ledger_world import node

pytestmark = pytest.mark.cluster

PRICE = "karpenter_cloudprovider_instance_type_offering_price_estimate"
SPOT = Offering("p5.48xlarge", CapacityType.SPOT, "us-east-1a")


def recorded(now: int) -> str:
    """What Prometheus has scraped in the last ten minutes, one sample a minute, as OpenMetrics."""
    lines: dict[str, list[str]] = {}
    for minute in range(10, -1, -1):
        at, spot = now - 60 * minute, 20 if minute > 4 else 21.5
        samples = {
            f'{PRICE}{{instance_type="p5.48xlarge",capacity_type="spot",zone="us-east-1a"}}': spot,
            f'{PRICE}{{instance_type="p5.48xlarge",capacity_type="on-demand",zone="us-east-1a"}}': "NaN",
            f'{PRICE}{{instance_type="p5.4xlarge",capacity_type="spot",zone="us-east-1a"}}': 7,
            'node_total_hourly_cost{node="gpu-0"}': 40.25,
            'node_cpu_hourly_cost{node="cpu-0"}': 0.03,
            'node_ram_hourly_cost{node="cpu-0"}': 0.004,
            'node_gpu_count{node="gpu-0"}': 8,
        }
        for series, value in samples.items():
            lines.setdefault(series, []).append(f"{series} {value} {at}")
    names = sorted({series.partition("{")[0] for series in lines})
    blocks = [
        "\n".join(
            [f"# TYPE {name} gauge", *(line for s, each in lines.items() if s.startswith(f"{name}{{") for line in each)]
        )
        for name in names
    ]
    return "\n".join([*blocks, "# EOF\n"])


@pytest.fixture(scope="module")
def now() -> int:
    """The full minute in which the samples end: taken late, because Prometheus forgets after five minutes."""
    return int(time.time()) // 60 * 60


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, now: int) -> Iterator[PromQL]:
    """A Prometheus that scrapes nothing and has these samples."""
    folder: Path = tmp_path_factory.mktemp("prometheus")
    (folder / "samples").write_text(recorded(now))
    (folder / "config.yaml").write_text("global: {}\n")
    command = [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", folder / "samples", folder / "data"]
    subprocess.run(command, check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    server = subprocess.Popen(
        [
            program("prometheus"),
            f"--config.file={folder / 'config.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
            "--log.level=error",
        ]
    )
    try:
        wait_for(lambda: _ready(address), 30, "Prometheus is ready")
        yield PromQL(f"http://{address}")
    finally:
        server.terminate()
        server.wait(20)


def _ready(address: str) -> bool:
    try:
        return requests.get(f"http://{address}/-/ready", timeout=2).ok
    except requests.RequestException:
        return False


def test_one_query_each_tells_the_prices_of_now(prometheus: PromQL) -> None:
    asked = prometheus.queries
    seen = asyncio.run(ExportedPrices(prometheus).read(["p5.48xlarge"]))
    assert prometheus.queries - asked == 2
    dropped: Counter[str] = Counter()
    assert karpenter_prices([(one.labels, one.value) for one in seen.karpenter], dropped) == {SPOT: Decimal("21.5")}
    assert dropped == {"price that is not a number": 1}
    assert set(seen.opencost) <= set(OPENCOST_PRICES)
    nodes = [node("g", name="gpu-0"), node("c", name="cpu-0", gpus=0, cpus=10, memory=100)]
    by_metric = {metric: [(one.labels, one.value) for one in each] for metric, each in seen.opencost.items()}
    assert opencost_prices(by_metric, nodes, dropped) == {"g": Decimal("40.25"), "c": Decimal("0.7")}


def test_the_past_is_told_minute_by_minute(prometheus: PromQL, now: int) -> None:
    start, end = (now - 600) * SECOND, now * SECOND
    karpenter, opencost = asyncio.run(ExportedPrices(prometheus).history(["p5.48xlarge"], start, end, MINUTE))
    prices = karpenter_history([(one.labels, one.samples) for one in karpenter], Counter())
    assert prices == {SPOT: [(start + MINUTE * i, Decimal(20) if i < 6 else Decimal("21.5")) for i in range(11)]}
    by_metric = {metric: [(one.labels, one.samples) for one in each] for metric, each in opencost.items()}
    old = node("g", -10_000, name="gpu-0")
    assert opencost_history(by_metric, [old], Counter())["g"][0] == (start, Decimal("40.25"))


def test_a_type_is_asked_for_literally(prometheus: PromQL) -> None:
    seen = asyncio.run(ExportedPrices(prometheus).read(["p5.4.xlarge", 'p5.48x"large', "p5\\d"]))
    assert list(seen.karpenter) == []
