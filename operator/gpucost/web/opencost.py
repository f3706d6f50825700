"""The API in the shape that OpenCost's clients read: `/allocation` and `/allocation/compute`.

Dashboards for Backstage, Headlamp and others know OpenCost's address and no identity of the cluster's, so this door
shows the costs of all namespaces to whoever may open it: on loopback everybody, on its own address who has the token.
"""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from gpucost.core.opencost_window import happened
from gpucost.core.timeline import Interval
from gpucost.web import opencost_query
from gpucost.web.opencost_query import Query
from gpucost.web.opencost_rows import allocations
from gpucost.web.provider import CostProvider, NotReady, Unsupported
from gpucost.web.status import Refused

PATHS = ("/allocation", "/allocation/compute")
_RETRY_AFTER = "5"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
logger = logging.getLogger(__name__)


class BearerToken:
    """Lets in whoever knows a token; an empty one lets everybody in."""

    def __init__(self, token: str) -> None:
        """`token` as it stands after `Authorization: Bearer`."""
        self._token = token.encode()

    def check(self, request: web.Request) -> None:
        """401 for a request without the token."""
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        if self._token and not (kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token)):
            raise Refused(401, "this address asks for a token: Authorization: Bearer TOKEN")


class OpenCost:
    """Answers OpenCost's questions from a cost provider; `cluster` is the name that rows get."""

    def __init__(self, provider: CostProvider, cluster: str) -> None:
        """Nothing is asked before a request."""
        self._provider, self._cluster = provider, cluster

    def routes(self) -> list[web.RouteDef]:
        """The addresses."""
        return [web.get(path, self.answer) for path in PATHS]

    async def answer(self, request: web.Request) -> web.Response:
        """`{code, data}`; every failure has the same shape, with a message."""
        try:
            query = opencost_query.parse(_single(request), self._provider.now())
            return _json(200, {"code": 200, "data": await self._sets(query)})
        except (Refused, Unsupported) as error:
            return _failed(error.code if isinstance(error, Refused) else 400, str(error))
        except NotReady as error:
            return _failed(503, f"costs are not available yet: {error}", {"Retry-After": _RETRY_AFTER})

    async def _sets(self, query: Query) -> list[dict[str, Any]]:
        spans = happened(list(query.sets), self._provider.now())
        return [await self._set(query, asked, past) for asked, past in zip(query.sets, spans, strict=True)]

    async def _set(self, query: Query, asked: Interval, past: Interval | None) -> dict[str, Any]:
        if past is None:
            return {}
        report = await self._provider.report(past, by=query.by)
        return allocations(report, query, asked, self._cluster)


def create_app(provider: CostProvider, *, cluster: str, token: str) -> web.Application:
    """The door of its own, for clients inside the cluster."""
    app = web.Application(middlewares=[_doorkeeper(BearerToken(token))])
    app.add_routes([web.get("/healthz", _healthz), *OpenCost(provider, cluster).routes()])
    return app


def _doorkeeper(key: BearerToken) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if request.path != "/healthz":
                key.check(request)
            return await handler(request)
        except Refused as refused:
            return _failed(refused.code, refused.message, {"WWW-Authenticate": "Bearer"})
        except web.HTTPException as error:
            return _failed(error.status, f"there is {' and '.join(PATHS)} here, to GET; not {request.path}")
        except Exception:  # the caller must get an answer in the shape that it reads, the log the traceback
            logger.exception("failed to answer %s", request.path)
            return _failed(500, "the API failed to answer; the operator's log says why")

    return middleware


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok")


def _single(request: web.Request) -> dict[str, str]:
    """Parameters, each given once."""
    for name in request.query:
        if len(request.query.getall(name)) > 1:
            raise Refused(400, f"parameter {name}: given more than once", field=name)
    return dict(request.query)


def _failed(code: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return _json(code, {"code": code, "message": message}, headers)


def _json(status: int, document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> web.Response:
    body = json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)
