"""The customer's row: how the application signs people in. The customer attests it; nothing of ours looks inside."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "app_authentication",
    missing=(
        "The customer has not attested that every person has an account of their own in the application.",
        "The customer has not attested automatic logoff and a second factor for those who see health data.",
        "The customer has not attested how accounts of leavers end and how access in an emergency is given.",
    ),
)
control.cannot_drill("the application is the customer's; they exercise it and attest the result")
