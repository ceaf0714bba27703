"""The customer's row: data that is encrypted before it leaves the client."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "client_side_encryption",
    missing=(
        "The customer has not attested which fields are encrypted before they leave the client.",
        "The customer has not attested who holds the keys of those fields, and that the server does not.",
    ),
)
control.cannot_drill("the application is the customer's; they exercise it and attest the result")
