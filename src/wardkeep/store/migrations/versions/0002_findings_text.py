"""Search by words: FTS5 on SQLite, a generated tsvector with GIN on PostgreSQL."""

from alembic import op

revision = "0002"
down_revision = "0001"

# FTS5 reads its text from `findings` itself (through the view), so nothing is stored twice. It is kept by
# store.textindex and not by triggers: FTS5 writes out its buffer at every statement inside a trigger, which made
# recording six times slower. `band` ("b0") makes verdict and severity part of the same lookup.
_SQLITE = (
    "CREATE VIEW findings_text_rows AS SELECT id, 'b' || pressing AS band, host, rule, subject, seen, says FROM findings",
    "CREATE VIRTUAL TABLE findings_text USING fts5(band, host, rule, subject, seen, says, "
    "content='findings_text_rows', content_rowid='id', detail=column, tokenize=\"unicode61 remove_diacritics 2\")",
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
