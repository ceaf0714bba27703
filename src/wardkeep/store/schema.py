"""Every table of the state, as SQLAlchemy Core. Changing one needs a migration; a test compares the two."""

from __future__ import annotations

from sqlalchemy import JSON, Column, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table, Text

from wardkeep.store.columns import Deadline, Moment, RowId

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# --- the fleet ---------------------------------------------------------------------------------------------
hosts = Table(
    "hosts",
    metadata,
    Column("name", String(253), primary_key=True),
    Column("url", Text, nullable=False),
    Column("jump", Text, nullable=False, default=""),
    Column("identity", Text, nullable=False, default=""),
    Column("host_keys", JSON, nullable=False, default=list),  # known_hosts-format public keys, pinned
    Column("labels", JSON, nullable=False, default=dict),
    Column("added", Moment, nullable=False),
    Column("last_observed", Moment),
    Column("last_problem", Text, nullable=False, default=""),
    Column("distribution", Text, nullable=False, default=""),
)

# --- findings ----------------------------------------------------------------------------------------------
# `pressing` orders findings by what needs somebody: verdict (fail 0, unknown 1, pass 2) * 4 + severity rank,
# and GONE for a subject that is no longer spoken of. Pages are read band by band with keyset paging on (due, id).
GONE = 99
findings = Table(
    "findings",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("fingerprint", String(16), nullable=False, unique=True),
    Column("control", String(64), nullable=False),
    Column("rule", String(128), nullable=False),
    Column("says", Text, nullable=False),
    Column("host", String(253), nullable=False),
    Column("subject", Text, nullable=False),
    Column("verdict", String(8), nullable=False),
    Column("severity", String(8), nullable=False),
    Column("pressing", Integer, nullable=False),
    Column("seen", Text, nullable=False),
    Column("todo", Text, nullable=False, default=""),
    Column("since", String(32), nullable=False, default=""),
    Column("first_seen", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),  # last change of verdict
    Column("failing_since", Moment),  # start of the stretch that is not pass; NULL while it passes
    Column("due", Deadline, nullable=False, default=None),
    Column("entry", RowId),  # ledger index of the assessment that last changed this row
    # Live findings are as fresh as row_states.at of their (host, control): one write a row, not one a finding.
    Column(
        "last_seen", Moment
    ),  # only for those not spoken of any more: gone, or failing and now out of sight
    Column("gone_at", Moment),
    Index("ix_findings_pressing", "pressing", "due", "id", "control"),
    Index("ix_findings_control", "control", "pressing", "due", "id", "rule"),  # the rule: to count by it
    Index("ix_findings_host", "host", "control", "pressing", "due", "id"),
)
finding_history = Table(
    "finding_history",
    metadata,
    Column("fingerprint", String(16), primary_key=True),
    Column("at", Moment, primary_key=True),
    Column("verdict", String(8), nullable=False),  # pass | fail | unknown | gone
    Column("severity", String(8), nullable=False),
    Column("seen", Text, nullable=False),
    Column("entry", RowId),
    sqlite_with_rowid=False,
)
tallies = Table(  # how many live findings on each host; over all hosts they are summed up in `totals`
    "tallies",
    metadata,
    Column("host", String(253), primary_key=True),
    Column("control", String(64), primary_key=True),
    Column("pressing", Integer, primary_key=True),
    Column("n", Integer, nullable=False),
    Index("ix_tallies_control", "control", "pressing", "n"),
    sqlite_with_rowid=False,
)
totals = Table(  # the tallies over all hosts, kept as they change: the matrix and every count come from here
    "totals",
    metadata,
    Column("control", String(64), primary_key=True),
    Column("pressing", Integer, primary_key=True),
    Column("n", Integer, nullable=False),
    sqlite_with_rowid=False,
)
row_states = Table(  # one row of the matrix on one host, now
    "row_states",
    metadata,
    Column("host", String(253), primary_key=True),
    Column("control", String(64), primary_key=True),
    Column("at", Moment, nullable=False),
    Column("worst", String(8), nullable=False),
    Column("passes", Integer, nullable=False),
    Column("fails", Integer, nullable=False),
    Column("unknowns", Integer, nullable=False),
    Column("entry", RowId),
    Index("ix_row_states_control", "control", "at"),
    sqlite_with_rowid=False,
)
row_days = Table(  # the same at the end of each day, and the worst that was seen during it
    "row_days",
    metadata,
    Column("control", String(64), primary_key=True),
    Column("day", String(10), primary_key=True),  # "2026-11-22", UTC
    Column("host", String(253), primary_key=True),
    Column("worst", String(8), nullable=False),  # worst of the day
    Column("closing", String(8), nullable=False),  # at `last_at`
    Column("passes", Integer, nullable=False),
    Column("fails", Integer, nullable=False),
    Column("unknowns", Integer, nullable=False),
    Column("last_at", Moment, nullable=False),
    Index("ix_row_days_host", "host", "day"),
    sqlite_with_rowid=False,
)
strips = Table(  # the worst over all hosts per row and day: 25 * 90 cells for the home page
    "strips",
    metadata,
    Column("control", String(64), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("worst", String(8), nullable=False),
    sqlite_with_rowid=False,
)
waivers = Table(
    "waivers",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("fingerprint", String(16), nullable=False),
    Column("owner", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("compensating", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created", Moment, nullable=False),
    Column("expires", Moment, nullable=False),
    Column("revoked", Moment),
    Column("revoked_by", Text, nullable=False, default=""),
    Column(
        "until_fixed", Integer, nullable=False, default=0, server_default="0"
    ),  # ends too when a fix is released
    Column("expiry_said", Moment),  # when its expiry was recorded and alerted
    Column("entry", RowId),
    Index("ix_waivers_fingerprint", "fingerprint", "expires"),
    Index("ix_waivers_expires", "expires"),
)

# --- what ran, and what is due -----------------------------------------------------------------------------
runs = Table(
    "runs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("kind", String(16), nullable=False),  # observe | drill | review | apply | alert ...
    Column("control", String(64), nullable=False, default=""),
    Column("host", String(253), nullable=False, default=""),
    Column("started", Moment, nullable=False),
    Column("finished", Moment),
    Column("outcome", String(16), nullable=False, default="running"),  # running | done | failed | abandoned
    Column("summary", Text, nullable=False, default=""),
    Column("worker", String(64), nullable=False, default=""),
    Column("entry", RowId),
    Index("ix_runs_started", "started"),
    Index("ix_runs_kind", "kind", "control", "started"),
    Index("ix_runs_host", "host", "started"),
)
schedules = Table(
    "schedules",
    metadata,
    Column("key", String(96), primary_key=True),  # "observe:firewall"
    Column("kind", String(16), nullable=False),
    Column("control", String(64), nullable=False),
    Column("cadence", Integer, nullable=False),  # seconds
    Column("created", Moment, nullable=False),
    Column("last_done", Moment),
    Column("next_due", Moment, nullable=False),
    Index("ix_schedules_next_due", "next_due"),
)
drills = Table(  # the last result of each drill; the ledger has them all
    "drills",
    metadata,
    Column("control", String(64), primary_key=True),
    Column("host", String(253), primary_key=True),
    Column("at", Moment, nullable=False),
    Column("verdict", String(8), nullable=False),
    Column("seconds", Integer, nullable=False, default=0),
    Column("summary", Text, nullable=False, default=""),
    Column("entry", RowId),
)
workers = Table(  # the processes that carry out work; one that stopped beating is declared dead and never comes back
    "workers",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("role", String(16), nullable=False),  # service | command
    Column("machine", String(80), nullable=False),  # boot id and pid namespace: where `pid` means something
    Column("pid", Integer, nullable=False),
    Column("born", String(24), nullable=False),  # start in clock ticks: a reused pid is another
    Column("started", Moment, nullable=False),
    Column("beat", RowId, nullable=False),  # milliseconds of the clock that all workers share
    Column("lease", Integer, nullable=False),  # ms without a beat until others may declare it dead
    Column("ended", Moment),  # left by itself, or declared dead
    Column("ended_by", String(48), nullable=False, default=""),  # itself, or the worker that declared it dead
    Index("ix_workers_ended", "ended"),
)
fences = Table(  # who may change a thing now; `token` only grows, and hosts refuse a lower one
    "fences",
    metadata,
    Column("resource", String(280), primary_key=True),  # "host:app-1"
    Column("token", RowId, nullable=False),
    Column("worker", String(48), nullable=False),
    Column("work", String(96), nullable=False),  # the durable workflow it is held for; "" when free
    Column("since", Moment, nullable=False),
)
plans = Table(
    "plans",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("host", String(253), nullable=False),
    Column("digest", String(71), nullable=False),  # of `document`
    Column("document", Text, nullable=False),  # canonical JSON, exactly what was shown
    Column("actor", Text, nullable=False),
    Column("created", Moment, nullable=False),
    Column("entry", RowId),
    Index("ix_plans_host", "host", "created"),
)
applies = Table(  # one carrying out (or taking back) of a plan; `begun` without end is an unfinished change
    "applies",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("plan", ForeignKey("plans.id"), nullable=False, index=True),
    Column("host", String(253), nullable=False),
    Column("actor", Text, nullable=False),
    Column("undoes", String(48), nullable=False, default=""),  # the apply that this one takes back
    Column("state", String(16), nullable=False),  # begun | applied | undone | failed | refused
    Column("summary", Text, nullable=False, default=""),
    Column("begun", Moment, nullable=False),
    Column("ended", Moment),
    Column("entry_begun", RowId),
    Column("entry_ended", RowId),
    Index("ix_applies_state", "state", "begun"),
    Index("ix_applies_host", "host", "begun"),
)
alerts = Table(  # one per stretch of a finding that is not pass
    "alerts",
    metadata,
    Column("fingerprint", String(16), primary_key=True),
    Column("opened", Moment, primary_key=True),
    Column("why", String(16), nullable=False),  # fail | unknown | overdue | expired
    Column("control", String(64), nullable=False),
    Column("host", String(253), nullable=False),
    Column("told", Moment),
    Column("resolved", Moment),
    Column("resolution_told", Moment),
    Index("ix_alerts_open", "resolved", "told"),
)
deliveries = Table(  # one message to one channel
    "deliveries",
    metadata,
    Column("id", String(32), primary_key=True),
    Column(
        "channel", String(64), nullable=False
    ),  # the channel's name; its URL is a secret and stays in the config
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created", Moment, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_try", Moment),  # NULL when nothing is left to do
    Column("tried", Moment),
    Column("delivered", Moment),
    Column("problem", Text, nullable=False, default=""),
    Index("ix_deliveries_next_try", "next_try"),
    Index("ix_deliveries_channel", "channel", "created"),
)
settings = Table(
    "settings",
    metadata,
    Column("key", String(96), primary_key=True),
    Column("value", JSON, nullable=False),
    Column("changed", Moment, nullable=False),
)
entries = Table(  # an index over the ledger, rebuildable from it
    "entries",
    metadata,
    Column("idx", RowId, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("actor", Text, nullable=False),
    Column("host", String(253), nullable=False, default=""),
    Column("control", String(64), nullable=False, default=""),
    Column("summary", Text, nullable=False, default=""),
    Index("ix_entries_kind", "kind", "idx"),
    Index("ix_entries_host", "host", "idx"),
    Index("ix_entries_control", "control", "idx"),
)

# --- people and programs that sign in (secrets only as digests) ----------------------------------------------
users = Table(
    "users",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("display", Text, nullable=False, default=""),
    Column("role", String(16), nullable=False),  # operator | developer | auditor
    Column("created", Moment, nullable=False),
    Column("disabled", Moment),
    Column("last_sign_in", Moment),
    Column("totp_sealed", LargeBinary),  # encrypted with the platform's key, which is not in this database
    Column("totp_last_step", RowId, nullable=False, default=0),  # a code is good once
    Column("password_hash", Text),  # argon2id; NULL for people without one
)
recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), nullable=False, index=True),
    Column("used", Moment),
)
sessions = Table(
    "sessions",
    metadata,
    Column("digest", String(64), primary_key=True),  # SHA-256 of the cookie
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), nullable=False, index=True),
    Column("created", Moment, nullable=False),
    Column("last_used", Moment, nullable=False),
    Column("expires", Moment, nullable=False, index=True),
    Column("address", String(64), nullable=False, default=""),
    Column("agent", Text, nullable=False, default=""),
    Column("csrf", String(64), nullable=False),
    Column("strength", String(16), nullable=False),  # link | totp | passkey
    Column("data", JSON, nullable=False, default=dict),
)
login_links = Table(
    "login_links",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), nullable=False, index=True),
    Column("created", Moment, nullable=False),
    Column("expires", Moment, nullable=False),
    Column("used", Moment),
)
passkeys = Table(
    "passkeys",
    metadata,
    Column("credential", String(512), primary_key=True),  # base64url
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", Text, nullable=False, default=""),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", RowId, nullable=False, default=0),
    Column("transports", JSON, nullable=False, default=list),
    Column("created", Moment, nullable=False),
    Column("last_used", Moment),
)
api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), nullable=False, index=True),
    Column("scopes", JSON, nullable=False),
    Column("created", Moment, nullable=False),
    Column("expires", Moment),
    Column("last_used", Moment),
    Column("revoked", Moment),
)
rate_limits = Table(
    "rate_limits",
    metadata,
    Column("key", String(128), primary_key=True),
    Column("window", Moment, nullable=False, index=True),
    Column("n", Integer, nullable=False),
)
