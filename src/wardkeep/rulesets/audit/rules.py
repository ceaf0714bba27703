"""Findings about rules themselves: dead, contradicted, impossible, removable, never called, unused by their counters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from wardkeep.packets.audit import EMPTY_SET
from wardkeep.packets.program import Chain, Program, Rule
from wardkeep.rulesets.audit.model import Finding, RuleVerdict, finding_id

MOST_NAMED: Final = 5
POLICY: Final = "policy of "
NAMED_SET: Final = re.compile(r"@[\w.-]|--match-set ")
# Chains that a tool makes and calls when it needs them.
KEPT: Final = {"ufw": "ufw", "f2b-": "fail2ban", "DOCKER": "docker", "KUBE-": "Kubernetes", "cali-": "Calico", "IN_": "firewalld",
               "FWDI_": "firewalld", "FWDO_": "firewalld", "FWD_": "firewalld", "PRE_": "firewalld", "POST_": "firewalld",
               "filter_IN_": "firewalld", "filter_FWD_": "firewalld", "mangle_PRE_": "firewalld", "nat_P": "firewalld",
               "raw_PRE_": "firewalld", "LIBVIRT_": "libvirt"}  # fmt: skip


def findings(program: Program, verdicts: Sequence[RuleVerdict]) -> Iterator[Finding]:
    """What the verdicts mean, one finding for each rule, and one for each chain that nothing calls."""
    chains = {chain.id: chain for chain in program.chains}
    silent: dict[str, list[RuleVerdict]] = {}
    for verdict in verdicts:
        if verdict.verdict == "never-called":
            silent.setdefault(verdict.chain, []).append(verdict)
        elif verdict.verdict != "live":
            yield from _about(verdict)
    for name, held in silent.items():
        yield _never_called(chains[name], held)


def _about(verdict: RuleVerdict) -> Iterator[Finding]:
    key = (verdict.chain, verdict.text)
    place = (verdict.id,)
    if verdict.verdict == "undecided":
        what = f"`{verdict.text}` could not be decided within the work allowed"
        yield Finding(finding_id("undecided", *key), "undecided", "info", what, place, sure=False)
    elif verdict.verdict == "removable":
        what = f"`{verdict.text}` changes no packet's fate: the rules behind it say the same"
        yield Finding(finding_id("removable", *key), "removable", "info", what, place, None, remedy(verdict))
    elif waits_for_a_set(verdict.why, verdict.text):
        what = f"`{verdict.text}` matches nothing while its set is empty"
        fix = "Nothing, where a program or a person fills the set; else remove both"
        yield Finding(finding_id("empty", *key), "empty", "info", what, place, None, fix)
    elif not verdict.cover:
        what = f"`{verdict.text}` can match no packet: {verdict.why}"
        yield Finding(
            finding_id("impossible", *key),
            "impossible",
            "medium",
            what,
            place,
            None,
            "Correct it, or remove it",
        )
    elif verdict.contradicted:
        what = f"`{verdict.text}` is never reached, and {told(verdict.cover)} before it {'say' if len(verdict.cover) > 1 else 'says'} the opposite"
        fix = "Decide which is meant: move it up, or remove it"
        yield Finding(finding_id("contradicted", *key), "contradicted", "medium", what, place, None, fix)
    else:
        what = f"`{verdict.text}` is never reached: {told(verdict.cover)} {'take' if len(verdict.cover) > 1 else 'takes'} all of its packets"
        yield Finding(finding_id("dead", *key), "dead", "low", what, place, None, remedy(verdict))


def waits_for_a_set(why: str, text: str) -> bool:
    """Whether a rule matches nothing for the one reason that a set with a name holds nothing now."""
    return why == EMPTY_SET and bool(NAMED_SET.search(text))


def told(ids: Sequence[str]) -> str:
    """`rule 3`, `rules 3, 5 and 4 more` or `the policy of forward`, chains left out."""
    shown = [i.rpartition(" ")[2] for i in ids[:MOST_NAMED] if not i.startswith(POLICY)]
    policies = [f"the policy of {i.rpartition(' ')[2]}" for i in ids[:MOST_NAMED] if i.startswith(POLICY)]
    rules = f"rule{'s' if len(shown) > 1 else ''} {', '.join(shown)}" if shown else ""
    more = f"{len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
    return " and ".join(filter(None, (rules, *policies, more)))


def remedy(verdict: RuleVerdict) -> str:
    """The command that takes the rule out, where the source tells enough."""
    words = verdict.chain.split(" ")
    if verdict.text.startswith("-A ") and len(words) == 3:
        tool = "ip6tables" if words[0] == "ip6" else "iptables"
        return f"{tool} -t {words[1]} -D {verdict.text.removeprefix('-A ')}"
    if len(words) >= 3 and words[0] in ("ip", "ip6", "inet", "arp", "bridge", "netdev"):
        return f"nft delete rule {verdict.chain} handle {verdict.id.rpartition(' ')[2]}"
    return "Remove it"


def _never_called(chain: Chain, held: Sequence[RuleVerdict]) -> Finding:
    count = len(held)
    what = f"the chain {chain.id} is never called: its {count} rule{'s' if count != 1 else ''} {'see' if count != 1 else 'sees'} no packet"
    asleep = chain.entry is not None
    tool = (
        ""
        if asleep
        else next((t for begins, t in KEPT.items() if chain.id.rpartition(" ")[2].startswith(begins)), "")
    )
    severity = "info" if tool else "low"
    fix = (
        f"Nothing: {tool} keeps it for itself"
        if tool
        else "Wake its table, or remove it"
        if asleep
        else "Call it, or remove it"
    )
    return Finding(
        finding_id("never-called", chain.id), "never-called", severity, what, (chain.id,), None, fix
    )


def unused(
    program: Program, verdicts: Sequence[RuleVerdict], before: Program | None = None
) -> tuple[list[Finding], str]:
    """Rules that no packet used: since the dump `before`, else since their counters began. And a note about the counters."""
    rules = [(chain, rule) for chain in program.chains for rule in chain.rules]
    counted = [(c, r) for c, r in rules if r.packets is not None]
    if not counted or (before is None and not any(r.packets for _, r in counted)):
        return (
            [],
            "no counter of a rule is told, so unused rules are not known" if rules and not counted else "",
        )
    live = {v.id for v in verdicts if v.verdict in ("live", "removable", "undecided")}
    old = _counters(before) if before is not None else {}
    found = []
    for chain, rule in counted:
        base = old.get((chain.id, rule.text.partition("counter")[0]), [0])
        start = base.pop(0) if len(base) > 1 else base[0]
        if (
            rule.id not in live
            or rule.packets is None
            or rule.packets != (start if before is not None else 0)
        ):
            continue
        since = "since the earlier dump" if before is not None else "since its counter began"
        what = f"`{rule.text}`: no packet used it {since}"
        found.append(
            Finding(
                finding_id("unused", chain.id, rule.text),
                "unused",
                "info",
                what,
                (rule.id,),
                None,
                "Ask its owner",
            )
        )
    return (
        found,
        "counters begin at the last load of the rules: a young counter says little"
        if found and before is None
        else "",
    )


def _counters(program: Program) -> Mapping[tuple[str, str], list[int]]:
    found: dict[tuple[str, str], list[int]] = {}
    for chain in program.chains:
        for rule in chain.rules:
            found.setdefault((chain.id, _words(rule)), []).append(rule.packets or 0)
    return found


def _words(rule: Rule) -> str:
    return rule.text.partition("counter")[0]
