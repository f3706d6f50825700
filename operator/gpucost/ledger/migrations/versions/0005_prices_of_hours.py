"""Sums of settled hours also tell where prices came from: forget those that do not, which are then made again."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("DELETE FROM hour_sums")
