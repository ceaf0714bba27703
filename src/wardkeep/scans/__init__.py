"""Results of other scan tools in one normal form; a package usable alone: see README.md in this folder."""

from wardkeep.scans.formats import KEYS
from wardkeep.scans.importing import import_bytes, import_file
from wardkeep.scans.model import Refusal, Report, Result, State

__all__ = ["KEYS", "Refusal", "Report", "Result", "State", "import_bytes", "import_file"]
