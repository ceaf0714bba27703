"""What Wardkeep knows now, in SQLite or PostgreSQL: an index that the ledger can rebuild, plus what signs people in."""

from wardkeep.store import flaw_tables  # its tables belong to the schema's metadata
from wardkeep.store.opening import Store, open_store

__all__ = ["Store", "flaw_tables", "open_store"]
