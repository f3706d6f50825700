"""Jobs and traces as the simulator takes them, from the cases of the oracle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from gpucost.cli.main import gpucost_group
from support.spot_oracle import Case


def case(data: Sequence[Sequence[int]], **changes: Any) -> Case:
    """Ticks of an hour; 2 h of work in 5 h, half an hour of changeover, spot for a third of the price."""
    fields: dict[str, Any] = {
        "tick": 1,
        "work": 2,
        "deadline": 5,
        "changeover": "1/2",
        "spot_price": 1,
        "on_demand_price": 3,
        **changes,
    }
    nodes = fields.pop("nodes", 1)
    return Case(data, **{name: Fraction(value) for name, value in fields.items()}, nodes=nodes)


def arguments(case: Case, folder: Path) -> list[str]:
    """The command line of a case; its traces are written into a folder."""
    words = ["simulate", "training"]
    for zone, data in enumerate(case.traces):
        path = folder / f"zone-{zone}.json"
        path.write_text(json.dumps({"metadata": {"gap_seconds": float(case.tick * 3600)}, "data": list(data)}))
        words += ["--trace", str(path)]
    options = {
        "--work-hours": case.work,
        "--deadline-hours": case.deadline,
        "--changeover": case.changeover * 60,
        "--spot-price": case.spot_price,
        "--on-demand-price": case.on_demand_price,
        "--nodes": Fraction(case.nodes),
    }
    for name, value in options.items():
        words += [name, str(Decimal(value.numerator) / Decimal(value.denominator))]
    return words


def run(words: Sequence[str]) -> Result:
    """`gpucost` with a command line."""
    return CliRunner().invoke(gpucost_group, list(words))


def result(case: Case, folder: Path, *more: str) -> dict[str, dict[str, Any]]:
    """Rows of the result by policy."""
    done = run([*arguments(case, folder), "-o", "json", *more])
    assert done.exit_code == 0, done.stderr
    return {row["policy"]: row for row in json.loads(done.stdout)["policies"]}
