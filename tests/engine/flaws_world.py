"""A small fleet of Debian 12 hosts whose packages and sockets a test sets, held against the small feeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from tests.advisories.small_feeds import TRACKER, write_feeds

from wardkeep.advisories.updating import update_from_folder
from wardkeep.core.facts import PLATFORM, Answer, Snapshot
from wardkeep.core.findings import Finding
from wardkeep.engine.assess import assess
from wardkeep.engine.cycle import record_looks
from wardkeep.engine.flaw_review import ROW
from wardkeep.engine.flaw_review.inventory import note_inventories
from wardkeep.engine.folder import ADVISORIES
from wardkeep.engine.platform import Platform
from wardkeep.engine.platform_facts import ask_platform
from wardkeep.store.schema import hosts

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
RELEASE = '= release /etc/os-release\n|ID=debian\n|VERSION_ID="12"\n|PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n= end\n'
OLD, NEW = "3.0.14-1~deb12u2", "3.0.15-1~deb12u1"
FIXED_NOW = {
    "CVE-2026-0006": {
        "releases": {
            "bookworm": {
                "status": "resolved",
                "repositories": {"bookworm-security": NEW},
                "fixed_version": NEW,
                "urgency": "medium",
            }
        }
    }
}


def give_feeds(platform: Platform, folder: Path, at: datetime = AT, **tracker: Any) -> None:
    """The small feeds, with packages of the tracker replaced: `openssl={"CVE-…": …}`."""
    made = write_feeds(folder / "feeds")
    (made / "debian-tracker.json").write_text(json.dumps({**TRACKER, **tracker}))
    update_from_folder(made, platform.folder / ADVISORIES, at, accept_shrunken=True)


def add_hosts(platform: Platform, *names: str) -> None:
    with platform.store.begin() as connection:
        connection.execute(insert(hosts), [{"name": n, "url": "local:", "added": AT} for n in names])


def look(
    host: str,
    packages: Mapping[str, str],
    at: datetime = AT,
    listens: Mapping[str, int] | None = None,
    nftables: Sequence[Any] | None = (),
) -> Snapshot:
    """What a host told: packages by name and version, all from Debian; `listens` maps a package to a TCP port of its.

    `nftables` are objects of its rule set; None where nobody asked for it.
    """
    lines = [f"|ii |{name}|amd64|{version}|{_source(name)}|{version}\n" for name, version in packages.items()]
    policy = "= files\n|Package files:\n| 100 /var/lib/dpkg/status\n|     release a=now\n|Pinned packages:\n= versions\n"
    for name, version in packages.items():
        policy += f"|{name}:\n|  Installed: {version}\n|  Candidate: {version}\n|  Version table:\n"
        policy += f"| *** {version} 100\n|        100 /var/lib/dpkg/status\n"
    texts = {"packages": f"= packages amd64\n{''.join(lines)}= end\n", "release": RELEASE}
    texts["apt_policy"] = policy + "= end\n"
    if listens is not None:
        sockets, programs, owned = "", "", ""
        for n, (package, port) in enumerate(listens.items(), start=100):
            sockets += f'|tcp LISTEN 0 128 0.0.0.0:{port} 0.0.0.0:* users:(("{package}",pid={n},fd=3))\n'
            programs += f"|here /usr/sbin/{package} = {package}\n"
            owned += f"|{package}: /usr/sbin/{package}\n"
        if nftables is not None:
            meta = {"metainfo": {"version": "1.0.6", "json_schema_version": 1}}
            texts["nftables"] = json.dumps({"nftables": [meta, *nftables]})
            texts["iptables"] = "= legacy ip\n= nft ip\n= legacy ip6\n= nft ip6\n= end\n"
        texts["listeners"] = f"= sockets\n{sockets}= end\n"
        texts["listener_programs"] = f"= programs\n{programs}= owned\n{owned}= end\n"
    return Snapshot(host, at, {name: Answer(name, 0, text.encode()) for name, text in texts.items()})


def _source(package: str) -> str:
    return {"libssl3": "openssl", "zlib1g": "zlib"}.get(package, package)


def seen(platform: Platform, *snapshots: Snapshot) -> None:
    note_inventories(platform, snapshots)


def judged(platform: Platform, at: datetime = AT) -> dict[tuple[str, str], Finding]:
    """The row's findings, by rule and subject."""
    control = next(one for one in platform.controls if one.id == ROW)
    asked = ask_platform(platform, [kind.ask for kind in control.facts()], at)
    found = assess(control, asked, platform.config.policy(control, PLATFORM))
    return {(one.rule.partition(".")[2], one.subject): one for one in found}


def recorded(platform: Platform, at: datetime = AT) -> None:
    """The same as a cycle does it: into the ledger and the state."""
    control = next(one for one in platform.controls if one.id == ROW)
    record_looks(
        platform, "engine", [ask_platform(platform, [k.ask for k in control.facts()], at)], [control]
    )
