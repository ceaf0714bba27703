"""Packages that no security update will ever reach: held, foreign, orphaned or half installed."""

from __future__ import annotations

from collections.abc import Iterator

from wardkeep.controls.security_patching.archives import FETCH
from wardkeep.controls.security_patching.row import MALWARE, RISK, Policy, control
from wardkeep.controls.security_patching.updates import pending
from wardkeep.core.changes import Act, Blocked, Change
from wardkeep.core.findings import Seen, Severity, fails, passes, unsure
from wardkeep.facts.apt_lists import AptLists
from wardkeep.facts.apt_policy import AptPolicy
from wardkeep.facts.packages import Packages


@control.rule(
    says="No package is held back or pinned below a version that the archives offer.",
    severity=Severity.MEDIUM,
    serves={RISK: "a hold that everybody forgot keeps every later fix out"},
)
def nothing_is_held_back(choices: AptPolicy, packages: Packages, policy: Policy) -> Iterator[Seen]:
    fixes = {u.name: u for u in pending(choices, packages, policy)}
    held = {p.name for p in packages.installed if p.held}
    stuck = held | {name for name, update in fixes.items() if update.stuck}
    for name in sorted(stuck):
        how = "is on hold" if name in held else "is pinned"
        fix = fixes.get(name)
        what = f"{name} {how}" + (f" at {fix.installed}; {fix.fixed} is a security update" if fix else "")
        if name in policy.held and fix is None:
            yield passes(f"hold:{name}", f"{what}, as the policy names; no security update is kept out")
            continue
        todo = f"Run `apt-mark unhold {name}`, or name it in the policy: security_patching.held."
        if name not in held:
            todo = f"Look at the pins under /etc/apt/preferences.d that concern {name}."
        yield fails(f"hold:{name}", what, todo, severity=policy.assumed if fix else None)
    if not stuck:
        yield passes("holds", f"none of {len(packages.installed)} packages is held back")


nothing_is_held_back.cannot_mend(
    "somebody held the package for a reason; a person must decide that it is gone"
)


@control.rule(
    says="Every package comes from an archive that the policy names and still offers it.",
    severity=Severity.MEDIUM,
    serves={
        RISK: "for a package that no archive offers any more there will be no fix to install",
        MALWARE: "software from an archive nobody vetted is how planted code arrives",
    },
)
def origins_are_named(
    choices: AptPolicy, packages: Packages, lists: AptLists, policy: Policy
) -> Iterator[Seen]:
    files = {f.source: f for f in choices.files}
    named_files = {source for source, file in files.items() if file.origin in policy.origins}
    wrong, orphans = 0, list[str]()
    # Most packages are in a named archive as they are installed: only the others are looked at closely.
    doubtful = [c for c in choices.choices if named_files.isdisjoint(c.offers[c.at].sources)]
    for choice in sorted(doubtful, key=lambda c: c.name):
        subject = f"package:{choice.name}"
        named = choice.name in policy.unsupported
        origins = {files[s].origin for s in choice.sources if s in files}
        strange = sorted(f"`{origin}`" for origin in origins - set(policy.origins))
        if not choice.sources:
            seen = f"{choice.name} {choice.installed} is offered by no archive any more"
            todo = f"Remove it, or name it in the policy: security_patching.unsupported `{choice.name}`."
        elif choice.at == 0 and not choice.here:
            seen = f"{choice.name} {choice.installed} is newer than anything the archives offer, so no fix replaces it"
            todo = (
                f"Install the archive's version, or name it: security_patching.unsupported `{choice.name}`."
            )
        elif origins and not origins & set(policy.origins):
            seen = f"{choice.name} comes from {', '.join(strange)} only"
            todo = f"Remove it, or name the origin in the policy: security_patching.origins {strange[0]}."
        else:
            continue
        wrong += 1
        if named:
            yield passes(subject, f"{seen}; the policy names it")
        elif lists.absent or not files:
            orphans.append(choice.name)  # the list that is missing may be the one that has it
        else:
            yield fails(subject, seen, todo)
    if orphans:
        told = f"{', '.join(orphans[:3])}{f' and {len(orphans) - 3} more' if len(orphans) > 3 else ''}"
        yield unsure("origins", f"lists are missing: nobody can say where {told} come from", FETCH)
    if not wrong:
        yield passes("origins", f"{len(choices.choices)} packages come from {', '.join(policy.origins)}")


origins_are_named.cannot_mend("removing software may break what needs it; a person must decide")


@control.rule(
    says="Every package is completely installed.",
    severity=Severity.HIGH,
    serves={RISK: "an upgrade that stopped halfway has not put its fix into force, and blocks the next ones"},
)
def dpkg_is_consistent(packages: Packages) -> Iterator[Seen]:
    wrong = [p for p in packages.installed if p.state != "installed" or p.broken]
    for package in wrong:
        state = f"{package.state}, to be installed again" if package.broken else package.state
        todo = "Run `dpkg --audit` on the host, then `dpkg --configure -a`."
        yield fails(f"package:{package.name}", f"{package.name} {package.version} is {state}", todo)
    if not wrong:
        yield passes("dpkg", f"all {len(packages.installed)} packages are completely installed")


CONFIGURABLE = frozenset({"unpacked", "half-configured", "triggers-awaited", "triggers-pending"})


@dpkg_is_consistent.mend
def finish_the_installation(packages: Packages, failing: list[Seen]) -> Iterator[Change]:
    wanted = {seen.subject for seen in failing}
    broken = [p for p in packages.installed if f"package:{p.name}" in wanted]
    easy = [p for p in broken if p.state in CONFIGURABLE and not p.broken]
    for package in easy:
        yield Act(
            f"Finish configuring {package.name} (nothing to undo: it was to be so)",
            # Files of the host that somebody changed stay as they are.
            f"DEBIAN_FRONTEND=noninteractive dpkg --force-confdef --force-confold --configure {package.name}",
            "",
            dpkg_is_consistent.id,
            f"package:{package.name}",
        )
    for package in broken:
        if package not in easy:
            yield Blocked(
                f"Install {package.name} again",
                "its files are half there; which version belongs there is not known",
                f"Run `apt-get install --reinstall {package.name}` on the host.",
                dpkg_is_consistent.id,
                f"package:{package.name}",
            )
