"""Facts and charges."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

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


def _number(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _size() -> tuple[sa.Column[Any], ...]:
    return _number("cpu_milli"), _number("memory"), _number("gpus")


def upgrade() -> None:
    _facts()
    _booked()
    op.create_table(
        "marks",
        _key("cluster"),
        _key("name"),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "name"),
    )


def _facts() -> None:
    op.create_table(
        "nodes",
        _key("cluster"),
        _key("uid"),
        _key("name"),
        _number("start"),
        _number("ended", nullable=True),
        *_size(),
        *(_key(name) for name in ("instance_type", "gpu_model", "region", "zone", "capacity_type")),
        sa.PrimaryKeyConstraint("cluster", "uid"),
    )
    op.create_table(
        "prices",
        _key("cluster"),
        _key("node_uid"),
        _number("start"),
        sa.Column("hourly", sa.String(64), nullable=True),
        _key("capacity_type"),
        _key("source"),
        sa.Column("on_demand", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("cluster", "node_uid", "start"),
    )
    op.create_table(
        "pods",
        _key("cluster"),
        _key("uid"),
        _key("namespace"),
        _key("name"),
        _key("workload_kind"),
        _key("workload_name"),
        _key("category"),
        _key("node_uid"),
        _number("start"),
        _number("ended", nullable=True),
        *_size(),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("end_reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "uid"),
    )
    op.create_index("pods_by_node", "pods", ["cluster", "node_uid", "start"])
    op.create_index("pods_by_workload", "pods", ["cluster", "namespace", "workload_kind", "workload_name"])
    op.create_index("pods_by_end", "pods", ["cluster", "ended"])
    op.create_table(
        "usage",
        _key("cluster"),
        _key("pod_uid"),
        _number("start"),
        _number("ppm", nullable=True),
        sa.PrimaryKeyConstraint("cluster", "pod_uid", "start"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "gaps",
        _key("cluster"),
        _key("uid"),
        _number("start"),
        _number("ended"),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "uid", "start"),
    )


def _booked() -> None:
    op.create_table(
        "charges",
        _key("cluster"),
        _key("node_uid"),
        _number("hour"),
        _key("pod_uid"),
        _key("capacity_type"),
        *(_number(name) for name in _AMOUNTS),
        sa.PrimaryKeyConstraint("cluster", "node_uid", "hour", "pod_uid", "capacity_type"),
        sqlite_with_rowid=False,
    )
    op.create_index("charges_by_hour", "charges", ["cluster", "hour"])
    op.create_index("charges_by_pod", "charges", ["cluster", "pod_uid"])
    op.create_table(
        "node_hours",
        _key("cluster"),
        _key("node_uid"),
        _number("hour"),
        _number("cost"),
        sa.PrimaryKeyConstraint("cluster", "node_uid", "hour"),
        sqlite_with_rowid=False,
    )
    op.create_index("node_hours_by_hour", "node_hours", ["cluster", "hour"])
