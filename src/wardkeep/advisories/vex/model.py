"""The words of a VEX document, one form for all three formats (CISA, "Minimum Requirements for VEX", 2023)."""

from __future__ import annotations

from dataclasses import dataclass, field

STATUSES = ("not_affected", "affected", "fixed", "under_investigation")
# CISA, "Vulnerability Exploitability eXchange: Status Justifications", 2022; OpenVEX and CSAF name them so.
JUSTIFICATIONS = (
    "component_not_present",
    "vulnerable_code_not_present",
    "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary",
    "inline_mitigations_already_exist",
)


@dataclass(frozen=True, slots=True)
class Product:
    """A package: its URL (`pkg:deb/debian/openssl@3.0.15-1?arch=source`) and a name for people; or a whole image.

    `inside` is what the package is spoken of as a part of, where the statement says so: an image
    (`pkg:oci/app@sha256:…?repository_url=…`) or another product. It then says nothing of the same package elsewhere.
    """

    purl: str
    name: str = ""
    inside: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """One flaw, by all its names, and what is said of some products. `says` explains; `action` is what to do while affected."""

    names: tuple[str, ...]
    status: str
    products: tuple[Product, ...]
    justification: str = ""
    says: str = ""
    action: str = ""
    at: str = ""  # ISO 8601


@dataclass(frozen=True, slots=True)
class Document:
    """`refused` are statements that could not be read, each with its place and why: nothing is dropped in silence."""

    id: str
    author: str
    at: str
    form: str
    statements: tuple[Statement, ...]
    refused: tuple[str, ...] = field(default=())
