"""What training runs say of themselves: their reports, thinned, and their checkpoints."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "run_reports",
        sa.Column("cluster", sa.String(253), nullable=False),
        sa.Column("run", sa.String(253), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("said", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "run", "at"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "run_checkpoints",
        sa.Column("cluster", sa.String(253), nullable=False),
        sa.Column("run", sa.String(253), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("step", sa.BigInteger, nullable=True),
        sa.Column("duration", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("cluster", "run", "at"),
        sqlite_with_rowid=False,
    )
