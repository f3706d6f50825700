"""The HTTP application: which question belongs to which address, and nothing else.

The same application serves two doors. Behind the API server every request carries the identity that the API server has
authenticated and authorized (`auth.FrontProxy`). On loopback nobody is asked who they are, so only requests that were
addressed to loopback are let in (`auth.LoopbackOnly`).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from gpucost.core.grouping import GROUPINGS, LABEL
from gpucost.core.selector import Selector, is_label_key, parse_selector
from gpucost.core.training.reporting import PREFIX
from gpucost.web import discovery, documents, nodes, schema, subjects, table
from gpucost.web.asking import answer, refuse_watch, span_of
from gpucost.web.auth import Authenticator, LoopbackOnly
from gpucost.web.insights import InsightProvider, Insights
from gpucost.web.opencost import OpenCost
from gpucost.web.progress import ProgressApi
from gpucost.web.provider import CostProvider, NotReady, Unsupported
from gpucost.web.status import Refused, dumps, http_error

BASE = f"/apis/{schema.GROUP}/{schema.VERSION}"
_RETRY_AFTER = 5
_MOST_SITTERS = 100
logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(
    provider: CostProvider,
    *,
    authenticator: Authenticator | None = None,
    cluster: str = "default",
    progress: ProgressApi | None = None,
    insights: InsightProvider | None = None,
) -> web.Application:
    """The cost API over a provider; without an authenticator it is the loopback door, which speaks OpenCost's too.

    With `insights` it answers questions about runs. With `progress` it takes reports of training runs too, which say by
    tokens of their own who they are.
    """
    app = web.Application(middlewares=[_errors, _authentication(authenticator or LoopbackOnly())])
    allocations = _Allocations(provider)
    app.add_routes(
        [
            web.get("/healthz", _healthz),
            web.get("/livez", _healthz),
            web.get("/readyz", _healthz),
            web.get("/apis", _apis),
            web.get(f"/apis/{schema.GROUP}", _json(discovery.group)),
            web.get(BASE, _json(discovery.resource_list)),
            web.get("/openapi/v2", _json(discovery.openapi_v2)),
            web.get("/openapi/v3", _json(discovery.openapi_v3_index)),
            web.get(f"/openapi/v3/{discovery.V3_PATH}", _json(discovery.openapi_v3)),
            web.get(f"{BASE}/allocations", allocations.cluster),
            web.get(f"{BASE}/allocations/{{name}}", allocations.one),
            web.get(f"{BASE}/namespaces/{{namespace}}/allocations", allocations.namespaced),
            web.get(f"{BASE}/namespaces/{{namespace}}/allocations/{{name}}", allocations.one),
        ]
    )
    if authenticator is None:
        app.add_routes(OpenCost(provider, cluster).routes())
    if insights is not None:
        app.add_routes(Insights(insights).routes())
    if progress is not None:
        app.add_routes(progress.routes())
    return app


# --- around every request ---------------------------------------------------------------------------------------------


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever goes wrong into a `Status` object."""
    try:
        return await handler(request)
    except Refused as refused:
        return refused.response()
    except NotReady as error:
        return Refused(503, f"costs are not available yet: {error}", retry_after=_RETRY_AFTER).response()
    except Unsupported as error:
        return Refused(400, str(error)).response()
    except web.HTTPException as error:
        return http_error(error, request.path).response()
    except Exception:  # every failure must reach the caller as a Status object and the log as a traceback
        logger.exception("failed to answer %s", request.path)
        return Refused(500, "the cost API failed to answer; the operator's log says why").response()


def _authentication(authenticator: Authenticator) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in {"/healthz", "/livez", "/readyz"} and not request.path.startswith(PREFIX):
            authenticator.check(request)
        return await handler(request)

    return middleware


# --- discovery --------------------------------------------------------------------------------------------------------


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok")


def _json(document: Callable[[], dict[str, object]]) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.json_response(document(), dumps=dumps)

    return handler


async def _apis(request: web.Request) -> web.Response:
    """The groups, in the one-answer form for those who ask for it."""
    accepted = request.headers.get("Accept", "").replace(" ", "").split(",")
    if discovery.AGGREGATED in (accept.partition(";q=")[0] for accept in accepted):
        body = dumps(discovery.aggregated()).encode()
        return web.Response(body=body, headers={"Content-Type": discovery.AGGREGATED})
    return web.json_response(discovery.group_list(), dumps=dumps)


# --- costs ------------------------------------------------------------------------------------------------------------


class _Allocations:
    """The one resource of the API."""

    def __init__(self, provider: CostProvider) -> None:
        self._provider = provider

    async def cluster(self, request: web.Request) -> web.Response:
        """Costs of all namespaces."""
        return await self._list(request, None)

    async def namespaced(self, request: web.Request) -> web.Response:
        """Costs of one namespace."""
        return await self._list(request, request.match_info["namespace"])

    async def _list(self, request: web.Request, namespace: str | None) -> web.Response:
        refuse_watch(request)
        by = _grouping(request, namespace)
        span, selector, sitters = span_of(request, self._provider.now()), _selector(request), _sitters(request, by)
        report = await self._provider.report(span, by=by, namespace=namespace, selector=selector)
        document = documents.allocation_list(report, by)
        if sitters:
            by_pod = await self._provider.report(span, by="node,pod", namespace=namespace, selector=selector)
            document = nodes.with_sitters(document, by_pod, sitters)
        return answer(request, document, lambda shown: table.of_list(shown, _include_object(request)))

    async def one(self, request: web.Request) -> web.Response:
        """The explanation of a workload, a pod, a namespace, or a node."""
        refuse_watch(request)
        span = span_of(request, self._provider.now())
        namespace, wanted = request.match_info.get("namespace", ""), request.match_info["name"]
        document = await subjects.explanation(self._provider, namespace, wanted, span)
        return answer(request, document, lambda shown: table.of_explanation(shown, _include_object(request)))


# --- parameters -------------------------------------------------------------------------------------------------------


def _grouping(request: web.Request, namespace: str | None) -> str:
    by = request.query.get("by", "workload")
    allowed = [grouping for grouping in GROUPINGS if namespace is None or grouping != "node"]
    if by not in allowed and not (by.startswith(LABEL) and is_label_key(by.removeprefix(LABEL))):
        raise Refused(400, f"parameter by: {by!r} is not one of {', '.join(allowed)}, label:KEY", field="by")
    return by


def _sitters(request: web.Request, by: str) -> int:
    """How many pods that hold GPUs for nothing are wanted for each node."""
    text = request.query.get("sitters", "0")
    if not text.isdecimal() or int(text) > _MOST_SITTERS:
        raise Refused(400, f"parameter sitters: {text!r} is not a number from 0 to {_MOST_SITTERS}", field="sitters")
    if int(text) and by != "node":
        raise Refused(400, "parameter sitters: only nodes have them; use by=node", field="sitters")
    return int(text)


def _selector(request: web.Request) -> Selector | None:
    if request.query.get("fieldSelector"):
        raise Refused(400, "parameter fieldSelector: costs have no fields to select by", field="fieldSelector")
    text = request.query.get("labelSelector", "")
    try:
        return parse_selector(text) if text.strip() else None
    except ValueError as error:
        raise Refused(400, f"parameter labelSelector: {error}", field="labelSelector") from None


def _include_object(request: web.Request) -> str:
    wanted = request.query.get("includeObject") or "Metadata"
    if wanted not in {"None", "Metadata", "Object"}:
        raise Refused(
            400, f"parameter includeObject: {wanted!r} is not None, Metadata or Object", field="includeObject"
        )
    return wanted
