# ruff: noqa: S608  (constants only: nothing from outside is put into these statements)
"""Search by words: FTS5 on SQLite, a generated tsvector with GIN on PostgreSQL. Kept by the database itself."""

from alembic import op

revision = "0002"
down_revision = "0001"

# The text index reads its columns from `findings` itself, so nothing is stored twice; FTS5 then needs the old values
# to forget a row, which only a trigger has. `band` ("b0") makes the verdict and severity part of the same lookup.
_NEW = "new.id, 'b' || new.pressing, new.host, new.rule, new.subject, new.seen, new.says"
_OLD = "'delete', old.id, 'b' || old.pressing, old.host, old.rule, old.subject, old.seen, old.says"
_COLUMNS = "band, host, rule, subject, seen, says"
_SQLITE = (
    "CREATE VIEW findings_text_rows AS SELECT id, 'b' || pressing AS band, host, rule, subject, seen, says FROM findings",
    f"CREATE VIRTUAL TABLE findings_text USING fts5({_COLUMNS}, content='findings_text_rows', content_rowid='id', "
    "detail=full, tokenize=\"unicode61 remove_diacritics 2\", prefix='2 3')",
    "CREATE TRIGGER findings_text_insert AFTER INSERT ON findings BEGIN "
    f"INSERT INTO findings_text(rowid, {_COLUMNS}) VALUES ({_NEW}); END",
    "CREATE TRIGGER findings_text_delete AFTER DELETE ON findings BEGIN "
    f"INSERT INTO findings_text(findings_text, rowid, {_COLUMNS}) VALUES ({_OLD}); END",
    "CREATE TRIGGER findings_text_update AFTER UPDATE OF pressing, seen, says ON findings "
    "WHEN old.pressing <> new.pressing OR old.seen <> new.seen OR old.says <> new.says BEGIN "
    f"INSERT INTO findings_text(findings_text, rowid, {_COLUMNS}) VALUES ({_OLD}); "
    f"INSERT INTO findings_text(rowid, {_COLUMNS}) VALUES ({_NEW}); END",
)
_POSTGRESQL = (
    # Punctuation becomes space on both sides, so that "package:openssl" is found by "openssl" as on SQLite.
    "ALTER TABLE findings ADD COLUMN words tsvector GENERATED ALWAYS AS (to_tsvector('simple', regexp_replace("
    "host || ' ' || rule || ' ' || subject || ' ' || seen || ' ' || says, '[^[:alnum:]]+', ' ', 'g'))) STORED",
    "CREATE INDEX ix_findings_words ON findings USING gin (words)",
)


def upgrade() -> None:
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL:
        op.get_bind().exec_driver_sql(statement)
