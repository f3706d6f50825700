"""Files of the export: whole or not at all, the same when made again, replaced when the past was corrected."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import sys
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import fsspec
import pyarrow.parquet as pq
import pytest

from gpucost.core.clock import DAY, HOUR
from gpucost.core.focus import Issuer
from gpucost.core.focus_columns import COLUMNS, NAMES, Kind
from gpucost.core.timeline import Interval
from gpucost.export import days as days_module
from gpucost.export.days import Action, run
from gpucost.export.errors import ExportError
from gpucost.export.formats import Csv
from gpucost.export.place import Place, without_password
from gpucost.export.single import write_single
from gpucost.ledger import Ledger, LedgerError, facts
from gpucost.ledger.reader import Reader
from support.focus_world import CHANGES, OTHERS, SPOT, STRANGE, exporter, files, filled, read_csv
from support.ledger_world import T0, at, busy, money, pod

EVERYTHING = [*SPOT, *CHANGES, *OTHERS]
FIRST = "cluster=default/billing_period=2026-11/charge_date=2026-11-02"
SECOND = "cluster=default/billing_period=2026-11/charge_date=2026-11-03"


@pytest.fixture
def ledger_url(tmp_path):
    """A ledger of two days and three hours."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    filled(url, EVERYTHING, 51.1).close()
    return url


@pytest.fixture
def to(tmp_path):
    return tmp_path / "out"


def export(url, to, **job):
    made = exporter(url, to, **job)
    return run(made, made.days(), tell=lambda _: None)


def booked(url, start, end):
    with Reader(url).snapshot("default") as view:
        return view.cost(Interval(at(start), at(end)))


def billed(rows):
    return sum((Decimal(row["BilledCost"]) for row in rows), Decimal(0))


def manifest(to, day=FIRST):
    return json.loads((to / day / "_manifest.json").read_text())


# --- sums -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("granularity", ["day", "hour"])
def test_billed_cost_adds_up_to_the_ledger_to_the_last_place(url, to, granularity):
    filled(url, EVERYTHING, 24.1).close()
    (done,) = export(url, to, granularity=granularity)
    charged, nodes = booked(url, 0, 24)
    rows = read_csv(to / FIRST / "focus.csv")
    assert billed(rows) == sum(Decimal(row["EffectiveCost"]) for row in rows) == Decimal(charged).scaleb(-12)
    assert done.cost == charged == nodes == money("192") + money("25") + money("6.6") + money("192")
    assert done.rows == len(rows)


@pytest.mark.parametrize("granularity", ["day", "hour"])
def test_the_rows_of_a_node_add_up_to_its_charge_and_to_a_ratio_of_one(ledger_url, to, granularity):
    export(ledger_url, to, granularity=granularity)
    origins = defaultdict(list)
    for row in read_csv(to / FIRST / "focus.csv"):
        origins[row["ResourceId"], row["ChargePeriodStart"], row["x_CapacityType"]].append(row)
    for rows in origins.values():
        elements = [json.loads(r["AllocatedMethodDetails"], parse_float=Decimal)["Elements"][0] for r in rows]
        assert sum(Decimal(element["AllocatedRatio"]) for element in elements) == 1
        assert len({(row["ContractedUnitPrice"], row["ListUnitPrice"], row["Tags"]) for row in rows}) == 1
        hours = sum(Decimal(row["PricingQuantity"]) for row in rows)
        expected = Decimal(rows[0]["ContractedUnitPrice"]) * hours
        assert abs(billed(rows) - expected) < Decimal("0.000000001")
    spot = [row for (uid, *_), rows in origins.items() if uid == "n1" for row in rows]
    assert sum(Decimal(row["PricingQuantity"]) for row in spot) == 24


def test_the_manifest_tells_sums_files_and_what_has_no_price(ledger_url, to):
    export(ledger_url, to)
    told = manifest(to)
    content = (to / FIRST / "focus.csv").read_bytes()
    assert told["billedCost"] == told["nodeCost"] == "415.600000000000"
    assert told["complete"] is True
    assert told["files"] == [
        {
            "name": "focus.csv",
            "bytes": len(content),
            "rows": told["rows"],
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    ]
    assert told["unpriced"] == [{"kind": "Node", "name": "node-n2", "uid": "n2", "seconds": 14 * 3600.0}]


# --- formats ----------------------------------------------------------------------------------------------------------


def test_parquet_says_the_same_as_csv_in_types_of_its_own(ledger_url, tmp_path):
    export(ledger_url, tmp_path / "csv")
    export(ledger_url, tmp_path / "parquet", format="parquet")
    table = pq.ParquetFile(tmp_path / "parquet" / FIRST / "focus.parquet").read()
    texts = read_csv(tmp_path / "csv" / FIRST / "focus.csv")
    assert table.num_rows == len(texts)
    for column in COLUMNS:
        for value, text in zip(table.column(column.name).to_pylist(), texts, strict=True):
            assert _as_text(column.kind, value) == text[column.name], column.name


def _as_text(kind, value):
    if value is None:
        return ""
    if kind is Kind.DECIMAL:
        assert isinstance(value, Decimal)
        return f"{value:.12f}"
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if kind is Kind.DATETIME else value


def test_parquet_has_the_same_schema_also_where_there_are_only_nulls(ledger_url, to):
    export(ledger_url, to, format="parquet")
    first, second = (pq.read_schema(to / day / "focus.parquet") for day in (FIRST, SECOND))
    assert first.equals(second, check_metadata=True)
    types = {field.name: str(field.type) for field in first}
    assert types["BilledCost"] == types["CommitmentDiscountQuantity"] == "decimal128(38, 12)"
    assert types["ChargePeriodStart"] == "timestamp[us, tz=UTC]"
    assert types["AllocatedTags"] == "string"
    assert first.metadata[b"focus_version"] == b"1.3"
    assert not first.field("BilledCost").nullable


def test_strange_labels_survive_csv(ledger_url, to):
    export(ledger_url, to)
    rows = {row["AllocatedResourceId"]: row for row in read_csv(to / FIRST / "focus.csv")}
    tags = json.loads(rows["b"]["AllocatedTags"])
    assert {name: tags[name] for name in STRANGE} == STRANGE


def test_no_cell_of_csv_begins_as_a_formula_does(ledger_url, to):
    export(ledger_url, to)
    for row in read_csv(to / FIRST / "focus.csv"):
        assert not [name for name, text in row.items() if text.startswith(("=", "+", "-", "@", "\t"))]


def test_packed_csv_holds_the_same_and_is_the_same_when_made_again(ledger_url, tmp_path):
    for name in ("one", "two"):
        export(ledger_url, tmp_path / name, format="csv.gz")
    export(ledger_url, tmp_path / "plain")
    one, two = (tmp_path / name / FIRST / "focus.csv.gz" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert read_csv(one) == read_csv(tmp_path / "plain" / FIRST / "focus.csv")


def test_amounts_of_any_size_survive_csv(tmp_path):
    amounts = ["0.000000000001", "-0.000000000001", "12345678901234567890.123456789012", "0E-12", "1E+3"]
    row = dict.fromkeys(NAMES)
    path = tmp_path / "amounts.csv"
    assert Csv().write([{**row, "BilledCost": Decimal(amount)} for amount in amounts], path) == 5
    assert [Decimal(line["BilledCost"]) for line in read_csv(path)] == [Decimal(amount) for amount in amounts]
    assert "E" not in "".join(line["BilledCost"] for line in read_csv(path))


# --- what is exported, and when it is again ---------------------------------------------------------------------------


def test_only_days_that_are_over_and_settled_are_exported(ledger_url, to):
    done = export(ledger_url, to)
    assert [outcome.day for outcome in done] == [T0, T0 + DAY]
    assert list(files(to)) == [f"{day}/{name}" for day in (FIRST, SECOND) for name in ("_manifest.json", "focus.csv")]


def test_the_day_under_way_is_exported_where_asked_for_and_completed_later(ledger_url, to):
    *_, today = export(ledger_url, to, partial=True)
    assert (today.complete, today.cost) == (False, booked(ledger_url, 48, 51)[0])
    with Ledger(ledger_url) as ledger:
        ledger.settle(at(72.1))
    done = export(ledger_url, to)
    assert [outcome.action for outcome in done] == [Action.UNCHANGED, Action.UNCHANGED, Action.REPLACED]
    assert done[-1].complete


def test_exporting_again_changes_nothing(ledger_url, to):
    export(ledger_url, to)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in to.rglob("*") if path.is_file()}
    assert {outcome.action for outcome in export(ledger_url, to)} == {Action.UNCHANGED}
    assert before == {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in to.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "fact",
    [
        pod("late", 3, 4, gpus=1),
        busy("b", 0.75, 3),
        pod("a", 0, 2, gpus=4, workload="renamed"),
    ],
    ids=["a pod", "activity, with the same cost", "another workload, with the same amounts"],
)
def test_a_late_correction_replaces_its_day_and_no_other(ledger_url, to, fact):
    export(ledger_url, to)
    with Ledger(ledger_url) as ledger:
        ledger.record([replace(fact, end=fact.end) if hasattr(fact, "end") else fact])
    if hasattr(fact, "gpu_active"):  # in force until the next one: the second day as well
        expected = [Action.REPLACED, Action.REPLACED]
    else:
        expected = [Action.REPLACED, Action.UNCHANGED]
    assert [outcome.action for outcome in export(ledger_url, to)] == expected
    rows = read_csv(to / FIRST / "focus.csv")
    assert billed(rows) == Decimal(booked(ledger_url, 0, 24)[0]).scaleb(-12)


def test_another_format_leaves_no_file_of_the_old_one(ledger_url, to):
    export(ledger_url, to)
    assert {outcome.action for outcome in export(ledger_url, to, format="parquet")} == {Action.REPLACED}
    assert [name for name in files(to) if FIRST in name] == [f"{FIRST}/_manifest.json", f"{FIRST}/focus.parquet"]


@pytest.mark.parametrize("job", [{"granularity": "hour"}, {"issuer": Issuer("default", provider="Platform")}])
def test_other_settings_write_days_again(ledger_url, to, job):
    export(ledger_url, to)
    assert {outcome.action for outcome in export(ledger_url, to, **job)} == {Action.REPLACED}


@pytest.mark.parametrize("damage", ["remove the file", "cut the file", "damage the manifest", "remove the manifest"])
def test_what_is_missing_or_damaged_is_written_again(ledger_url, to, damage):
    export(ledger_url, to)
    file, declared = to / FIRST / "focus.csv", to / FIRST / "_manifest.json"
    before = file.read_bytes()
    match damage:
        case "remove the file":
            file.unlink()
        case "cut the file":
            file.write_bytes(before[:100])
        case "damage the manifest":
            declared.write_text("{")
        case _:
            declared.unlink()
    first, second = export(ledger_url, to)
    assert first.action is not Action.UNCHANGED
    assert second.action is Action.UNCHANGED
    assert file.read_bytes() == before


def test_days_before_the_ledger_begins_stay_as_they_were_exported(ledger_url, to):
    export(ledger_url, to)
    path = ledger_url.removeprefix("sqlite:///")
    with sqlite3.connect(path) as connection:  # as if it had forgotten its first day
        connection.execute("DELETE FROM charges WHERE hour < ?", (T0 + DAY,))
        connection.execute("DELETE FROM node_hours WHERE hour < ?", (T0 + DAY,))
    before = (to / FIRST / "focus.csv").read_bytes()
    assert [outcome.day for outcome in export(ledger_url, to)] == [T0 + DAY]
    assert (to / FIRST / "focus.csv").read_bytes() == before


def test_a_day_with_nothing_to_charge_is_declared_and_has_no_file(tmp_path, to):
    url = f"sqlite:///{tmp_path}/unpriced.db"
    filled(url, [fact for fact in CHANGES if not hasattr(fact, "hourly")], 24.1).close()
    (done,) = export(url, to)
    assert (done.rows, done.cost) == (0, 0)
    assert list(files(to)) == [f"{FIRST}/_manifest.json"]
    assert {outcome.action for outcome in export(url, to)} == {Action.UNCHANGED}


def test_a_dry_run_says_what_would_be_done_and_does_nothing(ledger_url, to):
    made = exporter(ledger_url, to)
    done = run(made, made.days(), dry_run=True, tell=lambda _: None)
    assert [(outcome.action, outcome.cost) for outcome in done] == [
        (Action.WRITTEN, booked(ledger_url, 0, 24)[0]),
        (Action.WRITTEN, booked(ledger_url, 24, 48)[0]),
    ]
    assert not to.exists()


def test_the_last_day_that_is_there_is_found(ledger_url, to):
    made = exporter(ledger_url, to)
    assert made.last() is None
    export(ledger_url, to)
    assert made.last() == T0 + DAY


# --- failures ---------------------------------------------------------------------------------------------------------


class _Full:
    """A format that fails in the middle of a file, as a full disk would make it."""

    suffix = "csv"

    def write(self, rows, path):
        path.write_text("half")
        next(iter(rows))
        raise OSError(28, "No space left on device")


def test_a_failure_while_a_day_is_made_leaves_what_was_there(ledger_url, to, monkeypatch):
    export(ledger_url, to)
    before = {name: (to / name).read_bytes() for name in files(to)}
    with Ledger(ledger_url) as ledger:
        ledger.record([pod("late", 3, 4, gpus=1)])
    monkeypatch.setattr(days_module, "format_of", lambda *_: _Full())
    with pytest.raises(ExportError, match="No space left on device; free space there or set TMPDIR"):
        export(ledger_url, to)
    assert before == {name: (to / name).read_bytes() for name in files(to)}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_one_clear_error(ledger_url, to):
    to.mkdir(mode=0o500)
    with pytest.raises(ExportError, match="cannot write"):
        export(ledger_url, to)


def test_an_upload_that_fails_leaves_no_file_with_a_name_of_ours(ledger_url, to, monkeypatch):
    def fail(_self, _hidden, _target):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Place, "_rename", fail)
    with pytest.raises(ExportError, match=r"cannot write .*focus.csv at .*out: .*Input/output error"):
        export(ledger_url, to)
    assert list(files(to)) == []


def test_rows_that_do_not_add_up_are_not_published(ledger_url, to):
    path = ledger_url.removeprefix("sqlite:///")
    made = exporter(ledger_url, to)
    real = made._source.snapshot

    class Wrong:
        def __init__(self, view):
            self._view = view

        def __getattr__(self, name):
            return getattr(self._view, name)

        def cost(self, span):
            charged, nodes = self._view.cost(span)
            return charged + 1, nodes

    class Source:
        def snapshot(self, cluster):
            @contextmanager
            def opened():
                with real(cluster) as view:
                    yield Wrong(view)

            return opened()

    made._source = Source()
    with pytest.raises(ExportError, match=r"add up to .* the ledger says"):
        made.day(T0)
    assert not to.exists()
    assert Path(path).exists()


def test_a_ledger_is_read_beside_its_writer_and_stays_as_it_is(ledger_url, to):
    path = Path(ledger_url.removeprefix("sqlite:///"))
    with Ledger(ledger_url) as ledger:
        ledger.record([pod("open", 50, gpus=1)])
        before = path.read_bytes()
        with Reader(ledger_url).snapshot("default") as view:
            charged = view.cost(Interval(at(0), at(24)))[0]
            ledger.record([pod("meanwhile", 3, 4, gpus=1)])  # a snapshot does not hold the writer up
            assert view.cost(Interval(at(0), at(24)))[0] == charged
        export(ledger_url, to)
    assert before  # the writer's file was there all the time


def test_what_reads_a_ledger_cannot_write_to_it(url):
    filled(url, SPOT, 2.1).close()
    with pytest.raises(LedgerError), Reader(url).snapshot("default") as view:
        facts.write_marks(view.db, {"mark": "of a reader"})
    with Ledger(url) as ledger:
        assert ledger.marks() == {}


def test_a_ledger_that_is_not_there_is_one_clear_error(tmp_path):
    with pytest.raises(LedgerError, match="no such file"):
        Reader(f"sqlite:///{tmp_path}/nope.db").clusters()
    assert not (tmp_path / "nope.db").exists()


def test_a_ledger_of_another_schema_is_refused(ledger_url):
    with sqlite3.connect(ledger_url.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(LedgerError, match="its schema is 0001"):
        Reader(ledger_url).clusters()


# --- places -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def bucket():
    """A folder in fsspec's store in memory, which like an object store cannot rename."""
    fs = fsspec.filesystem("memory")
    yield "memory://bucket/focus"
    fs.rm("/bucket", recursive=True)


@pytest.mark.parametrize("format_", ["csv", "csv.gz", "parquet"])
def test_a_store_holds_the_same_files_as_a_folder(ledger_url, to, bucket, format_):
    export(ledger_url, to, format=format_)
    export(ledger_url, bucket, format=format_)
    fs = fsspec.filesystem("memory")
    found = {path.removeprefix("/bucket/focus/"): fs.cat_file(path) for path in fs.find("/bucket")}
    assert found == {name: (to / name).read_bytes() for name in files(to)}
    assert {outcome.action for outcome in export(ledger_url, bucket, format=format_)} == {Action.UNCHANGED}
    assert exporter(ledger_url, bucket).last() == T0 + DAY


def test_a_file_url_is_a_folder(ledger_url, to):
    export(ledger_url, f"file://{to}")
    assert f"{FIRST}/focus.csv" in files(to)


def test_clusters_share_a_place(tmp_path, to):
    url = f"sqlite:///{tmp_path}/shared.db"
    for cluster in ("east/1", "west"):
        with Ledger(url, cluster=cluster) as ledger:
            ledger.record(SPOT)
            ledger.settle(at(24.1))
        export(url, to, issuer=Issuer(cluster))
    assert Reader(url).clusters() == ["east/1", "west"]
    assert [path.name for path in sorted(to.iterdir())] == ["cluster=east%2F1", "cluster=west"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "no place to export to"),
        ("nope://bucket/x", "not a place to export to"),
    ],
)
def test_a_place_that_is_none_is_one_clear_error(url, message):
    with pytest.raises(ExportError, match=message):
        Place(url)


def test_a_missing_package_is_named(monkeypatch):
    def missing(_url):
        raise ImportError("Install it to access it")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    monkeypatch.setitem(sys.modules, "pyarrow.fs", None)
    with pytest.raises(ExportError, match=r"needs pyarrow: pip install 'gpucost\[parquet\]' \(or s3fs"):
        Place("s3://bucket/focus")
    with pytest.raises(ExportError, match=r"hdfs:// needs a package that is not installed"):
        Place("hdfs://host/focus")


def test_parquet_without_pyarrow_is_one_clear_error(ledger_url, to, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ExportError, match=r"pip install 'gpucost\[parquet\]', or export with format csv"):
        exporter(ledger_url, to, format="parquet")


def test_passwords_are_not_shown():
    assert without_password("sftp://me:secret@host/focus") == "sftp://***@host/focus"
    assert without_password("s3://bucket/x?secret_key=y") == "s3://bucket/x"
    assert without_password("abfs://box@account.dfs.core.windows.net/x") == "abfs://box@account.dfs.core.windows.net/x"


def test_all_days_go_into_one_file_where_asked_for(ledger_url, tmp_path):
    made = exporter(ledger_url, tmp_path / "unused")
    written = write_single(Reader(ledger_url), f"{tmp_path}/all.csv", made._job, made.days())
    rows = read_csv(tmp_path / "all.csv")
    assert written.rows == len(rows)
    assert billed(rows) == Decimal(booked(ledger_url, 0, 48)[0]).scaleb(-12)
    assert {row["ChargePeriodStart"] for row in rows} == {"2026-11-02T00:00:00Z", "2026-11-03T00:00:00Z"}


def test_one_file_needs_a_name(ledger_url, tmp_path):
    made = exporter(ledger_url, tmp_path)
    with pytest.raises(ExportError, match="is a folder"):
        write_single(Reader(ledger_url), str(tmp_path), made._job, made.days())


def test_a_snapshot_of_hours_is_cut_at_hours(ledger_url):
    with Reader(ledger_url).snapshot("default") as view:
        found = {origin.period for origin in view.origins(Interval(at(0), at(2)), HOUR)}
    assert found == {Interval(at(0), at(1)), Interval(at(1), at(2))}
