"""Language and RPM packages of images that run: from the walk to the findings, the queue, a host's page and the digest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.engine.flaws_world import AT, NEW, add_hosts, give_feeds, judged, look, seen
from tests.engine.test_flaw_images import running
from tests.facts.walked_images import container, needs_root, unpack, walk

from wardkeep.advisories.components import Component, Inventory, Notice
from wardkeep.controls.vulnerability_scanning import control
from wardkeep.core.facts import Answer, Snapshot
from wardkeep.engine.assess import assess
from wardkeep.engine.cycle import completed, record_looks
from wardkeep.engine.flaw_review.cases import read_assets
from wardkeep.engine.flaw_review.digest import as_text, digest
from wardkeep.engine.flaw_review.queue import refresh
from wardkeep.engine.flaw_review.views import host_flaws
from wardkeep.engine.image_packages import kept_form
from wardkeep.engine.long_looks import INSIDE, looks_due, record_look
from wardkeep.engine.platform import Platform
from wardkeep.facts.image_contents import CUT, ImageContent, ImageContents
from wardkeep.store.flaw_tables import installed, places

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
WEB = "app-1/registry.example/web:1"
FLAW = "CVE-2026-1000"  # of left-pad, critical, mended by 1.3.1
IMAGE = "sha256:" + "w" * 64


def content(*components: tuple[str, str, str], problem: str = "", notices: Any = ()) -> ImageContent:
    made = Inventory("w", [Component(*one) for one in components], list(notices))
    return ImageContent("podman", IMAGE, problem, "dpkg", 7, made)


def whole(at: datetime, *images: ImageContent, looked: datetime | None = None, **tags: str) -> Snapshot:
    """A look at a host with a mended system, on which images of a mended system run (by tag), and what was seen in them."""
    snapshot = running(look("app-1", {"openssl": NEW}, at, listens={}), **(tags or {"web": NEW}))
    answers = {**snapshot.answers, "image_flaws": Answer("image_flaws", 3, b"")}
    if images or looked:
        told = ImageContents(looked or at, images).told()
        answers["image_contents"] = Answer("image_contents", 0, told)
    return replace(snapshot, answers=answers, _learned={})


def findings(platform: Platform, snapshot: Snapshot, rule: str) -> dict[str, tuple[str, str]]:
    (made,) = completed(platform, [snapshot], [control])
    found = assess(control, made, platform.config.policy(control))
    return {
        one.subject.partition("@")[0]: (str(one.verdict), one.seen)
        for one in found
        if one.rule == f"vulnerability_scanning.{rule}"
    }


def places_of(platform: Platform) -> dict[str, str]:
    with platform.store.read() as connection:
        return {
            one.host: one.how or one.state for one in read_assets(connection, closed=True) if one.flaw == FLAW
        }


@pytest.fixture
def fleet(platform: Platform, tmp_path: Path) -> Platform:
    give_feeds(platform, tmp_path)
    add_hosts(platform, "app-1")
    return platform


LATE = content(("npm", "left-pad", "1.3.0"))
MENDED = content(("npm", "left-pad", "1.3.1"))


def test_a_late_fix_of_a_language_package_fails_and_stands_everywhere(fleet: Platform) -> None:
    later = AT + 30 * DAY
    snapshot = whole(later, LATE)
    verdict, told = findings(fleet, snapshot, "no_fix_is_late_in_images")["image:registry.example/web:1"]
    assert verdict == "fail"
    assert f"2 packages of Debian:12, npm in web: {FLAW} of left-pad" in told
    assert findings(fleet, whole(later, MENDED), "images_are_looked_into") == {
        "image:registry.example/web:1": (
            "pass",
            f"7 files on {later.date()}: 1 of npm packages beside those of dpkg",
        )
    }
    seen(fleet, snapshot)
    refresh(fleet, later)
    assert places_of(fleet) == {WEB: "fix_available"}
    assert (FLAW, WEB) in {(case.flaw, one.host) for case, one in host_flaws(fleet, "app-1", later)[1]}
    assert f"{FLAW}" in as_text(digest(fleet, later))
    assert judged(fleet, later)["every_flaw_is_decided", f"flaw:{FLAW} left-pad"].verdict == "fail"


def test_only_a_look_into_the_image_ends_it(fleet: Platform) -> None:
    seen(fleet, whole(AT, LATE))
    refresh(fleet, AT)
    # Not asked, not answered, grown old, cut short, another image under the same tag: what was known stays.
    unseen = [
        whole(AT + DAY),
        whole(AT + DAY, LATE, looked=AT - 4 * DAY),
        whole(AT + DAY, content(problem=CUT)),
        whole(AT + DAY, replace(LATE, image="x")),
    ]
    for snapshot in unseen:
        seen(fleet, snapshot)
        refresh(fleet, AT + DAY)
        assert places_of(fleet) == {WEB: "fix_available"}
        with fleet.store.read() as connection:
            held = select(places.c.package).join(installed, installed.c.place == places.c.id)
            assert set(connection.execute(held.where(installed.c.host == WEB)).scalars()) == {
                "openssl",
                "left-pad",
            }
    seen(fleet, whole(AT + 2 * DAY, MENDED))
    refresh(fleet, AT + 2 * DAY)
    assert places_of(fleet) == {WEB: "fixed"}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (whole(AT), "is a long look that was not done yet"),
        (whole(AT, LATE, looked=AT - 4 * DAY), "the last look into the images was on 2026-11-18"),
        (whole(AT, content(problem=CUT)), "not read to its end"),
        (whole(AT, looked=AT), "did not run yet when the images were looked into"),
        (
            whole(AT, content(notices=[Notice("not_readable", "a.jar", "the archive is damaged")])),
            "a.jar: the archive is damaged",
        ),
    ],
)
def test_what_was_not_seen_is_unknown(given: Snapshot, why: str, fleet: Platform) -> None:
    late = findings(fleet, given, "no_fix_is_late_in_images")["image:registry.example/web:1"]
    assert late[0] == "unknown"
    assert why in late[1]
    assert {verdict for verdict, _ in findings(fleet, given, "images_are_looked_into").values()} == {
        "unknown"
    }


def test_a_host_on_which_nothing_runs_needs_no_walk(fleet: Platform) -> None:
    idle = running(look("app-1", {"openssl": NEW}, AT, listens={}))
    idle = replace(idle, answers={**idle.answers, "image_flaws": Answer("image_flaws", 3, b"")}, _learned={})
    rule = "images_are_looked_into"
    assert findings(fleet, idle, rule) == {"images": ("pass", "no container runs under podman or docker")}
    # Nobody could say what runs: nothing is known of it.
    deaf = {**idle.answers, "container_packages": Answer("container_packages", 1, b"", b"no")}
    for answers in (deaf, {name: one for name, one in idle.answers.items() if name != "container_packages"}):
        told = findings(fleet, replace(idle, answers=answers, _learned={}), rule)
        assert {verdict for verdict, _ in told.values()} == {"unknown"}


def test_an_image_that_starts_is_looked_into_once_and_soon(fleet: Platform) -> None:
    def due(at: datetime) -> list[str]:
        return [ask.id for ask in looks_due(fleet, at).get("app-1", ()) if ask.id == "image_contents"]

    def cycle(at: datetime, **tags: str) -> None:
        record_looks(fleet, "engine", [replace(whole(at, **tags), _learned={})], [control])

    def looked(at: datetime, *images: ImageContent) -> None:
        told = Answer("image_contents", 0, ImageContents(at, images).told())
        record_look(fleet, "engine", INSIDE, Snapshot("app-1", at, {"image_contents": told}))

    start = AT + DAY
    looked(start, MENDED)
    cycle(start + HOUR, web=NEW)
    assert due(start + 2 * HOUR) == []  # nothing new, and the day is not over
    cycle(start + 3 * HOUR, web=NEW, shop=NEW)
    assert due(start + 4 * HOUR) == ["image_contents"]
    # It could not be seen even so: one look is enough until the day's.
    looked(start + 4 * HOUR, MENDED)
    cycle(start + 5 * HOUR, web=NEW, shop=NEW)
    assert due(start + 6 * HOUR) == []
    cycle(start + 7 * HOUR, web=NEW)
    assert due(start + 8 * HOUR) == []
    assert due(start + 4 * HOUR + DAY) == ["image_contents"]


def test_a_program_of_no_package_is_said_once_and_hides_nothing(fleet: Platform) -> None:
    snapshot = whole(AT, content(notices=[Notice("unknown_program", "bin/tini", "built into no package")]))
    looked = findings(fleet, snapshot, "images_are_looked_into")["image:registry.example/web:1"]
    assert looked == ("unknown", "bin/tini: built into no package")
    late = findings(fleet, snapshot, "no_fix_is_late_in_images")["image:registry.example/web:1"]
    assert "tini" not in late[1]


def test_an_image_without_a_database_of_its_system_is_judged_by_what_is_in_it(fleet: Platform) -> None:
    rule = "no_fix_is_late_in_images"
    bare = {"web": ""}
    late = replace(LATE, system="none")
    later = AT + 30 * DAY
    assert findings(fleet, whole(later, late, **bare), rule)["image:registry.example/web:1"][0] == "fail"
    empty = findings(fleet, whole(AT, replace(content(), system="none"), **bare), rule)
    assert empty["image:registry.example/web:1"][0] == "unknown"
    assert "names not one package" in empty["image:registry.example/web:1"][1]
    rpm = content(("AlmaLinux:9", "bash", "0:5.1.8-9.el9"))
    rpm.inventory.release = ("almalinux", "9.4")
    snapshot = whole(AT, replace(rpm, system="none"), **bare)
    seen(fleet, snapshot)
    with fleet.store.read() as connection:
        held = select(places.c.ecosystem, places.c.package).join(installed, installed.c.place == places.c.id)
        assert connection.execute(held.where(installed.c.host == WEB)).all() == [("AlmaLinux:9", "bash")]


@needs_root
def test_a_walk_is_kept_whole_and_stands_in_the_cycles_in_short(fleet: Platform, tmp_path: Path) -> None:
    files = {
        "app/node_modules/left-pad/package.json": b'{"name": "left-pad", "version": "1.3.0", "more": "%s"}'
        % (b"x" * 9000)
    }
    with container(unpack(tmp_path / "root", files)) as pid:
        raw = walk(tmp_path, {IMAGE: pid})
    now = datetime.now(UTC)
    short, blobs = kept_form(Snapshot("app-1", now, {"image_contents": raw}))
    assert blobs == [("image_contents", raw.stdout.partition(b"\n")[2])]
    assert len(short.answers["image_contents"].stdout) < 600
    assert kept_form(short) == (short, [])
    entry = record_look(fleet, "x", INSIDE, Snapshot("app-1", now, {"image_contents": raw}))
    named = {blob["name"]: blob["digest"] for blob in next(fleet.ledger.read(entry))["blobs"]}
    assert fleet.ledger.get_blob(named["image_contents"]) == blobs[0][1]
    damaged = replace(raw, stdout=raw.stdout[:-9])
    (kept, _) = kept_form(Snapshot("app-1", now, {"image_contents": damaged}))
    assert not kept.answers["image_contents"].whole
    assert "what was seen is cut" in kept.answers["image_contents"].problem
