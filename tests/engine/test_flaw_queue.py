"""The queue of a fleet in which many hosts are alike: told by groups, the same as host by host."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, inspect, select
from tests.engine.flaws_world import AT, add_hosts, give_feeds, look, seen

from wardkeep.advisories.components import Component
from wardkeep.advisories.matching import WORST, Matcher, State
from wardkeep.engine.flaw_review import cases
from wardkeep.engine.flaw_review.inventory import put_scan
from wardkeep.engine.flaw_review.queue import refresh
from wardkeep.engine.folder import open_advisories
from wardkeep.engine.index import rebuild_index
from wardkeep.engine.platform import Platform
from wardkeep.store import bulk
from wardkeep.store.flaw_tables import flaw_assets, flaw_cases

VERSIONS = ("3.0.11-1", "3.0.14-1~deb12u2", "3.0.15-1~deb12u1", "3.0.16-1~deb12u1")
HOSTS = [f"h{n}" for n in range(40)]
Rows = set[tuple[str, str, str, str, str, str]]


def expected(platform: Platform, fleet: Mapping[str, list[Component]]) -> Rows:
    """Host by host, package by package: flaw, package, asset, version, fix, state."""
    made = {}
    with open_advisories(platform.folder) as db:
        for host, components in fleet.items():
            for match in Matcher(db).matches(components):
                key = (match.id, match.component.name, host)
                had = made.get(key)
                if (match.state is not State.IGNORED or match.kev) and (
                    had is None or WORST.index(match.state) < WORST.index(had.state)
                ):
                    made[key] = match
    return {(*key, one.component.version, one.fixed, one.state.value) for key, one in made.items()}


def kept(platform: Platform) -> Rows:
    a = flaw_assets.c
    query = select(a.flaw, a.package, a.host, a.version, a.fixed, a.state).where(a.closed.is_(None))
    with platform.store.read() as connection:
        return {(f, p, h, v, x, s) for f, p, h, v, x, s in connection.execute(query)}


def whole(platform: Platform) -> list[Any]:
    with platform.store.read() as connection:
        return [
            sorted(map(repr, connection.execute(select(table).order_by(*table.primary_key.columns))))
            for table in (flaw_cases, flaw_assets)
        ]


@pytest.fixture
def chance() -> random.Random:
    return random.Random(11)


def grow(platform: Platform, chance: random.Random, days: int) -> dict[str, list[Component]]:
    """Looks at every host, and a kept scan that holds two versions of one package."""
    fleet = {}
    for host in HOSTS:
        packages = {"openssl": chance.choice(VERSIONS), "zlib1g": "1:1.2.13.dfsg-1"}
        if chance.random() < 0.3:
            packages["chromium"] = "1.0"
        seen(platform, look(host, packages, AT + timedelta(days=days), listens={}))
        names = {"zlib1g": "zlib"}
        fleet[host] = [
            Component("Debian:12", names.get(name, name), version) for name, version in packages.items()
        ]
    two = [
        Component("npm", "left-pad", version)
        for version in ("1.3.0", "2.1.0", chance.choice(("2.1.1", "1.2.0")))
    ]
    two += [Component("Debian:12", "openssl", version) for version in VERSIONS[:3]]
    with platform.store.begin() as connection:
        put_scan(connection, "app", AT, [(c.ecosystem, c.name, c.version, "") for c in two])
    fleet["scan:app"] = two
    return fleet


def test_many_alike_are_told_as_each_by_itself(
    platform: Platform, tmp_path: Path, chance: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_feeds(platform, tmp_path)
    add_hosts(platform, *HOSTS)
    monkeypatch.setattr(bulk, "MANY", 50)  # so that the first fill makes its indexes afterwards
    indexes = _indexes(platform)
    for days in range(3):
        fleet = grow(platform, chance, days)
        done = refresh(platform, AT + timedelta(days=days))
        told, here = expected(platform, fleet), kept(platform)
        # Of several versions with one state any may speak; the state, and all else, is the same.
        assert {(*row[:3], row[5]) for row in here} == {(*row[:3], row[5]) for row in told}
        single = {row for row in told if row[2] != "scan:app"}
        assert {row for row in here if row[2] != "scan:app"} == single
        assert done.joined == len(told) if not days else done.fixed > 0
        by_case: dict[tuple[str, str], int] = {}
        for row in here:
            by_case[row[:2]] = by_case.get(row[:2], 0) + 1
        with platform.store.read() as connection:
            counted = {one.key: one.hosts for one in cases.read_cases(platform, connection)}
        assert counted == by_case
    assert _indexes(platform) == indexes
    before = whole(platform)
    rebuild_index(platform)
    assert whole(platform) == before


def test_an_entry_that_speaks_of_each_host_by_itself_is_read_too(
    platform: Platform, tmp_path: Path, chance: random.Random
) -> None:
    """As they were written before hosts of which the same is true stood together."""
    give_feeds(platform, tmp_path)
    add_hosts(platform, *HOSTS)
    grow(platform, chance, 0)
    entry = refresh(platform, AT).entry
    assert entry is not None
    before = whole(platform)
    blob = next(platform.ledger.read(entry))["blobs"][0]["digest"]
    told = json.loads(platform.ledger.get_blob(blob))
    assert len(told["assets"]) < len(before[1]) / 3
    singly = [
        {**{name: value for name, value in row.items() if name != "hosts"}, "host": host}
        for row in told["assets"]
        for host in row["hosts"]
    ]
    with platform.store.begin() as connection:
        for table in (flaw_assets, flaw_cases):
            connection.execute(delete(table))
        cases.bring_up(connection, {**told, "assets": singly}, entry)
    assert whole(platform) == before
    with platform.store.begin() as connection:
        cases.bring_up(connection, {**told, "assets": []}, entry)
        cases.bring_up(connection, told, entry)  # once more changes nothing
    assert whole(platform) == before


def _indexes(platform: Platform) -> set[str]:
    with platform.store.read() as connection:
        return {str(one["name"]) for one in inspect(connection).get_indexes("flaw_assets")}
