"""A ledger of the first release is brought up to date with everything that it holds."""

from __future__ import annotations

import pytest
from alembic import command
from alembic.config import Config

from gpucost.core.clock import HOUR
from gpucost.core.timeline import Interval
from gpucost.ledger import Ledger
from gpucost.ledger.engine import open_engine
from gpucost.ledger.migrate import MIGRATIONS
from support.ledger_world import T0, money

_NODE = f"INSERT INTO nodes VALUES ('default', 'n1', 'gpu-0', {T0}, NULL, 192000, 1000, 8, '', '', '', '', 'onDemand')"
_POD = f"""INSERT INTO pods VALUES
  ('default', 'p1', 'research', 'bert-0', 'Job', 'bert', 'training', 'n1', {T0}, NULL, 0, 0, 4, '{{}}', '')"""
_PRICE = f"INSERT INTO prices VALUES ('default', 'n1', {T0}, '55.04', 'onDemand', 'list', NULL)"


@pytest.fixture
def old(tmp_path):
    """URL of a ledger as version 0.1.0 left it."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    engine, config = open_engine(url), Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in (_NODE, _POD, _PRICE):
            connection.exec_driver_sql(statement)
    engine.dispose()
    return url


def test_an_old_ledger_answers_as_before(old):
    with Ledger(old) as ledger:
        report = ledger.report(Interval(T0, T0 + 2 * HOUR), now=T0 + 2 * HOUR)
        (row,) = report.rows
        assert (row.key, row.amounts.cost, row.amounts.gpu_time) == ("research", money("55.04"), 8 * HOUR)
        assert (report.idle.amounts.cost, report.difference) == (money("55.04"), 0)
