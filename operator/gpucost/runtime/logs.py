"""One log format for everything in the process, for people or for machines."""

from __future__ import annotations

import logging
import sys

from pythonjsonlogger.json import JsonFormatter

_TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def configure(*, log_format: str, level: str) -> None:
    """Log to standard error as text or as one JSON object per line."""
    handler = logging.StreamHandler(sys.stderr)
    if log_format == "json":
        fields = "%(asctime)s %(levelname)s %(name)s %(message)s"
        handler.setFormatter(JsonFormatter(fields, rename_fields={"asctime": "time", "levelname": "level"}))
    else:
        handler.setFormatter(logging.Formatter(_TEXT))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("aiohttp.access", "alembic", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # These log every single attempt; what comes of it is logged where it matters.
    for chatty in ("kopf._cogs.clients", "stamina"):
        logging.getLogger(chatty).setLevel(logging.CRITICAL)
