"""Images that run on a host: their packages as podman gives them, held against the advisories; what cannot be read is unknown."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.advisories.small_feeds import OS_RELEASE, STATUS, write_feeds
from tests.controls.recorded_rows import told

from wardkeep.advisories.updating import update_from_folder
from wardkeep.controls.vulnerability_scanning import control
from wardkeep.core.facts import Answer, Snapshot
from wardkeep.engine.assess import assess
from wardkeep.engine.folder import ADVISORIES
from wardkeep.engine.image_flaws import with_image_flaws
from wardkeep.engine.platform import Platform, open_platform
from wardkeep.facts.container_packages import SCRIPT, ContainerPackages

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
ANSWERS = Path(__file__).parents[1] / "facts" / "answers"
RULE = "vulnerability_scanning.no_fix_is_late_in_images"
# A stand-in for the engine: containers are folders, `cp` gives a tar as podman does.
PODMAN = r"""#!/bin/sh
cd "$(dirname "$0")/containers" || exit 1
case $1 in
  --version) echo 'podman version 5.4.2' ;;
  ps) for one in *; do echo "$one name-$one"; done ;;
  container) for last; do :; done; cat "$last/about" ;;
  cp) path=${2#*:}; cd "${2%%:*}/root" 2>/dev/null && [ -e ".$path" ] && tar -cf - -C "$(dirname ".$path")" "$(basename "$path")" ;;
esac
"""


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with open_platform(tmp_path / "state", create=True) as made:
        yield made


def answer_of(tmp_path: Path, containers: dict[str, dict[str, str]]) -> Answer:
    """What the real script says of containers with these files, with the stand-in for podman."""
    programs = tmp_path / "programs"
    shutil.rmtree(programs, ignore_errors=True)
    (programs / "containers").mkdir(parents=True)
    (programs / "podman").write_text(PODMAN)
    (programs / "podman").chmod(0o755)
    for name, files in containers.items():
        for path, text in {"about": f"sha256:{name[0] * 64} {name}:1\n", **files}.items():
            place = programs / "containers" / name / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
    # Only this podman: the machine's own engines are not asked.
    for tool in ("sh", "awk", "grep", "tar", "cat", "dirname", "basename"):
        (programs / tool).symlink_to(shutil.which(tool) or tool)
    environment = {"PATH": str(programs), "LC_ALL": "C"}
    done = subprocess.run(["/bin/sh", "-c", SCRIPT], capture_output=True, env=environment, check=False)
    return Answer("container_packages", done.returncode, done.stdout)


DEBIAN = {"root/usr/lib/os-release": OS_RELEASE, "root/var/lib/dpkg/status": STATUS}
CONTAINERS = {
    "a-web": DEBIAN,
    "a-web-again": DEBIAN,
    "b-distroless": {
        "root/usr/lib/os-release": OS_RELEASE,
        "root/var/lib/dpkg/status.d/one": "Package: libssl3\nSource: openssl\nVersion: 3.0.15-1~deb12u1\n",
        "root/var/lib/dpkg/status.d/one.md5sums": "d41d8cd98f00b204e9800998ecf8427e  usr/bin/x\n",
        "root/var/lib/dpkg/status.d/two": "Package: zlib1g\nSource: zlib\nVersion: 1:1.2.13.dfsg-1\n",
    },
    "c-scratch": {},
    "e-old": {"root/etc/os-release": "ID=debian\nVERSION_ID=9\n", "root/var/lib/dpkg/status": STATUS},
    "d-alpine": {"root/etc/os-release": "ID=alpine\nVERSION_ID=3.22.1\n", "root/lib/apk/db/installed": "P:musl\nV:1.2\n\n"},
}  # fmt: skip


@pytest.mark.skipif(
    os.name != "posix" or not shutil.which("awk"), reason="the question is asked by a POSIX shell"
)
def test_the_question_tells_of_each_image_once(tmp_path: Path) -> None:
    answer = answer_of(tmp_path, CONTAINERS)
    found = ContainerPackages.parse(answer).images
    assert [(one.container, one.kind) for one in found] == [
        ("name-a-web", "dpkg"),
        ("name-b-distroless", "dpkg"),
        ("name-c-scratch", "none"),
        ("name-d-alpine", "apk"),
        ("name-e-old", "dpkg"),
    ]
    assert "md5sums" not in answer.text()
    assert answer_of(tmp_path, {}).exit == 0


def test_late_fixes_in_images_fail_and_what_cannot_be_read_is_unknown(
    platform: Platform, tmp_path: Path
) -> None:
    answers = {
        "container_packages": answer_of(tmp_path, CONTAINERS),
        "image_flaws": Answer("image_flaws", 3, b""),
    }
    snapshot = Snapshot("app-1", AT, answers)

    def seen(given: Snapshot) -> dict[str, tuple[str, str]]:
        (whole,) = with_image_flaws(platform, [given])
        found = assess(control, whole, platform.config.policy(control))
        return {one.subject.partition("@")[0]: (one.verdict, one.seen) for one in found if one.rule == RULE}

    assert [verdict for verdict, _ in seen(snapshot).values()] == ["unknown"]  # no database yet
    update_from_folder(write_feeds(tmp_path / "feeds"), platform.folder / ADVISORIES, AT)
    told = seen(snapshot)
    assert told["image:a-web:1"][0] == "fail"
    assert "CVE-2026-0001 of openssl" in told["image:a-web:1"][1]
    assert told["image:c-scratch:1"][0] == "unknown"
    assert told["image:d-alpine:1"][0] == "unknown"
    assert "no feed here speaks of Alpine:v3.22" in told["image:d-alpine:1"][1]
    assert "CVE-2026-0001" not in told["image:b-distroless:1"][1]
    assert told["image:e-old:1"][0] == "fail"
    assert "support ended on 2022-06-30" in told["image:e-old:1"][1]
    none = {**answers, "container_packages": Answer("container_packages", 0, b"= end\n")}
    assert [verdict for verdict, _ in seen(replace(snapshot, answers=none, _learned={})).values()] == ["pass"]
    cut = {
        **answers,
        "container_packages": Answer("container_packages", 0, answers["container_packages"].stdout[:90]),
    }
    assert [verdict for verdict, _ in seen(replace(snapshot, answers=cut, _learned={})).values()] == [
        "unknown"
    ]


def test_the_row_judges_one_finding_an_image() -> None:
    found = told(
        "vulnerability_scanning", "image_flaws-six-images", "container_packages-no-containers", at=AT
    )
    verdicts = {
        key.split()[1].partition("@")[0]: text for key, text in found.items() if "late_in_images" in key
    }
    assert {key: text.partition(":")[0] for key, text in verdicts.items()} == {
        "image:late:1": "fail",
        "image:odd:1": "unknown",
        "image:clean:1": "pass",
        "image:foreign:1": "unknown",
        "image:stale:1": "unknown",
        "image:ended:1": "fail",
    }
    assert "CVE-2026-0002" not in verdicts["image:late:1"]  # low: no deadline
