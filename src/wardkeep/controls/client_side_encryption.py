"""The customer's row: encryption before data leaves the client."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "client_side_encryption",
    missing=("The customer has not attested which fields are encrypted before they leave the client.",),
)
