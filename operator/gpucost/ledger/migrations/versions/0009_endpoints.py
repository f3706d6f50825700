"""What inference endpoints did in each hour, and what is remembered of how they start and when nobody asks."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "endpoint_hours",
        sa.Column("cluster", sa.String(253), nullable=False),
        sa.Column("endpoint", sa.String(253), nullable=False),
        sa.Column("hour", sa.BigInteger, nullable=False),
        sa.Column("done", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "endpoint", "hour"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "endpoint_memory",
        sa.Column("cluster", sa.String(253), nullable=False),
        sa.Column("endpoint", sa.String(253), nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("known", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "endpoint"),
        sqlite_with_rowid=False,
    )
