"""Workers with their leases and fences, plans, and what became of applying them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

AT = sa.BigInteger()  # microseconds since 1970 UTC
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("machine", sa.String(length=80), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("born", sa.String(length=24), nullable=False),
        sa.Column("started", AT, nullable=False),
        sa.Column("beat", ROW_ID, nullable=False),
        sa.Column("lease", sa.Integer(), nullable=False),
        sa.Column("ended", AT),
        sa.Column("ended_by", sa.String(length=48), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
    )
    op.create_index("ix_workers_ended", "workers", ["ended"])
    op.create_table(
        "fences",
        sa.Column("resource", sa.String(length=280), nullable=False),
        sa.Column("token", ROW_ID, nullable=False),
        sa.Column("worker", sa.String(length=48), nullable=False),
        sa.Column("work", sa.String(length=96), nullable=False),
        sa.Column("since", AT, nullable=False),
        sa.PrimaryKeyConstraint("resource", name="pk_fences"),
    )
    op.create_table(
        "plans",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created", AT, nullable=False),
        sa.Column("entry", ROW_ID),
        sa.PrimaryKeyConstraint("id", name="pk_plans"),
    )
    op.create_index("ix_plans_host", "plans", ["host", "created"])
    op.create_table(
        "applies",
        sa.Column("id", sa.String(length=48), nullable=False),
        sa.Column("plan", sa.String(length=32), nullable=False),
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("undoes", sa.String(length=48), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("begun", AT, nullable=False),
        sa.Column("ended", AT),
        sa.Column("entry_begun", ROW_ID),
        sa.Column("entry_ended", ROW_ID),
        sa.ForeignKeyConstraint(["plan"], ["plans.id"], name="fk_applies_plan"),
        sa.PrimaryKeyConstraint("id", name="pk_applies"),
    )
    op.create_index("ix_applies_plan", "applies", ["plan"])
    op.create_index("ix_applies_state", "applies", ["state", "begun"])
    op.create_index("ix_applies_host", "applies", ["host", "begun"])
