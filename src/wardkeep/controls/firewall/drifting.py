"""Whether the table of our own, where there is one, is what the policy declares now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from wardkeep.controls.firewall.declared_program import declared_program, drift, kernel_program
from wardkeep.controls.firewall.own_table import TABLE
from wardkeep.controls.firewall.row import ACCESS, GRANTED, Policy, control
from wardkeep.controls.firewall.rules import PLAN
from wardkeep.core.errors import NotUnderstood
from wardkeep.core.findings import Seen, Severity, fails, passes, unsure
from wardkeep.facts.boot_firewall import OURS, BootFirewall
from wardkeep.facts.nftables import Nftables


@control.rule(
    says="The table that Wardkeep keeps on a host is, rule by rule, what the policy declares now.",
    severity=Severity.HIGH,
    serves={
        ACCESS: "a rule that somebody added by hand grants access that nobody declared",
        GRANTED: "what was granted for a time, or was taken out of the policy, is gone from the host as well",
    },
)
def table_as_declared(rules: Nftables, boot: BootFirewall, policy: Policy, today: date) -> Iterator[Seen]:
    try:
        kernel = kernel_program(rules)
    except NotUnderstood as e:
        yield unsure("table", e.line(), PLAN)
        return
    if kernel is None and OURS in boot.loaders:
        # It was kept for good once: a host that never had it does not load it at boot either.
        yield fails(
            "table", f"`{TABLE}` is gone from the kernel, though {OURS}.service would load it at boot", PLAN
        )
        return
    if kernel is None:
        yield passes("table", f"Wardkeep keeps no table `{TABLE}` here")
        return
    found = drift(declared_program(policy.permit_on(today)), kernel)
    if found:
        yield fails("table", f"`{TABLE}` is not as declared; {found}", PLAN)
    else:
        rules_held = sum(len(chain.rules) for chain in kernel.chains)
        yield passes("table", f"`{TABLE}` is as declared: {rules_held} rules in {len(kernel.chains)} chains")
