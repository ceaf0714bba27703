"""Run by Alembic: apply the migrations on the connection that `store.migrating` opened."""

from alembic import context

from wardkeep.store import flaw_tables  # noqa: F401  its tables belong to the metadata
from wardkeep.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a column only by copying its table
)
with context.begin_transaction():
    context.run_migrations()
