"""Parts of GPUs, needs that change, and things that cost by the hour but are no nodes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_RATIONAL = sa.String(64)  # `8` or `3/7`


def upgrade() -> None:
    for table in ("nodes", "pods"):
        with op.batch_alter_table(table) as batch:
            batch.alter_column(
                "gpus", type_=_RATIONAL, existing_type=sa.BigInteger, nullable=False, postgresql_using="gpus::text"
            )
            batch.add_column(sa.Column("storage", sa.BigInteger, nullable=False, server_default="0"))
    with op.batch_alter_table("nodes") as batch:
        batch.add_column(sa.Column("kind", sa.String(253), nullable=False, server_default="Node"))
        batch.add_column(sa.Column("physical_gpus", _RATIONAL, nullable=False, server_default="0"))
        batch.add_column(sa.Column("stranded_gpus", _RATIONAL, nullable=False, server_default="0"))
        batch.add_column(sa.Column("earlier", sa.Text, nullable=False, server_default="[]"))
    with op.batch_alter_table("pods") as batch:
        batch.add_column(sa.Column("note", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "needs",
        sa.Column("cluster", sa.String(253), nullable=False),
        sa.Column("pod_uid", sa.String(253), nullable=False),
        sa.Column("start", sa.BigInteger, nullable=False),
        sa.Column("cpu_milli", sa.BigInteger, nullable=False),
        sa.Column("memory", sa.BigInteger, nullable=False),
        sa.Column("gpus", _RATIONAL, nullable=False),
        sa.Column("storage", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "pod_uid", "start"),
        sqlite_with_rowid=False,
    )
