"""Statements whether a flaw concerns a product: OpenVEX, CycloneDX and CSAF, in and out, by package URLs."""

from __future__ import annotations

from wardkeep.advisories.vex.model import JUSTIFICATIONS, STATUSES, Document, Product, Statement
from wardkeep.advisories.vex.reading import read_vex
from wardkeep.advisories.vex.writing import FORMS, write_vex

__all__ = ["FORMS", "JUSTIFICATIONS", "STATUSES", "Document", "Product", "Statement", "read_vex", "write_vex"]
