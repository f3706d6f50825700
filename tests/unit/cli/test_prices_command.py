"""`gpucost prices`: a manifest on stdout, or problems on stderr and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from gpucost.api.convert import price_list
from gpucost.cli.main import gpucost_group

GOOD = "gpuModel,capacityType,hourly\nH100,spot,2.60\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "Contract 2026.csv"
    path.write_text(GOOD)
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(gpucost_group, ["prices", *map(str, arguments)], prog_name="gpucost")


def test_a_table_becomes_a_manifest_named_after_the_file(file: Path) -> None:
    done = run("import", file)
    manifest = yaml.safe_load(done.stdout)
    assert (done.exit_code, manifest["kind"], manifest["metadata"]) == (0, "PriceBook", {"name": "contract-2026"})
    assert price_list(manifest).problems == ()


def test_name_currency_and_format_can_be_chosen(file: Path) -> None:
    manifest = json.loads(run("import", file, "--name", "team", "--currency", "EUR", "-o", "json").stdout)
    assert (manifest["metadata"]["name"], manifest["spec"]["currency"]) == ("team", "EUR")


def test_problems_go_to_stderr_line_by_line_and_nothing_to_stdout(file: Path) -> None:
    file.write_text("gpuModel,hourly\nH100,-1\nL4,x\n")
    done = run("import", file)
    assert (done.exit_code, done.stdout) == (2, "")
    assert [line.split(": must")[0].split(": not")[0] for line in done.stderr.splitlines()] == [
        f"{file}:2: hourly",
        f"{file}:3: hourly",
    ]


def test_a_wrong_file_is_not_applied(file: Path) -> None:
    file.write_text("gpuModel,hourly\nH100,-1\n")
    done = run("import", file, "--apply", "--kubeconfig", "/nowhere")
    assert done.exit_code == 2
    assert "kubeconfig" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["import", "none.csv"], "none.csv: No such file"),
        (["export"], "say which"),
        (["export", "-f", "none.yaml"], "No such file"),
    ],
)
def test_wrong_use_is_one_clear_line(arguments: list[str], words: str) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr


def test_a_bad_name_is_refused(file: Path) -> None:
    done = run("import", file, "--name", "My Book")
    assert done.exit_code == 2
    assert "--name 'My Book'" in done.stderr


def test_a_manifest_becomes_a_table_and_says_what_is_not_in_it(file: Path, tmp_path: Path) -> None:
    manifest = yaml.safe_load(run("import", file).stdout)
    manifest["spec"]["discounts"] = [{"percent": "5"}]
    book = tmp_path / "book.yaml"
    book.write_text(yaml.safe_dump(manifest))
    done = run("export", "-f", book)
    assert done.stdout == "gpuModel,capacityType,hourly,currency\nH100,spot,2.60,USD\n"
    assert done.stderr == "not in the table: 1 discounts\n"
