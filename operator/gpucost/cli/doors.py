"""The ways to the operator: through the API server with a kubeconfig, or straight to an address on loopback.

Every way does one thing: GET a path and give the JSON. The one through the API server is in `cluster`, imported only
when it is needed, because the official client takes longer to import than everything else a command does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import urllib3

from gpucost.cli.failures import Failure, NotServed, failure

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0


class Door(Protocol):
    """A way to the operator."""

    namespace: str | None
    """Namespace of the kubeconfig's context; None where there is no context."""
    has_cluster: bool
    """Whether custom resources can be read through it too."""

    def get(self, path: str, params: Mapping[str, str]) -> Any:
        """The JSON at a path. Raises `Failure` with one line that says what is wrong."""
        ...


class DirectDoor:
    """Straight to the operator's plain address, such as one that `kubectl port-forward` has opened."""

    namespace: str | None = None
    has_cluster = False

    def __init__(self, url: str) -> None:
        """`url` is http:// or https:// with a host; anything else is a `Failure`."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Failure(f"--api-url {url!r} is not a URL such as http://127.0.0.1:9003")
        self._base = url.rstrip("/")

    def get(self, path: str, params: Mapping[str, str]) -> Any:
        """GET a path of the cost API."""
        try:
            response = urllib3.request(
                "GET",
                url(self._base, path, params),
                headers={"Accept": "application/json"},
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
                retries=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise Failure(f"nothing answers at {self._base}: {reason(error)}; is the operator running?") from None
        return parsed(response.status, response.data, self._base)


def url(base: str, path: str, params: Mapping[str, str]) -> str:
    """A URL with its query."""
    return f"{base}{path}" + (f"?{urlencode(params)}" if params else "")


def parsed(status: int, data: bytes, where: str) -> Any:
    """The JSON object of an answer. Raises `Failure` for an error and for what is no JSON object."""
    text = data.decode(errors="replace")
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if status >= 400:
        raise failure(status, body if isinstance(body, dict) else None, text)
    if not isinstance(body, dict):
        raise NotServed(f"what answers at {where} is not the cost API")
    return body


def reason(error: Exception) -> str:
    """The innermost reason of a failed connection, without addresses of objects."""
    reason: object = getattr(error, "reason", None) or error
    cause = getattr(reason, "__cause__", None) or getattr(reason, "__context__", None)
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    text = one_line(str(reason))
    return text.rpartition(">: ")[2].rpartition("): ")[2] or text


def one_line(text: str) -> str:
    """Text of an error without line breaks, and not too long."""
    return " ".join(text.split())[:300]
