"""The operator's file as first written: everything in it is a comment, so the defaults hold until somebody decides."""

TEMPLATE = """\
# Wardkeep: the operator's one file. What is not set here follows the profile.
# `wardkeep settings` lists every number and policy with its present value and where it comes from.

# profile = "hipaa"                    # or "hipaa-proposed-2025": the proposed rule of January 2025, not law

# [numbers]
# patch_critical = "15 d"
# backup_age = "24 h"

# [policy.firewall]                    # one table for each row of the matrix that has choices
# allow = ["22/tcp from anywhere", "443/tcp from anywhere"]

# [host.app-1.policy.firewall]         # an exception for one host
# allow = ["22/tcp from anywhere"]

# [cadence.operating_system]
# observe = "1 h"

# [alerts]
# urls = ["mailto://…", "json://…"]    # Apprise addresses; they hold secrets and are never shown
# least_severity = "medium"
# digest = true                        # each morning one message: what is new, late and due among published flaws

# [console]
# listen = "127.0.0.1:8420"

# [allowlist]
# file = "allowlist.toml"              # may lie in a git checkout

# [database]
# url = "postgresql://user@host/name"  # default: SQLite in this folder
"""
