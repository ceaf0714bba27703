"""Package URLs as the tools that write bills of materials spell them: which release, which version, which package."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from wardkeep.advisories.components import Inventory
from wardkeep.advisories.inventories import read_path
from wardkeep.advisories.inventories.sbom import read_sbom
from wardkeep.core.errors import BadInput


def bill(*components: dict[str, Any] | str) -> Inventory:
    """What a CycloneDX document of a Debian 12 image says with these components, or package URLs, beside the system."""
    described = [{"name": "x", "purl": one} if isinstance(one, str) else one for one in components]
    system = {"type": "operating-system", "name": "debian", "version": "12.5"}
    made = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [system, *described]}
    return read_sbom(json.dumps(made).encode(), "bill")


@pytest.mark.parametrize(
    ("purl", "expected"),
    [
        ("pkg:deb/debian/bash@5.2-1?distro=debian-11.9", ("Debian:11", "bash", "5.2-1")),
        ("pkg:deb/debian/bash@5.2-1?distro=bullseye", ("Debian:11", "bash", "5.2-1")),
        ("pkg:deb/debian/bash@5.2-1?distro=debian-bullseye", ("Debian:11", "bash", "5.2-1")),
        ("pkg:deb/debian/bash@5.2-1?distro=debian-unstable", ("Debian:sid", "bash", "5.2-1")),
        ("pkg:deb/debian/bash@5.2-1", ("Debian:12", "bash", "5.2-1")),
        ("pkg:deb/ubuntu/curl@7.81.0-1ubuntu1?distro=jammy", ("Ubuntu:22.04", "curl", "7.81.0-1ubuntu1")),
        (
            "pkg:deb/ubuntu/curl@7.81.0-1ubuntu1?distro=ubuntu-22.04",
            ("Ubuntu:22.04", "curl", "7.81.0-1ubuntu1"),
        ),
        ("pkg:apk/alpine/musl@1.2.3-r4?distro=3.17.3", ("Alpine:v3.17", "musl", "1.2.3-r4")),
        ("pkg:apk/alpine/musl@1.2.3-r4?distro=alpine-3.17.3", ("Alpine:v3.17", "musl", "1.2.3-r4")),
        (
            "pkg:deb/debian/linux-image-6.12@6.12.9-1?upstream=linux-signed-6.12-amd64%406.12.9%2B1",
            ("Debian:12", "linux-6.12", "6.12.9-1"),
        ),
        ("pkg:gem/nokogiri@1.13.6-x86_64-linux", ("RubyGems", "nokogiri", "1.13.6")),
        ("pkg:gem/nokogiri@1.13.6-java", ("RubyGems", "nokogiri", "1.13.6")),
        ("pkg:gem/rails@7.0.0-rc1", ("RubyGems", "rails", "7.0.0-rc1")),
    ],
)
def test_the_release_and_the_version_are_those_it_names(purl: str, expected: tuple[str, str, str]) -> None:
    made = bill(purl)
    assert [(c.ecosystem, c.name, c.version) for c in made.components] == [expected]
    assert made.notices == []


def test_a_package_of_another_distribution_is_not_held_against_the_documents() -> None:
    made = bill(
        "pkg:deb/ubuntu/curl@7.81.0-1ubuntu1", "pkg:apk/alpine/musl@1.2.3-r4", "pkg:rpm/redhat/bash@5.1-6.el9"
    )
    assert made.components == []
    assert [one.why for one in made.notices] == [
        "neither it nor the document names a release that has a feed"
    ] * 3


def test_a_lock_file_that_trivy_names_is_no_package_without_an_address() -> None:
    group = {"name": "aquasecurity:trivy:Class", "value": "lang-pkgs"}
    made = bill(
        {"type": "application", "name": "package-lock.json", "properties": [group]},
        {"type": "application", "name": "nobody", "version": "1"},
    )
    assert [one.subject for one in made.notices] == ["nobody 1"]


@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_bills_are_read_in_the_encodings_that_shells_write(code: str, tmp_path: Path) -> None:
    purl = "pkg:pypi/jinja2@2.4.1"
    as_json = {"bomFormat": "CycloneDX", "components": [{"name": "Gebäude", "purl": purl}]}
    xml = f'<bom xmlns="http://cyclonedx.org/schema/bom/1.5"><components><component type="library"><name>ä</name><purl>{purl}</purl></component></components></bom>'
    tags = f"SPDXVersion: SPDX-2.3\nPackageName: ä\nExternalRef: PACKAGE-MANAGER purl {purl}\n"
    mark = "\ufeff" if code == "utf-16-be" else ""
    for text in (
        json.dumps(as_json, ensure_ascii=False),
        f'<?xml version="1.0" encoding="UTF-8"?>\n{xml}',  # as the tool wrote it, before it was redirected
        tags,
    ):
        (tmp_path / "bill").write_bytes(f"{mark}{text}".encode(code))
        assert [one.name for one in read_path(tmp_path / "bill").components] == ["jinja2"]
    (tmp_path / "bill").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(BadInput, match="mark of UTF-16 and is none"):
        read_path(tmp_path / "bill")


def test_bills_and_lock_files_packed_by_gzip(tmp_path: Path) -> None:
    made = {"bomFormat": "CycloneDX", "components": [{"name": "x", "purl": "pkg:pypi/jinja2@2.4.1"}]}
    packed = gzip.compress(json.dumps(made).encode())
    for name, data in (("bom.json.gz", packed), ("requirements.txt.gz", gzip.compress(b"jinja2==2.4.1"))):
        (tmp_path / name).write_bytes(data)
        assert [one.name for one in read_path(tmp_path / name).components] == ["jinja2"]
    (tmp_path / "cut.json.gz").write_bytes(packed[:-12])
    with pytest.raises(BadInput, match="damaged or cut"):
        read_path(tmp_path / "cut.json.gz")
    (tmp_path / "bomb.json.gz").write_bytes(gzip.compress(b"{" + b" " * (257 << 20), 1))
    with pytest.raises(BadInput, match="larger than 256 MB unpacked"):
        read_path(tmp_path / "bomb.json.gz")
