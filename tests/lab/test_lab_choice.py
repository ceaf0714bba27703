"""A test says what it needs and gets the cheapest kind; a wrong word is one clear line."""

from __future__ import annotations

import pytest

from wardkeep.core.errors import BadInput, Unavailable
from wardkeep.lab import NEEDS, OFFERS, Lab, all_kinds, cheapest, choose
from wardkeep.lab.kinds import machine_debian
from wardkeep.lab.recipes import SUITES, Recipe

WORKING = {"namespace": "", "container": "", "vm": ""}


@pytest.fixture
def working(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Which kinds work, as a test wants it: kind → why not."""
    states = dict(WORKING)
    monkeypatch.setattr("wardkeep.lab.kinds.why_not", states.__getitem__)
    monkeypatch.setattr("wardkeep.lab.kinds.machine_debian", lambda: "12")
    monkeypatch.delenv("WARDKEEP_LAB", raising=False)
    return states


def test_every_kind_offers_all_of_the_cheaper_one() -> None:
    assert OFFERS["namespace"] < OFFERS["container"] < OFFERS["vm"] == frozenset(NEEDS)


@pytest.mark.parametrize(
    ("needs", "kind"),
    [
        ((), "namespace"),
        (("nftables", "sshd"), "namespace"),
        (("nftables", "systemd"), "container"),
        (("nftables", "luks"), "vm"),
        (("clock",), "vm"),
    ],
)
def test_the_cheapest_kind_that_offers_it(needs: tuple[str, ...], kind: str) -> None:
    assert cheapest(needs) == kind


def test_a_version_that_a_kind_cannot_have_gets_a_dearer_one(working: dict[str, str]) -> None:
    assert choose(frozenset({"nftables"})) == ("namespace", "12")
    assert choose(frozenset({"nftables"}), "12") == ("namespace", "12")
    assert choose(frozenset({"nftables"}), "13") == ("container", "13")
    assert choose(frozenset({"systemd"})) == ("container", "12")


def test_a_kind_that_does_not_work_is_replaced_by_a_dearer_one_unless_all_must_work(
    working: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    working["container"] = "needs the Debian packages podman"
    assert choose(frozenset({"systemd"})) == ("vm", "13")
    monkeypatch.setenv("WARDKEEP_LAB", "required")
    with pytest.raises(Unavailable, match=r"a container does not work on this machine: it needs .* podman"):
        choose(frozenset({"systemd"}))


def test_no_kind_that_works_says_why_of_each(working: dict[str, str]) -> None:
    working.update(container="needs root", vm="needs the Debian packages swtpm")
    with pytest.raises(Unavailable, match=r"container .* root; a vm .* swtpm"):
        choose(frozenset({"systemd"}))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("lukss", "", ""), "Did you mean `luks`"),
        (("", "11", ""), "no Debian 11. Ask for 12 or 13"),
        (("", "", "docker"), "`docker` is no kind"),
        (("luks", "", "container"), "a container does not offer luks. The cheapest that does is a vm"),
    ],
)
def test_a_wrong_wish_is_told(asked: tuple[str, str, str], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        choose(frozenset({asked[0]} - {""}), asked[1], asked[2])


def test_every_kind_says_what_it_is_here() -> None:
    assert [one.name for one in all_kinds()] == ["namespace", "container", "vm"]
    assert all_kinds()[0].debian == (machine_debian(),)
    assert set(all_kinds()[2].debian) == set(SUITES)


def test_packages_besides_make_an_image_of_their_own() -> None:
    plain, more = Recipe("host", "bookworm"), Recipe("host", "bookworm", ("curl", "postgresql"))
    assert set(more.packages) - set(plain.packages) == {"curl", "postgresql"}
    assert plain.text() != more.text() == Recipe("host", "bookworm", ("curl", "postgresql")).text()
    assert "pg_dropcluster" in more.hook, "what two builds would not have alike is removed"
    assert more.hook.startswith(plain.hook)


def test_only_a_container_is_given_packages(working: dict[str, str]) -> None:
    for kind in ("namespace", "vm"):
        with pytest.raises(BadInput, match=f"a {kind} cannot be given packages"):
            Lab().host("a", kind=kind, packages=["curl"])
