"""Where training runs report: `POST /training/namespaces/NAMESPACE/trainingjobs/NAME/progress`.

The protocol is Kubeflow Trainer's (`core.training.push`). Who reports is told by a projected service-account token with
an audience of its own: the API server says of which pod it is, and the pod leads to its TrainingJob. Such a token does
nothing but report, and only for its own run. Whatever goes wrong is one line that says what to do; a client that does
not understand it loses a report, never its training.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import web

from gpucost.core.clock import SECOND, Micros, format_rfc3339
from gpucost.core.model import Key
from gpucost.core.training.push import MOST_BYTES, Push, PushError, parse_push
from gpucost.core.training.reporting import AUDIENCE, PREFIX
from gpucost.sources.token_reviews import BoundPod, CannotAsk
from gpucost.web.provider import NotReady
from gpucost.web.status import Refused, dumps

_READ_SECONDS = 10.0
_KIND = "trainingjobs"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a message, and what the run is asked for."""

    accepted: bool = True
    reason: str = ""
    """Why it does not count, or what of it does not."""
    ignored: tuple[str, ...] = ()
    checkpoint: bool = False
    """Write a checkpoint now."""
    checkpoint_interval: Micros | None = None
    """Recommended time between two checkpoints."""


class TooFast(Exception):
    """The run reports more often than it may; `wait` is how long it has to wait."""

    def __init__(self, wait: Micros) -> None:
        super().__init__(f"try again in {wait / SECOND:.1f} s")
        self.wait = wait


class OutOfOrder(Exception):
    """The pod has told of a later instant before; the message says which."""


class Tokens(Protocol):
    """Knows tokens."""

    async def pod_of(self, token: str) -> BoundPod | None:
        """The pod that a token was issued for; None for a token that is not valid here. Raises `CannotAsk`."""
        ...


class Desk(Protocol):
    """Takes what runs say."""

    def run_of(self, pod: BoundPod) -> Key | None:
        """The TrainingJob to which a pod belongs; None when it belongs to none. Raises `NotReady`."""
        ...

    async def take(self, key: Key, pod: BoundPod, push: Push) -> Answer:
        """Keep a message. Raises `TooFast`, `OutOfOrder` and `NotReady`."""
        ...


@dataclass
class ProgressApi:
    """The one resource: a run's progress. `refused` counts answers by status code."""

    tokens: Tokens
    desk: Desk
    refused: dict[int, int] = field(default_factory=dict)

    def routes(self) -> list[web.RouteDef]:
        """Its address."""
        return [web.post(PREFIX + "namespaces/{namespace}/trainingjobs/{name}/progress", self._counted)]

    async def _counted(self, request: web.Request) -> web.Response:
        try:
            return await self._post(request)
        except Refused as refused:
            self.refused[refused.code] = self.refused.get(refused.code, 0) + 1
            response = refused.response()
            if refused.code == 401:
                response.headers["WWW-Authenticate"] = f'Bearer realm="{AUDIENCE}"'
            return response

    async def _post(self, request: web.Request) -> web.Response:
        key = Key(request.match_info["namespace"], request.match_info["name"])
        try:
            pod = await self._allowed(request, key)
            push = parse_push(await _body(request))
            answer = await self.desk.take(key, pod, push)
        except PushError as error:
            raise _refused(400, str(error), field=str(error).partition(":")[0]) from None
        except OutOfOrder as error:
            raise _refused(409, f"{error}; only newer reports count") from None
        except TooFast as error:
            seconds = max(1, math.ceil(error.wait / SECOND))
            message = f"too fast: report at most once every 5 s, and again in {seconds} s"
            raise _refused(429, message, retry_after=seconds) from None
        except (NotReady, CannotAsk) as error:
            raise _refused(503, f"progress cannot be taken yet: {error}", retry_after=5) from None
        return web.json_response(_document(push, answer), dumps=dumps)

    async def _allowed(self, request: web.Request, key: Key) -> BoundPod:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _refused(401, f"no token: send the projected token with audience {AUDIENCE} as Authorization: Bearer")
        pod = await self.tokens.pod_of(token.strip())
        if pod is None:
            raise _refused(401, f"the token is not valid here: read it anew, and see that its audience is {AUDIENCE}")
        if pod.namespace != key.namespace:
            raise _refused(403, f"the token belongs to a pod in namespace {pod.namespace}, not in {key.namespace}")
        owner = self.desk.run_of(pod)
        if owner != key:
            of = f"of TrainingJob {owner.name}" if owner is not None else "of no TrainingJob"
            raise _refused(403, f"the token belongs to pod {pod.name} {of}: a run reports for itself only")
        return pod


def _refused(code: int, message: str, **more: Any) -> Refused:
    return Refused(code, message, kind=_KIND, **more)


async def _body(request: web.Request) -> bytes:
    """The body, never more of it than allowed and never waiting long for it."""
    parts: list[bytes] = []
    size = request.content_length or 0
    try:
        async with asyncio.timeout(_READ_SECONDS):
            while size <= MOST_BYTES and (part := await request.content.read(MOST_BYTES + 1)):
                parts.append(part)
                size = sum(map(len, parts))
    except TimeoutError:
        raise _refused(408, f"the message did not arrive within {_READ_SECONDS:.0f} s; send it again") from None
    if size > MOST_BYTES:
        raise _refused(413, f"the message is larger than {MOST_BYTES} bytes: send fewer metrics")
    return b"".join(parts)


def _document(push: Push, answer: Answer) -> Mapping[str, Any]:
    """What the run reads; Kubeflow's clients look at the status code only."""
    interval = answer.checkpoint_interval
    return {
        "accepted": answer.accepted,
        **({"reason": answer.reason} if answer.reason else {}),
        **({"ignored": list(answer.ignored)} if answer.ignored else {}),
        **({"lastUpdatedTime": format_rfc3339(push.told_at)} if push.told_at is not None else {}),
        "checkpoint": answer.checkpoint,
        **({"checkpointIntervalSeconds": round(interval / SECOND, 3)} if interval is not None else {}),
    }
