"""The drill of vulnerability scanning: a package with a published flaw in a scratch root on the host, found, upgraded, and found no more.

dpkg itself installs it there, by the name and version of a package that the host has, one version below its newest released fix; it is
empty, and nothing of the host's own packages is touched. What dpkg then says is held against the advisories as every look is.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from wardkeep.advisories.components import Component
from wardkeep.advisories.database import Database
from wardkeep.advisories.ecosystems import scheme_of
from wardkeep.advisories.inventories.debian import of_dpkg
from wardkeep.advisories.matching import Matcher, State
from wardkeep.advisories.packages import UP_TO
from wardkeep.advisories.records import Says
from wardkeep.advisories.versions import NotAVersion, key
from wardkeep.core.changes import NOT_TRIED, OnHost, PlantFlaw
from wardkeep.core.errors import Unavailable
from wardkeep.core.facts import Snapshot
from wardkeep.core.findings import Verdict
from wardkeep.engine.folder import open_advisories
from wardkeep.engine.inventories import inventory_of
from wardkeep.engine.platform import Platform

ROOT = "/run/wardkeep-drill-root"
# $1 package, $2 version
INSTALL = r"""
install() {
  rm -rf "$R/build" && mkdir -p "$R/build/DEBIAN" || exit 3
  printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: Wardkeep <root@localhost>\nDescription: empty, of a drill\n' "$1" "$2" >"$R/build/DEBIAN/control"
  dpkg-deb --build "$R/build" "$R/one.deb" >/dev/null || exit 3
  dpkg --root="$R/root" --log=/dev/null -i "$R/one.deb" >/dev/null || exit 3
}
"""


@dataclass(frozen=True, slots=True)
class Planted(OnHost):
    """The step as it is carried out: its script prints the scratch root's package database."""

    ecosystem: str = ""
    flaw: str = ""
    fixed: str = ""
    expect: str = ""


def planted(platform: Platform, step: PlantFlaw, snapshot: Snapshot) -> Planted:
    """The step for this host. Raises Unavailable when the advisories or the host's packages are not known, or no flaw can be planted."""
    inventory = inventory_of(snapshot, snapshot.at.date())
    with open_advisories(platform.folder) as db:
        found = choose(db, inventory.components)
        if found is None:
            raise Unavailable(
                "the advisories name no released fix for any package of this host, so no flaw can be planted"
            )
        component, flaw, fixed = found
        name = db.flaw(flaw).id
    below = f"{fixed}~"  # sorts right below it (deb-version(7))
    script = f"command -v dpkg-deb >/dev/null || exit {NOT_TRIED}\nR={ROOT}\nrm -rf $R\n"
    script += f"mkdir -m 700 $R && mkdir -p $R/root/var/lib/dpkg/info $R/root/var/lib/dpkg/updates && : >$R/root/var/lib/dpkg/status || exit 3\n{INSTALL}"
    package = shlex.quote(component.name)
    script += f"install {package} {shlex.quote(below)}\n"
    if step.expect == "mended":
        script += f"install {package} {shlex.quote(fixed)}\n"
    script += "cat $R/root/var/lib/dpkg/status\n"
    return Planted(
        step.says, script, step.proves, undo=f"rm -rf {ROOT}", timeout=step.timeout,
        ecosystem=component.ecosystem, flaw=name, fixed=fixed, expect=step.expect,
    )  # fmt: skip


def choose(db: Database, components: Iterable[Component]) -> tuple[Component, int, str] | None:
    """The package of the host with the newest released fix: component, flaw's number, fix; None when there is none."""
    best: tuple[tuple[Any, ...], tuple[Component, int, str]] | None = None
    for component in components:
        rows = db.package(component.ecosystem, component.name)
        if rows is None or component.foreign or scheme_of(component.ecosystem) != "dpkg":
            continue
        for row in rows.rows():
            is_plain = row.says is Says.FIXED and row.fixed and not row.introduced
            if not is_plain or row.fixed.startswith(UP_TO) or not _is_version(row.fixed):
                continue
            rank = (row.day, component.name, row.flaw)
            if len(rows.rows_of(row.flaw)) > 1:
                continue  # of two claims about one flaw another one could decide
            if best is None or rank > best[0]:
                best = rank, (component, row.flaw, row.fixed)
    return best[1] if best else None


def judge(platform: Platform, step: Planted, status: str) -> tuple[str, str]:
    """(verdict, what was seen) of the scratch root's package database."""
    with open_advisories(platform.folder) as db:
        components = of_dpkg(status, step.ecosystem)
        if len(components) != 1:
            return Verdict.UNKNOWN.value, f"the scratch root has {len(components)} packages, expected 1"
        (component,) = components
        told = list(Matcher(db).matches(components, dismissed=True))
    match = next((one for one in told if one.id == step.flaw), None)
    if match is None:
        return (
            Verdict.FAIL.value,
            f"{step.flaw} is not even spoken of for {component.name} {component.version}",
        )
    wanted = State.FIX_AVAILABLE if step.expect == "found" else State.NOT_AFFECTED
    verdict = Verdict.PASS if match.state is wanted else Verdict.FAIL
    return verdict.value, f"{match.id} {component.name} {component.version}: {match.state}; {match.why}"[:400]


def _is_version(text: str) -> bool:
    try:
        key("dpkg", text)
    except NotAVersion:
        return False
    return True
