"""What a stranger's file may do: be refused in one line, or be read with what it lacks; never a traceback, never the terminal's master."""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.advisories.small_feeds import STATUS, write_feeds, write_root
from tests.advisories.small_images import tar, zstd
from tests.advisories.test_feeds import NOW
from tests.advisories.test_inventories import CYCLONEDX, LOCKS
from tests.advisories.vulns_run import Run

from wardkeep.advisories.database import Database
from wardkeep.advisories.documents import Document, documents
from wardkeep.advisories.inventories import read_path
from wardkeep.advisories.inventories.lockfiles import read_lock_file
from wardkeep.advisories.inventories.sbom import read_sbom
from wardkeep.advisories.updating import FILE, update_from_folder
from wardkeep.core.errors import BadInput
from wardkeep.core.foreign_json import read_json

SPDX: dict[str, Any] = {
    "spdxVersion": "SPDX-2.3",
    "comment": "x",
    "packages": [
        {"name": "debian", "versionInfo": "12.4", "primaryPackagePurpose": "OPERATING-SYSTEM"},
        {
            "name": "bash",
            "versionInfo": "5",
            "comment": "x",
            "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:deb/debian/bash@5.2.15-2"}],
        },
    ],
}
STRANGE: tuple[Any, ...] = (None, True, -1.5, 10**30, "", "x\ny", [], [None], [[]], {}, {"a": 1}, "\ud800")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{", "at line 1, column 2"),
        (b'{"a": "\\ud800"}', "half of a surrogate pair"),
        (b'{"a": "\\uDC00 \\ud83d\\ude00"}', "half of a surrogate pair"),
        (b'"\xed\xa0\x80"', "byte 1 is no utf-8 text"),
        (b"[" * 200_000, "nested too deeply"),
        (b"9" * 5000, "a number in it is too long"),
        (b"[" + b"{}," * 60 + b"{}]", "more than 100 values"),
        (b"", "at line 1, column 1"),
    ],
)
def test_json_that_nobody_could_use_is_refused_in_words(text: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_json(text, values=300_000 if words.startswith("nested") else 100)


def test_json_that_is_in_order_is_read() -> None:
    assert read_json(b'\xef\xbb\xbf{"a": "\\ud83d\\ude00 \\u00e9"}') == {"a": "\U0001f600 é"}
    assert read_json('{"a": ["\\\\ud800"]}') == {"a": ["\\ud800"]}  # the text backslash-u, not half of a pair


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a JSON value, as what holds it and its key."""
    for key in (
        range(len(value)) if isinstance(value, list) else list(value) if isinstance(value, dict) else ()
    ):
        yield value, key
        yield from places(value[key])


@pytest.mark.parametrize("bill", [CYCLONEDX, SPDX], ids=["CycloneDX", "SPDX"])
def test_no_shape_of_a_bill_of_materials_ends_in_a_crash(bill: dict[str, Any], tmp_path: Path) -> None:
    """Every value of it, replaced by every strange one: refused in one line, or read with all that is left of it."""
    count = sum(1 for _ in places(bill))
    path = tmp_path / "bom.json"
    refused: list[str] = []
    for number in range(count):
        for strange in STRANGE:
            made = copy.deepcopy(bill)
            holder, key = list(places(made))[number]
            holder[key] = strange
            path.write_text(json.dumps(made))
            try:
                read = read_path(path)
            except BadInput as e:
                refused.append(e.line())
            else:
                for one in read.components:
                    (one.name + one.version).encode()
                assert all(f"{one.subject}{one.why}".encode() for one in read.notices)
    assert 0 < len(refused) < count * len(STRANGE)
    assert not [line for line in refused if "\n" in line.encode().decode()]


@pytest.mark.parametrize(
    ("bill", "field"),
    [
        ({"bomFormat": "CycloneDX", "components": {"a": 1}}, "components"),
        ({"bomFormat": "CycloneDX", "components": [{"name": "x", "properties": 5}]}, "properties"),
        ({"spdxVersion": "SPDX-2.3", "packages": 7}, "packages"),
        ({"spdxVersion": "SPDX-2.3", "packages": ["bash"]}, "packages"),
    ],
)
def test_a_bill_whose_list_is_none_is_no_empty_bill(bill: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput, match=f"`{field}` is no list of objects"):
        read_sbom(json.dumps(bill).encode(), "x")


def test_a_program_that_has_a_package_url_is_read_whatever_its_purpose() -> None:
    bill = copy.deepcopy(SPDX)
    bill["packages"][1]["primaryPackagePurpose"] = "APPLICATION"
    bill["packages"].append({"name": "my-project", "primaryPackagePurpose": "APPLICATION"})
    made = read_sbom(json.dumps(bill).encode(), "x")
    assert ([one.name for one in made.components], made.notices) == (["bash"], [])


def test_a_module_of_which_only_the_wishes_were_read_is_not_in_the_program() -> None:
    text = "a.example/b v1.0.0/go.mod h1:aa=\na.example/b v1.2.0 h1:bb=\na.example/b v1.2.0/go.mod h1:cc=\n"
    made = read_lock_file(text.encode(), "go.sum")
    assert [(one.name, one.version) for one in made.components] == [("a.example/b", "1.2.0")]


def test_links_that_point_at_themselves(tmp_path: Path) -> None:
    """In the place of a folder, of the package database, and beside them."""
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "etc").symlink_to("etc")
    (tmp_path / "app").mkdir()
    (tmp_path / "app/up").symlink_to("..")
    (tmp_path / "app/package-lock.json").write_text(LOCKS["package-lock.json"][1])
    assert {one.name for one in read_path(tmp_path).components} == {"left-pad", "@s/b"}
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").symlink_to("status")
    assert {one.name for one in read_path(tmp_path).components} == {"left-pad", "@s/b"}
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/os-release").write_text("ID=debian\nVERSION_ID=12\n")
    assert [one.why for one in read_path(tmp_path).notices if one.is_unknown]


@pytest.fixture
def ready(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    run = Run(tmp_path / "state", capsys)
    run("update", "--from", write_feeds(tmp_path / "feeds"))
    assert run.status == 0, run.err
    return run


def test_names_cannot_write_over_the_terminal(ready: Run, tmp_path: Path) -> None:
    evil = "\x1b[2J\x1b[31m"
    bill = {
        "bomFormat": "CycloneDX",
        "components": [
            {"name": f"{evil}nothing", "version": "1"},
            {"name": "x", "purl": "pkg:npm/left-pad@1.0%1b%5b2J"},
            {"name": "y", "purl": "pkg:npm/left-pad@1.3.0"},
        ],
    }
    (tmp_path / "bom.json").write_text(json.dumps(bill))
    for words in (("scan", "--all"), ("scan", "--json"), ("why", "CVE-2026-1000", "left-pad")):
        ready(*words, tmp_path / "bom.json")
        assert "\x1b" not in ready.out + ready.err
        assert ready.status != 2, ready.err
    told = ready("scan", tmp_path / "bom.json", "--json")
    assert {one["id"] for one in told["findings"]} == {"CVE-2026-1000", "wardkeep:not_readable"}
    root = write_root(tmp_path / "root")
    os.makedirs(os.fsencode(root) + b"/srv/\xff")
    Path(os.fsdecode(os.fsencode(root) + b"/srv/\xff/\x1b[2Ja.jar")).write_bytes(b"PK\x03\x04")
    told = ready("scan", root, "--json")
    assert any("a.jar" in one["package"] for one in told["findings"])
    assert "\x1b" not in ready.out
    # A refusal names a path as it can be shown.
    ready("scan", f"{tmp_path}/\x1b[2J")
    assert (ready.status, "\x1b" in ready.err) == (2, False)


def test_what_cannot_be_reached_is_one_line(ready: Run, tmp_path: Path) -> None:
    for words in (("scan", "~nobody-at-all/x"), ("update", "--from", "~nobody-at-all/x")):
        ready(*words)
        assert (ready.status, ready.err.count("\n")) == (2, 1), ready.err


@pytest.mark.skipif(not shutil.which("zstd"), reason="the program zstd, which Wardkeep calls, is not here")
def test_feeds_packed_by_zstd(tmp_path: Path) -> None:
    packed = zstd(tar({"a/x.json": b"{}", "a/y.json": b"[]"}))
    (tmp_path / "x.tar.zst").write_bytes(packed)
    assert list(documents(tmp_path / "x.tar.zst")) == [
        Document("x.tar.zst!a/x.json", b"{}"),
        Document("x.tar.zst!a/y.json", b"[]"),
    ]
    (tmp_path / "z.json.zst").write_bytes(zstd(b"{}"))
    assert list(documents(tmp_path / "z.json.zst")) == [Document("z.json", b"{}")]
    for spoiled in (packed[:-6], packed[:20], packed[:12] + b"\0\0\0\0" + packed[16:]):
        (tmp_path / "x.tar.zst").write_bytes(spoiled)
        with pytest.raises(BadInput, match="damaged"):
            list(documents(tmp_path / "x.tar.zst"))
    (tmp_path / "bomb.json.zst").write_bytes(zstd(b"\0" * (300 << 20)))
    with pytest.raises(BadInput, match="swells too far"):
        list(documents(tmp_path / "bomb.json.zst"))


def test_what_is_doubted_in_a_folder_says_where(tmp_path: Path) -> None:
    source = write_feeds(tmp_path / "in")
    kev = json.loads((source / "kev.json").read_text())
    (source / "deep").mkdir()
    (source / "deep/kev.json").write_text(json.dumps({**kev, "count": 1273}))
    done = update_from_folder(source, tmp_path / "db", NOW)
    assert [line.partition(":")[0] for line in done.problems] == ["deep/kev.json"]
    Database(tmp_path / "db" / FILE).close()


def test_the_same_trouble_of_many_files_is_one_line(ready: Run, tmp_path: Path) -> None:
    feeds = write_feeds(tmp_path / "many")
    for number in range(30):
        (feeds / f"cut-{number:02}.json.gz").write_bytes(b"\x1f\x8b\x08")
    ready("update", "--from", feeds)
    (line,) = [line for line in ready.err.splitlines() if "damaged" in line]
    assert "cut-00.json.gz and 29 more" in line
    assert len(ready("update", "--from", feeds, "--json")["problems"]) == 30
    ready("feeds")
    assert ready.err.count("damaged") == 1


def test_all_says_the_reason_of_each_and_versions_are_whole(ready: Run, tmp_path: Path) -> None:
    root = write_root(tmp_path / "root")
    long = "3.0.11-1~deb12u2+really.long.version.of.somebody"
    (root / "var/lib/dpkg/status").write_text(STATUS.replace("3.0.11-1~deb12u2", long))
    told = ready("scan", root, "--all", "--json")
    ready("scan", root, "--all")
    lines = ready.out.splitlines()
    for one in told["findings"]:
        if one["state"] in ("ignored", "not_affected"):
            head = f"{one['id']} {one['package']} "
            assert [line for line in lines if line.startswith(head) and one["why"] in line], head
    assert "…" not in ready.out
    first = told["findings"][0]
    assert f"{first['severity']} by" in ready.out or "not given" in ready.out


def test_nothing_known_is_not_nothing_affected(ready: Run, tmp_path: Path) -> None:
    (tmp_path / "bom.json").write_text('{"bomFormat": "CycloneDX", "components": [{"name": "x"}]}')
    ready("scan", tmp_path / "bom.json")
    assert (ready.status, "not all is known" in ready.out) == (3, True)
