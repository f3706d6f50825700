"""Traces of requests and the command that plays them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from gpucost.cli.main import gpucost_group

DAYS = 86400


def write(path: Path, rates: Sequence[float], step: float = 600) -> Path:
    """A trace as a file."""
    lines = [f"{place * step:g},{rate!r}" for place, rate in enumerate(rates)]
    path.write_text("\n".join(["start_seconds,requests_per_second", *lines]) + "\n")
    return path


def words(path: Path, *more: str, train: float = 0.05) -> list[str]:
    """The command line: replicas of 10 requests/s, ready after a minute, a dollar an hour."""
    given = set(more)
    defaults = {"--replica-throughput": "10", "--ready-seconds": "60", "--gpu-price": "1", "--train-days": str(train)}
    options = [part for name, value in defaults.items() if name not in given for part in (name, value)]
    return ["simulate", "serving", "--trace", str(path), *options, *more]


def run(arguments: Sequence[str]) -> Result:
    """`gpucost` with a command line."""
    return CliRunner().invoke(gpucost_group, list(arguments))


def rows(path: Path, *more: str, train: float = 0.05) -> list[dict[str, Any]]:
    """The rows of the result."""
    done = run([*words(path, *more, train=train), "-o", "json"])
    assert done.exit_code == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["policies"]
    return found
