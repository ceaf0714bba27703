"""The customer's row: review of the application's code."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "code_review",
    missing=("The customer has not attested code reviews, dependency checks and a penetration test.",),
)
