"""A host's inventory, from its facts, in the form the advisories engine asks: source packages, their archive, the release's support."""

from __future__ import annotations

import asyncio
from datetime import date

from wardkeep.advisories.components import Inventory, Notice
from wardkeep.advisories.ecosystems import family, of_release
from wardkeep.advisories.inventories.debian import of_packages
from wardkeep.core.errors import Unavailable
from wardkeep.core.facts import Snapshot, Unknown
from wardkeep.facts.apt_policy import AptPolicy
from wardkeep.facts.packages import Packages
from wardkeep.facts.release import SUPPORT, Release, Support
from wardkeep.fleet import Host
from wardkeep.fleet.connect import connect
from wardkeep.fleet.ssh_keys import Keyring

ASKED = (Packages, Release, AptPolicy)
# Origins (of the archive's Release file) that a vendor's security data speak of.
OWN = {"Debian": ("Debian",), "Ubuntu": ("Ubuntu",)}

# Releases that are met in images alone, by what of VERSION_ID counts, and their last day of security fixes: alpinelinux.org/releases,
# wiki.almalinux.org, wiki.rockylinux.org/rocky/version.
IMAGES = {
    ("alpine", "3.14"): date(2023, 5, 1),
    ("alpine", "3.15"): date(2023, 11, 1),
    ("alpine", "3.16"): date(2024, 5, 23),
    ("alpine", "3.17"): date(2024, 11, 22),
    ("alpine", "3.18"): date(2025, 5, 9),
    ("alpine", "3.19"): date(2025, 11, 1),
    ("alpine", "3.20"): date(2026, 4, 1),
    ("alpine", "3.21"): date(2026, 11, 1),
    ("alpine", "3.22"): date(2027, 5, 1),
    ("alpine", "3.23"): date(2027, 11, 1),
    ("almalinux", "8"): date(2029, 3, 1),
    ("almalinux", "9"): date(2032, 5, 31),
    ("almalinux", "10"): date(2035, 5, 31),
    ("rocky", "8"): date(2029, 5, 31),
    ("rocky", "9"): date(2032, 5, 31),
}
OLDEST_ALPINE = (3, 14)  # everything before it has ended too


def support_of(release: tuple[str, str]) -> Support | None:
    """Until when a release is mended, of a host or of an image; None for one that no table here has."""
    if known := SUPPORT.get(release):
        return known
    name, version = release
    parts = version.split(".")[: 2 if name == "alpine" else 1]
    if last := IMAGES.get((name, ".".join(parts))):
        return Support(version, last)
    if name == "alpine" and all(part.isdigit() for part in parts) and tuple(map(int, parts)) < OLDEST_ALPINE:
        return Support(version, IMAGES["alpine", "3.14"])
    return None


def ask_host(host: Host, keyring: Keyring | None = None) -> Snapshot:
    """Packages, release and archives of a host, now, in one round trip. Nothing on the host changes."""

    async def ask() -> Snapshot:
        connector = connect(host, keyring=keyring)
        try:
            return await connector.ask([kind.ask for kind in ASKED])
        finally:
            await connector.close()

    return asyncio.run(ask())


def inventory_of(snapshot: Snapshot, today: date) -> Inventory:
    """Raises Unavailable when the packages or the release are not known: then nothing can be said of the host."""
    packages, release = snapshot.learn(Packages), snapshot.learn(Release)
    for fact in (packages, release):
        if isinstance(fact, Unknown):
            raise Unavailable(fact.reason, where=snapshot.subject, todo="See `wardkeep doctor`.")
    assert isinstance(packages, Packages)
    assert isinstance(release, Release)
    ecosystem = of_release(release.id, release.version)
    made = Inventory(snapshot.subject, release=(release.id, release.version))
    foreign: dict[str, str] = {}
    policy = snapshot.learn(AptPolicy)
    if isinstance(policy, Unknown):
        why = f"which archive a package is from is not known: {policy.reason}"
        made.notices.append(Notice("not_readable", "apt", why))
    else:
        foreign = foreign_packages(policy, ecosystem)
    rows = ((p.name, p.version, p.source, p.source_version) for p in packages.installed)
    made.components = of_packages(ecosystem, rows, foreign)
    made.notices += support_notices(made.release, release.pretty, today)
    return made


def foreign_packages(policy: AptPolicy, ecosystem: str) -> dict[str, str]:
    """Package → the archive its installed version is from, where that is not the vendor's. In no list at all: not said."""
    own = OWN.get(family(ecosystem), ())
    origin = {one.source: one.origin for one in policy.files}
    made = {}
    for choice in policy.choices:
        origins = [origin.get(source, "") for source in choice.here]
        if origins and not any(one in own for one in origins):
            made[choice.name] = (
                f"installed from {choice.here[0].split(' ')[0]} ({origins[0] or 'no origin named'})"
            )
    return made


def support_notices(release: tuple[str, str], shown: str, today: date) -> list[Notice]:
    """A release nobody mends any more is a failure by itself; one this version has no dates for is unknown."""
    support = support_of(release)
    if support is None:
        return [
            Notice("unsupported_release", shown, "until when it is supported is not known to this version")
        ]
    last = max(support.full, support.long or support.full)
    if today > last:
        why = f"support ended on {last}: new flaws are not mended, whatever the list below says"
        return [Notice("unsupported_release", shown, why, is_unknown=False)]
    if today > support.full:
        why = f"since {support.full} only Debian LTS mends it (until {last})"
        return [Notice("long_term_support", shown, why, is_unknown=False)]
    return []
