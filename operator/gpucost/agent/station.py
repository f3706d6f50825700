"""One look at the node: the devices and their holders together, and the text that is served until the next one.

The kubelet and the driver fail apart: without the kubelet the series go on without pods, and without the driver there
are none, because a value that nobody measured is not a zero.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Lock, Thread
from typing import TypeVar

from gpucost.agent.devices import Gpu
from gpucost.agent.exposition import Figures, Node, render, series
from gpucost.agent.holders import Held, holders
from gpucost.agent.nvml import NoDriver, Nvml
from gpucost.agent.podresources import Container, Kubelet, KubeletDown
from gpucost.agent.poduid import pod_uids
from gpucost.agent.reading import Measured, Reader
from gpucost.agent.settings import AgentSettings

log = logging.getLogger(__name__)

T = TypeVar("T")

_LONGEST_GOODBYE = 2.0
"""Seconds; Kubernetes gives ten for the whole end."""


class Station:
    """Reads the node; `text()` is what a scrape gets of its devices."""

    def __init__(self, settings: AgentSettings) -> None:
        """Nothing is opened before `open`."""
        self.figures = Figures()
        self.read_at: float | None = None
        """When the last reading ended, on the monotonic clock."""
        self._settings = settings
        self._nvml = Nvml()
        self._driver = Lock()
        self._reader = Reader(self._nvml, settings.period)
        self._kubelet = Kubelet(settings.kubelet_socket)
        self._kubelet_errors: Counter[str] = Counter()
        self._trouble: str | None = ""
        self._text = b""
        self._link_figures()

    async def open(self) -> None:
        """Connect to the driver. Raises `NoDriver`."""
        await apart(self._nvml.open)
        self.figures.nvml_up = True
        log.info("driver %s, node %s", self._nvml.driver_version or "unknown", self._settings.node_name)

    @property
    def is_open(self) -> bool:
        """Whether the driver is connected."""
        return self._nvml.is_open

    async def read(self) -> None:
        """Read everything once. Raises `NoDriver` when the driver is gone, and then has let go of it."""
        began = time.monotonic()
        try:
            measured = await apart(self._measure)
        except NoDriver:
            await self._let_go()
            raise
        finally:
            self.figures.calls = self._nvml.calls
        await self._publish(measured)
        self.read_at = time.monotonic()
        self.figures.seconds = self.read_at - began
        self.figures.last_read = time.time()
        self.figures.reads += 1

    def text(self) -> bytes:
        """Series of the last reading; none when it is too old to say anything."""
        return self._text if self.is_fresh else b""

    @property
    def is_fresh(self) -> bool:
        """Whether the last reading still says something."""
        return self.read_at is not None and time.monotonic() - self.read_at <= self._settings.stale_after

    async def close(self) -> None:
        """Let go of driver and kubelet; a driver that hangs is left to the end of the process."""
        await self._kubelet.close()
        if self._nvml.is_open:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._let_go(), _LONGEST_GOODBYE)

    async def _let_go(self) -> None:
        self.figures.nvml_up, self.read_at, self._text = False, None, b""
        await apart(self._disconnect)

    def _measure(self) -> list[Measured]:
        with self._driver:
            return self._reader.read()

    def _disconnect(self) -> None:
        with self._driver:  # not while a reading that nobody waits for any more still uses what is given back
            self._reader.close()
            self._nvml.close()

    async def _publish(self, measured: list[Measured]) -> None:
        devices = [each.device for each in measured]
        held = holders(await self._containers(), devices) if self._settings.kubelet_socket else Held()
        uids = pod_uids(self._settings.pod_logs)
        self.figures.unmatched = held.unmatched
        self.figures.gpus = sum(isinstance(device, Gpu) for device in devices)
        self.figures.instances = len(devices) - self.figures.gpus
        node = Node(self._settings.node_name, self._nvml.driver_version)
        self._text = render(series(measured, held.holders, uids, node))

    async def _containers(self) -> list[Container]:
        """What the kubelet says; nothing, said once, while it does not answer."""
        trouble, found = None, []
        try:
            found = await self._kubelet.containers()
        except KubeletDown as down:
            self._kubelet_errors[down.code] += 1
            trouble = str(down)
        self.figures.kubelet_up = trouble is None
        if trouble is not None and not self._trouble:
            log.warning("the kubelet does not tell who holds GPUs, series have no pod until it does: %s", trouble)
        elif trouble is None and self._trouble is not None:
            log.info("the kubelet tells who holds GPUs")
        self._trouble = trouble
        return found

    def _link_figures(self) -> None:
        self.figures.failures = self._nvml.failures
        self.figures.dropped = self._reader.dropped
        self.figures.kubelet_errors = self._kubelet_errors


async def apart(work: Callable[[], T]) -> T:
    """Run something that may block in a thread of its own, for which nobody waits when the process ends.

    A call of NVML can hang for minutes when a GPU is dying; the probes have to answer meanwhile.
    """
    done: Future[T] = Future()
    Thread(target=_carry_out, args=(work, done), name="nvml", daemon=True).start()
    return await asyncio.wrap_future(done)


def _carry_out(work: Callable[[], T], done: Future[T]) -> None:
    if not done.set_running_or_notify_cancel():
        return
    try:
        done.set_result(work())
    except BaseException as error:  # noqa: BLE001  (it is raised again by whoever waits)
        done.set_exception(error)
