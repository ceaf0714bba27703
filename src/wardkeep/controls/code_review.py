"""The customer's row: review of the application's code and its known flaws."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "code_review",
    missing=(
        "The customer has not attested that every change is reviewed by a second person.",
        "The customer has not attested how flaws in dependencies are found and mended.",
        "The customer has not attested a penetration test of the application within the last 12 months.",
    ),
)
control.cannot_drill("the application is the customer's; they exercise it and attest the result")
