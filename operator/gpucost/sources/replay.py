"""What happened to a collection while nobody watched, from the API server's own history.

The server keeps some minutes of it. A watch from an old resourceVersion tells all of it, but says nowhere that it has
told everything; so the version of the present is asked for first, and the watch is followed until it has come that far.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Gone, Unreachable

log = logging.getLogger(__name__)

Json = Mapping[str, Any]
Latest = dict[str, tuple[str, Json]]

_SERVER_SECONDS = 3
"""Two seconds before the end of a watch the server sends a bookmark: its word that nothing is missing before it."""


async def replay(client: KubeClient, path: str, resource_version: str) -> Latest | None:
    """The last event of every object that changed since a resourceVersion, by UID: its type and the object.

    None when the server does not remember that long or cannot be asked: then what happened is unknown.
    """
    latest: Latest = {}
    try:
        present = int((await client.get(path, {"limit": "1"}))["metadata"]["resourceVersion"])
        reached = int(resource_version)
        came_from = -1
        while came_from < reached < present:  # a watch that brings nothing has nothing more to bring
            came_from, reached = reached, await _follow(client, path, reached, present, latest)
    except Gone:
        return None
    except (ApiError, Unreachable, ValueError) as error:
        log.warning("history of %s is not to be had: %s", path, error)
        return None
    return latest


async def _follow(client: KubeClient, path: str, since: int, until: int, latest: Latest) -> int:
    """One watch; the version that it has come to."""
    params = {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": str(since),
        "timeoutSeconds": str(_SERVER_SECONDS),
    }
    async with client.stream(path, params, silence=_SERVER_SECONDS + 5.0) as lines:
        async for line in lines:
            event = json.loads(line)
            kind, body = event["type"], event["object"]
            if kind == "ERROR":
                raise Gone(str(body.get("message", "")))
            metadata = body["metadata"]
            since = max(since, int(metadata["resourceVersion"]))
            if kind != "BOOKMARK":
                latest[metadata["uid"]] = (kind, body)
            if since >= until:
                break
    return since
