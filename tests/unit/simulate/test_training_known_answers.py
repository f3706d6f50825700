"""`gpucost simulate training` against answers worked out by hand.

Ticks are an hour, a changeover takes half of one, spot costs 1 and on-demand 3 an hour, 2 hours of work are due in 5.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from support.spot_cases import case, result


def test_one_run_by_every_policy(tmp_path: Path) -> None:
    """There is spot in the first two hours and in the fifth.

    Spot at once makes 1.5 h of progress in two hours. `greedy` then waits for two hours and is out of time: the last
    half hour of work takes an hour on demand, 2 x 1 + 1 x 3 = 5. `uniformProgress` is ahead of its line (1.5 h of 0.8)
    and waits, but goes on demand an hour earlier: the same. Knowing the fifth hour, spot does it for 3 x 1.
    """
    rows = result(case([[1, 1, 0, 0, 1]]), tmp_path)
    costs = {name: row["meanCost"] for name, row in rows.items()}
    assert costs["greedy"] == costs["uniformProgress"] == 5
    assert costs["onDemand"] == 7.5
    assert costs["spotOnly"] == costs["omniscient"] == 3
    assert {row["deadlinesMissed"] for row in rows.values()} == {0}
    assert {row["onDemandCost"] for row in rows.values()} == {7.5}
    assert rows["omniscient"]["spotHours"] == 3
    assert rows["omniscient"]["meanSwitches"] == 2
    assert rows["onDemand"]["gapClosed"] == -1.25
    assert rows["greedy"]["maxCostOverOnDemandPercent"] == pytest.approx(100 * 5 / 7.5)


def test_without_spot_everybody_pays_on_demand(tmp_path: Path) -> None:
    rows = result(case([[0] * 8]), tmp_path, "--starts", "all")
    for name in ("auto", "uniformProgress", "greedy", "onDemand", "omniscient"):
        assert (rows[name]["meanCost"], rows[name]["deadlinesMissed"]) == (7.5, 0), name
        assert rows[name]["gapClosed"] is None, "there is no gap"
    assert (
        (rows["spotOnly"]["meanCost"], rows["spotOnly"]["deadlinesMissed"]) == (0, rows["spotOnly"]["runs"]) == (0, 4)
    )


def test_with_spot_all_the_time_nobody_pays_on_demand(tmp_path: Path) -> None:
    rows = result(case([[1] * 8], changeover="1/4"), tmp_path, "--starts", "all")
    for name in ("auto", "uniformProgress", "greedy", "spotOnly", "omniscient"):
        assert rows[name]["meanCost"] == 2.25, name


def test_auto_tries_no_spot_whose_loss_could_cost_more_than_the_allowance(tmp_path: Path) -> None:
    """Half an hour of spot for nothing and on-demand after it would cost 0.5 x 1 + 2.5 x 3 = 8, 107 % of on-demand."""
    assert result(case([[1] * 8]), tmp_path)["auto"]["meanCost"] == 7.5


def test_a_gang_gets_all_its_nodes_or_none(tmp_path: Path) -> None:
    enough = result(case([[4, 4, 5, 4, 4]], nodes=4), tmp_path)
    one_short = result(case([[3, 3, 3, 3, 3]], nodes=4), tmp_path)
    assert (enough["spotOnly"]["meanCost"], one_short["spotOnly"]["meanCost"]) == (2.5, 0)


def test_a_move_between_zones_costs_a_changeover(tmp_path: Path) -> None:
    """One zone has the first hour, the other the rest: half an hour of progress, then 1.5 h after another half hour.

    Knowing that, it is cheaper to wait for the other zone, if the deadline leaves time for it.
    """
    zones = [[1, 0, 0, 0, 0], [0, 1, 1, 1, 1]]
    rows, near = result(case(zones), tmp_path), result(case([z[:3] for z in zones], deadline=3), tmp_path)
    for row in (rows["greedy"], near["omniscient"]):
        assert (row["spotHours"], row["meanSwitches"]) == (3, 2)
    assert (rows["omniscient"]["spotHours"], rows["omniscient"]["meanSwitches"]) == (2.5, 1)


def test_a_changeover_may_be_longer_than_a_tick(tmp_path: Path) -> None:
    """1.5 h of changeover, spot lost in the middle of it: the first hour is paid for nothing."""
    rows = result(case([[1, 0, 1, 1, 1, 1]], work=1, deadline=6, changeover="3/2"), tmp_path)
    assert (rows["greedy"]["spotHours"], rows["greedy"]["meanSwitches"]) == (3.5, 2)
    assert (rows["omniscient"]["spotHours"], rows["omniscient"]["meanSwitches"]) == (2.5, 1)


def test_a_job_ends_inside_a_tick_and_is_billed_until_then(tmp_path: Path) -> None:
    rows = result(case([[1] * 5], work="7/4", changeover="1/4"), tmp_path)
    assert rows["spotOnly"]["spotHours"] == 2
    assert result(case([[1] * 5], work="5/4", changeover="1/4"), tmp_path)["spotOnly"]["spotHours"] == 1.5


def test_a_run_that_misses_its_deadline_is_billed_until_it(tmp_path: Path) -> None:
    """Spot comes too late: 1.5 h of it until the deadline, in the middle of a tick."""
    rows = result(case([[0, 0, 0, 1, 1]], deadline="9/2"), tmp_path)
    assert (rows["spotOnly"]["spotHours"], rows["spotOnly"]["deadlinesMissed"]) == (1.5, 1)


def test_greedy_does_not_wait_past_the_last_moment_for_on_demand(tmp_path: Path) -> None:
    """With ticks longer than two changeovers, waiting until R < C + 2d would be too late by up to a tick."""
    rows = result(case([[0] * 6], changeover="1/20", deadline="33/10"), tmp_path, "--starts", "all")
    assert rows["greedy"]["deadlinesMissed"] == 0


def test_costs_of_a_price_with_many_digits_are_exact(tmp_path: Path) -> None:
    price = Fraction("3.0600001")
    row = result(case([[0] * 5], on_demand_price=price), tmp_path)["onDemand"]
    assert row["meanCost"] == float(round(price * Fraction(5, 2), 6))
