"""`kubectl cost diff`: two windows side by side.

Hours 0 to 3 of the world cost 60.30 on gpu-0 (bert-0 20.10, sweep-0 15.075, idle 25.125) and 2.934 on gpu-1; hours 3 to
6 cost the same, but nobody holds gpu-0.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from gpucost.web.schema import DiffDocument

Run = Callable[..., Result]
WINDOWS = (
    "--window",
    "2026-11-02T03:00:00Z,2026-11-02T06:00:00Z",
    "--against",
    "2026-11-02T00:00:00Z,2026-11-02T03:00:00Z",
)
BACK = (*WINDOWS[:1], WINDOWS[3], "--against", WINDOWS[1])


def document(run: Run, *arguments: str) -> Any:
    found = json.loads(run("diff", "-o", "json", *arguments).stdout)
    DiffDocument.model_validate(found, extra="forbid")
    return found


def test_rows_are_told_by_what_happened_to_them(ask_ledger: Run) -> None:
    found = document(ask_ledger, "--by", "pod", "-A", *WINDOWS)
    assert [(row["key"], row["state"], row["old"], row["new"], row["change"]) for row in found["rows"]] == [
        ("research/bert-0", "gone", "20.100000", "0.000000", "-20.100000"),
        ("research/sweep-0", "gone", "15.075000", "0.000000", "-15.075000"),
        ("serving/chat-0", "same", "2.934000", "2.934000", "0.000000"),
        ("serving/web-0", "unknown", None, None, None),
    ]


def test_idle_and_total_are_compared_too(ask_ledger: Run) -> None:
    found = document(ask_ledger, *WINDOWS)
    assert (found["idle"]["old"], found["idle"]["new"], found["idle"]["changePercent"]) == (
        "25.125000",
        "60.300000",
        140.0,
    )
    assert (found["total"]["old"], found["total"]["new"], found["total"]["change"]) == (
        "63.234000",
        "63.234000",
        "0.000000",
    )


def test_what_was_not_there_before_is_new(ask_ledger: Run) -> None:
    text = ask_ledger("diff", *BACK, "--no-idle").stdout.splitlines()
    assert [line.split() for line in text[1:4]] == [
        ["research", "-", "$35.18", "+$35.18", "new"],
        ["serving", "$2.93", "$2.93", "$0.00", "0%"],
        ["TOTAL", "$2.93", "$38.11", "+$35.18", "+1199%"],
    ]


def test_without_a_word_it_is_the_same_length_before(ask_ledger: Run) -> None:
    found = document(ask_ledger, "--window", "3h")
    assert found["window"] == {"start": "2026-11-02T07:00:00Z", "end": "2026-11-02T10:00:00Z"}
    assert found["against"] == {"start": "2026-11-02T04:00:00Z", "end": "2026-11-02T07:00:00Z"}


def test_windows_of_unequal_length_are_compared_as_rates(ask_ledger: Run) -> None:
    unequal = (*WINDOWS[:3], "2026-11-02T00:00:00Z,2026-11-02T02:00:00Z")
    text = ask_ledger("diff", *unequal).stdout
    assert "The windows differ in length (2h and 3h): compare rates with --rate day" in text
    found = document(ask_ledger, "--rate", "hour", *unequal)
    serving = next(row for row in found["rows"] if row["key"] == "serving")
    assert (serving["old"], serving["new"], serving["state"]) == ("0.978000", "0.978000", "same")
    assert "differ in length" not in ask_ledger("diff", "--rate", "hour", *unequal).stdout


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ((*WINDOWS, "--fail-above", "0"), 0),  # nothing has grown
        ((*BACK, "--no-idle", "--fail-above", "35.175"), 0),
        ((*BACK, "--no-idle", "--fail-above", "35.17"), 1),
        ((*BACK, "--no-idle", "--fail-above", "1200%"), 0),
        ((*BACK, "--no-idle", "--fail-above", "1190%"), 1),
    ],
)
def test_growth_above_a_limit_is_exit_code_1(ask_ledger: Run, arguments: tuple[str, ...], status: int) -> None:
    result = ask_ledger("diff", *arguments)
    assert result.exit_code == status
    assert result.stdout
    assert ("over the limit: the total grew by $35.18" in result.stderr) == bool(status)


def test_csv_and_order_by_name(ask_ledger: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(ask_ledger("diff", "-o", "csv", "--sort-by", "name", *WINDOWS).stdout)))
    assert [(row["key"], row["change"]) for row in rows] == [
        ("research", "-35.175000"),
        ("serving", "0.000000"),
        ("(idle)", "35.175000"),
        ("(total)", "0.000000"),
    ]


def test_two_empty_windows_say_so(ask_ledger: Run) -> None:
    result = ask_ledger("diff", "--window", "2026-10-03,2026-10-04")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "Neither window has any cost.")
