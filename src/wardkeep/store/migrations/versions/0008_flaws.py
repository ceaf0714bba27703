"""What is installed where, and the flaws under review."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "inventories",
        sa.Column("host", sa.String(253), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("exposed", sa.JSON()),
        sa.PrimaryKeyConstraint("host", name="pk_inventories"),
    )
    op.create_table(
        "places",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("ecosystem", sa.String(64), nullable=False),
        sa.Column("package", sa.String(255), nullable=False),
        sa.Column("version", sa.String(255), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_places"),
    )
    op.create_index("ix_places_package", "places", ["ecosystem", "package"])
    op.create_table(
        "installed",
        sa.Column("place", number, nullable=False),
        sa.Column("host", sa.String(253), nullable=False),
        sa.PrimaryKeyConstraint("place", "host", name="pk_installed"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_installed_host", "installed", ["host"])
    op.create_table(
        "flaw_cases",
        sa.Column("flaw", sa.String(64), nullable=False),
        sa.Column("package", sa.String(255), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("severity", sa.String(8), nullable=False),
        sa.Column("exploited", sa.String(10), nullable=False),
        sa.Column("risk", sa.Integer(), nullable=False),
        sa.Column("since", sa.String(10), nullable=False),
        sa.Column("hosts", sa.Integer(), nullable=False),
        sa.Column("told", sa.JSON(), nullable=False),
        sa.Column("opened", sa.BigInteger(), nullable=False),
        sa.Column("closed", sa.BigInteger()),
        sa.Column("how", sa.String(16), nullable=False),
        sa.Column("entry", number),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.Column("decided", sa.BigInteger()),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("said", sa.JSON(), nullable=False),
        sa.Column("decision_entry", number),
        sa.PrimaryKeyConstraint("flaw", "package", name="pk_flaw_cases"),
    )
    op.create_index("ix_flaw_cases_closed", "flaw_cases", ["closed", "risk"])
    op.create_table(
        "flaw_assets",
        sa.Column("flaw", sa.String(64), nullable=False),
        sa.Column("package", sa.String(255), nullable=False),
        sa.Column("host", sa.String(253), nullable=False),
        sa.Column("version", sa.String(255), nullable=False),
        sa.Column("fixed", sa.String(255), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("opened", sa.BigInteger(), nullable=False),
        sa.Column("closed", sa.BigInteger()),
        sa.Column("how", sa.String(16), nullable=False),
        sa.Column("entry", number),
        sa.PrimaryKeyConstraint("flaw", "package", "host", name="pk_flaw_assets"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_flaw_assets_host", "flaw_assets", ["host", "closed"])
