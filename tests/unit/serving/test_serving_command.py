"""`gpucost simulate serving` as a command: what it refuses, what it writes, and that it always says the same."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

from gpucost.simulate.serving_schema import ServingResult, render_all
from support.request_cases import rows, run, words, write

RANDOM = random.Random(5)
RATES = [20 + 15 * RANDOM.random() for _ in range(16)]
"""Two and a half hours."""
REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


def lines(arguments: list[str]) -> list[str]:
    done = run(arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    return done.stderr.splitlines()


HEAD = "start_seconds,requests_per_second\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": empty; expected is the header start_seconds,requests_per_second"),
        (HEAD, ": 0 steps; two at least"),
        (HEAD + "0,5\n", ": 1 steps; two at least"),
        ("start_seconds,rps\n0,5\n600,5\n", ":1: no column requests_per_second among start_seconds, rps"),
        ("time,requests_per_second\n0,5\n600,5\n", ":1: no column start_seconds among"),
        (HEAD + "0,5\n600,-1\n", ":3: requests_per_second: -1 is negative"),
        (HEAD + "0,5\n600,nan\n", ":3: requests_per_second: nan is not a finite number; fill gaps"),
        (HEAD + "0,5\n600,\n", ":3: requests_per_second: nothing is not a finite number"),
        (HEAD + "0,5\n600\n", ":3: requests_per_second: nothing is not a finite number"),
        (HEAD + "0,inf\n600,1\n", ":2: requests_per_second: inf is not a finite number"),
        (HEAD + "zero,5\n600,1\n", ":2: start_seconds: zero is not a finite number"),
        (
            HEAD + "0,5\n600,5\n1300,5\n",
            ":4: start_seconds: 1300 comes 700 s after the line before, but the step is 600",
        ),
        (HEAD + "0,5\n0,5\n", ":3: start_seconds: 0 is not after 0; sort by time"),
        (HEAD + "0,0\n600,0\n", ": requests_per_second: no requests at all"),
        (HEAD + "0,5\n0.01,5\n", ": steps of 0.01 s over 2 lines"),
    ],
)
def test_a_faulty_trace_is_named_with_its_line_and_remedy(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "faulty.csv"
    path.write_text(text)
    found = lines(words(path))
    assert len(found) == 1
    assert found[0].startswith(f"{path}{message}")


def test_every_fault_has_a_line_up_to_twenty(tmp_path: Path) -> None:
    path = tmp_path / "faulty.csv"
    path.write_text(HEAD + "".join(f"{600 * place},x\n" for place in range(25)))
    found = lines(words(path))
    assert len(found) == 21
    assert found[-1] == "and 5 more problems like these"


def test_what_is_no_text_and_what_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "binary.csv"
    path.write_bytes(b"start\xff\xfe")
    assert "not UTF-8 text" in lines(words(path))[0]
    assert "cannot be read: No such file" in lines(words(tmp_path / "nowhere.csv"))[0]


def test_a_trace_that_is_no_longer_than_the_training_days(tmp_path: Path) -> None:
    found = lines(words(write(tmp_path / "short.csv", RATES), train=7))
    assert "short.csv: 0.1111 days are not longer than the 7 training days (--train-days); give a longer" in found[0]


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--ready-seconds", "-1", "-1 is not a number of at least 0"),
        ("--ready-seconds", "nan", "nan is not a number of at least 0"),
        ("--replica-throughput", "0", "0 is not a number above 0"),
        ("--gpu-price", "free", "'free' is not a number"),
        ("--target-late", "1.5", "1.5 is not a number of at least 0 and up to 1"),
        ("--train-days", "0", "0 is not a number above 0"),
        ("--policy", "vpa", "'vpa' is not one of 'gpucost', 'hpa', 'kpa', 'keda', 'static', 'all'"),
        ("--seed", "-3", "-3 is not in the range x>=0"),
    ],
)
def test_options_out_of_bounds(option: str, value: str, message: str, tmp_path: Path) -> None:
    found = " ".join(lines(words(write(tmp_path / "good.csv", RATES), option, value)))
    assert option in found
    assert message in re.sub(r"\s+", " ", found)


def test_a_replica_that_is_too_small_for_the_trace(tmp_path: Path) -> None:
    found = lines(words(write(tmp_path / "good.csv", RATES), "--replica-throughput", "0.001"))
    assert "--replica-throughput: 0.001 requests/s would take" in found[0]


def test_the_result_is_that_of_its_schema_and_always_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "good.csv", RATES)
    found = rows(path)
    assert [row["policy"] for row in found] == ["gpucost", "hpa", "kpa", "keda", "static"]
    assert ServingResult.model_validate({"policies": found})
    assert rows(path) == found
    assert rows(path, "--seed", "1") != found
    for name, text in render_all().items():
        assert (REFERENCE / name).read_text() == text


def test_a_frontier_has_at_least_eight_settings_from_cheap_to_safe(tmp_path: Path) -> None:
    path = write(tmp_path / "good.csv", RATES)
    for policy in ("gpucost", "hpa", "kpa", "keda"):
        found = rows(path, "--policy", policy, "--frontier")
        assert len(found) >= 8
        hours = [row["gpuHours"] for row in found]
        assert hours == sorted(hours)
        assert sum(row["chosen"] for row in found) == 1


def test_costs_and_late_requests_are_those_of_the_timeline(tmp_path: Path) -> None:
    path, timeline = write(tmp_path / "good.csv", RATES), tmp_path / "steps.jsonl"
    found = {row["policy"]: row for row in rows(path, "--gpu-price", "2.5", "--timeline", str(timeline))}
    steps = [json.loads(line) for line in timeline.read_text().splitlines()]
    for policy, row in found.items():
        mine = [step for step in steps if step["policy"] == policy]
        assert [step["step"] for step in mine] == list(range(288, 640))
        hours = sum(step["billed"] for step in mine) * 15 / 3600
        assert row["gpuHours"] == pytest.approx(hours, abs=1e-6)
        assert row["cost"] == pytest.approx(2.5 * hours, abs=1e-5)
        late = sum(step["late"] for step in mine) / sum(step["arrived"] for step in mine)
        assert row["lateFraction"] == pytest.approx(late, abs=1e-6)
        assert all(step["served"] <= step["ready"] * 150 + 1e-6 for step in mine)
        assert all(step["ready"] <= step["billed"] for step in mine)


def test_people_get_a_table(tmp_path: Path) -> None:
    done = run(words(write(tmp_path / "good.csv", RATES)))
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0].split()[:5] == ["POLICY", "GPU-H", "COST", "LATE%", "TRAINING%"]
    assert "10 requests/s, 60 s after its creation" in done.stdout


def test_a_timeline_that_cannot_be_written(tmp_path: Path) -> None:
    found = lines(words(write(tmp_path / "good.csv", RATES), "--timeline", str(tmp_path / "no" / "x.jsonl")))
    assert "--timeline:" in found[0]
    assert "cannot be written" in found[0]
