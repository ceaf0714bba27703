"""The host profile with the verdicts of now: for each control the worst that its rules say on each host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import select

from wardkeep.core.findings import Verdict
from wardkeep.engine.platform import Platform
from wardkeep.store.schema import GONE, findings

WORST = (Verdict.FAIL.value, Verdict.UNKNOWN.value, Verdict.PASS.value)


def rule_verdicts(platform: Platform, rules: Iterable[str], host: str = "") -> Mapping[str, str]:
    """Rule → the worst of its live findings (on one host, or on all). A rule without findings is not in the mapping."""
    f = findings.c
    wanted = select(f.rule, f.verdict).where(f.rule.in_(sorted(rules)), f.pressing != GONE).distinct()
    if host:
        wanted = wanted.where(f.host == host)
    found: dict[str, str] = {}
    with platform.store.read() as connection:
        for rule, verdict in connection.execute(wanted):
            found[rule] = min(found.get(rule, verdict), verdict, key=WORST.index)
    return found


def worst_of(verdicts: Iterable[str]) -> str:
    """`fail` before `unknown` before `pass`; no verdict at all is unknown."""
    return min(verdicts, key=WORST.index, default=Verdict.UNKNOWN.value)
