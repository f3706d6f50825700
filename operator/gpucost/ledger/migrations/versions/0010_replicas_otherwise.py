"""What the replicas of endpoints have cost and would have cost otherwise, and what their GPUs were seen to need."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "replica_hours",
        sa.Column("cluster", sa.String(253), nullable=False),
        sa.Column("endpoint", sa.String(253), nullable=False),
        sa.Column("hour", sa.BigInteger, nullable=False),
        sa.Column("applied", sa.BigInteger, nullable=False),
        sa.Column("namespace", sa.String(253), nullable=False),
        sa.Column("name", sa.String(253), nullable=False),
        sa.Column("sums", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "endpoint", "hour", "applied"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "replica_notes",
        sa.Column("cluster", sa.String(253), nullable=False),
        sa.Column("endpoint", sa.String(253), nullable=False),
        sa.Column("kind", sa.String(63), nullable=False),
        sa.Column("said", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "endpoint", "kind"),
        sqlite_with_rowid=False,
    )
