"""kill -9 at any moment: what was acknowledged is there, nothing is there twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gpucost.ledger import Ledger
from support.ledger_world import at, booked, span

_WRITER = """
import sys
from support.ledger_kill_world import steps
from support.ledger_world import at
from gpucost.ledger import Ledger

ledger = Ledger(f"sqlite:///{sys.argv[1]}")
done = int(ledger.marks().get("step", "-1"))
for number, facts in enumerate(steps()):
    if number <= done:
        continue
    ledger.record(facts, marks={"step": str(number)})
    print(number, flush=True)
    if number % 3 == 0:
        ledger.settle(at((number + 4) / 4))
"""
_TESTS = Path(__file__).parents[2]


def run_until_killed(path: Path, acknowledgements: int) -> int | None:
    """Let a writer go on until so many steps are acknowledged, kill it; the last acknowledged step, None when done."""
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True, cwd=_TESTS
    ) as writer:
        assert writer.stdout is not None
        last = None
        for line in writer.stdout:
            last = int(line)
            acknowledgements -= 1
            if acknowledgements <= 0:
                writer.send_signal(signal.SIGKILL)
        writer.wait()
        assert writer.returncode in {0, -signal.SIGKILL}
        return None if writer.returncode == 0 else last


@pytest.mark.parametrize("seed", range(3))
def test_what_was_acknowledged_before_a_kill_is_there_once(tmp_path, seed):
    from support.ledger_kill_world import STEPS, steps  # noqa: PLC0415

    chance, path, batches = random.Random(seed), tmp_path / "ledger.db", list(steps())
    kills = 0
    while (last := run_until_killed(path, chance.randint(1, STEPS // 4))) is not None:
        kills += 1
        with Ledger(f"sqlite:///{path}") as ledger:
            stored = int(ledger.marks()["step"])
            assert stored >= last
            window = span(0, stored / 4)
            expected, _ = booked([fact for batch in batches[: stored + 1] for fact in batch], window)
            report = ledger.report(window, now=window.end, by="pod")
            assert {row.key: row.amounts for row in report.rows} == {
                f"research/{uid}": amounts for uid, amounts in expected.items() if uid
            }
            assert report.difference == 0
            assert ledger.conservation(window.end) == 0
    assert kills > 0
    with Ledger(f"sqlite:///{path}") as ledger:
        end = at(STEPS / 4)
        expected, _ = booked([fact for batch in batches for fact in batch], span(0, STEPS / 4))
        total = ledger.report(span(0, STEPS / 4), now=end).total
        assert total.cost == sum(amounts.cost for amounts in expected.values())
        assert ledger.conservation(end) == 0
