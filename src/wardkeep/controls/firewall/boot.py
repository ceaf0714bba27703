"""What would be in force after a reboot."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from wardkeep.controls.firewall import from_nftables
from wardkeep.controls.firewall.row import ACCESS, RISK, Policy, control
from wardkeep.controls.firewall.rules import FAMILIES, PLAN, closed_by_default, named_openings
from wardkeep.core.findings import Seen, Severity, Verdict, fails, passes, unsure
from wardkeep.facts.boot_firewall import OTHERS, BootFirewall

TELL = "Look at what that service loads; Wardkeep reads nftables.service and its own."


@control.rule(
    says="A reboot loads rules that are closed by default and open only what the policy names.",
    severity=Severity.HIGH,
    serves={
        ACCESS: "rules that a reboot forgets grant access to everybody at the next power cut",
        RISK: "nobody watches a host as it boots; it must close itself",
    },
)
def closed_after_reboot(boot: BootFirewall, policy: Policy, today: date) -> Iterator[Seen]:
    permit = policy.permit_on(today)
    others = [loader for loader in boot.loaders if loader in OTHERS]
    if boot.rules is None:
        yield unsure("boot", f"the files that a boot loads cannot be loaded: {boot.problem}", TELL)
        return
    program = from_nftables.program(boot.rules)
    open_to_strangers = [s for s in named_openings(program, permit) if s.verdict is not Verdict.PASS]
    for family, name in FAMILIES.items():
        seen = closed_by_default(program, family, name, permit)
        subject = f"boot:{name.lower()}"
        worse = [
            s
            for s in open_to_strangers
            if f":{name.lower()}/" in s.subject or s.subject.startswith("redirect:")
        ]
        if seen.verdict is Verdict.PASS and not worse:
            yield passes(subject, f"after a boot, {seen.seen}")
        elif others:
            yield unsure(subject, f"what {', '.join(others)} loads at boot is not read", TELL)
        elif seen.verdict is Verdict.UNKNOWN or any(s.verdict is Verdict.UNKNOWN for s in worse):
            yield unsure(subject, f"after a boot: {worse[0].seen if worse else seen.seen}", seen.todo)
        else:
            told = seen.seen if seen.verdict is Verdict.FAIL else worse[0].seen
            yield fails(subject, f"after a boot, {told}", PLAN)
