"""The cost API's doors: registers the serving certificate's authority with the API server."""

from __future__ import annotations

import asyncio
import base64
import logging

from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable
from gpucost.runtime.settings import Settings, address
from gpucost.web.auth import FrontProxy
from gpucost.web.insights import InsightProvider
from gpucost.web.progress import ProgressApi
from gpucost.web.provider import CostProvider
from gpucost.web.server import CostServer
from gpucost.web.tls import Authority, service_hosts

log = logging.getLogger(__name__)

API_SERVICE = "/apis/apiregistration.k8s.io/v1/apiservices/v1alpha1.cost.gpucost.dev"
_CHECK_SECONDS = 60.0
_FRONT_PROXY = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"


async def open_doors(
    client: KubeClient,
    provider: CostProvider,
    settings: Settings,
    *,
    progress: ProgressApi | None = None,
    authority: Authority | None = None,
    insights: InsightProvider | None = None,
) -> CostServer:
    """Start listening and tell the API server whom to trust.

    Without aggregation in the cluster only the loopback door opens, and the TLS door for `progress`: cost is booked all
    the same.
    """
    proxy = await _front_proxy(client) if settings.api_listen else None
    listen = settings.api_listen or (settings.progress_listen if progress is not None else "")
    server = CostServer(
        provider=provider,
        progress=progress,
        authority=authority,
        insights=insights,
        api=address(listen) if listen and (proxy is not None or progress is not None) else None,
        front_proxy=proxy,
        hosts=service_hosts(settings.service_name, settings.namespace, "localhost"),
        loopback=address(settings.loopback_listen) if settings.loopback_listen else None,
        opencost=address(settings.opencost_listen) if settings.opencost_listen else None,
        opencost_token=settings.opencost_token.get_secret_value(),
        cluster=settings.cluster_name,
    )
    await server.start()
    if proxy is not None:
        await _register(client, server)
    return server


async def _front_proxy(client: KubeClient) -> FrontProxy | None:
    try:
        found = await client.get(_FRONT_PROXY)
        return FrontProxy.from_config_map(found.get("data") or {})
    except (ApiError, ValueError) as error:
        log.warning("the aggregated cost API stays off (use --api-url or the status of objects): %s", error)
        return None


async def keep_registered(client: KubeClient, server: CostServer) -> None:
    """Look now and then whether the registration still names our authority: it may have been applied anew."""
    while server.ca_bundle:
        await asyncio.sleep(_CHECK_SECONDS)
        await _register(client, server)


async def _register(client: KubeClient, server: CostServer) -> None:
    """Write our authority into the registration unless it is there; a failure is told and tried again later."""
    bundle = base64.b64encode(server.ca_bundle).decode()
    try:
        found = await client.get(API_SERVICE)
        if found["spec"].get("caBundle") != bundle:
            await client.merge(API_SERVICE, {"spec": {"caBundle": bundle}}, manager="gpucost")
    except ApiError as error:
        hint = "install the chart with costApi.enabled" if error.status == 404 else "see the chart's RBAC"
        log.warning("the aggregated cost API is not registered (%s): %s", hint, error)
    except Unreachable as error:
        log.warning("the aggregated cost API is not registered: %s", error)
