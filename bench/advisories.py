"""The advisory database: built from feeds of the real ones' size, a fleet matched against a million rows, one advisory's hosts found.

python -m bench.advisories

The feeds are made here in the published forms and sizes (Debian's tracker with 50,000 package-flaw pairs in five releases, 260,000 OSV
records in zip files of which 200,000 are malware, 300,000 EPSS scores, KEV), since none may be fetched. The yardstick of
the fleet is the plain loop in the same run: every host's package against every row of that package, by `compare`. Goals are held against CPU time, since the machine may be busy; wall time stands beside it.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import resource
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from wardkeep.advisories.build import Builder, FeedCount
from wardkeep.advisories.components import Component
from wardkeep.advisories.database import Database
from wardkeep.advisories.fleet import Fleet, Hit
from wardkeep.advisories.records import Claim, Says
from wardkeep.advisories.updating import FILE, update_from_folder
from wardkeep.advisories.versions import compare
from wardkeep.engine.flaw_review.inventory import affected_by
from wardkeep.store import open_store
from wardkeep.store.bulk import insert_many
from wardkeep.store.flaw_tables import installed, places

NOW = datetime.now(UTC)
HOSTS, EACH, ROWS, PACKAGES, POPULAR = 1000, 600, 1_000_000, 5000, 1500
GOALS = {"build": 60.0, "memory": 1024.0, "size": 30.0, "fleet": 1.0, "advisory": 0.020}
RELEASES = ("buster", "bullseye", "bookworm", "trixie", "sid")


def main() -> None:
    kept = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kept &= bench_build(folder)
        kept &= bench_fleet(folder)
    sys.exit(not kept)


def say(what: str, value: float, unit: str, goal: float, beside: str) -> bool:
    """One line for the table of all benches."""
    shown = f"{value * 1000:.2f} ms" if unit == "s" and value < 0.1 else f"{value:.2f} {unit}"
    limit = f"{goal * 1000:g} ms" if unit == "s" and goal < 0.1 else f"{goal:g} {unit}"
    print(f"{what} under {limit}: {'kept' if value <= goal else 'NOT kept'} ({shown}; beside {beside})")
    return value <= goal


def bench_build(folder: Path) -> bool:
    chance = random.Random(5)
    source = folder / "feeds"
    source.mkdir()
    write_feeds(source, chance)
    packed = sum(one.stat().st_size for one in source.iterdir()) / 1e6
    began, cpu = time.perf_counter(), time.process_time()
    done = update_from_folder(source, folder / "db", NOW)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert not done.problems, done.problems
    db = Database(folder / "db" / FILE)
    size = db.path.stat().st_size / 1e6
    print(
        f"default feeds: {packed:.0f} MB, {done.documents:,} documents → {int(db.meta['rows']):,} rows, {int(db.meta['flaws']):,} flaws"
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    beside = f"{seconds:.1f} s wall; {yardstick_json(source):.2f} s for json.loads of the tracker alone"
    kept = say("database of the default feeds built, CPU", cpu, "s", GOALS["build"], beside)
    kept &= say("memory while building", memory, "MB", GOALS["memory"], f"{packed:.0f} MB of packed feeds")
    return kept & say("database on the disk", size, "MB", GOALS["size"], f"{packed:.0f} MB of packed feeds")


def yardstick_json(source: Path) -> float:
    began = time.process_time()
    json.loads((source / "debian-tracker.json").read_bytes())
    return time.process_time() - began


def write_feeds(folder: Path, chance: random.Random) -> None:
    """In the published forms. Text of random words compresses worse than prose, so the size is no best case."""
    words = [
        f"{chance.choice('bcdfglmnprst')}{chance.choice('aeiou')}{chance.choice('lmnrst')}{i % 97}"
        for i in range(4000)
    ]

    def prose(count: int) -> str:
        return " ".join(chance.choices(words, k=count))

    tracker: dict[str, dict[str, object]] = {}
    for i in range(50_000):
        package = f"source-{int(chance.paretovariate(0.8)) % 3600}"
        releases = {
            release: {
                "status": "resolved",
                "repositories": {release: f"1.{chance.randrange(40)}-{n}"},
                "fixed_version": f"1.{chance.randrange(40)}-{n}+deb{n}u{chance.randrange(9)}",
                "urgency": "not yet assigned",
            }
            if chance.random() < 0.7
            else {
                "status": "open",
                "repositories": {release: "1.0-1"},
                "urgency": "low",
                "nodsa": "Minor issue",
                "nodsa_reason": "",
            }
            for n, release in enumerate(RELEASES, start=10)
        }
        tracker.setdefault(package, {})[f"CVE-{2010 + i % 16}-{i:05d}"] = {
            "description": prose(40),
            "scope": "remote",
            "releases": releases,
        }
    (folder / "debian-tracker.json").write_text(json.dumps(tracker))
    for ecosystem, count, malware in (
        ("npm", 20_000, 200_000),
        ("PyPI", 18_000, 0),
        ("Go", 8_000, 0),
        ("Packagist", 6_000, 0),
        ("Maven", 8_000, 0),
    ):
        with zipfile.ZipFile(
            folder / f"osv-{ecosystem}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1
        ) as archive:
            for i in range(count):
                archive.writestr(f"{i}.json", json.dumps(osv_entry(ecosystem, i, prose, chance)))
            for i in range(malware):
                archive.writestr(f"m{i}.json", json.dumps(malware_entry(i)))
    scores = "".join(f"CVE-{2000 + i % 26}-{i:05d},{chance.random():.5f},0.5\n" for i in range(300_000))
    day = NOW.date().isoformat()
    text = f"#model_version:v1,score_date:{day}T00:00:00+0000\ncve,epss,percentile\n{scores}"
    (folder / "epss.csv.gz").write_bytes(gzip.compress(text.encode(), 1))
    listed = [{"cveID": f"CVE-{2010 + i % 16}-{i * 30:05d}", "dateAdded": day} for i in range(1400)]
    kev = {
        "catalogVersion": "x",
        "dateReleased": f"{day}T00:00:00Z",
        "count": 1400,
        "vulnerabilities": listed,
    }
    (folder / "kev.json").write_text(json.dumps(kev))


def osv_entry(ecosystem: str, i: int, prose: object, chance: random.Random) -> dict[str, object]:
    assert callable(prose)
    high = chance.randrange(1, 9)
    return {
        "id": f"GHSA-{i:04x}-{ecosystem.lower()[:4]}-{i:05d}",
        "published": "2024-05-01T00:00:00Z",
        "modified": NOW.isoformat(),
        "aliases": [f"CVE-{2015 + i % 11}-{i + 20000:05d}"],
        "summary": prose(10),
        "details": prose(150),
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N"}],
        "database_specific": {"severity": "HIGH"},
        "affected": [
            {
                "package": {
                    "ecosystem": ecosystem,
                    "name": f"group-{i % 900}:lib" if ecosystem == "Maven" else f"lib-{i % 4000}",
                },
                "ranges": [
                    {
                        "type": "SEMVER" if ecosystem in ("npm", "Go") else "ECOSYSTEM",
                        "events": [{"introduced": low}, {"fixed": fix}],
                    }
                ],
            }
            for low, fix in (("0", f"{high}.2.{i % 30}"), (f"{high + 1}.0.0", f"{high + 1}.1.{i % 20}"))
        ],
    }


def malware_entry(i: int) -> dict[str, object]:
    ranges = [{"type": "SEMVER", "events": [{"introduced": "0"}]}]
    affected = [{"package": {"ecosystem": "npm", "name": f"evil-{i}"}, "ranges": ranges}]
    return {
        "id": f"MAL-2025-{i}",
        "published": "2025-01-01T00:00:00Z",
        "modified": "2025-01-01T00:00:00Z",
        "details": "Malicious code",
        "affected": affected,
    }


def bench_fleet(folder: Path) -> bool:
    chance = random.Random(6)
    builder = Builder(feeds={"debian-tracker": FeedCount("debian-tracker")})
    for claim in million_claims(chance):
        builder.claims[claim.ecosystem, claim.package].append(("debian-tracker", claim))
    path = folder / "million.db"
    builder.write(path, NOW, {}, {})
    db = Database(path)
    inventories = {}
    for host in range(HOSTS):
        some = chance.sample(range(POPULAR), EACH)
        inventories[f"host-{host}"] = [
            Component(
                "Debian:12", f"source-{n}", f"1.{chance.choice((4, 9, 14, 19, 22, 25, 28, 29))}-{n % 9}"
            )
            for n in some
        ]
    fleet = Fleet.of(inventories)
    began, cpu = time.perf_counter(), time.process_time()
    hits = fleet.match(db)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    findings = sum(len(hit) for found in hits.values() for hit in found)
    print(
        f"fleet: {HOSTS:,} hosts × {EACH} packages against {int(db.meta['rows']):,} rows: {findings:,} findings, {path.stat().st_size / 1e6:.1f} MB"
    )
    print(f"  {cpu:.3f} s CPU, {wall:.3f} s wall; 2 cores' load {os.getloadavg()[0]:.1f}")
    began = time.process_time()
    fleet.match(db)
    print(f"  once more, rows in memory: {time.process_time() - began:.3f} s CPU")
    loop, pairs, agreed = plain_loop(db, inventories, hits)
    print(
        f"the fleet's answer is that of the plain loop: {'kept' if agreed else 'NOT kept'} ({pairs:,} pairs of two hosts)"
    )
    whole = loop * HOSTS / 2
    beside = f"{whole:,.0f} s for the plain loop at {pairs / loop:,.0f} pairs/s, ×{whole / cpu:,.0f}"
    kept = say(
        "1,000 hosts × 600 packages against 1,000,000 rows, one core, CPU", cpu, "s", GOALS["fleet"], beside
    )
    times = []
    names = [db.flaw(chance.randrange(int(db.meta["flaws"]))).id for _ in range(200)]
    for name in names:
        began = time.process_time()
        fleet.affected_by(db, name)
        times.append(time.process_time() - began)
    times.sort()
    beside = f"median {times[100] * 1000:.2f} ms"
    kept &= bench_index(folder, inventories, db, fleet, names)
    return (
        kept
        & agreed
        & say("a new advisory to its hosts, 99th of 100, CPU", times[197], "s", GOALS["advisory"], beside)
    )


def bench_index(
    folder: Path, inventories: dict[str, list[Component]], db: Database, fleet: Fleet, names: list[str]
) -> bool:
    """The same question to the platform's own index on the disk, which knows the fleet from the hosts' looks."""
    store = open_store(f"sqlite:///{folder / 'state.db'}")
    numbers: dict[tuple[str, str, str], int] = {}
    rows: list[dict[str, object]] = []
    for host, components in inventories.items():
        for one in components:
            place = numbers.setdefault((one.ecosystem, one.name, one.version), len(numbers) + 1)
            rows.append({"place": place, "host": host})
    columns = ("ecosystem", "package", "version")
    with store.begin() as connection:
        known = [
            dict(zip(columns, place, strict=True)) | {"id": n, "source": ""} for place, n in numbers.items()
        ]
        insert_many(connection, places, known)
        insert_many(connection, installed, rows)
    times, same = [], True
    with store.read() as connection:
        for name in names:
            began = time.process_time()
            found = affected_by(connection, db, name)
            times.append(time.process_time() - began)
            same &= set(found) == set(fleet.affected_by(db, name))
    store.close()
    times.sort()
    print(f"the index names the hosts that the fleet in memory names: {'kept' if same else 'NOT kept'}")
    beside = (
        f"median {times[100] * 1000:.2f} ms, {len(rows):,} packages installed on {len(inventories):,} hosts"
    )
    return same & say(
        "a new advisory to its hosts by the index on the disk, 99th of 100, CPU",
        times[197],
        "s",
        GOALS["advisory"],
        beside,
    )


def million_claims(chance: random.Random) -> Iterator[Claim]:
    for i in range(ROWS):
        package = f"source-{i % PACKAGES}"
        fixed = f"1.{chance.randrange(30)}-{chance.randrange(9)}"
        open_ended = chance.random() < 0.05
        yield Claim(
            "Debian:12",
            package,
            f"CVE-{2000 + i % 26}-{i // 4:06d}",
            Says.OPEN if open_ended else Says.FIXED,
            fixed="" if open_ended else fixed,
        )


def plain_loop(
    db: Database, inventories: dict[str, list[Component]], hits: dict[str, list[Hit]]
) -> tuple[float, int, bool]:
    """Two hosts by comparing every pair: seconds, pairs, and whether the fleet's answer was the same."""
    pairs, same, seconds = 0, True, 0.0
    for host in list(inventories)[:2]:
        rows = {c.name: list(db.package(c.ecosystem, c.name).rows()) for c in inventories[host]}  # type: ignore[union-attr]
        began = time.process_time()
        count = 0
        for component in inventories[host]:
            for row in rows[component.name]:
                pairs += 1
                count += not row.fixed or compare("dpkg", component.version, row.fixed) < 0
        seconds += time.process_time() - began
        same &= count == sum(len(hit) for hit in hits[host])
    return seconds, pairs, same


if __name__ == "__main__":
    main()
