"""Bills of materials out and in again, in every form: the same packages, the same doubts."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.advisories.small_images import DEBIAN, Layer, Program, docker_save
from tests.advisories.small_rpm import header, sqlite_database
from tests.advisories.test_installed import ELF, INSTALLED, jar

from wardkeep.advisories.components import Inventory
from wardkeep.advisories.inventories import read_path
from wardkeep.advisories.inventories.sbom import read_purl, read_sbom
from wardkeep.advisories.inventories.sbom_out import purl, to_cyclonedx, to_spdx
from wardkeep.cli import main
from wardkeep.core.errors import BadInput

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
DATA = Path(__file__).parents[3] / "shared/data/advisories/scans/unittests/scans/cyclonedx"
ALL: Layer = {path: data for layer, _ in INSTALLED.values() for path, data in layer.items()}
ALPINE = {
    "etc/os-release": b"ID=alpine\nVERSION_ID=3.19.1\n",
    "lib/apk/db/installed": b"P:libssl3\nV:3.1.4-r5\no:openssl\n\nP:musl\nV:1.2.4_git1-r4\no:musl\n\n",
}
ALMA = {
    "etc/os-release": b"ID=almalinux\nVERSION_ID=9.4\n",
    "var/lib/rpm/rpmdb.sqlite": sqlite_database(
        header("bash", "5.1.8", "9.el9", vendor="AlmaLinux"),
        header("bind-libs", "9.16", "1.el9", epoch=32, vendor="AlmaLinux"),
        header("docker-ce", "27.0", "1.el9", vendor="Docker"),
    ),
}
IMAGES: dict[str, tuple[Layer, ...]] = {
    "Debian with languages": (DEBIAN, ALL),
    "Alpine": (ALPINE,),
    "AlmaLinux": (ALMA,),
    "with what cannot be read": (DEBIAN, {"opt/a": Program(ELF), "x.jar": jar()}),
}


def said(made: Inventory) -> set[tuple[object, ...]]:
    return {
        (
            c.ecosystem,
            c.name,
            c.version.removeprefix("v") if c.ecosystem == "Go" else c.version,
            bool(c.foreign),
        )
        for c in made.components
    }


@pytest.mark.parametrize("form", [to_cyclonedx, to_spdx])
@pytest.mark.parametrize("image", IMAGES)
def test_out_and_in_again(image: str, form: Any, tmp_path: Path) -> None:
    made = read_path(docker_save(tmp_path / "i.tar", *IMAGES[image]))
    back = read_sbom(json.dumps(form(made, AT, "0")).encode(), "x")
    assert said(back) == said(made)
    assert back.release == made.release
    assert len(back.notices) == len([one for one in made.notices if one.is_unknown])
    vendors = [
        {
            b
            for c in one.components
            if ":" in c.ecosystem
            for b in zip(c.binaries, c.binary_versions, strict=False)
        }
        for one in (made, back)
    ]
    assert vendors[0] <= vendors[1] or image in ("Alpine", "AlmaLinux")


def test_the_same_inventory_has_the_same_number(tmp_path: Path) -> None:
    made = read_path(docker_save(tmp_path / "i.tar", DEBIAN))
    later = AT.replace(year=2027)
    assert to_cyclonedx(made, AT, "0")["serialNumber"] == to_cyclonedx(made, later, "0")["serialNumber"]
    made.components.pop()
    assert (
        to_cyclonedx(made, AT, "0")["serialNumber"]
        != to_cyclonedx(read_path(tmp_path / "i.tar"), AT, "0")["serialNumber"]
    )


def test_documents_have_the_parts_their_specifications_require(tmp_path: Path) -> None:
    """Both were held once against their published schemas by the libraries of CycloneDX and SPDX; this keeps what those asked."""
    made = read_path(docker_save(tmp_path / "i.tar", *IMAGES["with what cannot be read"]))
    bom = to_cyclonedx(made, AT, "0")
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", bom["serialNumber"])
    references = [one["bom-ref"] for one in bom["components"]]
    assert len(references) == len(set(references))
    assert bom["compositions"] == [{"aggregate": "incomplete", "assemblies": ["subject"]}]
    assert bom["metadata"]["timestamp"] == "2026-11-22T12:00:00Z"
    spdx = to_spdx(made, AT, "0")
    assert {one["relatedSpdxElement"] for one in spdx["relationships"]} == {
        one["SPDXID"] for one in spdx["packages"]
    }
    assert all(re.fullmatch(r"SPDXRef-[a-zA-Z0-9.-]+", one["SPDXID"]) for one in spdx["packages"])


def test_package_urls_are_written_as_they_are_read() -> None:
    for ecosystem, name, version, text in (
        ("npm", "@babel/core", "7.0.0", "pkg:npm/%40babel/core@7.0.0"),
        ("Maven", "org.example:thing", "1.0", "pkg:maven/org.example/thing@1.0"),
        ("PyPI", "Some_Thing", "1.0+x", "pkg:pypi/some-thing@1.0%2Bx"),
        ("Go", "golang.org/x/net", "0.1.0", "pkg:golang/golang.org/x/net@v0.1.0"),
        ("Go", "stdlib", "1.22.1", "pkg:golang/stdlib@1.22.1"),
        ("Packagist", "twig/twig", "v2.0.0", "pkg:composer/twig/twig@v2.0.0"),
    ):
        assert purl(ecosystem, name, version) == text
        assert read_purl(text) is not None


XML = b"""<?xml version="1.0"?>
<bom xmlns="http://cyclonedx.org/schema/bom/1.5" version="1">
 <metadata><tools><components><component type="application"><name>x</name></component></components></tools>
  <component type="container"><name>me</name></component></metadata>
 <components>
  <component type="operating-system"><name>debian</name><version>12</version></component>
  <component type="library"><name>libssl3</name><version>3.0.14-1~deb12u2</version>
   <purl>pkg:deb/debian/libssl3@3.0.14-1~deb12u2?upstream=openssl&amp;distro=debian-12</purl>
   <properties><property name="wardkeep:foreign">elsewhere</property></properties>
   <components><component type="library"><name>inner</name><purl>pkg:npm/inner@1.0.0</purl></component></components>
  </component>
  <component type="library"><name>nobody</name></component>
 </components>
</bom>"""
TAGS = b"""## Document
SPDXVersion: SPDX-2.3
PackageName: debian
PackageVersion: 12
PrimaryPackagePurpose: OPERATING-SYSTEM
PackageName: libssl3
PackageComment: <text>not
ExternalRef: PACKAGE-MANAGER purl pkg:npm/quoted@1
this</text>
ExternalRef: PACKAGE-MANAGER purl pkg:deb/debian/libssl3@3.0.14-1~deb12u2?upstream=openssl
"""


def test_documents_that_are_not_json() -> None:
    made = read_sbom(XML, "x")
    assert said(made) == {
        ("Debian:12", "openssl", "3.0.14-1~deb12u2", True),
        ("npm", "inner", "1.0.0", False),
    }
    assert [one.subject for one in made.notices] == ["nobody"]
    assert said(read_sbom(TAGS, "x")) == {("Debian:12", "openssl", "3.0.14-1~deb12u2", False)}


def test_xml_that_is_hostile_or_cut() -> None:
    laughs = (
        b'<?xml version="1.0"?><!DOCTYPE bom [<!ENTITY a "'
        + b"x" * 1000
        + b'"><!ENTITY b "&a;&a;&a;">]>'
        + XML[22:]
    )
    deep = XML.replace(b"<name>nobody</name>", b"<components><component>" * 300)
    for data, words in (
        (laughs, "document type"),
        (deep, "nested too deep"),
        (XML[:-30], "no whole XML"),
        (b"<html><body/></html>", "no CycloneDX"),
        (b"<", "no whole XML"),
    ):
        with pytest.raises(BadInput, match=words) as told:
            read_sbom(data, "x.xml")
        assert "\n" not in told.value.line()


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
def test_real_documents_of_other_tools() -> None:
    counts = {path.name: read_path(path) for path in sorted(DATA.iterdir())}
    assert len(counts["jake.xml"].components) == 204
    assert len(counts["cyclonedx_bom.xml"].components) == 73
    assert len(counts["issue_9277.json"].components) == 71
    # Of a document without package URLs nothing is lost: each component is an unknown one.
    assert len(counts["grype.xml"].notices) == 307
    assert all(made.components or made.notices or name == "no-severity.json" for name, made in counts.items())


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = docker_save(tmp_path / "i.tar", DEBIAN)
    damaged = docker_save(tmp_path / "d.tar", DEBIAN, {"opt/a": Program(ELF)})

    def run(*words: str | Path) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["vulns", "sbom", *map(str, words), "--state", str(tmp_path / "state")])
        return int(ended.value.code or 0)

    assert run(image) == 0
    assert json.loads(capsys.readouterr().out)["bomFormat"] == "CycloneDX"
    assert run(damaged, "--format", "spdx", "--out", tmp_path / "o.json", "--json") == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["packages"], len(told["unread"])) == (3, 1)
    assert len(read_path(tmp_path / "o.json").components) == 3
    assert run(tmp_path / "absent") == 2
    assert run(image, "--out", tmp_path / "no" / "folder.json") == 2
    assert capsys.readouterr().err.count("\n") == 2
