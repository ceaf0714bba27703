"""Whether the table of our own, where there is one, is what the policy declares now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from wardkeep.controls.firewall.allowed import Permit
from wardkeep.controls.firewall.declared_program import (
    Drift,
    declared_program,
    drift,
    kernel_program,
    older_program,
)
from wardkeep.controls.firewall.own_table import TABLE
from wardkeep.controls.firewall.row import ACCESS, GRANTED, Policy, control
from wardkeep.controls.firewall.rules import PLAN
from wardkeep.core.errors import NotUnderstood
from wardkeep.core.findings import Seen, Severity, fails, passes, unsure
from wardkeep.facts.boot_firewall import OURS, BootFirewall
from wardkeep.facts.nftables import Nftables
from wardkeep.packets.program import Program


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
    older, found = held_against(kernel, policy.permit_on(today))
    if found:
        yield fails("table", f"`{TABLE}` is not as declared; {found}", PLAN)
    else:
        rules_held = sum(len(chain.rules) for chain in kernel.chains)
        told = ", as an older Wardkeep wrote it" if older else ""
        seen = f"`{TABLE}` is as declared{told}: {rules_held} rules in {len(kernel.chains)} chains"
        yield passes("table", seen)


@control.rule(
    says="The table that Wardkeep keeps on a host is written as this version writes it.",
    severity=Severity.LOW,
    serves={GRANTED: "who used a grant is known by protocol, so that one that nobody uses is found"},
)
def table_of_this_version(rules: Nftables, policy: Policy, today: date) -> Iterator[Seen]:
    try:
        kernel = kernel_program(rules)
    except NotUnderstood as e:
        yield unsure("version", e.line(), PLAN)
        return
    if kernel is None:
        yield passes("version", f"Wardkeep keeps no table `{TABLE}` here")
    elif held_against(kernel, policy.permit_on(today))[0]:
        yield fails("version", f"`{TABLE}` is of an older Wardkeep: {OLDER}", PLAN)
    else:
        yield passes("version", f"`{TABLE}` is not of an older Wardkeep")


OLDER = (
    "it notes who came without telling TCP from UDP, and the limit of one sentence is everybody's of its port"
)


def held_against(kernel: Program, permit: Permit) -> tuple[bool, Drift]:
    """Whether an older version wrote the table, which is the one that it differs less from, and what differs then."""
    now = drift(declared_program(permit), kernel)
    if not now:
        return False, now
    before = drift(older_program(permit), kernel)
    return (True, before) if len(before) < len(now) else (False, now)
