"""Language packages installed in an image, programs that say what they are made of, jars, and what belongs to the system."""

from __future__ import annotations

import io
import json
import shutil
import struct
import subprocess
import zipfile
import zlib
from pathlib import Path

import pytest
from tests.advisories.small_images import DEBIAN, Layer, Program, docker_save

from wardkeep.advisories.components import Inventory
from wardkeep.advisories.inventories import read_path
from wardkeep.advisories.inventories.system import foreign_sources

ELF = b"\x7fELF\x02\x01\x01" + b"\0" * 4000


def read(tmp_path: Path, *layers: Layer) -> Inventory:
    return read_path(docker_save(tmp_path / "i.tar", *layers))


def languages(made: Inventory) -> set[tuple[str, str, str]]:
    return {(c.ecosystem, c.name, c.version) for c in made.components if ":" not in c.ecosystem}


def text(value: str) -> bytes:
    """With its length before it, as Go writes it (below 16,384 bytes)."""
    data = value.encode()
    return bytes([len(data) & 0x7F | 0x80, len(data) >> 7]) + data


def go_program(version: str = "go1.22.1", modules: str = "", flags: int = 2) -> Program:
    framed = "0123456789abcdef" + modules + "0123456789abcdef" if modules else ""
    info = b"\xff Go buildinf:" + bytes([8, flags]) + b"\0" * 16 + text(version) + text(framed)
    return Program(ELF.ljust(4096, b"\0") + info + b"\0" * 100)


def rust_program(packed: bytes) -> Program:
    """An ELF file of 64 bits with the section `.dep-v0`."""
    names = b"\0.dep-v0\0.shstrtab\0"
    begin = 64 + len(packed)
    table = begin + len(names)
    head = (
        b"\x7fELF\x02\x01\x01".ljust(40, b"\0")
        + struct.pack("<Q", table)
        + b"\0" * 10
        + struct.pack("<HHH", 64, 3, 2)
    )
    sections = struct.pack("<IIQQQQ24x", 0, 0, 0, 0, 0, 0)
    sections += struct.pack("<IIQQQQ24x", 1, 1, 0, 0, 64, len(packed))
    sections += struct.pack("<IIQQQQ24x", 9, 3, 0, 0, begin, len(names))
    return Program((head + packed + names + sections).ljust(2000, b"\0"))


def jar(*poms: tuple[str, str, str], inside: dict[str, bytes] | None = None) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
        for group, name, version in poms:
            archive.writestr(
                f"META-INF/maven/{group}/{name}/pom.properties",
                f"#Generated\r\ngroupId={group}\r\nartifactId={name}\r\nversion={version}\r\n",
            )
        for name, data in (inside or {}).items():
            archive.writestr(name, data)
    return made.getvalue()


MODULES = (
    "path\texample.org/app\nmod\texample.org/app\t(devel)\t\n"
    "dep\tgolang.org/x/net\tv0.1.0\th1:aa=\ndep\ta.example/b\tv1.0.0\th1:bb=\n=>\tc.example/fork\tv1.0.1\th1:cc=\n"
    "build\t-compiler=gc\n"
)
CRATES = {
    "packages": [
        {"name": "app", "version": "0.1.0", "source": "local", "root": True},
        {"name": "time", "version": "0.1.43", "source": "crates.io"},
        {"name": "cc", "version": "1.0.0", "source": "crates.io", "kind": "build"},
    ]
}
SITE = "usr/local/lib/python3.11/site-packages"
INSTALLED: dict[str, tuple[Layer, set[tuple[str, str, str]]]] = {
    "wheel": (
        {f"{SITE}/Some_Thing-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: Some.Thing\nVersion: 1.0\n\nName: x\n"},
        {("PyPI", "some-thing", "1.0")},
    ),
    "egg": (
        {f"{SITE}/a.egg-info/PKG-INFO": b"Name: a\r\nVersion: 2\r\n", f"{SITE}/b-3.egg-info": b"Name: b\nVersion: 3\n"},
        {("PyPI", "a", "2"), ("PyPI", "b", "3")},
    ),
    "npm": (
        {
            "app/node_modules/@s/b/package.json": b'{"name": "@s/b", "version": "2.1.3"}',
            "app/node_modules/a/node_modules/left-pad/package.json": b'{"name": "left-pad", "version": "1.3.0"}',
            "app/node_modules/a/lib/esm/package.json": b'{"type": "module"}',
            "app/node_modules/a/package.json": b'{"name": "a", "version": "1.0.0"}',
        },
        {("npm", "@s/b", "2.1.3"), ("npm", "left-pad", "1.3.0"), ("npm", "a", "1.0.0")},
    ),
    "gem": (
        {
            "usr/local/lib/ruby/gems/3.2.0/specifications/rack-2.2.7.gemspec": b'Gem::Specification.new do |s|\n  s.name = "rack".freeze\n  s.version = "2.2.7"\n  s.add_runtime_dependency(%q<x>, "1")\nend\n'
        },
        {("RubyGems", "rack", "2.2.7")},
    ),
    "composer": (
        {"app/vendor/composer/installed.json": b'{"packages": [{"name": "Twig/Twig", "version": "v2.0.0"}], "dev": false}'},
        {("Packagist", "twig/twig", "v2.0.0")},
    ),
    ".NET": (
        {"app/app.deps.json": b'{"libraries": {"app/1.0": {"type": "project"}, "Newtonsoft.Json/12.0.1": {"type": "package"}}}'},
        {("NuGet", "newtonsoft.json", "12.0.1")},
    ),
    "Go": (
        {"app/server": go_program(modules=MODULES)},
        {("Go", "stdlib", "1.22.1"), ("Go", "golang.org/x/net", "0.1.0"), ("Go", "c.example/fork", "1.0.1")},
    ),
    "Rust": (
        {"app/server": rust_program(zlib.compress(json.dumps(CRATES).encode()))},
        {("crates.io", "time", "0.1.43")},
    ),
    "jar": (
        {
            "app/app.jar": jar(
                ("org.example", "app", "1"),
                inside={"BOOT-INF/lib/x.jar": jar(("a", "x", "2"), inside={"y.war": jar(("a", "y", "3"))})},
            )
        },
        {("Maven", "org.example:app", "1"), ("Maven", "a:x", "2"), ("Maven", "a:y", "3")},
    ),
    "a lock file where nothing is installed": (
        {"app/Cargo.lock": b'[[package]]\nname = "time"\nversion = "0.1.43"\n'},
        {("crates.io", "time", "0.1.43")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", INSTALLED)
def test_what_is_installed(kind: str, tmp_path: Path) -> None:
    layer, expected = INSTALLED[kind]
    made = read(tmp_path, DEBIAN, layer)
    assert languages(made) == expected
    assert made.notices == []
    assert all(one.place.split("!")[0] in layer for one in made.components if one.place)
    # A layer that takes the folder away takes away what was read in it.
    top = "usr/.wh.local" if sorted(layer)[0].startswith("usr") else ".wh.app"
    assert languages(read(tmp_path, DEBIAN, layer, {top: b""})) == set()


@pytest.mark.parametrize("kind", INSTALLED)
def test_what_is_cut_or_damaged_is_unknown_never_less(kind: str, tmp_path: Path) -> None:
    layer, expected = INSTALLED[kind]
    for path, data in layer.items():
        assert isinstance(data, bytes)
        for keep in (0.3, 0.6, 0.9):
            cut = {**layer, path: type(data)(data[: int(len(data) * keep)])}
            made = read(tmp_path, DEBIAN, cut)
            if languages(made) != expected and b'"type": "module"' not in data:
                assert any(one.is_unknown for one in made.notices), (path, keep, languages(made))


def test_what_the_system_owns_is_left_to_its_vendor(tmp_path: Path) -> None:
    """Also where a package says /lib and the file is in /usr/lib."""
    layer: Layer = {
        "usr/lib/python3/dist-packages/idna-3.3.dist-info/METADATA": b"Name: idna\nVersion: 3.3\n",
        "usr/bin/docker": go_program(modules=MODULES),
        "usr/lib/x/tool": Program(ELF),
        "var/lib/dpkg/info/python3-idna.list": b"/.\n/usr/lib/python3/dist-packages/idna-3.3.dist-info/METADATA\n",
        "var/lib/dpkg/info/docker.list": b"/usr/bin/docker\n/lib/x/tool\n",
    }
    made = read(tmp_path, DEBIAN, layer)
    assert (languages(made), made.covered, made.notices) == (set(), 2, [])
    distroless = {
        "usr/lib/os-release": b"ID=debian\nVERSION_ID=12\n",
        "var/lib/dpkg/status.d/base": b"Package: base-files\nVersion: 12.4\n",
        "var/lib/dpkg/status.d/base.md5sums": b"d41d8cd98f00b204e9800998ecf8427e  usr/bin/tool\n",
        "usr/bin/tool": Program(ELF),
    }
    made = read(tmp_path, distroless)
    assert [(c.ecosystem, c.name, c.version) for c in made.components] == [
        ("Debian:12", "base-files", "12.4")
    ]
    assert made.notices == []


def test_programs_of_no_package_are_unknown(tmp_path: Path) -> None:
    layer: Layer = {
        "opt/a": Program(ELF),
        "opt/b": Program(ELF + b"/rustc/abc/library"),
        "opt/lib.so.1": Program(ELF),
        "opt/not-executable": ELF,
        "app/node_modules/x/bin/y": Program(ELF),
        "opt/script": Program(b"#!/bin/sh\n" * 300),
    }
    (notice,) = read(tmp_path, DEBIAN, layer).notices
    assert (notice.subject, notice.is_unknown) == ("opt/a, opt/b", True)


def test_go_programs_that_do_not_say(tmp_path: Path) -> None:
    for program, words in (
        (go_program(flags=0), "before 1.18"),
        (go_program(), "without its list of modules"),
        (go_program("devel go1.23-abc", MODULES), "which is no release"),
        (Program(ELF.ljust(4096, b"\0") + b"\xff Go buildinf:\x08"), "before 1.18"),
        (
            Program(ELF.ljust(4096, b"\0") + b"\xff Go buildinf:\x08\x02" + b"\0" * 16 + b"\xff" * 40),
            "damaged",
        ),
    ):
        made = read(tmp_path, {"app": program})
        assert [words in one.why for one in made.notices] == [True]


def test_a_program_with_spoiled_lists(tmp_path: Path) -> None:
    bomb = zlib.compress(b"[" * (9 << 20))
    for packed in (b"x", zlib.compress(b"{}"), zlib.compress(b'{"packages": [1]}'), bomb):
        (notice,) = read(tmp_path, {"app": rust_program(packed)}).notices
        assert "list of crates is damaged" in notice.why


def test_jars_that_are_bombs_or_nested_without_an_end(tmp_path: Path) -> None:
    inner = jar(("a", "x", "2"))
    for _ in range(6):
        inner = jar(("a", "y", "3"), inside={"lib/n.jar": inner})
    deep = read(tmp_path, {"a.jar": inner})
    assert any("nested too deep" in one.why for one in deep.notices)
    swollen = io.BytesIO()
    with (
        zipfile.ZipFile(swollen, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("z.jar", "w") as file,
    ):
        for _ in range(513):
            file.write(b"\0" * (1 << 20))
    made = read(tmp_path, {"a.jar": swollen.getvalue()})
    assert [("swells" in one.why, one.is_unknown) for one in made.notices] == [(True, True)]
    nameless = read(tmp_path, {"a.jar": jar()})
    assert [one.kind for one in nameless.notices] == ["unnamed_jar"]


def test_a_lock_file_beside_what_is_installed_is_said_and_not_read(tmp_path: Path) -> None:
    layer: Layer = {
        f"{SITE}/idna-3.4.dist-info/METADATA": b"Name: idna\nVersion: 3.4\n",
        "app/poetry.lock": b'[[package]]\nname = "pytest"\nversion = "1.0"\n',
        "app/go.sum": b"<<<<<<< HEAD\n",
    }
    made = read(tmp_path, layer)
    assert languages(made) == {("PyPI", "idna", "3.4")}
    assert [(one.kind, one.subject, one.is_unknown) for one in made.notices] == [
        ("lock_file", "app/poetry.lock", False),
        ("not_readable", "app/go.sum", True),
    ]


def test_a_damaged_dpkg_database_is_unknown(tmp_path: Path) -> None:
    status = DEBIAN["var/lib/dpkg/status"]
    assert isinstance(status, bytes)
    for spoiled, words in (
        (b"", "names not one installed package"),
        (status[: status.index(b"Version: 1:1.2.13")], "the package zlib1g has no version"),
        (status[:-3], "in the middle of a line"),
        (b"\0\xff\0garbage without any form\n\n" + status, "an entry names no package"),
    ):
        made = read(tmp_path, {**DEBIAN, "var/lib/dpkg/status": spoiled})
        assert [words in one.why for one in made.notices if one.is_unknown] == [True]


def test_a_file_too_large_to_read_is_unknown(tmp_path: Path) -> None:
    layer = {**DEBIAN, "app/node_modules/a/package.json": b" " * (5 << 20)}
    (notice,) = read(tmp_path, layer).notices
    assert "larger than 4 MB" in notice.why


SOURCES = {
    "deb http://deb.debian.org/debian bookworm main contrib": [],
    "deb [signed-by=/x] https://mirror.example/debian bookworm-security main": [],
    "deb http://x.example/debian stable-updates main non-free-firmware # ours": [],
    "deb http://x.example/ubuntu jammy universe": [],
    "deb [arch=amd64] https://download.docker.example/linux/debian bookworm stable": ["https://download.docker.example/linux/debian"],
    "deb https://u:secret@apt.example/ bookworm-pgdg main": ["https://apt.example/"],
    "deb http://x.example/repo ./": ["http://x.example/repo"],
    "deb-src http://x.example/other any main": [],
    "# deb http://x.example/other any main": [],
}  # fmt: skip


@pytest.mark.parametrize("line", SOURCES)
def test_sources_of_other_archives(line: str) -> None:
    assert foreign_sources(line, is_deb822=False) == SOURCES[line]


def test_sources_in_the_newer_form(tmp_path: Path) -> None:
    own = "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"
    other = "Types: deb\nURIs: https://deb.nodesource.example/node_20.x\nSuites: nodistro\nComponents: main\n"
    off = other + "Enabled: no\n"
    assert foreign_sources(f"{own}\n{off}", is_deb822=True) == []
    layer = {
        **DEBIAN,
        "etc/apt/sources.list.d/x.sources": f"{own}\n{other}".encode(),
        "etc/apt/sources.list.d/y.save": b"deb http://z y x",
    }
    (notice,) = read(tmp_path, layer).notices
    assert (notice.kind, notice.subject, notice.is_unknown) == (
        "foreign_archive",
        "https://deb.nodesource.example/node_20.x",
        True,
    )


def test_a_project_folder(tmp_path: Path) -> None:
    (tmp_path / "p/.git").mkdir(parents=True)
    (tmp_path / "p/.git/requirements.txt").write_text("evil==1\n")
    (tmp_path / "p/web").mkdir()
    (tmp_path / "p/requirements.txt").write_text("idna==3.4\n")
    (tmp_path / "p/web/package-lock.json").write_text(
        '{"packages": {"node_modules/left-pad": {"version": "1.3.0"}}}'
    )
    assert languages(read_path(tmp_path / "p")) == {("PyPI", "idna", "3.4"), ("npm", "left-pad", "1.3.0")}


def test_other_systems_below_a_root_are_said_and_left(tmp_path: Path) -> None:
    for place in ("", "srv/chroot/"):
        (tmp_path / place / "var/lib/dpkg").mkdir(parents=True)
        (tmp_path / place / "var/lib/dpkg/status").write_text("Package: a\nVersion: 1\n")
    (tmp_path / "home/u/storage/overlay-images").mkdir(parents=True)
    (tmp_path / "home/u/storage/overlay-layers").mkdir()
    made = read_path(tmp_path)
    assert [one.subject for one in made.notices if one.kind == "left_out"] == ["home/u/storage", "srv/chroot"]
    assert [one.name for one in made.components] == ["a"]


@pytest.mark.skipif(not shutil.which("objcopy"), reason="binutils is not here")
def test_a_real_program_with_a_list_of_crates(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(zlib.compress(json.dumps(CRATES).encode()))
    made = tmp_path / "program"
    section = f".dep-v0={tmp_path / 'list'}"
    subprocess.run(["objcopy", "--add-section", section, "/bin/true", made], check=True)
    assert languages(read_path(made)) == {("crates.io", "time", "0.1.43")}
