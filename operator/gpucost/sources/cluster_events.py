"""Events of pods and nodes, read once after a start: the API server keeps them for about an hour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpucost.core.backfill.evidence import Event
from gpucost.core.clock import Instant, parse_rfc3339
from gpucost.kube.client import KubeClient

PATH = "/api/v1/events"
_PAGE = 500
_MOST = 50_000
"""A cluster in trouble writes Events without end."""


async def read_events(client: KubeClient) -> list[Event]:
    """All Events about pods and nodes, page by page; those that cannot be read are left out.

    Raises what the client raises when a page is refused.
    """
    found: list[Event] = []
    for kind in ("Pod", "Node"):
        query = {"fieldSelector": f"involvedObject.kind={kind}", "limit": str(_PAGE)}
        while len(found) < _MOST:
            answer = await client.get(PATH, query)
            found += [event for item in answer.get("items") or () if (event := event_record(item)) is not None]
            token = (answer.get("metadata") or {}).get("continue")
            if not token:
                break
            query["continue"] = token
    return found


def event_record(body: Mapping[str, Any]) -> Event | None:
    """Read a core Event, whichever of its three ways of telling times was used."""
    about, series = body.get("involvedObject") or {}, body.get("series") or {}
    first = _time(body.get("firstTimestamp") or body.get("eventTime") or body["metadata"].get("creationTimestamp"))
    last = _time(series.get("lastObservedTime") or body.get("lastTimestamp"))
    if first is None or not about.get("name"):
        return None
    return Event(
        kind=about.get("kind", ""),
        uid=about.get("uid", ""),
        namespace=about.get("namespace", ""),
        name=about["name"],
        reason=body.get("reason", ""),
        message=body.get("message", ""),
        first=first,
        last=max(first, last or first),
    )


def _time(text: str | None) -> Instant | None:
    try:
        return parse_rfc3339(text) if text else None
    except ValueError:
        return None
