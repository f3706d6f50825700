"""Asks the API server whose token it is (TokenReview), and remembers the answer for a while.

A run reports every few seconds with the same token, so the API server is asked once in some minutes per pod. Somebody
who sends made-up tokens costs the API server no more than a few questions a second, and nobody else an answer: a token
that claims to be of a pod that is there is asked about at that pod's own pace. What a token claims decides about its
place in the queue and nothing more. Tokens are remembered by their digest only.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gpucost.core.clock import MINUTE, SECOND, Instant
from gpucost.core.training.sayings import Bucket
from gpucost.kube.client import KubeClient
from gpucost.kube.errors import ApiError, Unreachable

TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
_GOOD_FOR = 10 * MINUTE
_BAD_FOR = MINUTE
_MOST = 8192
_LONGEST_TOKEN = 16 * 1024
_SECONDS = 5.0
_TOKENS_OF_A_POD = 5
_USER = "system:serviceaccount:"
_POD, _POD_UID = "authentication.kubernetes.io/pod-name", "authentication.kubernetes.io/pod-uid"


class CannotAsk(Exception):
    """The API server did not say whose token it is; the message says why."""


@dataclass(frozen=True, slots=True)
class BoundPod:
    """The pod that a token is bound to."""

    namespace: str
    name: str
    uid: str


def _questions() -> Bucket:
    return Bucket(burst=200, period=SECOND // 10)


@dataclass
class TokenReviews:
    """Reviews tokens of one audience."""

    client: KubeClient
    audience: str
    now: Callable[[], Instant]
    exists: Callable[[str], bool] = lambda _uid: False
    """Whether there is a pod of a UID."""
    _known: OrderedDict[bytes, tuple[Instant, BoundPod | None]] = field(default_factory=OrderedDict)
    _pace: Bucket = field(default_factory=_questions)
    _paces: OrderedDict[str, Bucket] = field(default_factory=OrderedDict)
    """By UID of the pod that tokens claim to be of."""

    async def pod_of(self, token: str) -> BoundPod | None:
        """The pod that a token was issued for; None when it is not valid. Raises `CannotAsk`."""
        if len(token) > _LONGEST_TOKEN or not token.isascii():
            return None
        digest, now = hashlib.sha256(token.encode()).digest(), self.now()
        until, pod = self._known.get(digest, (0, None))
        if now < until:
            return pod
        if self._pace_of(token).take(now):
            raise CannotAsk("too many new tokens at once")
        pod = await self._ask(token)
        self._remember(digest, pod, now + _BAD_FOR if pod is None else min(now + _GOOD_FOR, _end_of(token, now)))
        return pod

    def _pace_of(self, token: str) -> Bucket:
        uid = claimed_pod(token)
        if not uid or not self.exists(uid):
            return self._pace
        pace = self._paces.setdefault(uid, Bucket(burst=_TOKENS_OF_A_POD, period=10 * SECOND))
        self._paces.move_to_end(uid)
        while len(self._paces) > _MOST:
            self._paces.popitem(last=False)
        return pace

    async def _ask(self, token: str) -> BoundPod | None:
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [self.audience]},
        }
        try:
            async with asyncio.timeout(_SECONDS):
                found = await self.client.request("POST", TOKEN_REVIEWS, body=body)
        except ApiError as error:
            hint = "; the chart's RBAC lets the operator create tokenreviews" if error.status == 403 else ""
            raise CannotAsk(f"the API server does not review tokens: {error.reason or error.status}{hint}") from None
        except (Unreachable, TimeoutError):
            raise CannotAsk("the API server did not answer in time") from None
        return pod_in(found.get("status") or {}, self.audience)

    def _remember(self, digest: bytes, pod: BoundPod | None, until: Instant) -> None:
        self._known[digest] = (until, pod)
        self._known.move_to_end(digest)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)


def pod_in(status: Mapping[str, Any], audience: str) -> BoundPod | None:
    """The pod named by the status of a TokenReview."""
    if not status.get("authenticated") or audience not in (status.get("audiences") or ()):
        return None
    user = status.get("user") or {}
    extra = user.get("extra") or {}
    namespace = str(user.get("username", "")).removeprefix(_USER).partition(":")[0]
    name, uid = (next(iter(extra.get(key) or ()), "") for key in (_POD, _POD_UID))
    is_account = str(user.get("username", "")).startswith(_USER)
    return BoundPod(namespace, name, uid) if is_account and namespace and uid else None


def claimed_pod(token: str) -> str:
    """UID of the pod that a token says it is bound to, which anybody can write; empty when it says none."""
    claims = _claims(token).get("kubernetes.io")
    pod = claims.get("pod") if isinstance(claims, Mapping) else None
    return str(pod.get("uid") or "") if isinstance(pod, Mapping) else ""


def _end_of(token: str, now: Instant) -> Instant:
    """When a token that is known to be genuine ends; now when it does not say."""
    end = _claims(token).get("exp")
    return int(end) * SECOND if isinstance(end, int | float) and math.isfinite(end) else now


def _claims(token: str) -> Mapping[str, Any]:
    """What stands in a JSON web token, unverified; empty for anything else."""
    try:
        payload = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, Mapping) else {}
