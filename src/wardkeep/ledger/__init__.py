"""The evidence ledger: append, prove, take away, and verify without us. See docs/ledger.md and docs/trust.md."""

from wardkeep.ledger.asof import AsOf, indices_between, rows_as_of
from wardkeep.ledger.canonical import canonical, parse_canonical
from wardkeep.ledger.ledger import Ledger
from wardkeep.ledger.note import Checkpoint, Malformed, Signer, Verifier
from wardkeep.ledger.pack import Exported, export
from wardkeep.ledger.tamper import Tampered

__all__ = [
    "AsOf",
    "Checkpoint",
    "Exported",
    "Ledger",
    "Malformed",
    "Signer",
    "Tampered",
    "Verifier",
    "canonical",
    "export",
    "indices_between",
    "parse_canonical",
    "rows_as_of",
]
