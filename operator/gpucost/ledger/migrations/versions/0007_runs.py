"""Which runs there were, by fingerprint and schedule, and what was saved by runs that were not made."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("cluster", sa.String(253), nullable=False),
        sa.Column("run", sa.String(253), nullable=False),
        sa.Column("namespace", sa.String(253), nullable=False),
        sa.Column("name", sa.String(253), nullable=False),
        sa.Column("parent", sa.String(253), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("ended", sa.BigInteger, nullable=True),
        sa.Column("due", sa.BigInteger, nullable=True),
        sa.Column("known", sa.Text, nullable=False),
        sa.Column("amounts", sa.Text, nullable=True),
        sa.PrimaryKeyConstraint("cluster", "run"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "run_savings",
        sa.Column("cluster", sa.String(253), nullable=False),
        sa.Column("run", sa.String(253), nullable=False),
        sa.Column("due", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(63), nullable=False),
        sa.Column("namespace", sa.String(253), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("times", sa.BigInteger, nullable=False),
        sa.Column("saved", sa.Text, nullable=True),
        sa.PrimaryKeyConstraint("cluster", "run", "due", "kind"),
        sqlite_with_rowid=False,
    )
