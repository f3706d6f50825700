"""Short ways to write scenarios for `gpucost allocate` and to run it as a user would. Times are hours after `T0`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from click.testing import CliRunner, Result

from gpucost.cli.main import gpucost_group
from gpucost.core.clock import HOUR, Instant, format_rfc3339, parse_rfc3339

T0 = parse_rfc3339("2026-11-01T00:00:00Z")
Hours = float | Fraction
Json = dict[str, Any]


def at(hours: Hours) -> Instant:
    """An instant some hours after `T0`."""
    return T0 + int(Fraction(hours) * HOUR)


def time(hours: Hours) -> str:
    """An instant some hours after `T0`, as written."""
    return format_rfc3339(at(hours))


def node(
    uid: str = "n1",
    start: Hours = 0,
    end: Hours | None = 10,
    *,
    gpus: int | None = None,
    price: str | None = "4",
    prices: Mapping[Hours, str] | None = None,
    gpu: Json | None = None,
    **capacity: str,
) -> Json:
    """A node; other resources by keyword, with `__` for what keywords cannot have (`nvidia_com__mig`)."""
    steps = prices if prices is not None else {start: price} if price is not None else None
    resources = {name: str(value) for name, value in capacity.items()}
    if gpus is not None:
        resources["nvidia.com/gpu"] = str(gpus)
    document: Json = {
        "uid": uid,
        "name": f"name-of-{uid}",
        "start": time(start),
        "end": None if end is None else time(end),
        "capacity": resources,
    }
    if steps is not None:
        document["prices"] = [{"from": time(since), "hourly": hourly} for since, hourly in steps.items()]
    if gpu is not None:
        document["gpu"] = gpu
    return document


def pod(
    uid: str,
    *intervals: tuple[Hours, Hours | None],
    gpus: int | None = None,
    on: str = "n1",
    name: str | None = None,
    namespace: str = "ns",
    usage: Json | None = None,
    labels: Mapping[str, str] | None = None,
    workload: str | None = None,
    **requests: str,
) -> Json:
    """A pod; without intervals it is there all the time."""
    wanted = {name: str(value) for name, value in requests.items()}
    if gpus is not None:
        wanted["nvidia.com/gpu"] = str(gpus)
    document: Json = {
        "uid": uid,
        "name": name or uid,
        "namespace": namespace,
        "node": on,
        "intervals": [
            {"start": time(start), "end": None if end is None else time(end)} for start, end in intervals or [(0, None)]
        ],
        "requests": wanted,
        "labels": dict(labels or {}),
    }
    if usage is not None:
        document["usage"] = usage
    if workload is not None:
        document["workload"] = workload
    return document


def scenario(nodes: list[Json], pods: list[Json], window: tuple[Hours, Hours] | None = None, **more: Any) -> Json:
    """A scenario."""
    document: Json = {"currency": "USD", "nodes": nodes, "pods": pods, **more}
    if window is not None:
        document["window"] = {"start": time(window[0]), "end": time(window[1])}
    return document


def run(document: Json | str, *flags: str) -> Result:
    """Run `gpucost allocate` on standard input."""
    text = document if isinstance(document, str) else json.dumps(document)
    return CliRunner(env={"COLUMNS": "100"}).invoke(gpucost_group, ["allocate", "-", *flags], input=text)


def allocate(document: Json, *flags: str) -> Json:
    """The result as JSON; it must add up."""
    result = run(document, "-o", "json", *flags)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    found: Json = json.loads(result.stdout)
    assert found["difference"] == "0.000000"
    costs = [Decimal(row["cost"]) for row in found["rows"] if row["cost"] is not None]
    rest = Decimal(found["idle"]["cost"]) + Decimal(found["stranded"]["cost"])
    assert sum(costs) + rest == Decimal(found["total"]["cost"])
    for row in found["rows"]:
        parts = sum(Decimal(row[part]) for part in ("active", "held", "unknownActivity", "nonGpu"))
        assert parts == Decimal(row["cost"] or 0)
    return found


def costs(document: Json, *flags: str) -> dict[str, str]:
    """Cost by pod (`ns/` left out), with `idle` and `stranded` where there are any."""
    found = allocate(document, "--by", "pod", *flags)
    answer = {row["key"].removeprefix("ns/"): row["cost"] for row in found["rows"]}
    rest = {name: found[name]["cost"] for name in ("idle", "stranded")}
    return answer | {name: cost for name, cost in rest.items() if Decimal(cost)}


def problems(document: Json | str, *flags: str) -> list[str]:
    """What is said about bad input."""
    result = run(document, "-o", "json", *flags)
    assert result.exit_code == 2, result.stdout
    assert result.stdout == ""
    return result.stderr.splitlines()
