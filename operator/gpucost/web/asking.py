"""What all questions about costs have in common: a window, no watching, and an answer as JSON or as a table.

In one place, so that every resource understands the same words and refuses with the same ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import web

from gpucost.api.fields import ApiModel
from gpucost.core.clock import Instant
from gpucost.core.timeline import Interval
from gpucost.core.window import DEFAULT_WINDOW, WindowError, parse_window
from gpucost.web.status import Refused, dumps
from gpucost.web.table import ACCEPT

M = TypeVar("M", bound=ApiModel)


def span_of(request: web.Request, now: Instant) -> Interval:
    """The window that is asked about."""
    try:
        return parse_window(request.query.get("window", DEFAULT_WINDOW), now)
    except WindowError as error:
        raise Refused(400, f"parameter window: {error}", field="window") from None


def refuse_watch(request: web.Request) -> None:
    """Costs are computed when they are asked for: nothing tells of their changes."""
    if request.query.get("watch", "").lower() in {"1", "true"}:
        raise Refused(405, "costs cannot be watched; list them again instead")


def wants_table(request: web.Request) -> bool:
    """Whether a `Table` is asked for, as plain kubectl does."""
    return ACCEPT in request.headers.get("Accept", "").replace(" ", "")


def answer(request: web.Request, document: M, table: Callable[[M], dict[str, Any]]) -> web.Response:
    """The document, or the table of it for those who want one; the table is not made for others."""
    if wants_table(request):
        return web.json_response(table(document), dumps=dumps)
    return web.Response(body=document.model_dump_json(by_alias=True).encode(), content_type="application/json")
