"""The rules that the exact engine answers: no rule without effect, no sensitive service open to the world, over either family."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from wardkeep.controls.firewall_audit.row import control
from wardkeep.core.errors import WardkeepError
from wardkeep.core.findings import Seen, Severity, fails, passes, unsure
from wardkeep.core.memo import Memo
from wardkeep.facts.iptables import Iptables
from wardkeep.facts.nftables import Nftables
from wardkeep.rulesets.audit import rules as about_rules
from wardkeep.rulesets.audit.audit import verdicts_of
from wardkeep.rulesets.audit.model import Finding, sentence
from wardkeep.rulesets.audit.openings import Openings, findings
from wardkeep.rulesets.files import RuleSet
from wardkeep.rulesets.observed import rule_set_of

MOST_FINDINGS = 50  # of one rule and host; a rule set that is wrong throughout needs a person, not a list
WITHOUT_EFFECT = ("dead", "contradicted", "impossible")
# Administration is judged by the row `firewall`, which knows from where policy allows it.
ADMINISTRATION = ("22/tcp",)
_known = Memo(8_000_000)  # hosts of one kind have equal rule sets


@control.rule(
    says="Every rule of the packet filter is reached by some packet, and none says the opposite of those that hide it.",
    severity=Severity.MEDIUM,
    serves={
        "164.308(a)(8)": "A rule that nothing reaches protects nobody, whatever the last evaluation took it for.",
        "164.312(e)(1)": "A denial that stands behind the opening it was meant to close is an opening.",
    },
)
def rules_have_effect(nftables: Nftables, iptables: Iptables) -> Iterator[Seen]:
    try:
        found = _findings(nftables, iptables, "rules")
    except WardkeepError as e:
        yield _not_followed(e)
        return
    told = [f for f in found if f.kind in WITHOUT_EFFECT]
    for one in told[:MOST_FINDINGS]:
        yield fails(f"rule:{one.id}", one.what, one.fix or "Remove it, or move it up.")
    if len(told) > MOST_FINDINGS:
        yield fails(
            "rule:more",
            f"{len(told) - MOST_FINDINGS} more rules without effect",
            "Audit the rules: `wardkeep firewall audit FILE`.",
        )
    for one in found:
        if not one.sure:
            yield unsure(f"rule:{one.id}", one.what, "Audit a dump with `wardkeep firewall audit FILE`.")
    if not told and not any(not f.sure for f in found):
        yield passes(
            "host",
            f"all {sum(len(c) for c in nftables.by_chain.values())} rules that nftables lists are in effect",
        )


rules_have_effect.cannot_mend(
    "whether the rule or the one that hides it is meant is known to whoever wrote them"
)


@control.rule(
    says="No database, file share or remote control is open to the whole internet, over IPv4 or IPv6.",
    severity=Severity.HIGH,
    serves={
        "164.312(e)(1)": "What anybody on the internet may try is attacked within minutes of its appearing.",
        "164.312(a)(1)": "Access by address is the first gate in front of a service that holds records.",
        "164.308(a)(1)(ii)(B)": "Closing IPv6 as IPv4 is closed removes the way that nobody looks at.",
    },
)
def nothing_sensitive_open(nftables: Nftables, iptables: Iptables) -> Iterator[Seen]:
    try:
        found = _findings(nftables, iptables, "openings")
    except WardkeepError as e:
        yield _not_followed(e)
        return
    told = [f for f in found if not (f.kind == "open" and f.what.startswith(ADMINISTRATION))]
    for one in told:
        seen = f"{one.what}: {sentence(one.witness)}" if one.witness else one.what
        # Where a match that is not modelled decides, neither open nor closed is proved.
        made = fails if one.sure else unsure
        yield made(f"opening:{one.id}", seen, one.fix)
    if not told:
        yield passes("host", "no packet of a stranger reaches a sensitive service")


nothing_sensitive_open.cannot_mend(
    "which networks need a service is known to its owner; `wardkeep plan` closes what policy does not allow"
)


def _not_followed(e: WardkeepError) -> Seen:
    what = f"the rule set cannot be followed: {e.what}"
    return unsure("host", what, "Look yourself: `nft list ruleset`, `iptables-save`.")


def _findings(nftables: Nftables, iptables: Iptables, what: str) -> list[Finding]:
    """What the engine finds, made once for equal rule sets. Raises NotUnderstood."""
    whole = repr((nftables.tables, nftables.chains, nftables.rules, nftables.collections, iptables.tables))
    key = (sha256(whole.encode()).digest(), what)

    def make() -> list[Finding]:
        rule_set = observed_rules(nftables, iptables)
        if what == "rules":
            return list(about_rules.findings(rule_set.program, verdicts_of(rule_set.program)[0]))
        looked = Openings(rule_set.program, rule_set.families)
        looked.look()
        return list(findings(looked))

    made = _known.get(key, 20_000, make)
    assert isinstance(made, list)
    return made


def observed_rules(nftables: Nftables, iptables: Iptables) -> RuleSet:
    """All that a host said of its packet filters, as one rule set. Raises NotUnderstood."""
    return rule_set_of(nftables, iptables.in_words())
