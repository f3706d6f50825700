"""Refusals of the API server, with what a caller needs to decide what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """An error answer of the API server (a `Status` object)."""

    def __init__(
        self, status: int, *, reason: str = "", message: str = "", causes: tuple[str, ...] = (), retry_after: float = 0
    ) -> None:
        """`causes` are the fields named by a 422, each as `field: message`; `retry_after` is in seconds."""
        super().__init__(f"{status} {reason}: {message}".rstrip(": "))
        self.status = status
        self.reason = reason
        self.message = message
        self.causes = causes
        self.retry_after = retry_after

    @classmethod
    def of(cls, status: int, body: Mapping[str, Any], *, retry_after: float = 0) -> ApiError:
        """Read a `Status` object; anything else keeps its first 500 characters as the message."""
        details = body.get("details") or {}
        causes = tuple(f"{c.get('field', '')}: {c.get('message', '')}".strip(": ") for c in details.get("causes") or ())
        after = retry_after or float(details.get("retryAfterSeconds") or 0)
        return cls(
            status,
            reason=str(body.get("reason") or ""),
            message=str(body.get("message") or "")[:2000],
            causes=causes,
            retry_after=after,
        )

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed later, unchanged."""
        return self.status in {429, 500, 502, 503, 504}


class Gone(ApiError):
    """The resourceVersion of a watch is too old: list again (410, or an ERROR event of a watch)."""

    def __init__(self, message: str = "") -> None:
        """The message is the server's."""
        super().__init__(410, reason="Expired", message=message)


class Unreachable(Exception):
    """No answer from the API server."""
