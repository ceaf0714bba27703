"""A waiver may also end when what it waits for is released."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("waivers", sa.Column("until_fixed", sa.Integer(), nullable=False, server_default="0"))
