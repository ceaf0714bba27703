"""The first tables: fleet, findings, runs, alerts, the entry index, sign-in."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

AT = sa.BigInteger()  # microseconds since 1970 UTC
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("fingerprint", sa.String(length=16), nullable=False),
        sa.Column("opened", AT, nullable=False),
        sa.Column("why", sa.String(length=16), nullable=False),
        sa.Column("control", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("told", AT),
        sa.Column("resolved", AT),
        sa.Column("resolution_told", AT),
        sa.PrimaryKeyConstraint("fingerprint", "opened", name="pk_alerts"),
    )
    op.create_index("ix_alerts_open", "alerts", ["resolved", "told"])
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created", AT, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try", AT),
        sa.Column("delivered", AT),
        sa.Column("problem", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
    )
    op.create_index("ix_deliveries_channel", "deliveries", ["channel", "created"])
    op.create_index("ix_deliveries_next_try", "deliveries", ["next_try"])
    op.create_table(
        "drills",
        sa.Column("control", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("at", AT, nullable=False),
        sa.Column("verdict", sa.String(length=8), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("entry", ROW_ID),
        sa.PrimaryKeyConstraint("control", "host", name="pk_drills"),
    )
    op.create_table(
        "entries",
        sa.Column("idx", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("at", AT, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("control", sa.String(length=64), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("idx", name="pk_entries"),
    )
    op.create_index("ix_entries_control", "entries", ["control", "idx"])
    op.create_index("ix_entries_host", "entries", ["host", "idx"])
    op.create_index("ix_entries_kind", "entries", ["kind", "idx"])
    op.create_table(
        "finding_history",
        sa.Column("fingerprint", sa.String(length=16), nullable=False),
        sa.Column("at", AT, nullable=False),
        sa.Column("verdict", sa.String(length=8), nullable=False),
        sa.Column("severity", sa.String(length=8), nullable=False),
        sa.Column("seen", sa.Text(), nullable=False),
        sa.Column("entry", ROW_ID),
        sa.PrimaryKeyConstraint("fingerprint", "at", name="pk_finding_history"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "findings",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("fingerprint", sa.String(length=16), nullable=False),
        sa.Column("control", sa.String(length=64), nullable=False),
        sa.Column("rule", sa.String(length=128), nullable=False),
        sa.Column("says", sa.Text(), nullable=False),
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("verdict", sa.String(length=8), nullable=False),
        sa.Column("severity", sa.String(length=8), nullable=False),
        sa.Column("pressing", sa.Integer(), nullable=False),
        sa.Column("seen", sa.Text(), nullable=False),
        sa.Column("todo", sa.Text(), nullable=False),
        sa.Column("since", sa.String(length=32), nullable=False),
        sa.Column("first_seen", AT, nullable=False),
        sa.Column("changed_at", AT, nullable=False),
        sa.Column("failing_since", AT),
        sa.Column("due", AT, nullable=False),
        sa.Column("entry", ROW_ID),
        sa.Column("last_seen", AT),
        sa.Column("gone_at", AT),
        sa.PrimaryKeyConstraint("id", name="pk_findings"),
        sa.UniqueConstraint("fingerprint", name="uq_findings_fingerprint"),
    )
    op.create_index("ix_findings_control", "findings", ["control", "pressing", "due", "id"])
    op.create_index("ix_findings_host", "findings", ["host", "control", "pressing", "due", "id"])
    op.create_index("ix_findings_pressing", "findings", ["pressing", "due", "id", "control"])
    op.create_table(
        "hosts",
        sa.Column("name", sa.String(length=253), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("jump", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("host_keys", sa.JSON(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("added", AT, nullable=False),
        sa.Column("last_observed", AT),
        sa.Column("last_problem", sa.Text(), nullable=False),
        sa.Column("distribution", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_hosts"),
    )
    op.create_table(
        "rate_limits",
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("window", AT, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_rate_limits"),
    )
    op.create_index("ix_rate_limits_window", "rate_limits", ["window"])
    op.create_table(
        "row_days",
        sa.Column("control", sa.String(length=64), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("worst", sa.String(length=8), nullable=False),
        sa.Column("closing", sa.String(length=8), nullable=False),
        sa.Column("passes", sa.Integer(), nullable=False),
        sa.Column("fails", sa.Integer(), nullable=False),
        sa.Column("unknowns", sa.Integer(), nullable=False),
        sa.Column("last_at", AT, nullable=False),
        sa.PrimaryKeyConstraint("control", "day", "host", name="pk_row_days"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_row_days_host", "row_days", ["host", "day"])
    op.create_table(
        "row_states",
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("control", sa.String(length=64), nullable=False),
        sa.Column("at", AT, nullable=False),
        sa.Column("worst", sa.String(length=8), nullable=False),
        sa.Column("passes", sa.Integer(), nullable=False),
        sa.Column("fails", sa.Integer(), nullable=False),
        sa.Column("unknowns", sa.Integer(), nullable=False),
        sa.Column("entry", ROW_ID),
        sa.PrimaryKeyConstraint("host", "control", name="pk_row_states"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_row_states_control", "row_states", ["control", "at"])
    op.create_table(
        "runs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("control", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("started", AT, nullable=False),
        sa.Column("finished", AT),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.Column("entry", ROW_ID),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
    )
    op.create_index("ix_runs_host", "runs", ["host", "started"])
    op.create_index("ix_runs_kind", "runs", ["kind", "control", "started"])
    op.create_index("ix_runs_started", "runs", ["started"])
    op.create_table(
        "schedules",
        sa.Column("key", sa.String(length=96), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("control", sa.String(length=64), nullable=False),
        sa.Column("cadence", sa.Integer(), nullable=False),
        sa.Column("created", AT, nullable=False),
        sa.Column("last_done", AT),
        sa.Column("next_due", AT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_schedules"),
    )
    op.create_index("ix_schedules_next_due", "schedules", ["next_due"])
    op.create_table(
        "settings",
        sa.Column("key", sa.String(length=96), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("changed", AT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_settings"),
    )
    op.create_table(
        "strips",
        sa.Column("control", sa.String(length=64), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("worst", sa.String(length=8), nullable=False),
        sa.PrimaryKeyConstraint("control", "day", name="pk_strips"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tallies",
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("control", sa.String(length=64), nullable=False),
        sa.Column("pressing", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("host", "control", "pressing", name="pk_tallies"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_tallies_control", "tallies", ["control", "pressing", "n"])
    op.create_table(
        "users",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("display", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("created", AT, nullable=False),
        sa.Column("disabled", AT),
        sa.Column("last_sign_in", AT),
        sa.Column("totp_sealed", sa.LargeBinary()),
        sa.Column("totp_last_step", ROW_ID, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_users"),
    )
    op.create_table(
        "waivers",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("fingerprint", sa.String(length=16), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("compensating", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created", AT, nullable=False),
        sa.Column("expires", AT, nullable=False),
        sa.Column("revoked", AT),
        sa.Column("revoked_by", sa.Text(), nullable=False),
        sa.Column("expiry_said", AT),
        sa.Column("entry", ROW_ID),
        sa.PrimaryKeyConstraint("id", name="pk_waivers"),
    )
    op.create_index("ix_waivers_expires", "waivers", ["expires"])
    op.create_index("ix_waivers_fingerprint", "waivers", ["fingerprint", "expires"])
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created", AT, nullable=False),
        sa.Column("expires", AT),
        sa.Column("last_used", AT),
        sa.Column("revoked", AT),
        sa.ForeignKeyConstraint(["user"], ["users.name"], name="fk_api_tokens_user", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_api_tokens"),
        sa.UniqueConstraint("digest", name="uq_api_tokens_digest"),
    )
    op.create_index("ix_api_tokens_user", "api_tokens", ["user"])
    op.create_table(
        "login_links",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("created", AT, nullable=False),
        sa.Column("expires", AT, nullable=False),
        sa.Column("used", AT),
        sa.ForeignKeyConstraint(["user"], ["users.name"], name="fk_login_links_user", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("digest", name="pk_login_links"),
    )
    op.create_index("ix_login_links_user", "login_links", ["user"])
    op.create_table(
        "passkeys",
        sa.Column("credential", sa.String(length=512), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", ROW_ID, nullable=False),
        sa.Column("transports", sa.JSON(), nullable=False),
        sa.Column("created", AT, nullable=False),
        sa.Column("last_used", AT),
        sa.ForeignKeyConstraint(["user"], ["users.name"], name="fk_passkeys_user", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("credential", name="pk_passkeys"),
    )
    op.create_index("ix_passkeys_user", "passkeys", ["user"])
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("created", AT, nullable=False),
        sa.Column("last_used", AT, nullable=False),
        sa.Column("expires", AT, nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("csrf", sa.String(length=64), nullable=False),
        sa.Column("strength", sa.String(length=16), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["user"], ["users.name"], name="fk_sessions_user", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("digest", name="pk_sessions"),
    )
    op.create_index("ix_sessions_expires", "sessions", ["expires"])
    op.create_index("ix_sessions_user", "sessions", ["user"])
