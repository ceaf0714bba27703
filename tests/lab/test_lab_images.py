"""Images come from this machine's own sources, are named by what goes into them, and are the same when built twice."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from lab_hosts import want
from wardkeep.core.errors import Unavailable
from wardkeep.lab import Lab, Places, images
from wardkeep.lab.golden import disk
from wardkeep.lab.recipes import SUITES, Recipe

HERE = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.M)
CODENAME = HERE.group(1) if HERE else "bookworm"
MODERN = """# the archive
Types: deb deb-src
URIs: http://one.test/debian
Suites: {here} {here}-updates {here}-backports
Components: main contrib

Types: deb
URIs: http://one.test/security
Suites: {here}-security
Components: main

Types: deb
URIs: https://other.test/tools
Suites: nodistro
Components: main
"""
ONE_LINE = """deb [signed-by=/usr/share/keyrings/x.gpg] http://two.test/debian {here} main non-free
# deb http://off.test/debian {here} main
deb http://two.test/extra {here} extra
"""


def test_sources_are_the_machines_own_turned_to_a_suite(tmp_path: Path) -> None:
    (tmp_path / "debian.sources").write_text(MODERN.replace("{here}", CODENAME))
    (tmp_path / "more.list").write_text(ONE_LINE.replace("{here}", CODENAME))
    told = images.sources("trixie", [tmp_path / "debian.sources", tmp_path / "more.list", tmp_path / "none"])
    assert told.splitlines() == [
        "deb http://one.test/debian trixie main",
        "deb http://one.test/debian trixie-updates main",
        "deb http://one.test/security trixie-security main",
        "deb http://two.test/debian trixie main",
    ]


def test_a_machine_without_a_debian_archive_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.list").write_text("deb http://other.test/ubuntu noble main\n")
    with pytest.raises(Unavailable, match="name no Debian archive"):
        images.sources("trixie", [tmp_path / "x.list"])


def test_every_image_has_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "sources", lambda suite: f"deb http://one.test {suite} main\n")
    recipes = [Recipe(what, suite) for what in ("host", "machine") for suite in SUITES.values()]
    names = {images.digest(recipe) for recipe in recipes}
    assert len(names) == len(recipes)
    monkeypatch.setattr(images, "sources", lambda suite: f"deb http://two.test {suite} main\n")
    assert names.isdisjoint(images.digest(recipe) for recipe in recipes)


@pytest.mark.e2e
@pytest.mark.parametrize(
    "recipe", [Recipe("host", "trixie"), Recipe("machine", "trixie")], ids=lambda r: r.what
)
def test_two_builds_are_the_same_to_the_byte(recipe: Recipe, tmp_path: Path) -> None:
    """The lab's own build is the first, unless the archive has moved since; then there is a third."""
    want("container")
    first = (
        images.build(recipe, Places.usual().cache / "images").with_suffix(".sha256").read_text().split()[0]
    )
    again = tmp_path / "again.tar"
    images.debootstrap(recipe, again)
    if sha256(again) != first:
        first = sha256(again)
        images.debootstrap(recipe, again)
    assert sha256(again) == first


@pytest.mark.e2e
def test_two_disks_of_one_image_are_the_same_to_the_byte(tmp_path: Path) -> None:
    want("vm")
    kept = images.build(Recipe("machine", "trixie"), Places.usual().cache / "images")
    told = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        disk(kept, tmp_path / name)
        told.add(sha256(tmp_path / name / "base.ext4"))
        (tmp_path / name / "base.ext4").unlink()
    assert len(told) == 1


@pytest.mark.e2e
@pytest.mark.parametrize("debian", list(SUITES))
def test_a_host_is_the_debian_that_was_asked_for(lab: Lab, debian: str) -> None:
    want("container")
    host = lab.host(needs={"systemd"}, debian=debian)
    told = dict(line.split("=", 1) for line in host.stage("cat /etc/os-release").splitlines() if "=" in line)
    assert told["VERSION_ID"].strip('"') == debian
    assert host.stage("cat /proc/1/comm") == "systemd\n"
    assert host.stage("systemctl is-system-running || true") == "running\n"
    assert host.run("systemctl is-active systemd-udevd").stdout.strip() == "inactive"
    assert host.stage("cat /etc/apt/sources.list; ls /etc/apt/sources.list.d") == ""
    host.remove()


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
