"""The customer's row: who may see what inside the application, and the log of it."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "app_access",
    missing=(
        "The customer has not attested that each user sees only the records they were granted.",
        "The customer has not attested that reading, changing and showing health data is logged, by whom and when.",
        "The customer has not attested that disclosures of six years can be accounted for (164.528).",
    ),
)
control.cannot_drill("the application is the customer's; they exercise it and attest the result")
