"""What can go wrong with a file: each is one line with the place and the remedy, and nothing recorded is lost."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from gpucost.ledger import Ledger, LedgerError
from gpucost.ledger.migrate import HEAD, MIGRATIONS
from gpucost.ledger.schema import metadata
from support.ledger_world import at, money, node, pod, price, span

WORLD = [node(gpus=1), price("4"), pod("a", gpus=1)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


def total(path: Path) -> int:
    with Ledger(f"sqlite:///{path}") as ledger:
        return ledger.report(span(0, 1), now=at(1)).total.cost


def test_the_migrations_make_exactly_the_tables_that_the_code_uses(path):
    Ledger(f"sqlite:///{path}").close()
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_the_newest_migration_is_the_one_that_the_code_expects():
    assert ScriptDirectory(str(MIGRATIONS)).get_current_head() == HEAD


def test_an_empty_database_is_brought_to_the_newest_schema(path):
    sqlite3.connect(path).close()
    assert total(path) == 0


def test_a_ledger_of_a_newer_version_is_refused_and_left_alone(path):
    with Ledger(f"sqlite:///{path}") as ledger:
        ledger.record(WORLD)
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    with pytest.raises(LedgerError, match=rf"{path}: its schema 9999 is newer than {HEAD}.*run the gpucost that wrote"):
        Ledger(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM pods").fetchone() == (1,)


def test_a_file_that_is_no_database_is_refused(path):
    path.write_text("these are not the pages you are looking for\n" * 100)
    with pytest.raises(LedgerError, match=rf"{path}: file is not a database; this is another kind of file"):
        Ledger(f"sqlite:///{path}")


def test_a_damaged_file_is_named_with_the_remedy(path):
    with Ledger(f"sqlite:///{path}") as ledger:
        ledger.record([pod(f"p{i}", gpus=1, labels={"x": "y" * 50}) for i in range(2000)])
    page = 4096
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        for offset in range(page, size - page, page):
            file.seek(offset)
            file.write(b"\xff" * page)
    with pytest.raises(LedgerError, match=rf"{path}: .*(restore it from a backup)"):
        total(path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="file"):
        Ledger(f"sqlite:///{tmp_path}/file/ledger.db")


def test_a_url_that_is_none_is_refused():
    with pytest.raises(LedgerError, match="want for example sqlite:"):
        Ledger("/var/lib/gpucost/ledger.db")


def test_a_locked_ledger_says_so_and_takes_the_facts_later(path):
    with Ledger(f"sqlite:///{path}") as ledger, closing(sqlite3.connect(path, isolation_level=None)) as other:
        ledger.record(WORLD[:1])
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerError, match=r"database is locked; another process holds it"):
            ledger.record(WORLD)
        other.execute("ROLLBACK")
        ledger.record(WORLD)
        assert ledger.report(span(0, 1), now=at(1)).total.cost == money("4")


_FILL = """
import resource, sys
from support.ledger_world import at, node, pod, price, span
from gpucost.ledger import Ledger, LedgerError

ledger = Ledger(f"sqlite:///{sys.argv[1]}")
ledger.record([node(gpus=1), price("4"), pod("a", gpus=1)])
ledger.mark("written", "0")
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
batches = [[pod(f"p{n}-{i}", 0, 1, labels={"x": "y" * 200}) for i in range(100)] for n in range(100)]
failed = None
for number, batch in enumerate(batches):
    try:
        ledger.record(batch, marks={"written": str(number)})
    except LedgerError as error:
        failed = number
        print(error)
        break
assert failed is not None, "the disk never got full"
assert ledger.marks()["written"] == str(max(failed - 1, 0))
assert ledger.report(span(0, 1), now=at(1)).total.cost == 4 * 10**12
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
for batch in batches[failed:]:
    ledger.record(batch)
print(len(ledger.report(span(0, 1), now=at(1), by="pod").rows))
ledger.settle(at(3))
print(ledger.conservation(at(3)))
"""


def test_a_full_disk_loses_nothing_and_writing_goes_on_when_there_is_room(path):
    done = subprocess.run(
        [sys.executable, "-c", _FILL, str(path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    message, rows, difference = done.stdout.splitlines()
    assert message.startswith(f"ledger {path}: ")
    assert "volume" in message
    assert (rows, difference) == ("10001", "0")
