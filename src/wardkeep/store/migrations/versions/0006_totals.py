"""The tallies over all hosts, kept instead of summed up for every page."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "totals",
        sa.Column("control", sa.String(64), nullable=False),
        sa.Column("pressing", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("control", "pressing", name="pk_totals"),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO totals (control, pressing, n) SELECT control, pressing, sum(n) FROM tallies GROUP BY control, pressing"
    )
