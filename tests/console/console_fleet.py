"""Findings as three hosts would give them, recorded by the engine's own recording, with their entries in the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec.structs import asdict
from sqlalchemy import insert
from tests.engine.flaws_world import OLD, give_feeds, look, seen

from wardkeep.core.findings import Finding, Seen, Verdict, fails, passes, unsure
from wardkeep.engine.findings import Assessment, deadlines, record
from wardkeep.engine.flaw_review.renewing import renew
from wardkeep.engine.hosts import add_host
from wardkeep.engine.platform import Platform, timestamp
from wardkeep.fleet import Host
from wardkeep.store.schema import schedules

HOSTS = ("app-1", "app-2", "db-1")
NASTY = "<script>alert('seen')</script>\"'&\u202e\x00{{7*7}}"
NASTY_FLAW = {
    "description": NASTY.replace("\x00", ""),
    "releases": {"bookworm": {"status": "open", "repositories": {"bookworm": "1.0-1"}, "urgency": "low"}},
}
ENDLESS = "AAAAC3NzaC1lZDI1NTE5" * 12  # a word that no line can break by itself


def seen_on(host: str, rule: str, days_ago: int) -> Seen:
    """Mostly good news; some trouble on db-1, mended on app-1 ten days ago."""
    trouble = sum(rule.encode()) % 4
    if host == "db-1" and trouble == 0:
        return fails("sshd", f"seen on {host}: {NASTY}", "Run `wardkeep plan db-1` to see the change.")
    if host == "app-1" and trouble == 1 and days_ago > 10:
        return fails("sshd", "PermitRootLogin yes", "Run `wardkeep plan app-1`.")
    if host == "app-2" and trouble == 2:
        return unsure("host", "sshd: the answer was cut short")
    return passes("sshd", "as it should be")


def findings_of(platform: Platform, host: str, days_ago: int) -> Iterator[Finding]:
    rule = next(control for control in platform.controls if control.rules).rules[0]
    verdict = Verdict.FAIL if host == "db-1" else Verdict.PASS
    yield Finding(
        rule.id.split(".")[0], rule.id, rule.says, host, ENDLESS, verdict, rule.severity, ENDLESS, ENDLESS
    )
    for control in platform.controls:
        for rule in control.rules:
            seen = seen_on(host, rule.id, days_ago)
            yield Finding(
                control.id,
                rule.id,
                rule.says,
                host,
                seen.subject,
                seen.verdict,
                rule.severity,
                seen.seen,
                seen.todo,
            )


def fill_fleet(platform: Platform, days: tuple[int, ...] = (40, 20, 5, 1, 0)) -> None:
    """Three hosts, looked at on several days."""
    now = datetime.now(UTC)
    for host in HOSTS:
        add_host(platform, Host(name=host, url=f"ssh://root@{host}"), "operator:test")
    for days_ago in days:
        at = now - timedelta(days=days_ago, minutes=3)
        for host in HOSTS:
            found = list(findings_of(platform, host, days_ago))
            told = json.dumps([_plain(f) for f in found], sort_keys=True).encode()
            blob = {"name": "findings", "digest": platform.ledger.put_blob(told), "size": len(told)}
            rows = {c.id: _tally(found, c.id) for c in platform.controls}
            entry = {
                "kind": "assess",
                "at": timestamp(),
                "actor": "engine",
                "subject": {"host": host},
                "body": {"rows": rows, "profile": platform.config.profile.name},
                "blobs": [blob],
            }
            (index,) = platform.ledger.append([entry])
            ids = frozenset(c.id for c in platform.controls if c.rules)
            record(
                platform.store, [Assessment(host, at, ids, found, index)], deadlines(platform.config.numbers)
            )
    with platform.store.begin() as write:
        for control in platform.controls:
            if control.rules:
                values = {"key": f"observe:{control.id}", "kind": "observe", "control": control.id}
                due = now + timedelta(hours=20) if control.id != "firewall" else now - timedelta(hours=2)
                values |= {"cadence": 86400, "created": now, "last_done": now, "next_due": due}
                write.execute(insert(schedules).values(values))


def fill_flaws(platform: Platform, folder: Path) -> None:
    """Published flaws of two of the hosts: openssl is old on both, and held by a listening program on one."""
    now = datetime.now(UTC)
    give_feeds(platform, folder, now, **{"nasty-package": {"CVE-2026-0066": NASTY_FLAW}})
    old = {"openssl": OLD, "nasty-package": "1.0-1"}
    seen(platform, look("app-1", old, now, listens={"openssl": 443}), look("db-1", {"openssl": OLD}, now))
    renew(platform, now)


def _plain(finding: Finding) -> dict[str, str]:
    return {**asdict(finding), "verdict": finding.verdict.value, "severity": finding.severity.value}


def _tally(found: list[Finding], control: str) -> dict[str, int]:
    mine = [f.verdict for f in found if f.control == control]
    return {v.value: mine.count(v) for v in Verdict}
