"""`gpucost simulate training` as a command: what it refuses, what it writes, and that it always says the same."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from gpucost.simulate.schema import TrainingResult, render_all
from support.spot_cases import arguments, case, result, run

RANDOM = random.Random(5)
DATA = [[int(RANDOM.random() < 0.7) for _ in range(60)]]
REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


def lines(*words: str, folder: Path) -> list[str]:
    done = run([*arguments(case(DATA), folder), *words])
    assert (done.exit_code, done.stdout) == (2, "")
    return done.stderr.splitlines()


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ('{"metadata": {"gap_seconds": 600}, "data": [1, 0, 1, -1]}', "$.data[3]: -1 is not a number of nodes"),
        ('{"metadata": {"gap_seconds": 600}, "data": [1, "0"]}', '$.data[1]: "0" is not a number of nodes'),
        ('{"metadata": {"gap_seconds": 600}, "data": [0.5]}', "$.data[0]: 0.5 is not a number of nodes"),
        ('{"metadata": {"gap_seconds": 600}, "data": [true]}', "$.data[0]: true is not a number of nodes"),
        ('{"metadata": {"gap_seconds": 600}, "data": [NaN]}', "$: not JSON: NaN is not a number"),
        ('{"metadata": {"gap_seconds": 600}, "data": []}', "$.data: a list with the number of spot nodes"),
        ('{"metadata": {"gap_seconds": 600}}', "$.data: a list with the number of spot nodes"),
        ('{"metadata": {}, "data": [1]}', "$.metadata.gap_seconds: missing"),
        ('{"metadata": {"gap_seconds": 0}, "data": [1]}', "$.metadata.gap_seconds: 0 is not a positive number"),
        ('{"metadata": {"gap_seconds": "600"}, "data": [1]}', '$.metadata.gap_seconds: "600" is not a positive'),
        ("[1, 2]", "$: not an object"),
        ("{", "$: not JSON"),
    ],
)
def test_a_faulty_trace_is_named_with_its_place(document: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "faulty.json"
    path.write_text(document)
    found = lines("--trace", str(path), folder=tmp_path)
    assert len(found) == 1
    assert found[0].startswith(f"{path}: {words}")


def test_zones_of_different_lengths_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.json"
    path.write_text(json.dumps({"metadata": {"gap_seconds": 600}, "data": [1, 0]}))
    length, tick = lines("--trace", str(path), folder=tmp_path)
    assert "short.json: $.data: 2 values, but" in length
    assert "has 60; traces of zones have the same length" in length
    assert "$.metadata.gap_seconds: 600, but" in tick


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--work-hours", "6"), "--work-hours: 6 h of work are longer than the deadline of 5 h"),
        (("--work-hours", "4.9"), "--deadline-hours: 5 h are too short even for on-demand capacity, which needs 5.4 h"),
        (("--deadline-hours", "61"), "--deadline-hours: 61 h are longer than the trace zone-0.json, which has 60 h"),
        (("--work-hours", "0"), "Invalid value for '--work-hours': 0 is not a number above 0"),
        (("--spot-price", "nan"), "Invalid value for '--spot-price': nan is not a number above 0"),
        (("--spot-price", "cheap"), "Invalid value for '--spot-price': 'cheap' is not a number"),
        (("--nodes", "0"), "Invalid value for '--nodes'"),
        (("--changeover", "-1"), "Invalid value for '--changeover': -1 is not a number of at least 0"),
        (("--starts", "all", "--start-ticks", "3"), "--start-ticks and --starts all exclude each other"),
        (("--policy", "omniscient", "--no-omniscient"), "--policy omniscient and --no-omniscient exclude each other"),
        (("--trace", "/nowhere.json"), "/nowhere.json: cannot be read: No such file or directory"),
        (("--timeline", "/nowhere/x"), "--timeline: /nowhere/x cannot be written: No such file or directory"),
    ],
)
def test_wrong_use_is_said_in_one_line_and_prints_nothing(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    assert message in lines(*words, folder=tmp_path)[-1]


def test_help_shows_how_it_is_called(tmp_path: Path) -> None:
    done = run(["simulate", "training", "--help"])
    assert done.exit_code == 0
    assert "gpucost simulate training --trace us-west-2a.json" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80


def test_the_same_seed_gives_the_same_and_another_seed_other_starts(tmp_path: Path) -> None:
    words = ("--start-ticks", "5", "--policy", "auto")
    longer = case(DATA, work=10, deadline=14, changeover="1/4")
    first, again = (result(longer, tmp_path, *words, "--seed", "1") for _ in range(2))
    other = result(longer, tmp_path, *words, "--seed", "2")
    assert first == again
    assert first != other


def test_more_random_starts_than_there_are_means_all(tmp_path: Path) -> None:
    assert result(case(DATA), tmp_path, "--start-ticks", "999", "--policy", "greedy") == result(
        case(DATA), tmp_path, "--starts", "all", "--policy", "greedy"
    )


def test_only_what_was_asked_for_is_shown(tmp_path: Path) -> None:
    assert list(result(case(DATA), tmp_path, "--policy", "auto")) == ["auto", "omniscient"]
    assert list(result(case(DATA), tmp_path, "--policy", "auto", "--no-omniscient")) == ["auto"]
    assert list(result(case(DATA), tmp_path, "--policy", "omniscient")) == ["omniscient"]


def test_the_result_is_what_the_published_schema_says(tmp_path: Path) -> None:
    done = run([*arguments(case(DATA), tmp_path), "-o", "json"])
    document = json.loads(done.stdout)
    assert TrainingResult.model_validate(document).model_dump(by_alias=True) == document
    assert document["omniscient"] == document["policies"][-1]
    for name, text in render_all().items():
        assert (REFERENCE / name).read_text() == text


def test_the_table_names_every_policy_and_what_was_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = run([*arguments(case(DATA, nodes=1), tmp_path), "--starts", "all"])
    assert done.exit_code == 0
    for word in ("auto", "uniformProgress", "greedy", "onDemand", "spotOnly", "omniscient", "STARTS", "56 runs"):
        assert word in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
