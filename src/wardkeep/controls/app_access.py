"""The customer's row: access inside the application."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "app_access",
    missing=(
        "The customer has not attested what the application lets whom see, and that it logs every access.",
    ),
)
