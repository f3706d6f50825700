"""Whatever spot does: no deadline is missed, no run costs too much, and all costs are those of their timelines."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from support.spot_cases import arguments, case, result, run
from support.spot_oracle import Case, by_run, cheapest, walk

QUICK = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
CAREFUL = ("auto", "uniformProgress", "greedy", "onDemand")


@st.composite
def spells(draw: st.DrawFn, ticks: int) -> list[int]:
    """Availability that comes and goes in spells."""
    data: list[int] = []
    while len(data) < ticks:
        data += [draw(st.integers(0, 2))] * draw(st.integers(1, 8))
    return data[:ticks]


@st.composite
def cases(draw: st.DrawFn, ticks: int = 30, zones: int = 2) -> Case:
    """A job that on-demand capacity can do in time."""
    work, changeover, slack = (Fraction(draw(st.integers(*span)), 8) for span in ((8, 48), (0, 16), (0, 48)))
    deadline = work + changeover + slack
    assume(deadline <= ticks)
    return case(
        [draw(spells(ticks)) for _ in range(draw(st.integers(1, zones)))],
        work=work,
        changeover=changeover,
        deadline=deadline,
        spot_price=draw(st.sampled_from([1, 2])),
        on_demand_price=draw(st.sampled_from([2, 3, 5])),
        nodes=draw(st.integers(1, 2)),
    )


@QUICK
@given(cases())
def test_the_promises_hold_for_any_spot(given_case: Case) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder)
        timeline = path / "timeline.jsonl"
        rows = result(given_case, path, "--starts", "all", "--timeline", str(timeline))
        runs = by_run(timeline.read_text())
    best = rows["omniscient"]["meanCost"]
    for name in CAREFUL:
        row, walked = rows[name], [walk(given_case, lines) for (policy, _), lines in runs.items() if policy == name]
        assert row["deadlinesMissed"] == 0 == sum(one.work_left > 0 for one in walked), name
        assert row["runs"] == len(walked)
        assert row["meanCost"] == pytest.approx(float(sum(one.cost for one in walked) / len(walked)), abs=1e-6), name
        assert row["meanSwitches"] == pytest.approx(sum(one.starts for one in walked) / len(walked), abs=1e-6)
        assert row["meanCost"] >= best - 1e-6, name
    assert rows["auto"]["maxCostOverOnDemandPercent"] <= 105 + 1e-6


@QUICK
@given(cases(ticks=9), st.integers(0, 3))
def test_the_optimum_is_that_of_trying_everything(given_case: Case, start: int) -> None:
    assume(given_case.deadline <= 6)
    length = -(-given_case.deadline // given_case.tick)
    only = [data[start : start + length] for data in given_case.traces]
    this = case(
        only,
        **{
            name: getattr(given_case, name)
            for name in ("work", "deadline", "changeover", "spot_price", "on_demand_price", "nodes")
        },
    )
    with TemporaryDirectory() as folder:
        row = result(this, Path(folder), "--policy", "omniscient")["omniscient"]
    least = cheapest(this, 0)
    assert least is not None
    assert row["meanCost"] == pytest.approx(float(least), abs=1e-6)
    spent = Fraction(row["spotHours"]) * this.spot_price + Fraction(row["onDemandHours"]) * this.on_demand_price
    assert float(spent) == pytest.approx(float(least), abs=1e-5)


@QUICK
@given(cases())
def test_it_is_deterministic(given_case: Case) -> None:
    with TemporaryDirectory() as folder:
        words = [*arguments(given_case, Path(folder)), "-o", "json", "--start-ticks", "5"]
        first, again = run(words), run(words)
    assert json.loads(first.stdout) == json.loads(again.stdout)
