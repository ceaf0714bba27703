"""The drill of the review: a made-up advisory against the real inventory of a host, in a scratch platform that is thrown away.

The advisory goes in as a feed file and takes the whole way: read, built, matched, queued, judged. The host is not touched, and the
platform's own queue, ledger and advisories are not written to.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import insert, select, update

from wardkeep.advisories.ecosystems import DEBIAN
from wardkeep.advisories.updating import update_from_folder
from wardkeep.advisories.versions import NotAVersion, key
from wardkeep.core.findings import Verdict
from wardkeep.engine.flaw_review.cases import Case, read_cases
from wardkeep.engine.flaw_review.queue import refresh
from wardkeep.engine.folder import ADVISORIES
from wardkeep.engine.platform import Platform, open_platform
from wardkeep.store.flaw_tables import installed, inventories, places
from wardkeep.store.schema import hosts

FLAW = "CVE-1999-99999"  # a number that is not given
EXPECTED = ("queued", "late", "fixed")


def try_advisory(platform: Platform, expect: str, now: datetime | None = None) -> tuple[Verdict, str]:
    """Plant the advisory and see what becomes of it: `queued` with its deadline, `late` after it, `fixed` by a later look."""
    now = now or datetime.now(UTC)
    chosen = _choose(platform)
    if chosen is None:
        return Verdict.UNKNOWN, "no look has told the packages of a Debian host yet"
    host, ecosystem, package, version = chosen
    fixed = f"{version}+drill1"
    with TemporaryDirectory(prefix="wardkeep-drill-") as name:
        folder = Path(name)
        _write_feeds(folder / "feeds", ecosystem, package, fixed, now)
        with open_platform(folder / "state", create=True) as scratch:
            scratch.config = platform.config
            update_from_folder(folder / "feeds", scratch.folder / ADVISORIES, now)
            _copy(platform, scratch, host, now)
            refresh(scratch, now)
            what = f"{FLAW} in {package} {version} of {host}"
            (case,) = _cases(scratch) or (None,)
            if case is None:
                return Verdict.FAIL, f"{what}: it did not enter the queue"
            due = (now + platform.config.numbers.patch_critical).date()
            if expect == "queued":
                held = case.due.date() == due and case.hosts == 1 and not case.decision
                return _said(
                    held, f"{what}: queued, due {case.due.date()} (expected {due}), risk {case.risk}"
                )
            if expect == "late":
                return _late(scratch, case, what, due)
            later = now + timedelta(hours=1)
            _upgrade(scratch, ecosystem, package, version, fixed, later)
            refresh(scratch, later)
            (after,) = _cases(scratch) or (None,)
            held = after is not None and after.how == "fixed" and after.closed == later
            return _said(held, f"{what}: after a look with {fixed} {after.how if after else 'gone'}")


def _late(scratch: Platform, case: Case, what: str, due: object) -> tuple[Verdict, str]:
    before, after = case.due, case.due + timedelta(days=1)
    held = not case.is_late(before) and case.is_late(after)
    return _said(
        held, f"{what}: {'in time' if not case.is_late(before) else 'late'} on {due}, late the day after"
    )


def _said(held: bool, seen: str) -> tuple[Verdict, str]:
    return (Verdict.PASS if held else Verdict.FAIL), seen


def _cases(scratch: Platform) -> list[Case]:
    with scratch.store.read() as connection:
        return read_cases(scratch, connection, closed=True)


def _choose(platform: Platform) -> tuple[str, str, str, str] | None:
    """A Debian host, and a package of its own archive that it has, the first by name: the same at each drill."""
    p, i = places.c, installed.c
    query = (
        select(i.host, p.ecosystem, p.package, p.version)
        .join(places, p.id == i.place)
        .where(p.source == "", p.ecosystem.like("Debian:%"))
        .order_by(i.host, p.package, p.version)
    )
    with platform.store.read() as connection:
        for host, ecosystem, package, version in connection.execute(query.limit(1000)):
            if ecosystem.partition(":")[2] in _releases() and _is_version(version):
                return host, ecosystem, package, version
    return None


def _releases() -> dict[str, str]:
    """Release number → code name."""
    return {number: name for name, number in DEBIAN.items()}


def _is_version(version: str) -> bool:
    try:
        return key("dpkg", version) < key("dpkg", f"{version}+drill1")
    except NotAVersion:
        return False


def _write_feeds(folder: Path, ecosystem: str, package: str, fixed: str, now: datetime) -> None:
    folder.mkdir()
    release = _releases()[ecosystem.partition(":")[2]]
    told = {"status": "resolved", "fixed_version": fixed, "urgency": "high", "repositories": {release: fixed}}
    flaw = {"description": "A drill of Wardkeep.", "scope": "remote", "releases": {release: told}}
    (folder / "debian-tracker.json").write_text(json.dumps({package: {FLAW: flaw}}))
    listed = {"cveID": FLAW, "dateAdded": now.date().isoformat()}
    kev = {
        "catalogVersion": "drill",
        "dateReleased": now.isoformat(),
        "count": 1,
        "vulnerabilities": [listed],
    }
    (folder / "kev.json").write_text(json.dumps(kev))


def _copy(platform: Platform, scratch: Platform, host: str, now: datetime) -> None:
    """The host's inventory, as it was last seen, into the scratch platform."""
    p, i = places.c, installed.c
    query = select(p.ecosystem, p.package, p.version, p.source).join(installed, i.place == p.id)
    with platform.store.read() as connection:
        rows = [dict(row._mapping) for row in connection.execute(query.where(i.host == host))]
        look = connection.execute(select(inventories).where(inventories.c.host == host)).one()
    with scratch.store.begin() as connection:
        connection.execute(insert(hosts).values(name=host, url="local:", added=now))
        connection.execute(insert(places), rows)
        every = connection.execute(select(p.id)).scalars().all()
        connection.execute(insert(installed), [{"place": number, "host": host} for number in every])
        values = {"host": host, "at": now, "digest": look.digest, "exposed": look.exposed}
        connection.execute(insert(inventories).values(**values))


def _upgrade(scratch: Platform, ecosystem: str, package: str, version: str, fixed: str, at: datetime) -> None:
    p = places.c
    here = (p.ecosystem == ecosystem, p.package == package, p.version == version)
    with scratch.store.begin() as connection:
        connection.execute(update(places).where(*here).values(version=fixed))
        connection.execute(update(inventories).values(at=at, digest="after the upgrade"))
