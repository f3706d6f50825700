"""An engine that accepts connections and never answers does not keep the process from ending."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from gpucost.sources.prometheus import UtilisationSource
from gpucost.sources.promql import PrometheusError, PromQL

PROGRAM = """
import asyncio, sys
from gpucost.sources.prometheus import UtilisationSource
from gpucost.sources.promql import PromQL

async def main():
    reading = asyncio.create_task(UtilisationSource(PromQL(sys.argv[1])).read(0))
    await asyncio.to_thread(sys.stdin.readline)
    reading.cancel()

asyncio.run(main())
"""


def test_the_process_ends_while_a_query_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as engine:
        url = f"http://127.0.0.1:{engine.getsockname()[1]}"
        program = subprocess.Popen([sys.executable, "-c", PROGRAM, url], stdin=subprocess.PIPE)
        engine.settimeout(20)
        connection, _ = engine.accept()
        with connection:
            program.communicate(b"stop\n", timeout=5)
    assert program.returncode == 0


async def test_an_engine_that_is_not_there_is_one_clear_error() -> None:
    with pytest.raises(PrometheusError, match=r"127\.0\.0\.1:9"):
        await UtilisationSource(PromQL("http://127.0.0.1:9")).read(0)
