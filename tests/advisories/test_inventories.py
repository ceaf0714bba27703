"""Lock files, bills of materials and package databases, in the forms their tools write; hand-made and small."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardkeep.advisories.components import Component
from wardkeep.advisories.inventories import read_path
from wardkeep.advisories.inventories.debian import of_apk, of_packages
from wardkeep.advisories.inventories.lockfiles import FORMATS, read_lock_file
from wardkeep.advisories.inventories.sbom import read_purl, read_sbom
from wardkeep.core.errors import BadInput

LOCKS: dict[str, tuple[str, str, set[tuple[str, str]]]] = {
    "requirements.txt": (
        "PyPI",
        "# pinned\n-r other.txt\nFlask[async]==2.0.1 \\\n    --hash=sha256:aa\nJinja2 == 3.1.2 ; python_version > '3'\nrequests>=2\n",
        {("flask", "2.0.1"), ("jinja2", "3.1.2")},
    ),
    "poetry.lock": (
        "PyPI",
        '[[package]]\nname = "Flask"\nversion = "2.0.1"\n[[package]]\nname="me"\nversion="1"\nsource = {virtual="."}\n',
        {("flask", "2.0.1")},
    ),
    "pdm.lock": ("PyPI", '[[package]]\nname = "idna"\nversion = "3.4"\n', {("idna", "3.4")}),
    "pylock.toml": (
        "PyPI",
        'lock-version = "1.0"\n[[packages]]\nname = "idna"\nversion = "3.4"\n',
        {("idna", "3.4")},
    ),
    "uv.lock": ("PyPI", 'version = 1\n[[package]]\nname = "idna"\nversion = "3.4"\n', {("idna", "3.4")}),
    "Pipfile.lock": (
        "PyPI",
        '{"default": {"idna": {"version": "==3.4"}}, "develop": {"ruff": {"version": "==0.1"}}}',
        {("idna", "3.4"), ("ruff", "0.1")},
    ),
    "package-lock.json": (
        "npm",
        '{"lockfileVersion": 3, "packages": {"": {"name": "me"}, "node_modules/left-pad": {"version": "1.3.0"},'
        '"node_modules/a/node_modules/@s/b": {"version": "2.0.0"}, "node_modules/l": {"link": true}}}',
        {("left-pad", "1.3.0"), ("@s/b", "2.0.0")},
    ),
    "npm-shrinkwrap.json": (
        "npm",
        '{"lockfileVersion": 1, "dependencies": {"a": {"version": "1.0.0", "dependencies": {"b": {"version": "2.0.0"}}},'
        '"mine": {"version": "npm:@s/theirs@3.0.0"}, "git": {"version": "git+ssh://git@example.org/x.git#aa"}}}',
        {("a", "1.0.0"), ("b", "2.0.0"), ("@s/theirs", "3.0.0")},
    ),
    "yarn.lock": (
        "npm",
        '# yarn lockfile v1\n\n"@s/b@^2.0.0", "@s/b@^2.1.0":\n  version "2.1.3"\n  resolved "x"\n\nleft-pad@1.x:\n  resolved "y"\n  version "1.3.0"\n'
        '"mine@npm:@s/theirs@^3":\n  version "3.0.0"\n',
        {("@s/b", "2.1.3"), ("left-pad", "1.3.0"), ("@s/theirs", "3.0.0")},
    ),
    "bun.lock": (
        "npm",
        '{\n  "packages": {\n    "left-pad": ["left-pad@1.3.0", "", {}, "sha512-aa"],\n'
        '    "me": ["me@workspace:packages/me"],\n    "b": ["@s/b@2.1.3", "", {},],\n  },\n}\n',
        {("left-pad", "1.3.0"), ("@s/b", "2.1.3")},
    ),
    "pnpm-lock.yaml": (
        "npm",
        "lockfileVersion: '9.0'\npackages:\n\n  '@s/b@2.1.3':\n    resolution: {}\n  left-pad@1.3.0:\n    resolution: {}\n  /old/1.0.0_peer@2.0.0:\n    dev: true\n",
        {("@s/b", "2.1.3"), ("left-pad", "1.3.0"), ("old", "1.0.0")},
    ),
    "Gemfile.lock": (
        "RubyGems",
        "GEM\n  remote: x\n  specs:\n    rails (6.0.0)\n      rack (~> 2.0)\n    nokogiri (1.10.8-x86_64-linux)\n",
        {("rails", "6.0.0"), ("nokogiri", "1.10.8")},
    ),
    "gems.locked": ("RubyGems", "GEM\n  specs:\n    rails (6.0.0)\n", {("rails", "6.0.0")}),
    "gradle.lockfile": (
        "Maven",
        "# a comment: not a package\norg.example:thing:1.0-jre=compileClasspath,runtimeClasspath\nempty=annotationProcessor\n",
        {("org.example:thing", "1.0-jre")},
    ),
    "buildscript-gradle.lockfile": (
        "Maven",
        "org.example:thing:1.0=classpath\n",
        {("org.example:thing", "1.0")},
    ),
    "pubspec.lock": (
        "Pub",
        'packages:\n  http:\n    dependency: transitive\n    source: hosted\n    version: "0.13.0"\n',
        {("http", "0.13.0")},
    ),
    "Cargo.lock": ("crates.io", '[[package]]\nname = "time"\nversion = "0.1.43"\n', {("time", "0.1.43")}),
    "composer.lock": (
        "Packagist",
        '{"packages": [{"name": "Twig/Twig", "version": "v2.0.0"}], "packages-dev": [{"name": "a/b", "version": "1.0"}]}',
        {("twig/twig", "v2.0.0"), ("a/b", "1.0")},
    ),
    "packages.lock.json": (
        "NuGet",
        '{"version": 1, "dependencies": {"net8.0": {"Newtonsoft.Json": {"type": "Direct", "resolved": "12.0.1"}, "me": {"type": "Project"}}}}',
        {("newtonsoft.json", "12.0.1")},
    ),
    "packages.config": (
        "NuGet",
        '\ufeff<?xml version="1.0"?>\n<packages>\n  <package version="12.0.1" id="Newtonsoft.Json" />\n</packages>\n',
        {("newtonsoft.json", "12.0.1")},
    ),
    "go.sum": (
        "Go",
        "golang.org/x/net v0.1.0 h1:aa=\ngolang.org/x/net v0.1.0/go.mod h1:bb=\n",
        {("golang.org/x/net", "0.1.0")},
    ),
    "go.mod": (
        "Go",
        "module me\n\ngo 1.22\n\nrequire (\n\tgolang.org/x/net v0.1.0 // indirect\n\tb.example/c v1.0.0\n)\nrequire d.example/e v2.0.0\n"
        "replace b.example/c => fork.example/c v1.2.0\nreplace (\n\td.example/e v9.0.0 => ../e\n)\n",
        {("golang.org/x/net", "0.1.0"), ("fork.example/c", "1.2.0"), ("d.example/e", "2.0.0")},
    ),
}


def test_every_format_has_a_sample() -> None:
    assert {name for name, _, _ in FORMATS} | {"requirements.txt"} == set(LOCKS)


@pytest.mark.parametrize("name", sorted(LOCKS))
def test_lock_files(name: str, tmp_path: Path) -> None:
    ecosystem, text, expected = LOCKS[name]
    (tmp_path / name).write_text(text)
    made = read_path(tmp_path / name)
    assert {(c.name, c.version) for c in made.components} == expected
    assert {c.ecosystem for c in made.components} == {ecosystem}


def test_what_is_not_pinned_is_said() -> None:
    made = read_lock_file(LOCKS["requirements.txt"][1].encode() + b"six==1.*\n", "requirements.txt")
    assert [(one.subject, one.is_unknown) for one in made.notices] == [
        ("-r other.txt", True),
        ("requests>=2", True),
        ("six==1.*", True),
    ]
    assert "another file" in made.notices[0].why
    made = read_lock_file(LOCKS["npm-shrinkwrap.json"][1].encode(), "npm-shrinkwrap.json")
    assert [one.subject for one in made.notices] == ["git"]
    made = read_lock_file(b"require a.example/a v1.0.0\nreplace a.example/a => ../a\n", "go.mod")
    assert ([one.subject for one in made.notices], made.components) == (["../a"], [])


@pytest.mark.parametrize(
    "text",
    ["Flask==2.0.1\n".encode("utf-16"), b"\xef\xbb\xbfFlask==2.0.1\r\n", b"Flask [async]  ==\t2.0.1\n"],
)
def test_a_list_of_requirements_is_read_as_pip_reads_it(text: bytes) -> None:
    made = read_lock_file(text, "requirements.txt")
    assert [(one.name, one.version) for one in made.components] == [("flask", "2.0.1")]
    assert made.notices == []


def test_yarn_names_what_is_installed_whatever_the_line_endings() -> None:
    classic = LOCKS["yarn.lock"][1].replace("\n", "\r\n").encode()
    assert {(c.name, c.version) for c in read_lock_file(classic, "yarn.lock").components} == LOCKS[
        "yarn.lock"
    ][2]
    berry = (
        b'__metadata:\n  version: 6\n\n"mine@npm:@s/theirs@^3":\n  version: 3.0.0\n  resolution: "@s/theirs@npm:3.0.0"\n\n'
        b'"me@workspace:.":\n  version: 0.0.0-use.local\n  resolution: "me@workspace:."\n'
    )
    assert [(c.name, c.version) for c in read_lock_file(berry, "yarn.lock").components] == [
        ("@s/theirs", "3.0.0")
    ]


@pytest.mark.parametrize("name", sorted(LOCKS))
def test_a_spoiled_lock_file_is_one_line_or_fewer_packages(name: str) -> None:
    data = LOCKS[name][1].encode()

    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(st.integers(0, len(data)), st.binary(max_size=4))
    def law(at: int, put: bytes) -> None:
        try:
            made = read_lock_file(data[:at] + put + data[at:], name)
        except BadInput as e:
            told = e.line()
        else:
            told = made.name
        assert told
        assert "\n" not in told

    law()


def test_files_nobody_knows(tmp_path: Path) -> None:
    for name, text, words in (
        ("x.bin", "\x00", "is no root folder"),
        ("x.json", "{}", "neither CycloneDX nor SPDX"),
        ("y.json", "{", "cannot be read as JSON"),
        ("package-lock.json", "{}", "names not one package"),
        ("go.sum", "", "names not one package"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(BadInput, match=words):
            read_path(tmp_path / name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="no package database"):
        read_path(tmp_path / "empty")
    with pytest.raises(BadInput, match="cannot be read"):
        read_path(tmp_path / "absent")
    os.mkfifo(tmp_path / "pipe")
    for endless in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(BadInput, match="neither a file nor a folder"):
            read_path(endless)
    (tmp_path / "root/var/lib/dpkg").mkdir(parents=True)
    os.mkfifo(tmp_path / "root/var/lib/dpkg/status")
    (notice,) = read_path(tmp_path / "root").notices
    assert (notice.subject, notice.is_unknown) == ("var/lib/dpkg/status", True)


CYCLONEDX: dict[str, Any] = {
    "bomFormat": "CycloneDX",
    "components": [
        {"type": "operating-system", "name": "debian", "version": "12.5"},
        {
            "type": "library",
            "name": "libssl3",
            "version": "3.0.11-1~deb12u2",
            "purl": "pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64&upstream=openssl&distro=debian-12",
        },
        {
            "type": "library",
            "name": "libgcc-s1",
            "version": "12.2.0-14+b1",
            "purl": "pkg:deb/debian/libgcc-s1@12.2.0-14%2Bb1?upstream=gcc-12%4012.2.0-14",
        },
        {
            "type": "library",
            "name": "zlib1g",
            "version": "1:1.2.13.dfsg-1",
            "purl": "pkg:deb/debian/zlib1g@1.2.13.dfsg-1?epoch=1&distro=debian-12.5",
            "properties": [
                {"name": "aquasecurity:trivy:SrcName", "value": "zlib"},
                {"name": "aquasecurity:trivy:SrcVersion", "value": "1.2.13.dfsg"},
                {"name": "aquasecurity:trivy:SrcRelease", "value": "1"},
                {"name": "aquasecurity:trivy:SrcEpoch", "value": "1"},
            ],
        },
        {
            "type": "library",
            "name": "core",
            "purl": "pkg:npm/%40babel/core@7.0.0",
            "components": [{"name": "guava", "purl": "pkg:maven/com.google.guava/guava@28.0-jre"}],
        },
        {"type": "library", "name": "net", "purl": "pkg:golang/golang.org/x/net@v0.1.0"},
        {"type": "library", "name": "nobody", "version": "1"},
        {"type": "file", "name": "/etc/passwd"},
    ],
}


def test_cyclonedx_by_package_urls() -> None:
    made = read_sbom(json.dumps(CYCLONEDX).encode(), "x")
    assert {(c.ecosystem, c.name, c.version) for c in made.components} == {
        ("Debian:12", "openssl", "3.0.11-1~deb12u2"),
        ("Debian:12", "gcc-12", "12.2.0-14"),
        ("Debian:12", "zlib", "1:1.2.13.dfsg-1"),
        ("npm", "@babel/core", "7.0.0"),
        ("Maven", "com.google.guava:guava", "28.0-jre"),
        ("Go", "golang.org/x/net", "v0.1.0"),
    }
    assert [one.subject for one in made.notices] == ["nobody 1"]
    assert made.release == ("debian", "12.5")


def test_spdx_by_package_urls() -> None:
    def package(name: str, purl: str, **more: str) -> dict[str, Any]:
        return {"name": name, "externalRefs": [{"referenceType": "purl", "referenceLocator": purl}], **more}

    made = read_sbom(
        json.dumps(
            {
                "spdxVersion": "SPDX-2.3",
                "packages": [
                    {"name": "debian", "versionInfo": "12.4", "primaryPackagePurpose": "OPERATING-SYSTEM"},
                    package("bash", "pkg:deb/debian/bash@5.2.15-2%2Bb2?arch=amd64"),
                    package("idna", "pkg:pypi/IDNA@3.4"),
                    package("x", "pkg:swid/x@1"),
                ],
            }
        ).encode(),
        "x",
    )
    assert [(c.ecosystem, c.name, c.version) for c in made.components] == [
        ("Debian:12", "bash", "5.2.15-2"),
        ("PyPI", "idna", "3.4"),
    ]
    assert [one.why for one in made.notices] == ["packages of type `swid` have no feed here"]


def test_package_urls() -> None:
    assert read_purl("pkg:deb/debian/libstdc%2B%2B6@12.2.0-14+deb12u1?upstream=gcc-12&distro=debian-12") == (
        "deb",
        "debian",
        "libstdc++6",
        "12.2.0-14+deb12u1",
        {"upstream": "gcc-12", "distro": "debian-12"},
    )
    assert read_purl("pkg:npm/%40s/b@1") == ("npm", "@s", "b", "1", {})
    assert read_purl("pkg:npm/left-pad") == ("npm", "", "left-pad", "", {})
    assert read_purl("left-pad@1") is None
    assert read_purl("pkg:") is None


def test_alpine_by_origin(tmp_path: Path) -> None:
    text = (
        "P:libssl3\nV:3.1.4-r5\no:openssl\n\nP:libcrypto3\nV:3.1.4-r5\no:openssl\n\nP:busybox\nV:1.36.1-r15\n"
    )
    (tmp_path / "lib/apk/db").mkdir(parents=True)
    (tmp_path / "lib/apk/db/installed").write_text(text)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text("ID=alpine\nVERSION_ID=3.19.1\n")
    made = read_path(tmp_path)
    assert {(c.ecosystem, c.name, c.binaries) for c in made.components} == {
        ("Alpine:v3.19", "openssl", ("libcrypto3", "libssl3")),
        ("Alpine:v3.19", "busybox", ("busybox",)),
    }
    assert of_apk("", "Alpine:v3.19") == []


def test_versions_of_other_archives_are_marked() -> None:
    rows = [
        ("postgresql-16", "16.1-1.pgdg120+1", "postgresql-16", "16.1-1.pgdg120+1"),
        ("linux-image", "6.5-1~bpo12+1", "linux", "6.5-1~bpo12+1"),
        ("bash", "5.2.15-2", "bash", "5.2.15-2"),
        ("docker-ce", "5:24-1", "docker-ce", "5:24-1"),
        ("nodejs", "18.20.4-1nodesource1", "nodejs", "18.20.4-1nodesource1"),
        ("nginx", "1.25.3-1~bookworm", "nginx", "1.25.3-1~bookworm"),
        ("redis", "6:7.2.4-1rl1~bookworm1", "redis", "6:7.2.4-1rl1~bookworm1"),
        ("mariadb-server", "1:10.11.6+maria~deb12", "mariadb", "1:10.11.6+maria~deb12"),
        (
            "php8.2",
            "8.2.15-1+0~20240119.50+debian12~1.gbp1ee6fe",
            "php8.2",
            "8.2.15-1+0~20240119.50+debian12~1.gbp1",
        ),
        ("sudo", "1.9.13p3-1+deb12u1", "sudo", "1.9.13p3-1+deb12u1"),
        ("firefox-esr", "115.6.0esr-1~deb12u1", "firefox-esr", "115.6.0esr-1~deb12u1"),
    ]
    made = {c.name: c.foreign for c in of_packages("Debian:12", rows, {"docker-ce": "installed from docker"})}
    assert {name for name, foreign in made.items() if not foreign} == {"bash", "sudo", "firefox-esr"}
    assert Component("Debian:12", "a", "1").shown == "1"


def test_a_signed_kernel_is_asked_for_as_the_kernel() -> None:
    rows = [
        ("linux-image-6.1.0-31-amd64", "6.1.128-1", "linux-signed-amd64", "6.1.128+1"),
        ("linux-image-6.12.9+bpo-amd64", "6.12.9-1~bpo12+1", "linux-signed-amd64", "6.12.9+1~bpo12+1"),
        ("grub-efi-amd64-signed", "1+2.06+13+deb12u1", "grub-efi-amd64-signed", "1+2.06+13+deb12u1"),
    ]
    made = {(c.name, c.version): c for c in of_packages("Debian:12", rows)}
    assert made["linux", "6.1.128-1"].binaries == ("linux-image-6.1.0-31-amd64",)
    assert ("grub2", "2.06-13+deb12u1") in made
    assert "backports" in made["linux", "6.12.9-1~bpo12+1"].foreign
    second = (
        "linux-image-6.12.0-1-amd64",
        "6.12.117-1~deb12u1",
        "linux-signed-6.12-amd64",
        "6.12.117+1~deb12u1",
    )
    assert [(c.name, c.version) for c in of_packages("Debian:12", [second])] == [
        ("linux-6.12", "6.12.117-1~deb12u1")
    ]
    assert ("linux-signed-amd64", "6.1.1+1") in {
        (c.name, c.version)
        for c in of_packages("Ubuntu:22.04", [("x", "1", "linux-signed-amd64", "6.1.1+1")])
    }
