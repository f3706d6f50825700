"""The measurement of the agent on a real GPU, as far as it can be had without one."""

from __future__ import annotations

from typing import Any

import pytest

import agent_on_gpu
from agent_on_gpu import Row, busy_share, report


def test_where_it_cannot_run_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_driver(_: str) -> Any:
        raise OSError

    monkeypatch.setattr(agent_on_gpu.ctypes, "CDLL", no_driver)
    assert agent_on_gpu.main([]) == 0
    assert capsys.readouterr().out.startswith("skipped: no NVIDIA driver on this machine")


def test_the_busy_share_is_that_of_just_the_period() -> None:
    busy = [(0.0, 0.5), (1.0, 1.5), (2.0, 2.5)]
    assert busy_share(busy, 0.0, 3.0) == pytest.approx(0.5)
    assert busy_share(busy, 0.25, 1.25) == pytest.approx(0.5)
    assert busy_share(busy, 0.5, 1.0) == 0
    assert busy_share([], 0.0, 1.0) == 0


def test_the_report_compares_what_was_read_with_what_ran() -> None:
    rows = [Row(0.5, 0.50, 0.9, 0.49, None, 300.0), Row(0.5, 0.52, 0.9, 0.55, None, 320.0)]
    text = report(rows, 0.31)
    assert "| 50% | 2 | 0.510 | 0.900 | 0.520 | - | 310 W |" in text
    assert "Largest difference of GR_ENGINE_ACTIVE from what ran: 0.030" in text
    assert "0.31 % of a core" in text
