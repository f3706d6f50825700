"""Looks up who owns the target of an endpoint: the `scale` subresource does not say it.

An owner is there from the beginning in nearly all cases, so it is read again only now and then; another workload of the
name has another UID and is read at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gpucost.core.clock import MINUTE, Instant
from gpucost.core.serving.spec import TargetRef
from gpucost.core.serving.state import Target
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable
from gpucost.runtime.endpoints.registry import Endpoints, Place, place_of
from gpucost.sources.records import owner_of

_KNOWN_FOR = 5 * MINUTE


@dataclass
class Makers:
    """Keeps `Endpoints.makers` up to date."""

    client: KubeClient
    endpoints: Endpoints
    now: Callable[[], Instant]
    _read: dict[Place, tuple[str, Instant]] = field(default_factory=dict)
    """UID of the workload that was read, and when."""

    async def look(self, path: str, namespace: str, ref: TargetRef, target: Target) -> str:
        """Know who owns a workload; why that is not known, or nothing."""
        place = place_of(namespace, ref)
        uid, at = self._read.get(place, ("", 0))
        if uid == target.uid and self.now() - at < _KNOWN_FOR:
            return ""
        try:
            body = await self.client.get(path)
        except ApiError as error:
            if error.status == 403:
                return f"the operator may not get {ref}, so nobody knows whether its owner sets its replicas; grant it"
            return f"the API server does not show {ref}: {error}"[:500]
        except (Unreachable, TimeoutError) as error:
            return f"the API server did not answer about {ref}: {error or 'no answer'}"
        self._keep_living()
        self._read[place] = target.uid, self.now()
        owner = owner_of(body["metadata"])
        if owner is not None:
            self.endpoints.makers[place] = owner
        else:
            self.endpoints.makers.pop(place, None)
        return ""

    def _keep_living(self) -> None:
        """Forget workloads that are no endpoint's any more."""
        for place in [place for place in self._read if not self.endpoints.is_target(place)]:
            del self._read[place]
            self.endpoints.makers.pop(place, None)
