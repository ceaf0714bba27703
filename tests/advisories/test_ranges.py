"""Ranges of the OSV schema at their edges: what each version between and beside the events is told."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from wardkeep.advisories.build import Builder, merged
from wardkeep.advisories.components import Component
from wardkeep.advisories.database import Database
from wardkeep.advisories.documents import Document
from wardkeep.advisories.matching import Match, Matcher
from wardkeep.advisories.records import Claim, Says
from wardkeep.advisories.updating import FILE, update_from_folder

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def matched(
    tmp_path: Path, ecosystem: str, versions: list[str], *affected: dict[str, Any]
) -> dict[str, Match]:
    """What one record with these `affected` says of each of the versions that it concerns."""
    record = {
        "id": "GHSA-edge",
        "modified": "2026-11-01T00:00:00Z",
        "affected": [{"package": {"ecosystem": ecosystem, "name": "p"}} | one for one in affected],
    }
    builder = Builder()
    assert builder.take(Document("one.json", json.dumps(record).encode()))
    builder.write(tmp_path / "one.db", NOW, {}, {})
    with Database(tmp_path / "one.db") as db:
        asked = [Component(ecosystem, "p", one, one, ("p",)) for one in versions]
        return {found.component.version: found for found in Matcher(db).matches(asked)}


def ranged(*events: dict[str, str]) -> dict[str, Any]:
    return {"ranges": [{"type": "ECOSYSTEM", "events": list(events)}]}


@pytest.mark.parametrize(
    ("events", "hit", "missed"),
    [
        ("introduced 1.0, last_affected 1.0", "1.0 1.0.0", "0.9 1.0.1 2.0"),
        ("last_affected 1.0, introduced 1.0", "1.0", "0.9 1.0.1"),
        ("introduced 0, fixed 1.2, introduced 1.2, fixed 1.4", "1.1 1.2 1.3", "1.4"),
        ("introduced 0, fixed 0", "", "0 1.0"),
        ("introduced 1.0, fixed 1.0", "", "0.9 1.0 1.1"),
        ("introduced 0, limit 2.0", "1.0 1.9", "2.0 3.0"),
        ("introduced 0, fixed 1.5, introduced 1.8, limit 2.0", "1.4 1.9", "1.6 2.0"),
        ("introduced 3.0, limit 2.0", "", "1.0 3.0"),
        ("introduced 0, last_affected 1.9, limit 2.0", "1.9", "1.9.1 2.0"),
        ("introduced 0, fixed 2.0, limit 2.0", "1.9", "2.0"),
        ("introduced 0, limit *", "1.0 99", ""),
        ("introduced 0, limit 1.0, limit 2.0", "1.5", "2.0"),
    ],
)
def test_events(events: str, hit: str, missed: str, tmp_path: Path) -> None:
    listed = [dict([one.split()]) for one in events.split(", ")]
    found = matched(tmp_path, "PyPI", [*hit.split(), *missed.split()], ranged(*listed))
    assert sorted(found) == sorted(hit.split())


@pytest.mark.parametrize(
    ("field", "day"),
    [
        ("published", "not-a-day!"),
        ("modified", "yesterday!"),
        ("published", "9999-12-31T00:00:00Z"),
        ("published", "2026-13-01"),
    ],
)
def test_a_day_that_is_none_is_one_line_and_spoils_nothing_else(field: str, day: str, tmp_path: Path) -> None:
    package = {"package": {"ecosystem": "PyPI", "name": "p"}, "versions": ["1.0"]}
    good = {"id": "GHSA-good", "modified": "2026-11-01T00:00:00Z", "affected": [package]}
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "good.json").write_text(json.dumps(good))
    (tmp_path / "in" / "odd.json").write_text(json.dumps(good | {"id": "GHSA-odd", field: day}))
    done = update_from_folder(tmp_path / "in", tmp_path / "db", NOW)
    assert (done.replaced, done.documents, len(done.problems)) == (True, 1, 1)
    assert done.problems[0].startswith(f"odd.json: `{day[:10]}` is no day")
    with Database(tmp_path / "db" / FILE) as db:
        assert (db.numbers("GHSA-odd"), len(db.numbers("GHSA-good"))) == ([], 1)


@pytest.mark.parametrize(
    ("tag", "state"),
    [
        ("<ignored>", "ignored"),
        ("<no-dsa>", "ignored"),
        ("<postponed>", "ignored"),
        ("<unfixed>", "no_fix"),
        ("<undetermined>", "unknown"),
    ],
)
def test_what_debians_lists_say_instead_of_a_version(tag: str, state: str, tmp_path: Path) -> None:
    listed = (
        f"[01 Nov 2026] DSA-1-1 p - security update\n\t{{CVE-2026-1}}\n\t[bookworm] - p {tag} (Minor issue)\n"
    )
    builder = Builder()
    assert builder.take(Document("DSA.list", listed.encode()))
    builder.write(tmp_path / "one.db", NOW, {}, {})
    with Database(tmp_path / "one.db") as db:
        (found,) = Matcher(db).matches([Component("Debian:12", "p", "1-1", "1-1", ("p",))])
    assert (found.state, found.id) == (state, "CVE-2026-1")


def test_each_stream_of_a_module_has_its_own_fix(tmp_path: Path) -> None:
    fixes = {"ALSA-2024:1": "1:18.19.1-1.module_el9.3.0+89", "ALSA-2024:2": "1:20.11.1-1.module_el9.3.0+88"}
    builder = Builder()
    for number, fixed in fixes.items():
        record = {
            "id": number,
            "modified": "2024-04-01T00:00:00Z",
            "related": ["CVE-2024-1"],
            "affected": [
                {"package": {"ecosystem": "AlmaLinux:9", "name": "nodejs"}}
                | ranged({"introduced": "0"}, {"fixed": fixed})
            ],
        }
        assert builder.take(Document(f"{number}.json", json.dumps(record).encode()))
    builder.write(tmp_path / "one.db", NOW, {}, {})
    old = ["1:16.20.2-8.el9_4", "1:18.17.1-1.module_el9.2.0+36", "1:20.9.0-1.module_el9.3.0+70"]
    mended = [
        "1:18.20.4-1.module_el9.4.0+112",
        "1:20.12.2-2.module_el9.4.0+100",
        "1:22.4.1-1.module_el9.5.0+120",
    ]
    with Database(tmp_path / "one.db") as db:
        found = Matcher(db).matches(Component("AlmaLinux:9", "nodejs", one) for one in old + mended)
        assert {one.component.version: one.fixed for one in found} == {
            old[0]: fixes["ALSA-2024:1"],
            old[1]: fixes["ALSA-2024:1"],
            old[2]: fixes["ALSA-2024:2"],
        }


def test_two_minor_numbers_mended_at_once_are_two_streams(tmp_path: Path) -> None:
    said = [
        ("osv AlmaLinux", Claim("AlmaLinux:9", "php", "CVE-1", Says.FIXED, fixed=one))
        for one in (
            "8.2.28-1.module_el9.6.0+1",
            "8.1.32-1.module_el9.6.0+1",
            "8.1.30-1.module_el9.5.0+1",
            "8.3.19-1.module_el9.6.0+1",
        )
    ]
    assert [(c.introduced, c.fixed) for _, c in merged(said, "AlmaLinux:9")] == [
        ("", "8.1.32-1.module_el9.6.0+1"),
        ("8.2", "8.2.28-1.module_el9.6.0+1"),
        ("8.3", "8.3.19-1.module_el9.6.0+1"),
    ]


def test_a_limit_is_no_fix(tmp_path: Path) -> None:
    found = matched(tmp_path, "PyPI", ["1.0", "3.0"], ranged({"introduced": "0"}, {"limit": "2.0"}))
    assert (found["1.0"].state, found["1.0"].fixed) == ("no_fix", "")
    assert "1.0 < 2.0, below which it was looked for" in found["1.0"].why


@pytest.mark.parametrize(
    ("said", "hit"), [("<= 1.9", ["1.0", "1.9"]), ("< 1.9", ["1.0"]), ("?", ["1.0", "1.9", "2.0"])]
)
def test_github_names_the_last_version_it_knows_of_where_there_is_no_fix(
    said: str, hit: list[str], tmp_path: Path
) -> None:
    affected = ranged({"introduced": "0"}) | {
        "database_specific": {"last_known_affected_version_range": said},
        "versions": ["1.0", "1.9", "2.0"],
    }
    found = matched(tmp_path, "npm", ["1.0", "1.9", "2.0"], affected)
    assert (sorted(found), {one.fixed for one in found.values()}) == (hit, {""})


def test_a_branch_is_unknown_and_a_release_of_go_is_compared(tmp_path: Path) -> None:
    found = matched(
        tmp_path,
        "Packagist",
        ["dev-main", "1.0.x-dev", "2.x-dev"],
        ranged({"introduced": "0"}, {"fixed": "2.0"}),
    )
    assert {version: one.state for version, one in found.items()} == {
        "dev-main": "unknown",
        "1.0.x-dev": "fix_available",
    }
    found = matched(
        tmp_path,
        "Go",
        ["go1.21.3", "go1.22rc1", "1.22rc3"],
        ranged({"introduced": "1.22.0-0"}, {"fixed": "1.22.0-rc.2"}),
    )
    assert list(found) == ["go1.22rc1"]
