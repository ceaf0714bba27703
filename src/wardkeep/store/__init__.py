"""What Wardkeep knows now, in SQLite or PostgreSQL: an index that the ledger can rebuild, plus what signs people in."""

from wardkeep.store.opening import Store, open_store

__all__ = ["Store", "open_store"]
