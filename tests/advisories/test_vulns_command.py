"""`wardkeep vulns` as a person runs it: on a root folder, a bill of materials, a lock file and this machine; always offline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.advisories.small_feeds import write_feeds, write_root
from tests.advisories.small_images import DEBIAN, docker_save
from tests.advisories.test_inventories import CYCLONEDX
from tests.advisories.vulns_run import Run

ASKED_FOR = set(
    [
        "id",
        "aliases",
        "package",
        "installed",
        "fixed",
        "state",
        "severity",
        "severity_source",
        "kev",
        "epss",
        "risk",
        "due",
        "why",
    ]
)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(tmp_path / "state", capsys)


@pytest.fixture
def ready(run: Run, tmp_path: Path) -> Run:
    """With a database of today's small feeds: the advisories' own days would make them stale."""
    feeds = write_feeds(tmp_path / "feeds")
    run("update", "--from", feeds)
    assert run.status == 0, run.err
    return run


def test_without_a_database_the_answer_is_unknown_and_says_what_to_do(run: Run) -> None:
    run("scan")
    assert run.status == 3
    assert "there is no advisory database" in run.err
    assert "wardkeep vulns update --from FOLDER" in run.err
    assert run.err.count("\n") == 1


def test_a_root_folder(ready: Run, tmp_path: Path) -> None:
    told = ready("scan", write_root(tmp_path / "root"), "--json")
    found = {one["id"]: one for one in told["findings"]}
    assert found["CVE-2026-0001"].keys() >= ASKED_FOR
    assert found["CVE-2026-0001"]["state"] == "fix_available"
    assert found["CVE-2026-0001"]["due"] == "2026-10-27"
    assert found["CVE-2026-0001"]["packages"] == ["libssl3", "openssl"]
    assert "CVE-2026-0004" not in found
    assert {one["kind"] for one in told["notices"]} >= {"foreign_package"}
    everything = ready("scan", tmp_path / "root", "--json", "--all")
    assert "CVE-2026-0004" in {one["id"] for one in everything["findings"]}


def test_a_container_image(ready: Run, tmp_path: Path) -> None:
    image = docker_save(tmp_path / "app.tar", DEBIAN)
    told = ready("scan", image, "--json")
    assert told["target"] == f"{image} (app:1)"
    assert told["release"] == "debian 12"
    assert all(one.keys() >= ASKED_FOR and one["why"] for one in told["findings"])
    states = {one["id"]: (one["package"], one["state"]) for one in told["findings"]}
    assert states["CVE-2026-0001"] == ("openssl", "fix_available")
    assert states["wardkeep:foreign_package"] == ("raspi-firmware", "unknown")
    ready("why", "CVE-2026-0001", "libssl3", image)
    assert "(dpkg order)" in ready.out
    image.write_bytes(image.read_bytes()[:5000])
    ready("scan", image)
    assert (ready.status, ready.err.count("\n")) == (2, 1)
    assert "cut" in ready.err
    for words in (("scan", image, "--image", "b:2"), ("scan", "--image", "b:2")):
        ready(*words)
        assert (ready.status, ready.err.count("\n")) == (2, 1)


def test_a_release_nobody_mends_is_a_finding(ready: Run, tmp_path: Path) -> None:
    old = {**DEBIAN, "usr/lib/os-release": b"ID=debian\nVERSION_ID=9\n"}
    told = ready("scan", docker_save(tmp_path / "old.tar", old), "--json")
    (finding,) = (one for one in told["findings"] if one["id"] == "wardkeep:unsupported_release")
    assert finding["state"] == "no_fix"
    assert "support ended on 2022-06-30" in finding["why"]
    assert finding.keys() == {key for one in told["findings"] for key in one}


def test_a_lock_file_that_is_clean_and_one_that_is_not(ready: Run, tmp_path: Path) -> None:
    lock = tmp_path / "package-lock.json"
    lock.write_text('{"packages": {"node_modules/left-pad": {"version": "1.3.0"}}}')
    told = ready("scan", lock, "--json")
    assert [(one["id"], one["fixed"], one["severity_source"]) for one in told["findings"]] == [
        ("CVE-2026-1000", "1.3.1", "GitHub")
    ]
    is_stale = bool(told["database"]["unknown"])
    assert ready.status == 1  # what fails is not hidden by what is unknown
    lock.write_text('{"packages": {"node_modules/left-pad": {"version": "1.3.1"}}}')
    assert ready("scan", lock, "--json")["findings"] == []
    assert ready.status == (3 if is_stale else 0)


def test_a_bill_of_materials(ready: Run, tmp_path: Path) -> None:
    (tmp_path / "bom.json").write_text(json.dumps(CYCLONEDX))
    told = ready("scan", tmp_path / "bom.json", "--json")
    assert "CVE-2026-0001" in {one["id"] for one in told["findings"]}
    assert ready.status == 1
    # No feed speaks of Go, and a component has no package URL.
    assert any("Go" in line for line in told["database"]["unknown"])
    ready("scan", tmp_path / "bom.json")
    assert "CVE-2026-0001" in ready.out


def test_a_bill_that_names_nothing_is_no_clean_one(ready: Run, tmp_path: Path) -> None:
    (tmp_path / "bom.json").write_text('{"bomFormat": "CycloneDX", "components": []}')
    told = ready("scan", tmp_path / "bom.json", "--json")
    assert (ready.status, told["findings"]) == (3, [])
    assert "nothing was looked at" in told["database"]["unknown"][0]


def test_why(ready: Run, tmp_path: Path) -> None:
    root = write_root(tmp_path / "root")
    (told,) = ready("why", "cve-2023-45853", "zlib1g", root, "--json")
    assert told["rows"][0]["state"] == "not_affected"
    assert "minizip not built" in told["rows"][0]["why"]
    ready("why", "DSA-9001-1", "openssl", root)
    assert "3.0.14-1~deb12u2 < 3.0.15-1~deb12u1 (dpkg order)" in ready.out
    ready("why", "CVE-1999-1", "openssl", root)
    assert (ready.status, "knows no flaw" in ready.err) == (2, True)
    ready("why", "DSA-9001-1", "bash", root)
    assert (ready.status, "no package there" in ready.err) == (2, True)


def test_the_feeds_and_their_age(ready: Run) -> None:
    told = ready("feeds", "--json")
    assert {one["name"] for one in told["feeds"]} >= {
        "debian-tracker",
        "debian-advisories",
        "kev",
        "epss",
        "osv npm",
    }
    ready("feeds")
    assert ready.status == 3  # the list's newest advisory is of 12 October 2026 or older by now
    assert "stale" in ready.out


def test_wrong_targets(ready: Run, tmp_path: Path) -> None:
    for target, words in (
        (tmp_path / "absent", "cannot be read"),
        (tmp_path, "no package database"),
        ("app-1", "no platform here"),
    ):
        ready("scan", target)
        assert ready.status == 2
        assert words in ready.err
        assert ready.err.count("\n") == 1
    ready("update", "--from", tmp_path / "absent")
    assert (ready.status, "no such file" in ready.err) == (2, True)


@pytest.mark.skipif(not shutil.which("dpkg-query"), reason="this machine has no dpkg")
def test_this_machine(ready: Run) -> None:
    told = ready("scan", "--json")
    assert told["packages"] > 50
    assert ready.status in (1, 3)
    # What is not looked at is said.
    (only,) = [one for one in told["notices"] if one["kind"] == "system_only"]
    assert ("vulns scan /" in only["why"], only["unknown"]) == (True, False)
