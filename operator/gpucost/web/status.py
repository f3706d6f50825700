"""Errors as Kubernetes `Status` objects, so that kubectl and every client library shows their message."""

from __future__ import annotations

import json
from http import HTTPStatus

from aiohttp import web

from gpucost.web.schema import GROUP

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    408: "Timeout",
    409: "Conflict",
    413: "RequestEntityTooLarge",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}


class Refused(Exception):
    """A request that gets an error answer; `message` says what is wrong and what to do about it."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        field: str = "",
        name: str = "",
        retry_after: int = 0,
        kind: str = "allocations",
    ) -> None:
        """`field` is the parameter at fault, `name` the object of `kind` asked for, `retry_after` in seconds."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.name = name
        self.retry_after = retry_after
        self.kind = kind

    def response(self) -> web.Response:
        """The answer to send."""
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after else None
        return web.json_response(self.body(), status=self.code, headers=headers)

    def body(self) -> dict[str, object]:
        """The `Status` object; `details.group` tells it from the API server's own answers."""
        details: dict[str, object] = {"group": GROUP, "kind": self.kind}
        if self.name:
            details["name"] = self.name
        if self.field:
            details["causes"] = [{"reason": "FieldValueInvalid", "message": self.message, "field": self.field}]
        if self.retry_after:
            details["retryAfterSeconds"] = self.retry_after
        return {
            "apiVersion": "v1",
            "kind": "Status",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": _REASONS.get(self.code, HTTPStatus(self.code).phrase.replace(" ", "")),
            "details": details,
            "code": self.code,
        }


def http_error(error: web.HTTPException, path: str) -> Refused:
    """What the router refuses, in the same form."""
    if error.status == HTTPStatus.NOT_FOUND:
        return Refused(404, f"the cost API has nothing at {path}; see /apis/{GROUP}/v1alpha1")
    if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
        return Refused(405, "costs are computed, not stored: only get and list are possible")
    return Refused(error.status, error.text or error.reason)


def dumps(document: object) -> str:
    """Compact JSON."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)
