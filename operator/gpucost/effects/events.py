"""Post Kubernetes Events once, however often the loop comes by.

The name of an Event is made from what it tells, so a second post of the same thing is refused by the API server
(`AlreadyExists`), also after a restart.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass

from gpucost.core.actions import EventNote
from gpucost.core.clock import Instant, to_datetime
from gpucost.kube import paths
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable

log = logging.getLogger(__name__)

_NOTE_LIMIT = 1024  # of the Events API


@dataclass(frozen=True, slots=True)
class Regarding:
    """The object that an Event is about."""

    kind: str
    namespace: str
    name: str
    uid: str
    api_version: str = f"{paths.GROUP}/{paths.VERSION}"


async def post(client: KubeClient, regarding: Regarding, note: EventNote, *, now: Instant, instance: str) -> bool:
    """Post an Event unless it is there already; a failure is logged, never raised: an Event is only a message."""
    digest = hashlib.sha256(f"{regarding.uid}\0{note.reason}\0{note.dedupe}".encode()).hexdigest()[:16]
    moment = to_datetime(now).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    body = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{regarding.name[:200]}.{digest}", "namespace": regarding.namespace},
        "eventTime": moment,
        "reportingController": "gpucost.dev/operator",
        "reportingInstance": instance[:128],
        "action": note.reason,
        "reason": note.reason,
        "note": note.message[:_NOTE_LIMIT],
        "type": "Warning" if note.warning else "Normal",
        "regarding": {
            "apiVersion": regarding.api_version,
            "kind": regarding.kind,
            "namespace": regarding.namespace,
            "name": regarding.name,
            "uid": regarding.uid,
        },
    }
    try:
        await client.create(paths.event(regarding.namespace), body, manager="gpucost")
    except ApiError as error:
        if error.reason != "AlreadyExists":
            log.warning("event %s for %s/%s not posted: %s", note.reason, regarding.namespace, regarding.name, error)
        return False
    except Unreachable as error:
        log.warning("event %s for %s/%s not posted: %s", note.reason, regarding.namespace, regarding.name, error)
        return False
    return True
