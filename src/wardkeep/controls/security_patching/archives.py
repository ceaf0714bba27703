"""What the host knows of the archives: without fresh lists nobody can say that nothing is pending."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from wardkeep.controls.security_patching.row import MALWARE, RISK, Policy, control
from wardkeep.core.changes import Act, Blocked, Change
from wardkeep.core.findings import Seen, Severity, fails, passes, unsure
from wardkeep.facts.apt_lists import AptLists, Release

FETCH = "Run `apt-get update` on the host, and see that a timer does it daily."
CONFIGURE = "Add Debian's security archive to the host's apt sources, then run `apt-get update`."


def doubts(lists: AptLists, policy: Policy, now: datetime) -> tuple[str, ...]:
    """Why "nothing is pending" cannot be believed, one sentence each; empty when it can."""
    found = [f"no list of {release} at {site} is here" for site, release in lists.absent]
    archives = lists.labelled(policy.security_labels)
    if not archives:
        found.append("no list of security updates is here")
    found += sorted(late for archive in archives if (late := _late(archive, policy, now)))
    return tuple(found)


@control.rule(
    says="The host's lists of security updates are complete and fresh.",
    severity=Severity.HIGH,
    serves={
        RISK: "a fix that the host has not heard of cannot be installed in time",
        MALWARE: "old lists hide the flaws that malicious software is using now",
    },
)
def lists_are_fresh(lists: AptLists, policy: Policy, now: datetime) -> Iterator[Seen]:
    for site, release in lists.absent:
        subject = f"lists:{release}@{site}"
        yield unsure(subject, f"{release} at {site} is configured, and no list of it is here", FETCH)
    archives = lists.labelled(policy.security_labels)
    for archive in archives:
        subject = f"lists:{archive.codename or archive.suite}:{archive.file}"
        if late := _late(archive, policy, now):
            yield fails(subject, late, FETCH, since=archive.date.date().isoformat())
        else:
            yield passes(
                subject, f"{archive.label}'s lists of {archive.codename} are as of {_day(archive.date)}"
            )
    labels = ", ".join(policy.security_labels)
    if not archives and lists.absent:
        yield unsure("lists", f"no list of an archive labelled {labels} is here", FETCH)
    elif not archives:
        yield fails("lists", f"no archive labelled {labels} is among the host's apt sources", CONFIGURE)
    for target in sorted(set(lists.present), key=str):
        if not target.trusted:
            subject = f"unsigned:{target.release}/{target.component}/{target.architecture}@{target.site}"
            yield fails(
                subject, f"the signature of {target.release} at {target.site} was not verified", FETCH
            )


@lists_are_fresh.mend
def fetch_the_lists(failing: list[Seen]) -> Iterator[Change]:
    """One fetch serves all stale lists; which archive to add, and whose key to trust, is the operator's choice."""
    why = lists_are_fresh.id
    if any(seen.subject.startswith("lists:") for seen in failing):
        yield Act(
            "Fetch the package lists anew (nothing to undo: older lists are of no use)",
            "apt-get -q -o APT::Update::Error-Mode=any update",
            "",
            why,
        )
    for seen in failing:
        if not seen.subject.startswith("lists:"):
            says = "Trust an archive" if seen.subject.startswith("unsigned:") else "Add a security archive"
            yield Blocked(
                says, "which archive to believe is not for us to decide", CONFIGURE, why, seen.subject
            )


def _late(archive: Release, policy: Policy, now: datetime) -> str:
    """Why the archive's lists are too old to be believed, or "".

    A Release file says when the archive made it; when the host fetched it last is recorded nowhere reliable (an unchanged
    file keeps its times). An archive that sets `Valid-Until` means it: a list past that may be a replayed old one.
    """
    name = archive.codename or archive.suite
    if archive.until is not None and archive.until < now:
        return f"{archive.label}'s lists of {name} ended being valid on {_day(archive.until)}"
    if archive.date < now - timedelta(days=policy.list_days):
        return f"{archive.label}'s lists of {name} are as of {_day(archive.date)}, {(now - archive.date).days} days ago"
    if archive.date > now + timedelta(days=1):
        return f"{archive.label}'s lists of {name} are dated {_day(archive.date)}, in the future"
    return ""


def _day(when: datetime) -> str:
    return when.date().isoformat()
