"""The tables of the vulnerability review: what is installed where, and each published flaw that concerns the fleet.

`places` and `installed` are an index from a package to its hosts; they come from the hosts' looks, and the next look fills them
again. `flaw_cases` and `flaw_assets` are made from the ledger (kind `flaw`) like every other record of an act.
"""

from __future__ import annotations

from sqlalchemy import JSON, Column, Index, Integer, String, Table, Text

from wardkeep.store.columns import Moment, RowId
from wardkeep.store.schema import metadata

inventories = Table(  # the last look at a host's packages
    "inventories",
    metadata,
    Column("host", String(253), primary_key=True),
    Column("at", Moment, nullable=False),
    Column("digest", String(64), nullable=False),  # of what it has installed
    Column("exposed", JSON),  # source package → where it listens; NULL when that is not known
)
places = Table(  # one version of one package, wherever it is installed
    "places",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("ecosystem", String(64), nullable=False),
    Column("package", String(255), nullable=False),
    Column("version", String(255), nullable=False),
    Column("source", Text, nullable=False, default=""),  # the archive, where it is not the vendor's
    Index("ix_places_package", "ecosystem", "package"),
)
installed = Table(
    "installed",
    metadata,
    Column("place", RowId, primary_key=True),
    Column("host", String(253), primary_key=True),
    Index("ix_installed_host", "host"),
    sqlite_with_rowid=False,
)
flaw_cases = Table(  # a flaw in a package, over the whole fleet
    "flaw_cases",
    metadata,
    Column("flaw", String(64), primary_key=True),
    Column("package", String(255), primary_key=True),
    Column("state", String(16), nullable=False),  # the worst of its assets
    Column("severity", String(8), nullable=False),
    Column("exploited", String(10), nullable=False, default=""),  # the day CISA listed it
    Column("risk", Integer, nullable=False),
    Column("since", String(10), nullable=False),  # the day its clock starts
    Column("hosts", Integer, nullable=False),
    Column("told", JSON, nullable=False),  # the rest of what is known of it; see engine.flaw_review.cases
    Column("opened", Moment, nullable=False),
    Column("closed", Moment),
    Column("how", String(16), nullable=False, default=""),  # fixed | withdrawn | left
    Column("entry", RowId),
    Column("decision", String(16), nullable=False, default=""),  # accepted | planned | waived | not_affected
    Column("decided", Moment),
    Column("decided_by", Text, nullable=False, default=""),
    Column("said", JSON, nullable=False, default=dict),  # what belongs to the decision
    Column("decision_entry", RowId),
    Index("ix_flaw_cases_closed", "closed", "risk"),
)
flaw_assets = Table(  # the same on one host
    "flaw_assets",
    metadata,
    Column("flaw", String(64), primary_key=True),
    Column("package", String(255), primary_key=True),
    Column("host", String(253), primary_key=True),
    Column("version", String(255), nullable=False),
    Column("fixed", String(255), nullable=False, default=""),
    Column("state", String(16), nullable=False),
    Column("opened", Moment, nullable=False),
    Column("closed", Moment),
    Column("how", String(16), nullable=False, default=""),
    Column("entry", RowId),
    Index("ix_flaw_assets_host", "host", "closed"),
    sqlite_with_rowid=False,
)
