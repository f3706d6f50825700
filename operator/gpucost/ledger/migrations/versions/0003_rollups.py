"""Hourly roll-ups, which take the place of charges and facts that are older than the retention of details."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_AMOUNTS = (
    "cost",
    "active",
    "held",
    "unknown_activity",
    "non_gpu",
    "spot",
    "on_demand",
    "gpu_time",
    "active_gpu_time",
    "known_gpu_time",
    "cpu_time",
    "memory_time",
    "held_time",
    "unpriced_time",
    "saved",
)


def _key(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.String(253), nullable=False)


def _number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def upgrade() -> None:
    op.create_table(
        "rolled_keys",
        _key("cluster"),
        _number("id"),
        _key("namespace"),
        _key("workload_kind"),
        _key("workload_name"),
        _key("category"),
        _key("asset"),
        sa.Column("labels", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "id"),
        sqlite_with_rowid=False,
    )
    op.create_index("rolled_keys_by_name", "rolled_keys", ["cluster", "namespace", "workload_kind", "workload_name"])
    op.create_table(
        "rolled_charges",
        _key("cluster"),
        _number("hour"),
        _key("holder"),
        _number("key"),
        _key("capacity_type"),
        _number("part"),
        *(_number(name) for name in _AMOUNTS),
        sa.PrimaryKeyConstraint("cluster", "hour", "holder", "key", "capacity_type", "part"),
        sqlite_with_rowid=False,
    )
    op.create_index("rolled_charges_by_key", "rolled_charges", ["cluster", "key"])
    op.create_table(
        "rolled_hours",
        _key("cluster"),
        _number("hour"),
        sa.Column("cost", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "hour"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rolled_nodes",
        _key("cluster"),
        _key("node_uid"),
        _key("holder"),
        sa.Column("amounts", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "node_uid", "holder"),
        sqlite_with_rowid=False,
    )
