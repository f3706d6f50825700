"""How a command ends badly: one clear line on stderr, and an exit code that scripts can rely on.

0 is fine, 1 is over a limit that was given, 2 is wrong use or unreachable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from gpucost.web.schema import GROUP

_SHORT = 300


class Failure(click.ClickException):
    """Wrong use, or something that cannot be reached: exit code 2."""

    exit_code = 2


class Forbidden(Failure):
    """The cluster's RBAC does not allow the question."""


class NotFound(Failure):
    """What was asked for does not exist; the cost API says so itself."""


class NotServed(Failure):
    """Nobody answers for the cost API: it is not installed, or not up."""


def failure(status: int, body: Mapping[str, Any] | None, text: str) -> Failure:
    """What an error answer means; `body` is the `Status` object when it is one, `text` the raw answer."""
    message = str((body or {}).get("message") or text.strip() or f"HTTP {status}")[:_SHORT]
    ours = ((body or {}).get("details") or {}).get("group") == GROUP
    if status == 401:
        return Failure(f"the cluster does not know you: {message}; log in again, or try another --context")
    if status == 403:
        return Forbidden(message)
    if status == 404:
        return NotFound(message) if ours else NotServed("the cost API is not registered in this cluster")
    if status in {502, 503, 504}:
        return NotServed(message)
    if status == 400:
        return Failure(_as_flag(message))
    return Failure(f"the cost API failed ({status}): {message}")


def _as_flag(message: str) -> str:
    """A refusal of a parameter, in the words of whoever typed the flag."""
    for parameter, flag in (("window", "--window"), ("labelSelector", "-l"), ("by", "label")):
        message = message.replace(f"parameter {parameter}: ", f"{flag}: ", 1)
    return message
