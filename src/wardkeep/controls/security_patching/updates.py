"""Security updates that the archive offers and the host has not installed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from wardkeep.controls.security_patching.archives import FETCH, doubts
from wardkeep.controls.security_patching.row import MALWARE, RISK, Policy, control
from wardkeep.core.changes import Blocked, Change, Upgrade
from wardkeep.core.findings import Seen, Severity, fails, passes, unsure
from wardkeep.facts.apt_lists import AptLists
from wardkeep.facts.apt_policy import AptPolicy, Choice
from wardkeep.facts.package_units import PackageUnits
from wardkeep.facts.packages import Packages

UPGRADE = "Run `wardkeep plan` to see the upgrade, and `wardkeep apply` to install it."


@dataclass(frozen=True, slots=True)
class Pending:
    """A package with a newer version in a security archive. `to` is what apt would install, "" if it would not."""

    name: str
    source: str
    installed: str
    fixed: str  # the newest version in a security archive
    to: str
    held: bool
    offered_by: tuple[str, ...]  # every list that has the fix, or a version newer than it

    @property
    def stuck(self) -> str:
        """Why apt would not install it, or ""."""
        if self.held:
            return f"{self.name} is on hold"
        return "" if self.to else f"a pin keeps {self.name} below {self.fixed}"


def pending(choices: AptPolicy, packages: Packages, policy: Policy) -> tuple[Pending, ...]:
    """Every installed package whose newer versions include one from a security archive, whatever apt would do.

    Newer is apt's own ordering (its version tables are sorted), so a fix that a later point release carried on
    counts, and one older than the installed version does not.
    """
    archives = {f.source for f in choices.labelled(policy.security_labels)}
    known = {p.name: p for p in packages.installed}
    found = []
    for choice in choices.choices:
        rank = _newest_fix(choice, archives)
        if rank is None:
            continue
        newer = choice.newer
        within = [offer.version for offer in newer[: rank + 1]]
        package = known.get(choice.name)
        found.append(
            Pending(
                choice.name,
                package.source if package else choice.name,
                choice.installed,
                newer[rank].version,
                choice.candidate if choice.candidate in within else "",
                package is not None and package.held,
                tuple(s for offer in newer[: rank + 1] for s in offer.sources),
            )
        )
    return tuple(sorted(found, key=lambda p: (p.source, p.name)))


def _newest_fix(choice: Choice, archives: set[str]) -> int | None:
    if choice.at == 0:  # nothing is newer, as for most packages of most hosts
        return None
    return next((i for i, offer in enumerate(choice.newer) if archives.intersection(offer.sources)), None)


@control.rule(
    says="Every security update that the archives offer is installed.",
    severity=Severity.CRITICAL,
    serves={
        RISK: "the flaw is public and so is its fix; installing it is the measure that is reasonable",
        MALWARE: "a patched flaw is closed to software that would enter through it",
    },
)
def no_update_is_pending(
    choices: AptPolicy, packages: Packages, lists: AptLists, policy: Policy, now: datetime
) -> Iterator[Seen]:
    by_source: dict[str, list[Pending]] = {}
    for update in pending(choices, packages, policy):
        by_source.setdefault(update.source, []).append(update)
    for source, updates in by_source.items():
        yield _behind(source, updates, choices, lists, policy, now)
    asked = {choice.name for choice in choices.choices}
    for name in sorted({package.name for package in packages.installed} - asked):
        yield unsure(f"package:{name}", f"apt says nothing of {name}, which is installed")
    reasons = doubts(lists, policy, now)
    if reasons:
        # What is pending is pending all the same; that nothing *else* is cannot be said.
        yield unsure("updates", f"more may be pending: {'; '.join(reasons)}", FETCH)
    elif not by_source:
        yield passes("updates", f"{len(asked)} packages are installed, no security update is pending")


def _behind(
    source: str,
    updates: list[Pending],
    choices: AptPolicy,
    lists: AptLists,
    policy: Policy,
    now: datetime,
) -> Seen:
    first = updates[0]
    names = ", ".join(u.name for u in updates)
    since = _since(updates, choices, lists)
    told = f"{names}: {first.installed} is installed, {first.fixed} fixes it"
    if since is not None:
        days = (now - since).days
        late = f", past the deadline of {policy.deadline.days} days" if now - since > policy.deadline else ""
        told += f"; offered since {since.date().isoformat()} at the latest ({days} days{late})"
    stuck = next((u.stuck for u in updates if u.stuck), "")
    return fails(
        f"source:{source}",
        f"{told}; {stuck}" if stuck else told,
        f"Decide whether it must stay so: {stuck}." if stuck else UPGRADE,
        severity=policy.assumed,
        since=since.date().isoformat() if since else "",
    )


def _since(updates: list[Pending], choices: AptPolicy, lists: AptLists) -> datetime | None:
    """The earliest date by which the fix was surely on offer: that of the oldest Release file which lists it.

    A point release stands for months and so proves months. The security archive's file is made anew with each
    update: it proves no more than its own date, and the finding's first-seen date says the rest.
    """
    offering = {source for update in updates for source in update.offered_by}
    files = [f for f in choices.files if f.source in offering]
    dates = [
        release.date
        for release in lists.releases
        for file in files
        if (release.origin, release.label, release.suite, release.codename)
        == (file.origin, file.label, file.suite, file.codename)
    ]
    return min(dates, default=None)


@no_update_is_pending.mend
def install_the_updates(
    choices: AptPolicy, packages: Packages, units: PackageUnits, policy: Policy, failing: list[Seen]
) -> Iterator[Change]:
    """Exactly the pending packages to exactly the versions apt would choose; what is held or pinned is left to a person."""
    wanted = {seen.subject for seen in failing}
    updates = [u for u in pending(choices, packages, policy) if f"source:{u.source}" in wanted]
    free = [u for u in updates if not u.stuck]
    if free:
        names = frozenset(u.name.partition(":")[0] for u in free)
        moves = tuple((u.name, u.installed, u.to) for u in free)
        yield Upgrade(moves, no_update_is_pending.id, restarts=units.restarted_with(names))
    for update in updates:
        if update.stuck:
            yield Blocked(
                f"Upgrade {update.name} from {update.installed} to {update.fixed}",
                update.stuck,
                "Release the hold or the pin first, or waive the finding with a reason.",
                no_update_is_pending.id,
                f"source:{update.source}",
            )
