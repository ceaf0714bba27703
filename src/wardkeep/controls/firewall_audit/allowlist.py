"""The rules about the declared allowlist: in its time, owned, reviewed, narrow, and without what is superfluous."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from wardkeep.allowlists import Defect, Limits, Surroundings, audit
from wardkeep.controls.firewall_audit.row import Policy, control
from wardkeep.core.findings import Seen, Severity, fails, passes
from wardkeep.facts.platform_allowlist import PlatformAllowlist

REVIEWING = "164.308(a)(4)(ii)(C)"
ACCESS = "164.312(a)(1)"
TRANSMISSION = "164.312(e)(1)"
EVALUATION = "164.308(a)(8)"
RISK = "164.308(a)(1)(ii)(B)"
MOST_FINDINGS = 200  # of one rule; a list that is wrong throughout is one finding
SHOWN = 5


def _defects(
    declared: PlatformAllowlist, policy: Policy, now: datetime, kinds: Iterable[str]
) -> dict[str, list[Defect]]:
    """Subject → what is wrong with it, of these kinds. Two entries that say the same are one subject."""
    limits = Limits(
        policy.widest_ipv4,
        policy.widest_ipv6,
        policy.sensitive_ipv4,
        policy.sensitive_ipv6,
        policy.allowlist_review,
    )
    around = Surroundings(now.date(), limits, providers=declared.providers)
    wanted = frozenset(kinds)
    found: dict[str, list[Defect]] = {}
    for defect in audit(declared.allowlist, around):
        if defect.kind in wanted:
            found.setdefault(f"entry:{defect.entry.key}", []).append(defect)
    return found


def _tell(declared: PlatformAllowlist, found: dict[str, list[Defect]], good: str) -> Iterator[Seen]:
    entries = declared.allowlist.entries
    lists = sorted({entry.list for entry in entries})
    if not entries:
        yield passes("allowlist", "no entry is declared")
    many = len(found) > MOST_FINDINGS
    wrong: dict[str, list[str]] = {}
    for subject, defects in sorted(found.items()):
        first = defects[0]
        wrong.setdefault(first.entry.list, []).append(subject.removeprefix("entry:"))
        if not many:
            seen = "; ".join(dict.fromkeys(defect.seen for defect in defects))
            where = f" (line {first.entry.line})" if first.entry.line else ""
            yield fails(subject, f"{seen}{where}", first.todo)
    for name in lists:
        held = sum(entry.list == name for entry in entries)
        if name not in wrong:
            yield passes(f"list:{name}", f"{held} entries, {good}")
        elif many:
            shown = "; ".join(wrong[name][:SHOWN])
            seen = f"{len(wrong[name])} of {held} entries, among them {shown}"
            yield fails(f"list:{name}", seen, "See them all: `wardkeep allowlist audit`.")


@control.rule(
    says="Every entry of the allowlist has an end, and none has outlived it.",
    severity=Severity.HIGH,
    serves={
        ACCESS: "Access that was granted for a time ends with it, not when somebody remembers.",
        REVIEWING: "An end in writing makes whoever still needs the access say so.",
    },
)
def allowlist_in_time(declared: PlatformAllowlist, policy: Policy, now: datetime) -> Iterator[Seen]:
    found = _defects(declared, policy, now, ("expired", "endless", "wrong_dates"))
    yield from _tell(declared, found, "each within its time")


allowlist_in_time.cannot_mend("whether access is still needed is known to its owner")


@control.rule(
    says="Every entry of the allowlist has an owner, a reason and a request on record.",
    severity=Severity.MEDIUM,
    serves={
        REVIEWING: "Only who knows why an access was granted can say whether it still is needed.",
        ACCESS: "An entry that nobody answers for admits somebody whom nobody knows.",
    },
)
def allowlist_owned(declared: PlatformAllowlist, policy: Policy, now: datetime) -> Iterator[Seen]:
    found = _defects(declared, policy, now, ("unowned", "unexplained", "no_ticket"))
    yield from _tell(declared, found, "each with owner, reason and ticket")


allowlist_owned.cannot_mend("who answers for an entry, and why it exists, people must say")


@control.rule(
    says="A person has looked at every entry of the allowlist within a quarter.",
    severity=Severity.MEDIUM,
    serves={
        REVIEWING: "Rights of access by address are reviewed one by one, by somebody with a name.",
        EVALUATION: "The review is periodic only if no entry can be left out of it for long.",
    },
)
def allowlist_reviewed(declared: PlatformAllowlist, policy: Policy, now: datetime) -> Iterator[Seen]:
    found = _defects(declared, policy, now, ("unreviewed",))
    yield from _tell(declared, found, "each looked at in time")


allowlist_reviewed.cannot_mend("a review is a person's judgement")


@control.rule(
    says="A review campaign of the whole allowlist was completed within the last quarter.",
    severity=Severity.MEDIUM,
    serves={
        EVALUATION: "The campaign's minutes show that nothing was left out, or what was.",
        REVIEWING: "The list as a whole is looked at, so that nobody's entries fall between reviewers.",
    },
)
def campaign_completed(declared: PlatformAllowlist, policy: Policy, now: datetime) -> Iterator[Seen]:
    todo = "Sign what is left: `wardkeep allowlist review`."
    last = declared.campaign
    if not declared.allowlist.entries and (last is None or last.state == "complete"):
        yield passes("campaign", "no entry is declared")
    elif last is None:
        todo = "Begin one: `wardkeep allowlist review start`."
        yield fails("campaign", "no campaign was ever begun", todo)
    elif last.completed is None:
        yield fails("campaign", f"{last.name} is {last.state}: {last.left} of {last.entries} left", todo)
    elif now - last.completed > policy.allowlist_review:
        seen = (
            f"{last.name} was completed on {last.completed:%Y-%m-%d}, {(now - last.completed).days} days ago"
        )
        yield fails("campaign", seen, "Begin the next: `wardkeep allowlist review start`.")
    else:
        seen = f"{last.name}: all {last.entries} entries decided on {last.completed:%Y-%m-%d}"
        yield passes("campaign", seen)


campaign_completed.cannot_mend("a review is a person's judgement")


@control.rule(
    says="Every entry of the allowlist names the few public addresses of one party, and no more.",
    severity=Severity.HIGH,
    serves={
        TRANSMISSION: "An entry wider than its party lets strangers reach what was opened for one.",
        RISK: "Addresses that others share, or that no party can have, are ways in without a need.",
    },
)
def allowlist_narrow(declared: PlatformAllowlist, policy: Policy, now: datetime) -> Iterator[Seen]:
    kinds = ("too_broad", "provider_range", "special_use", "cgnat", "v4_mapped")
    yield from _tell(declared, _defects(declared, policy, now, kinds), "none wider than its party")


allowlist_narrow.cannot_mend("which addresses need access is known to its owner")


@control.rule(
    says="No entry of the allowlist is superfluous or contradicts another.",
    severity=Severity.LOW,
    serves={
        REVIEWING: "What stands there twice is reviewed once and stays open by the other.",
        RISK: "A list without leftovers can be read, and what can be read is kept short.",
    },
)
def allowlist_tidy(declared: PlatformAllowlist, policy: Policy, now: datetime) -> Iterator[Seen]:
    kinds = ("duplicate", "contained", "mergeable", "host_bits", "in_both")
    yield from _tell(declared, _defects(declared, policy, now, kinds), "none superfluous")


allowlist_tidy.cannot_mend("two entries that open the same may have two owners")
