"""VEX and the review: statements of others are taken only where they decide, and our own say what was decided."""

from __future__ import annotations

import json
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.advisories.small_feeds import LIST, TRACKER, write_feeds
from tests.engine.flaws_world import AT, NEW, OLD, add_hosts, give_feeds, look, seen
from tests.engine.test_flaw_review import cases
from tests.engine.test_flaw_review_command import Run, place, run

from wardkeep.advisories.updating import update_from_folder
from wardkeep.advisories.vex import FORMS, Document, Product, Statement, read_vex, write_vex
from wardkeep.engine.flaw_review import acts
from wardkeep.engine.flaw_review.renewing import renew
from wardkeep.engine.flaw_review.vex import export_vex, import_vex
from wardkeep.engine.folder import ADVISORIES
from wardkeep.engine.platform import Platform

__all__ = ["place", "run"]
WHY = "vulnerable_code_not_in_execute_path"


@pytest.fixture
def fleet(platform: Platform, tmp_path: Path) -> Platform:
    give_feeds(platform, tmp_path, AT)
    add_hosts(platform, "app-1", "app-2")
    seen(platform, *(look(name, {"openssl": OLD}, AT, listens={}) for name in ("app-1", "app-2")))
    renew(platform, AT)
    return platform


def document(*statements: Statement, form: str = "openvex") -> bytes:
    made = Document("https://vendor.invalid/1", "Vendor", "2026-11-22T12:00:00.000Z", "", statements)
    return write_vex(made, form, version="0").encode()


def says(flaw: str, version: str = OLD, status: str = "not_affected", **more: Any) -> Statement:
    purl = f"pkg:deb/debian/openssl{'@' + version if version else ''}?arch=source"
    told = {"justification": WHY, "says": "not loaded"} if status == "not_affected" else {}
    return Statement((flaw,), status, (Product(purl),), **{**told, **more})


@pytest.mark.parametrize("form", FORMS)
def test_a_statement_becomes_a_decision_with_its_source(fleet: Platform, form: str) -> None:
    done = import_vex(
        fleet, document(says("CVE-2026-0005"), form=form), "vendor.json", by="operator:a", now=AT
    )
    assert [(one.flaw, one.taken) for one in done.cases] == [("CVE-2026-0005", True)]
    case = cases(fleet)["CVE-2026-0005"]
    assert (case.decision, case.said["justification"], case.decided_by) == ("not_affected", WHY, "operator:a")
    assert "Vendor" in case.said["source"]
    entry = next(one for one in fleet.ledger.read() if one["body"].get("act") == "vex-import")
    assert b"CVE-2026-0005" in fleet.ledger.get_blob(entry["blobs"][0]["digest"])


def test_only_what_decides_is_taken(fleet: Platform) -> None:
    acts.accept(fleet, acts.find_cases(fleet, ["CVE-2026-0001"]), by="operator:alice", now=AT)
    done = import_vex(
        fleet,
        document(
            says("CVE-2026-0001"),
            says("CVE-2026-0002", version="3.0.13-1"),
            says("CVE-2026-0006", status="fixed"),
            says("CVE-2026-0005", version=""),
            says("CVE-2026-0005"),
            says("CVE-2020-9999"),
        ),
        "x",
        by="operator:a",
        now=AT,
    )
    told = [(one.flaw, one.taken, one.why) for one in done.cases]
    assert told == [
        ("CVE-2026-0001", False, "decided already: accepted by operator:alice"),
        ("CVE-2026-0002", False, f"it does not speak of the installed {OLD}"),
        ("CVE-2026-0006", False, "it says fixed: the looks at the hosts decide that"),
        ("CVE-2026-0005", True, WHY),
        ("CVE-2026-0005", False, "taken already"),
    ]
    assert done.unmatched == 1
    decided = {flaw: case.decision for flaw, case in cases(fleet).items() if case.decision}
    assert decided == {"CVE-2026-0001": "accepted", "CVE-2026-0005": "not_affected"}


def test_an_advisory_about_several_flaws_is_no_other_name_of_one_of_them(
    fleet: Platform, tmp_path: Path
) -> None:
    """As the trackers have it: one DSA mends two flaws, and each flaw's data name it."""
    both = {flaw: TRACKER["openssl"]["CVE-2026-0001"] for flaw in ("CVE-2026-0001", "CVE-2026-0010")}
    feeds = write_feeds(tmp_path / "both")
    (feeds / "debian-tracker.json").write_text(json.dumps({**TRACKER, "openssl": both}))
    (feeds / "DSA.list").write_text(LIST.replace("{CVE-2026-0001}", "{CVE-2026-0001 CVE-2026-0010}"))
    update_from_folder(feeds, fleet.folder / ADVISORIES, AT, accept_shrunken=True)
    renew(fleet, AT)
    found = cases(fleet)
    assert all("DSA-9001-1" in found[flaw].told["aliases"] for flaw in both)
    for form in FORMS:
        one = replace(says("CVE-2026-0010"), names=("CVE-2026-0010", "DSA-9001-1"))
        done = import_vex(fleet, document(one, form=form), "x", by="operator:a", dry_run=True, now=AT)
        assert [(one.flaw, one.taken) for one in done.cases] == [("CVE-2026-0010", True)], form
        # An advisory alone stands for all that it is about.
        whole = document(says("DSA-9001-1"), form=form)
        done = import_vex(fleet, whole, "x", by="operator:a", dry_run=True, now=AT)
        assert {one.flaw for one in done.cases if one.taken} == set(both), form
    told = export_vex(fleet, AT, "a").statements
    assert not any(name.startswith("DSA-") for one in told for name in one.names)


def test_a_dry_run_changes_nothing(fleet: Platform) -> None:
    size = fleet.ledger.size
    done = import_vex(fleet, document(says("CVE-2026-0005")), "x", by="operator:a", dry_run=True, now=AT)
    assert ([one.taken for one in done.cases], fleet.ledger.size) == ([True], size)
    assert cases(fleet)["CVE-2026-0005"].decision == ""


def test_what_was_decided_is_stated_without_naming_hosts(fleet: Platform) -> None:
    acts.accept(fleet, acts.find_cases(fleet, ["CVE-2026-0001"]), by="operator:a", now=AT)
    words = {"justification": WHY, "says": "not loaded", "by": "operator:a", "now": AT}
    acts.not_affected(fleet, acts.find_cases(fleet, ["CVE-2026-0005"]), **words)  # type: ignore[arg-type]
    made = export_vex(fleet, AT, "Example Clinic")
    told = {one.names[0]: one for one in made.statements}
    assert {name: one.status for name, one in told.items()} == {
        "CVE-2026-0001": "affected",
        "CVE-2026-0002": "under_investigation",
        "CVE-2026-0005": "not_affected",
        "CVE-2026-0006": "under_investigation",
    }
    assert told["CVE-2026-0001"].action == f"Install {NEW}."
    assert (
        told["CVE-2026-0005"].products[0].purl == f"pkg:deb/debian/openssl@{OLD}?arch=source&distro=debian-12"
    )
    for form in FORMS:
        text = write_vex(made, form, version="0")
        assert "app-1" not in text
        assert len(read_vex(text.encode(), "x").statements) == 4


def test_fixed_is_stated_when_a_look_showed_it(fleet: Platform) -> None:
    seen(fleet, *(look(name, {"openssl": NEW}, AT, listens={}) for name in ("app-1", "app-2")))
    told = {one.names[0]: one for one in export_vex(fleet, AT, "a").statements}
    assert (told["CVE-2026-0001"].status, f"openssl@{NEW}?" in told["CVE-2026-0001"].products[0].purl) == (
        "fixed",
        True,
    )


def test_our_own_statements_can_be_taken_elsewhere(run: Run, tmp_path: Path) -> None:
    run("review", "not-affected", "CVE-2026-0005", "--justification", WHY, "--says", "not loaded")
    for form in FORMS:
        run("vex", "export", "--form", form, "--out", tmp_path / f"{form}.json")
        assert run.status == 0
    run("review", "reopen", "CVE-2026-0005", "--says", "to be told again")
    told = run("vex", "import", tmp_path / "csaf.json", "--json")
    assert [one["flaw"] for one in told["cases"] if one["taken"]] == ["CVE-2026-0005"]
    assert run("review", "show", "CVE-2026-0005", "--json")[0]["decision"] == "not_affected"
    run("vex", "import", tmp_path / "openvex.json")
    assert "0 taken" in run.out


def test_wrong_files_are_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "no.json").write_text("{}")
    for words in (
        ("vex", "import", tmp_path / "no.json"),
        ("vex", "import", tmp_path / "absent"),
        ("vex", "export", "--form", "x"),
    ):
        run(*words)
        assert (run.status, len(run.err.strip().splitlines())) == (2, 1)
    with open(tmp_path / "large.json", "wb") as file:
        file.truncate(3 << 30)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run("vex", "import", tmp_path / "large.json")
    assert (run.status, "is larger than 64 MB" in run.err) == (2, True)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 1 << 20  # KiB
    half = json.dumps({"@context": "https://openvex.dev/ns", "statements": ["?"]})
    (tmp_path / "half.json").write_text(half)
    run("vex", "import", tmp_path / "half.json")
    assert (run.status, "/statements/0" in run.err) == (1, True)
