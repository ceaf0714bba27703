"""Images that run on hosts, and kept scans, stand in the review queue as hosts do: by what a look shows, and no longer."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete
from tests.advisories.vulns_run import Run
from tests.engine.flaws_world import AT, NEW, OLD, add_hosts, give_feeds, judged, look, seen
from tests.engine.test_flaw_review import cases

from wardkeep.advisories.components import Component, Inventory
from wardkeep.advisories.vex import FORMS, Document, Product, Statement, write_vex
from wardkeep.core.errors import BadInput
from wardkeep.core.facts import Answer, Snapshot
from wardkeep.core.findings import Verdict
from wardkeep.engine.cycle import record_looks
from wardkeep.engine.flaw_review import acts
from wardkeep.engine.flaw_review.cases import read_assets
from wardkeep.engine.flaw_review.digest import as_text, digest
from wardkeep.engine.flaw_review.queue import refresh
from wardkeep.engine.flaw_review.scans import forget_scan, keep_scan, kept_scans
from wardkeep.engine.flaw_review.trends import trends
from wardkeep.engine.flaw_review.vex import export_vex, import_vex
from wardkeep.engine.flaw_review.views import flaw_detail, host_flaws
from wardkeep.engine.hosts import remove_host
from wardkeep.engine.image_flaws import with_image_flaws
from wardkeep.engine.index import rebuild_index
from wardkeep.engine.platform import Platform
from wardkeep.store.flaw_tables import installed, inventories, places

DAY = timedelta(days=1)
WEB = "registry.example/web:1"
FLAW = "CVE-2026-0001"


def running(whole: Snapshot, **images: str) -> Snapshot:
    """The look with containers of Debian 12 images, by tag's last word and version of openssl; "" for one without a database."""
    text = ""
    for name, version in images.items():
        text += f"= image podman {name} sha256:{name[0] * 64} registry.example/{name}:1\n|ID=debian\n|VERSION_ID=12\n"
        status = "Status: install ok installed"
        text += (
            f"= dpkg\n|\n|Package: libssl3\n|{status}\n|Source: openssl\n|Version: {version}\n"
            if version
            else "= none\n"
        )
    told = Answer("container_packages", 0, f"{text}= end\n".encode())
    return replace(whole, answers={**whole.answers, "container_packages": told}, _learned={})


def places_of(platform: Platform, flaw: str = FLAW) -> dict[str, str]:
    """Where the flaw is or was: the state while it is open, else how it ended."""
    with platform.store.read() as connection:
        every = read_assets(connection, closed=True)
    return {one.host: one.how or one.state for one in every if one.flaw == flaw}


@pytest.fixture
def fleet(platform: Platform, tmp_path: Path) -> Platform:
    """A host that is mended, with an image that is not."""
    give_feeds(platform, tmp_path)
    add_hosts(platform, "app-1")
    seen(platform, running(look("app-1", {"openssl": NEW}, listens={}), web=OLD))
    refresh(platform, AT)
    return platform


def test_an_image_that_runs_is_in_the_queue_with_its_host(fleet: Platform) -> None:
    assert places_of(fleet) == {f"app-1/{WEB}": "fix_available"}
    found = judged(fleet)["every_flaw_is_decided", f"flaw:{FLAW} openssl"]
    assert found.verdict is Verdict.FAIL
    assert "on 1 image, the fix is released" in found.seen
    assert "1 hosts and 1 images: 4 flaws" in judged(fleet)["every_flaw_is_decided", "queue"].seen
    # What listens inside of a container is not known.
    assert "is not known on 1 of 1 hosts and images 7" in cases(fleet)[FLAW].told["because"]
    assert (FLAW, f"app-1/{WEB}") in {
        (case.flaw, one.host) for case, one in host_flaws(fleet, "app-1", AT)[1]
    }
    assert flaw_detail(fleet, FLAW, AT)[0].case.where == "1 image"
    told = digest(fleet, AT)
    assert (told["counts"]["open"], told["counts"]["late"]) == (4, 1)
    assert f"1 image (app-1/{WEB})" in as_text(told)
    assert "registry.example" not in as_text(told, brief=True)


def test_an_image_is_mended_when_a_look_shows_another_one(fleet: Platform) -> None:
    whole = look("app-1", {"openssl": NEW}, AT + DAY, listens={})
    seen(fleet, whole)  # containers were not asked: nothing ends
    seen(fleet, running(whole, web=""))  # nor where its packages cannot be read
    refresh(fleet, AT + DAY)
    assert places_of(fleet) == {f"app-1/{WEB}": "fix_available"}
    seen(fleet, running(whole, web=NEW))
    refresh(fleet, AT + DAY)
    assert places_of(fleet) == {f"app-1/{WEB}": "fixed"}
    with fleet.store.read() as connection:
        assert trends(fleet, AT + DAY, connection, 1).days[0].fixed == 1


def test_an_image_that_runs_no_more_is_over_and_one_of_a_host_that_left_goes_with_it(fleet: Platform) -> None:
    seen(fleet, running(look("app-1", {"openssl": NEW}, AT + DAY, listens={}), worker=OLD))
    refresh(fleet, AT + DAY)
    assert places_of(fleet) == {f"app-1/{WEB}": "fixed", "app-1/registry.example/worker:1": "fix_available"}
    remove_host(fleet, "app-1", "operator:alice")
    refresh(fleet, AT + 2 * DAY)
    assert places_of(fleet)["app-1/registry.example/worker:1"] == "left"


def test_a_decision_about_a_flaw_holds_for_the_scan_of_images_too(fleet: Platform) -> None:
    def known(snapshot: Snapshot) -> dict[str, str]:
        answers = {**snapshot.answers, "image_flaws": Answer("image_flaws", 3, b"")}
        (whole,) = with_image_flaws(fleet, [replace(snapshot, answers=answers, _learned={})])
        (image,) = json.loads(whole.answers["image_flaws"].stdout)["images"]
        return {flaw["id"]: flaw["waived"] for flaw in image["known"]["flaws"]}

    snapshot = running(look("app-1", {"openssl": NEW}, listens={}), web=OLD)
    assert FLAW in known(snapshot)
    acts.not_affected(
        fleet,
        acts.find_cases(fleet, [FLAW]),
        justification="vulnerable_code_not_present",
        says="built without",
        by="operator:alice",
        now=AT,
    )
    assert FLAW not in known(snapshot)


def bill(version: str) -> Inventory:
    return Inventory(
        "app.cdx.json", [Component("npm", "left-pad", version), Component("npm", "other", "1.0.0")]
    )


def test_a_kept_scan_stays_in_the_queue_and_comes_back_from_the_ledger(fleet: Platform) -> None:
    keep_scan(fleet, "shop", bill("1.3.0"), by="operator:alice", now=AT)
    refresh(fleet, AT)
    flaw = "CVE-2026-1000"
    assert places_of(fleet, flaw) == {"scan:shop": "fix_available"}
    assert cases(fleet)[flaw].package == "left-pad"
    with fleet.store.begin() as connection:
        for table in (installed, places, inventories):
            connection.execute(delete(table))
    rebuild_index(fleet)
    assert list(kept_scans(fleet)) == ["shop"]
    keep_scan(fleet, "shop", bill("1.3.1"), by="operator:alice", now=AT + DAY)
    refresh(fleet, AT + DAY)
    assert places_of(fleet, flaw) == {"scan:shop": "fixed"}
    keep_scan(fleet, "shop", bill("1.3.0"), by="operator:alice", now=AT + DAY)
    refresh(fleet, AT + DAY)
    forget_scan(fleet, "shop", by="operator:alice")
    refresh(fleet, AT + DAY)
    assert places_of(fleet, flaw) == {"scan:shop": "left"}
    with pytest.raises(BadInput, match="no scan is kept"):
        forget_scan(fleet, "shop", by="operator:alice")
    with pytest.raises(BadInput, match="no name for a scan"):
        keep_scan(fleet, "../x y", bill("1.3.0"), by="operator:alice")
    with pytest.raises(BadInput, match="nothing to keep"):
        keep_scan(fleet, "empty", Inventory("x"), by="operator:alice")


def test_an_ecosystem_without_a_feed_keeps_only_its_own_flaws_from_being_withdrawn(
    fleet: Platform, tmp_path: Path
) -> None:
    gem = Inventory("Gemfile.lock", [Component("RubyGems", "rails", "7.0.0")])
    keep_scan(fleet, "gems", gem, by="operator:alice", now=AT)
    assert judged(fleet)["data_are_fresh", "advisories"].verdict is Verdict.UNKNOWN
    give_feeds(fleet, tmp_path / "later", openssl={"CVE-2026-0077": {"releases": {}}})
    refresh(fleet, AT)
    assert places_of(fleet, "CVE-2026-0006") == {"app-1": "withdrawn", f"app-1/{WEB}": "withdrawn"}


def test_statements_name_language_packages_by_their_own_urls(fleet: Platform) -> None:
    keep_scan(fleet, "shop", bill("1.3.0"), by="operator:alice", now=AT)
    refresh(fleet, AT)
    urls = {one.purl for told in export_vex(fleet, AT, "Clinic").statements for one in told.products}
    assert "pkg:npm/left-pad@1.3.0" in urls
    assert any(url.startswith("pkg:deb/debian/openssl@") for url in urls)

    def taken(url: str) -> list[bool]:
        says = Statement(("CVE-2026-1000",), "not_affected", (Product(url),), "component_not_present", "no")
        made = write_vex(
            Document("https://v.invalid/1", "V", "2026-11-22T12:00:00Z", "", (says,)), "openvex", version="0"
        )
        done = import_vex(fleet, made.encode(), "v.json", by="operator:a", dry_run=True, now=AT)
        return [one.taken for one in done.cases]

    assert taken("pkg:npm/left-pad@1.3.0") == [True]
    assert taken("pkg:npm/left-pad@1.2.9") == [False]
    assert taken("pkg:pypi/left-pad@1.3.0") == []  # another package of the same name


def oci(digest: str, name: str = "registry.example/shop") -> str:
    return f"pkg:oci/{name.rpartition('/')[2]}@sha256%3A{digest}?repository_url={name}"


def not_affected(platform: Platform, flaw: str, *products: Product) -> list[tuple[bool, str]]:
    """What becomes of a statement of each form: the same of all."""
    says = Statement((flaw,), "not_affected", products, "component_not_present", "no")
    made = Document("https://v.invalid/1", "V", "2026-11-22T12:00:00Z", "", (says,))
    told = []
    for form in FORMS:
        text = write_vex(made, form, version="0").encode()
        done = import_vex(platform, text, "v.json", by="operator:a", dry_run=True, now=AT)
        told.append([(one.taken, one.why) for one in done.cases])
    assert told[0] == told[1] == told[2]
    return told[0]


def test_a_statement_about_an_image_is_taken_only_where_the_flaw_is_in_that_image_alone(
    fleet: Platform,
) -> None:
    mine, other = "c" * 64, "d" * 64
    found = replace(bill("1.3.0"), images=(f"sha256:{mine}",))
    keep_scan(fleet, "shop", found, by="operator:alice", now=AT)
    refresh(fleet, AT)
    pad = "pkg:npm/left-pad@1.3.0"
    assert not_affected(fleet, "CVE-2026-1000", Product(pad, inside=oci(mine))) == [
        (True, "component_not_present")
    ]
    assert not_affected(fleet, "CVE-2026-1000", Product(oci(mine))) == [(True, "component_not_present")]
    ((taken, why),) = not_affected(fleet, "CVE-2026-1000", Product(pad, inside=oci(other)))
    assert (taken, why.startswith("it speaks only of pkg:oci/shop@"), why.endswith("open in scan:shop")) == (
        False,
        True,
        True,
    )
    assert not_affected(fleet, "CVE-2026-1000", Product(oci(other))) == []
    # A tag can be moved: it names no image.
    tagged = Product(pad, inside="pkg:oci/shop?tag=1&repository_url=registry.example/shop")
    assert [one for one, _ in not_affected(fleet, "CVE-2026-1000", tagged)] == [False]
    # Another version in the right image.
    assert (
        not_affected(fleet, "CVE-2026-1000", Product("pkg:npm/left-pad@1.2.9", inside=oci(mine)))[0][0]
        is False
    )
    # A second image with the same package: the statement about the first does not speak for it.
    keep_scan(fleet, f"registry.example/shop@sha256:{other}", bill("1.3.0"), by="operator:alice", now=AT)
    refresh(fleet, AT)
    assert [one for one, _ in not_affected(fleet, "CVE-2026-1000", Product(pad, inside=oci(mine)))] == [False]
    both = (Product(pad, inside=oci(mine)), Product(pad, inside=oci(other)))
    assert not_affected(fleet, "CVE-2026-1000", *both) == [(True, "component_not_present")]


def test_a_statement_about_an_image_does_not_speak_for_the_host_it_runs_on(fleet: Platform) -> None:
    """openssl is on the host and in the image: what is said of the image dismisses nothing; once the host is mended, it does."""
    digest = "w" * 64
    whole = look("app-1", {"openssl": OLD}, AT, listens={})
    image = "e" * 64
    told = running(whole, web=OLD)
    text = told.answers["container_packages"].stdout.replace(b"sha256:" + digest.encode(), b"e" * 64)
    text = text.replace(b"= dpkg", f"|DIGESTS=registry.example/web@sha256:{'f' * 64} \n= dpkg".encode())
    answers = {**told.answers, "container_packages": Answer("container_packages", 0, text)}
    remember(fleet, replace(told, answers=answers, _learned={}))
    says = [
        Product("pkg:deb/debian/openssl?arch=source", inside=oci(one, "registry.example/web"))
        for one in (image, "f" * 64)
    ]
    for product in says:
        ((taken, why),) = not_affected(fleet, FLAW, product)
        assert (taken, "the flaw is open in app-1" in why) == (False, True)
    clean = look("app-1", {"openssl": NEW}, AT + DAY, listens={})
    remember(
        fleet,
        replace(
            clean, answers={**clean.answers, "container_packages": answers["container_packages"]}, _learned={}
        ),
    )
    assert places_of(fleet) == {"app-1": "fixed", f"app-1/{WEB}": "fix_available"}
    for product in says:
        assert not_affected(fleet, FLAW, product)[0][0]
    # Our own statement names the image, and the package in it.
    (mine,) = (one for one in export_vex(fleet, AT + DAY, "Clinic").statements if one.names[0] == FLAW)
    assert {one.inside for one in mine.products} == {oci("f" * 64, "registry.example/web")}


def remember(platform: Platform, snapshot: Snapshot) -> None:
    """The look, in the queue and in the ledger."""
    seen(platform, snapshot)
    record_looks(platform, "operator:a", [snapshot], [])
    refresh(platform, snapshot.at)


def test_a_scan_is_kept_listed_and_forgotten_by_hand(
    fleet: Platform, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(fleet.folder, capsys)
    lock = tmp_path / "package-lock.json"
    lock.write_text(
        json.dumps({"lockfileVersion": 3, "packages": {"node_modules/left-pad": {"version": "1.3.0"}}})
    )
    run("scan", lock, "--keep", "shop", "--json")
    assert run.status in (1, 3), run.err
    assert [one["name"] for one in run("kept", "--json")] == ["shop"]
    (case,) = run("review", "show", "CVE-2026-1000", "--json")
    assert [one["host"] for one in case["assets"]] == ["scan:shop"]
    run("forget", "shop")
    assert run.status == 0
    run("forget", "shop")
    assert (run.status, "no scan is kept" in run.err) == (2, True)
