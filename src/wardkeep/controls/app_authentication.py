"""The customer's row: application sign-in."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "app_authentication",
    missing=(
        "The customer has not attested how the application signs people in: own accounts, MFA, logoff.",
    ),
)
