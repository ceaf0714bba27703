"""`wardkeep vulns scan … --json` keeps its shape on every kind of target, for what concerns it, what does not, and what is unknown."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.advisories.small_feeds import write_feeds, write_root
from tests.advisories.small_images import DEBIAN, Layer, Program, docker_save, oci_archive, oci_files
from tests.advisories.test_installed import ELF, go_program, jar
from tests.advisories.test_inventories import CYCLONEDX

from wardkeep.advisories.inventories import read_path
from wardkeep.advisories.inventories.sbom_out import to_spdx
from wardkeep.cli import main

LEFT_PAD: Layer = {"app/node_modules/left-pad/package.json": b'{"name": "left-pad", "version": "1.3.0"}'}
SHAPE: dict[str, tuple[type, ...]] = {
    "id": (str,),
    "aliases": (list,),
    "package": (str,),
    "installed": (str, type(None)),
    "fixed": (str, type(None)),
    "state": (str,),
    "severity": (str,),
    "severity_source": (str,),
    "kev": (str, type(None)),
    "epss": (float, type(None)),
    "risk": (int, type(None)),
    "due": (str, type(None)),
    "why": (str,),
}
STATES = {"fix_available", "no_fix", "ignored", "not_affected", "unknown"}
OLD = b'{"packages": {"node_modules/left-pad": {"version": "1.3.0"}}}'


def project(folder: Path) -> Path:
    (folder / "web").mkdir(parents=True)
    (folder / "web/package-lock.json").write_bytes(OLD)
    return folder


def spdx(path: Path) -> Path:
    inventory = read_path(docker_save(path.with_suffix(".tar"), DEBIAN, LEFT_PAD))
    path.write_text(json.dumps(to_spdx(inventory, datetime.now(UTC), "0")))
    return path


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(0o755)
    return path


# What it is called → how it is made, and a finding that must be there (flaw, package, state).
TARGETS: dict[str, tuple[Callable[[Path], Path], tuple[str, str, str] | None]] = {
    "docker archive": (
        lambda at: docker_save(at / "i.tar", DEBIAN, LEFT_PAD),
        ("CVE-2026-0001", "openssl", "fix_available"),
    ),
    "OCI archive": (
        lambda at: oci_archive(at / "o.tar", oci_files(DEBIAN, LEFT_PAD)),
        ("CVE-2026-1000", "left-pad", "fix_available"),
    ),
    "root folder": (lambda at: write_root(at / "root"), ("CVE-2026-0001", "openssl", "fix_available")),
    "project folder": (lambda at: project(at / "p"), ("CVE-2026-1000", "left-pad", "fix_available")),
    "lock file": (
        lambda at: written(at / "package-lock.json", OLD),
        ("CVE-2026-1000", "left-pad", "fix_available"),
    ),
    "CycloneDX": (
        lambda at: written(at / "bom.json", json.dumps(CYCLONEDX).encode()),
        ("CVE-2026-0001", "openssl", "fix_available"),
    ),
    "SPDX": (lambda at: spdx(at / "bom.spdx.json"), ("CVE-2026-1000", "left-pad", "fix_available")),
    "jar": (
        lambda at: written(at / "a.jar", jar(("org.example", "thing", "1.1"))),
        ("GHSA-maven", "org.example:thing", "fix_available"),
    ),
    "Go program": (lambda at: written(at / "go", go_program(modules="mod\tx.example/y\tv1.0.0\t\n")), None),
    "program that does not say": (
        lambda at: written(at / "x", Program(ELF)),
        ("wardkeep:unknown_program", "x", "unknown"),
    ),
}  # fmt: skip


def scan(state: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    with pytest.raises(SystemExit) as ended:
        main(["vulns", "scan", *words, "--json", "--state", str(state)])
    return int(ended.value.code or 0), json.loads(capsys.readouterr().out)


@pytest.fixture
def state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    feeds = write_feeds(tmp_path / "feeds")
    with pytest.raises(SystemExit):
        main(["vulns", "update", "--from", str(feeds), "--state", str(tmp_path / "state")])
    capsys.readouterr()
    return tmp_path / "state"


def check(told: Any) -> None:
    for one in told["findings"]:
        assert one.keys() == told["findings"][0].keys()
        for name, kinds in SHAPE.items():
            assert isinstance(one[name], kinds), (name, one)
        assert one["state"] in STATES
        assert one["why"].strip()
        if one["due"]:
            date.fromisoformat(one["due"])


@pytest.mark.parametrize("kind", TARGETS)
def test_every_kind_of_target(
    kind: str, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, expected = TARGETS[kind]
    target = make(tmp_path)
    status, told = scan(state, capsys, str(target))
    check(told)
    found = {(one["id"], one["package"], one["state"]) for one in told["findings"]}
    assert expected is None or expected in found, found
    assert status in (1, 3)
    _, everything = scan(state, capsys, str(target), "--all")
    check(everything)
    # Nothing of the shorter answer is missing in the longer one.
    assert found <= {(one["id"], one["package"], one["state"]) for one in everything["findings"]}


@pytest.mark.skipif(not shutil.which("dpkg-query"), reason="this machine has no dpkg")
def test_this_machine_has_the_shape_too(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, told = scan(state, capsys, "--all")
    assert told["findings"]
    check(told)
