"""`gpucost export focus` and `kubectl cost export` as a person runs them."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal

import pytest
from click.testing import CliRunner

from gpucost.cli import export_days
from gpucost.cli.main import gpucost_group
from gpucost.core.clock import parse_rfc3339
from gpucost.ledger import Ledger
from support.focus_world import CHANGES, SPOT, files, filled, read_csv
from support.ledger_world import at, span

FIRST = "cluster=default/billing_period=2026-11/charge_date=2026-11-02"


@pytest.fixture
def ledger_url(tmp_path):
    url = f"sqlite:///{tmp_path}/ledger.db"
    filled(url, [*SPOT, *CHANGES], 51).close()
    return url


@pytest.fixture
def export(ledger_url, monkeypatch):
    for name in ("GPUCOST_EXPORT_URL", "GPUCOST_CLUSTER_NAME", "GPUCOST_CURRENCY", "GPUCOST_EXPORT_FORMAT"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments, url=ledger_url):
        env = {"GPUCOST_LEDGER_URL": url, "COLUMNS": "100"}
        return CliRunner().invoke(gpucost_group, ["export", "focus", *map(str, arguments)], "gpucost", env=env)

    return run


def test_days_are_written_and_told(export, tmp_path):
    result = export("--to", tmp_path / "out")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "DAY         STATE    ROWS  BILLED COST USD  UNPRICED HOURS",
        "2026-11-02  written     5       217.000000            14.0",
        "2026-11-03  written     2       192.000000            24.0",
    ]
    assert "Time without a price is in no row, only in the manifests: node-n2" in result.stderr
    assert f"{FIRST}/focus.parquet" in files(tmp_path / "out")


def test_running_it_again_changes_nothing(export, tmp_path):
    export("--to", tmp_path / "out")
    result = export("--to", tmp_path / "out", "-o", "json")
    assert [day["state"] for day in json.loads(result.stdout)["days"]] == ["unchanged", "unchanged"]
    assert export("--to", tmp_path / "out", "--since", "last").stderr == "Nothing new: all is there up to 2026-11-03\n"


def test_a_window_takes_the_days_that_begin_in_it(export, tmp_path):
    result = export("--to", tmp_path / "out", "--window", "2026-11-02,2026-11-03", "-o", "json")
    told = json.loads(result.stdout)
    assert [(day["day"], day["billedCost"]) for day in told["days"]] == [("2026-11-02", "217.000000000000")]


def test_a_dry_run_writes_nothing(export, tmp_path):
    result = export("--to", tmp_path / "out", "--dry-run")
    assert "written     5       217.000000" in result.stdout
    assert "Nothing was written" in result.stderr
    assert not (tmp_path / "out").exists()


def test_all_days_in_one_file(export, tmp_path):
    result = export("--to", tmp_path / "all.csv", "--format", "csv", "--single")
    assert result.exit_code == 0
    assert sum(Decimal(row["BilledCost"]) for row in read_csv(tmp_path / "all.csv")) == 409


def test_clusters_are_named_where_there_are_several(export, tmp_path):
    url = f"sqlite:///{tmp_path}/shared.db"
    for cluster in ("east", "west"):
        with Ledger(url, cluster=cluster) as ledger:
            ledger.record(SPOT)
            ledger.settle(at(25))
    result = export("--to", tmp_path / "out", url=url)
    assert (result.exit_code, result.stderr) == (
        2,
        "Error: the ledger holds several clusters; say which with --cluster: east, west\n",
    )
    assert export("--to", tmp_path / "out", "--cluster", "west", url=url).exit_code == 0
    assert all(name.startswith("cluster=west/") for name in files(tmp_path / "out"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "x", "--window", "soon"], "--window: not a window: 'soon'"),
        (["--to", "x", "--window", "month", "--since", "last"], "--window and --since exclude each other"),
        (["--to", "x", "--single", "--dry-run"], "--single writes one file anew"),
        (["--to", "nope://x"], "nope://x: not a place to export to"),
        (["--to", "x", "--ledger-url", "sqlite:////nope/l.db"], "ledger /nope/l.db: there is no such file"),
        (["--to", "x", "--ledger-url", "mysql://db/x"], "cannot hold it"),
        ([], "Missing option '--to'"),
        (["--to", "x", "--provider", "=cmd()"], "would be a formula in a spreadsheet"),
        (["--to", "x", "--billing-account", " "], "--billing-account must name something"),
    ],
)
def test_wrong_use_is_one_clear_line(export, arguments, message):
    result = export(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_an_empty_ledger_has_nothing_to_export(export, tmp_path):
    url = f"sqlite:///{tmp_path}/empty.db"
    Ledger(url).close()
    result = export("--to", tmp_path / "out", url=url)
    assert result.exit_code == 0
    assert result.stderr.startswith("No days to export for cluster default")


# --- kubectl cost export ----------------------------------------------------------------------------------------------


def test_kubectl_cost_export_is_a_row_a_day_and_workload(api, kubectl_cost, monkeypatch):
    monkeypatch.setattr("time.time_ns", lambda: parse_rfc3339("2026-11-08T12:00:00Z") * 1000)
    window = "2026-10-31,2026-11-02"
    result = kubectl_cost("export", "--by", "workload", "--window", window, "--api-url", api.url)
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert {row["day"] for row in rows} == {"2026-11-01"}  # on the day before it, the example has no costs
    assert {row["currency"] for row in rows} == {"USD"}
    named = [row for row in rows if row["workload"]]
    assert {row["name"]: row["cost"] for row in rows}["bert"] == "20.100000"
    assert {row["name"]: row["cost"] for row in rows}["web"] == ""  # nobody knows its price
    assert all(Decimal(row["gpu_hours"]) >= 0 for row in named)


def test_a_window_is_cut_at_midnight():
    cuts = list(export_days._cut(span(22, 51)))
    assert cuts == [span(22, 24), span(24, 48), span(48, 51)]


def test_kubectl_cost_export_needs_the_cost_api(kubectl_cost):
    result = kubectl_cost("export", "--api-url", "http://127.0.0.1:9")
    assert result.exit_code == 2
    assert "nothing answers at http://127.0.0.1:9" in result.stderr
