"""Whose token it is: asked once, remembered for a while, never believed when the API server does not say so."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from gpucost.core.clock import MINUTE, SECOND
from gpucost.kube.errors import ApiError, Unreachable
from gpucost.sources.token_reviews import BoundPod, CannotAsk, TokenReviews, pod_in

AUDIENCE = "progress.gpucost.dev"
START = 1_800_000_000 * SECOND
POD = BoundPod("research", "bert-0", "uid-1")


def user(**more: Any) -> dict[str, Any]:
    extra = {"authentication.kubernetes.io/pod-name": ["bert-0"], "authentication.kubernetes.io/pod-uid": ["uid-1"]}
    return {"username": "system:serviceaccount:research:default", "extra": extra, **more}


def status(**more: Any) -> dict[str, Any]:
    return {"authenticated": True, "audiences": [AUDIENCE], "user": user(), **more}


def token(ends: int, name: str = "a") -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"exp": ends, "n": name}).encode()).decode().rstrip("=")
    return f"head.{payload}.signature"


class Server:
    """Answers every review with one status, or fails with one error."""

    def __init__(self, answer: dict[str, Any] | Exception) -> None:
        self.answer, self.asked = answer, 0

    async def request(self, _method: str, _path: str, *, body: dict[str, Any]) -> dict[str, Any]:
        assert body["spec"]["audiences"] == [AUDIENCE]
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return {"status": self.answer}


class Clock:
    now = START

    def __call__(self) -> int:
        return self.now


def reviews(answer: dict[str, Any] | Exception) -> tuple[TokenReviews, Server, Clock]:
    server, clock = Server(answer), Clock()
    return TokenReviews(server, AUDIENCE, clock), server, clock  # type: ignore[arg-type]


async def test_a_good_token_is_reviewed_once_in_ten_minutes() -> None:
    found, server, clock = reviews(status())
    mine = token(START // SECOND + 3600)
    assert [await found.pod_of(mine) for _ in range(3)] == [POD] * 3
    clock.now += 11 * MINUTE
    assert await found.pod_of(mine) == POD
    assert server.asked == 2


async def test_a_token_is_not_remembered_beyond_its_end() -> None:
    found, server, clock = reviews(status())
    mine = token(START // SECOND + 30)
    await found.pod_of(mine)
    clock.now += 31 * SECOND
    await found.pod_of(mine)
    assert server.asked == 2


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"authenticated": False, "error": "expired"},
        status(audiences=["https://kubernetes.default.svc"]),
        status(audiences=None),
        status(user=user(username="system:node:n1")),
        status(user=user(username="admin")),
        status(user=user(extra={})),
        status(user={}),
    ],
)
def test_anything_else_is_nobody(answer: dict[str, Any]) -> None:
    assert pod_in(answer, AUDIENCE) is None


async def test_made_up_tokens_cost_the_api_server_little() -> None:
    found, server, _ = reviews({"authenticated": False})
    assert await found.pod_of("x" * 20_000) is None
    assert await found.pod_of("tökën") is None
    assert server.asked == 0
    for _ in range(3):
        assert await found.pod_of("same") is None
    assert server.asked == 1

    async def flood() -> None:
        for index in range(1000):
            await found.pod_of(f"other {index}")

    with pytest.raises(CannotAsk, match="too many new tokens"):
        await flood()
    assert server.asked == 200


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ApiError(403, reason="Forbidden"), "RBAC"),
        (Unreachable("no route"), "did not answer"),
        (TimeoutError(), "time"),
    ],
)
async def test_trouble_is_told_and_not_remembered(error: Exception, words: str) -> None:
    found, server, _ = reviews(error)
    with pytest.raises(CannotAsk, match=words):
        await found.pod_of(token(1))
    server.answer = status()
    assert await found.pod_of(token(1)) == POD


def bound_token(uid: str, number: int) -> str:
    claims = {"exp": START // SECOND + 3600, "n": number, "kubernetes.io": {"pod": {"uid": uid}}}
    return f"head.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.signature"


async def test_made_up_tokens_keep_no_pod_from_being_known() -> None:
    bad, _, _ = reviews({"authenticated": False})
    bad.exists = {"uid-1", "uid-2"}.__contains__
    for number in range(200):
        assert await bad.pod_of(f"made.up.{number}") is None
    with pytest.raises(CannotAsk):
        await bad.pod_of("made.up.200")
    bad.client, server = Server(status()), bad.client  # type: ignore[assignment]
    assert await bad.pod_of(bound_token("uid-1", 1)) == POD
    with pytest.raises(CannotAsk):
        await bad.pod_of(bound_token("uid-3", 1))  # no such pod: its claim is worth nothing
    assert server.asked == 200  # type: ignore[attr-defined]


async def test_who_knows_the_uid_of_a_pod_takes_the_place_of_that_pod_only() -> None:
    found, server, clock = reviews(status())
    found.exists = {"uid-1", "uid-2"}.__contains__
    for number in range(5):
        await found.pod_of(bound_token("uid-2", number))
    with pytest.raises(CannotAsk):
        await found.pod_of(bound_token("uid-2", 5))
    assert server.asked == 5
    assert await found.pod_of(bound_token("uid-1", 1)) == POD
    clock.now += 10 * SECOND
    assert await found.pod_of(bound_token("uid-2", 999)) == POD  # the API server says whose it is, not the token


@pytest.mark.parametrize(
    "claims",
    [b"", b"[]", b"1", b"{", b'{"kubernetes.io": 1}', b'{"kubernetes.io": {"pod": []}}', b'{"exp": Infinity}', b"\xff",
     b"[" * 10_000],
)  # fmt: skip
async def test_whatever_stands_in_a_token_the_api_server_is_asked(claims: bytes) -> None:
    found, server, clock = reviews(status())
    text = f"head.{base64.urlsafe_b64encode(claims).decode()}.signature"
    assert await found.pod_of(text) == POD
    clock.now += SECOND
    assert await found.pod_of(text) == POD
    assert server.asked == 2  # it does not say until when it is good
