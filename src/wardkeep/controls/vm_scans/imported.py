"""What other scan tools said of the host and a person imported: kept as evidence, what fails is open until a newer report says otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby

from wardkeep.controls.vm_scans.row import EVALUATION, RISK, Policy, control
from wardkeep.core.findings import Seen, Severity, fails, passes, unsure
from wardkeep.facts.imported_scans import ImportedScan, ImportedScans, OpenResult

RANKS = {
    "critical": Severity.CRITICAL,
    "high": Severity.HIGH,
    "medium": Severity.MEDIUM,
    "low": Severity.LOW,
    "none": Severity.LOW,
}
SHOWN = 3


@control.rule(
    says="Nothing that another tool's imported report says of the host is left open.",
    severity=Severity.MEDIUM,
    serves={
        EVALUATION: "A second tool's look is an evaluation too; its report is kept with what passed and what failed.",
        RISK: "What any tool found is a risk to mend or to accept, never to forget in a folder.",
    },
)
def imported_results_dealt_with(imported: ImportedScans, policy: Policy, now: datetime) -> Iterator[Seen]:
    if not imported.scans:
        yield passes("imports", "no report of another tool was imported for this host")
    for scan in sorted(imported.scans, key=lambda one: (one.tool, one.target)):
        yield from _of_scan(scan, policy, now)


imported_results_dealt_with.cannot_mend(
    "what another tool means, a person mends; then its newer report is imported"
)


def _of_scan(scan: ImportedScan, policy: Policy, now: datetime) -> Iterator[Seen]:
    name = f"{scan.tool}:{scan.target}" if scan.target else scan.tool
    counts = ", ".join(f"{number} {state}" for state, number in sorted(scan.counts) if number) or "nothing"
    when = f"of {scan.at:%Y-%m-%d}" if scan.dated else f"imported on {scan.at:%Y-%m-%d}, its own day not said"
    told = f"{scan.tool} {scan.version}".strip() + f", {when}: {counts}"
    again = "Run the tool again and import its report by `wardkeep scan import --host`."
    if not sum(number for _, number in scan.counts):
        yield unsure(f"report:{name}", f"{told}: it says nothing", again)
    elif now - scan.at > timedelta(days=policy.imports_days):
        yield unsure(f"report:{name}", f"{told}; that is more than {policy.imports_days} days ago", again)
    elif refused := dict(scan.counts)["refused"]:
        yield unsure(f"report:{name}", f"{told}; {refused} items of it could not be read", again)
    else:
        yield passes(f"report:{name}", told)
    ordered = sorted(scan.open, key=lambda one: (one.id, one.state, one.where, one.title))
    for (result, state), group in groupby(ordered, key=lambda one: (one.id, one.state)):
        yield _open(name, result, state, list(group))
    if scan.more:
        todo = "See the ledger's entry of the import for all of them."
        yield fails(f"result:{name}:more", f"{scan.more} further results are open", todo)


def _open(name: str, result: str, state: str, found: list[OpenResult]) -> Seen:
    places = sorted({one.where for one in found if one.where})
    rest = f" and {len(places) - SHOWN} more" if len(places) > SHOWN else ""
    where = f" ({', '.join(places[:SHOWN])}{rest})" if places else ""
    title = next((one.title for one in found if one.title), "") or result
    subject = f"result:{name}:{result}"
    if state == "unknown":
        return unsure(f"{subject}:undecided", f"{title[:200]}{where}: the tool could not decide")
    worst = min((RANKS[one.severity] for one in found if one.severity), key=lambda s: s.rank, default=None)
    todo = "Mend it, or accept it by `wardkeep findings waive`; import the tool's next report."
    return fails(subject, f"{title[:200]}{where}", todo, severity=worst)
