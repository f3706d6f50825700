"""What each settled hour comes to, stored with the hour, so that nobody has to add up its charges again."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "hour_sums",
        sa.Column("cluster", sa.String(253), nullable=False),
        sa.Column("hour", sa.BigInteger, nullable=False),
        sa.Column("sums", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("cluster", "hour"),
    )
