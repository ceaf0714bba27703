"""A row's findings are counted by rule from the index alone."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.drop_index("ix_findings_control", "findings")
    op.create_index("ix_findings_control", "findings", ["control", "pressing", "due", "id", "rule"])
