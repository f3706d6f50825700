"""The stays of training runs on nodes, and what the work lost with them has cost."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "run_stays",
        sa.Column("cluster", sa.String(253), nullable=False),
        sa.Column("run", sa.String(253), nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("stays", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "run"),
        sqlite_with_rowid=False,
    )
