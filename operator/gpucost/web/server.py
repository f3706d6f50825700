"""Opens the doors of the cost API, and closes them again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiohttp import web

from gpucost.web import opencost
from gpucost.web.app import create_app
from gpucost.web.auth import FrontProxy, Nobody, is_loopback
from gpucost.web.insights import InsightProvider
from gpucost.web.progress import ProgressApi
from gpucost.web.provider import CostProvider
from gpucost.web.tls import Authority, ServingTls

logger = logging.getLogger(__name__)
_RENEWAL_SECONDS = 6 * 3600.0
_SHUTDOWN_SECONDS = 5.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class CostServer:
    """The cost API's listeners; `start` them, `stop` them.

    `api` is the address of the TLS door behind the API server, which needs `front_proxy` and the `hosts` by which it is
    called (see `tls.service_hosts`). With `progress` training runs report there too, even without a front proxy;
    `authority` is then one that outlives the process, because runs are told of it only once.
    `loopback` is the address of the plain door; anything but loopback is refused.
    `opencost` is the address of the API in OpenCost's shape, which asks for `opencost_token` unless that is empty.
    Any may be None. Port 0 takes a free one: `api_port` and `loopback_port` tell which.
    """

    provider: CostProvider
    api: tuple[str, int] | None = None
    front_proxy: FrontProxy | None = None
    hosts: tuple[str, ...] = ()
    loopback: tuple[str, int] | None = None
    opencost: tuple[str, int] | None = None
    opencost_token: str = ""
    cluster: str = "default"
    progress: ProgressApi | None = None
    authority: Authority | None = None
    insights: InsightProvider | None = None
    now: Callable[[], datetime] = _utc_now
    api_port: int = field(default=0, init=False)
    loopback_port: int = field(default=0, init=False)
    opencost_port: int = field(default=0, init=False)
    tls: ServingTls | None = field(default=None, init=False)
    _runners: list[web.AppRunner] = field(default_factory=list, init=False)
    _renewal: asyncio.Task[None] | None = field(default=None, init=False)

    @property
    def ca_bundle(self) -> bytes:
        """PEM for `spec.caBundle` of the APIService (base64 it there); empty without the TLS door."""
        return self.tls.ca_bundle if self.tls else b""

    async def start(self) -> None:
        """Listen. Raises `ValueError` for an impossible address, `OSError` for a taken one; then nothing is open."""
        if self.loopback is not None and not is_loopback(self.loopback[0]):
            raise ValueError(
                f"the plain cost API asks nobody who they are, so it listens on loopback only: "
                f"{self.loopback[0]} is not (use 127.0.0.1:{self.loopback[1]})"
            )
        try:
            await self._start_api()
            await self._start_loopback()
            await self._start_opencost()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop listening; requests under way get a few seconds."""
        if self._renewal is not None:
            self._renewal.cancel()
            with suppress(asyncio.CancelledError):
                await self._renewal
            self._renewal = None
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()

    async def _start_api(self) -> None:
        if self.api is None:
            return
        if (self.front_proxy is None and self.progress is None) or not self.hosts:
            raise ValueError("the TLS cost API needs the cluster's front proxy and the host names of its Service")
        client_ca = self.front_proxy.client_ca if self.front_proxy is not None else ""
        self.tls = ServingTls(hosts=self.hosts, client_ca=client_ca, now=self.now, authority=self.authority)
        app = create_app(
            self.provider, authenticator=self.front_proxy or Nobody(), progress=self.progress, insights=self.insights
        )
        self.api_port = await self._listen(app, self.api, self.tls)
        self._renewal = asyncio.create_task(self._renew(self.tls), name="renew the cost API's certificate")

    async def _start_loopback(self) -> None:
        if self.loopback is not None:
            app = create_app(self.provider, cluster=self.cluster, insights=self.insights)
            self.loopback_port = await self._listen(app, self.loopback, None)

    async def _start_opencost(self) -> None:
        if self.opencost is not None:
            app = opencost.create_app(self.provider, cluster=self.cluster, token=self.opencost_token)
            self.opencost_port = await self._listen(app, self.opencost, None)

    async def _listen(self, app: web.Application, address: tuple[str, int], tls: ServingTls | None) -> int:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        self._runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, *address, ssl_context=tls.context if tls else None).start()
        port: int = runner.addresses[0][1]
        return port

    @staticmethod
    async def _renew(tls: ServingTls) -> None:
        while True:
            await asyncio.sleep(_RENEWAL_SECONDS)
            if tls.renew_if_due():
                logger.info("renewed the certificate of the cost API")
