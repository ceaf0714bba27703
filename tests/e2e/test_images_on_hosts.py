"""On a live Debian host with podman: what is in the images that really run there, from the walk to the findings and the review queue."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.advisories.small_feeds import write_feeds
from tests.advisories.small_images import Layer, Program, tar
from tests.advisories.small_rpm import header, sqlite_database
from tests.advisories.test_installed import jar
from tests.e2e.operating import ACTOR, Operating, operating

from wardkeep.advisories.updating import update_from_folder
from wardkeep.core.findings import Finding
from wardkeep.engine.cycle import check
from wardkeep.engine.flaw_review.cases import read_assets
from wardkeep.engine.flaw_review.queue import refresh
from wardkeep.engine.folder import ADVISORIES
from wardkeep.lab import Host

pytestmark = pytest.mark.e2e
# A container in a container: no devices, no overlay above an overlay, and what it may not set stays as it is.
ENGINE = r"""set -e
mkdir -p /etc/containers
cat >/etc/containers/containers.conf <<'X'
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
default_sysctls = []
[engine]
runtime = "crun"
cgroup_manager = "cgroupfs"
events_logger = "none"
X
printf '[storage]\ndriver = "vfs"\ngraphroot = "/var/lib/images"\nrunroot = "/run/images"\n' >/etc/containers/storage.conf
mkdir -p /srv/base/bin
cp /bin/sleep /srv/base/bin/wait
for file in $(ldd /bin/sleep | grep -o '/[^ ]*'); do mkdir -p "/srv/base/${file%/*}"; cp "$file" "/srv/base/$file"; done
"""
START = """set -e
podman rm -f -t 0 {name} >/dev/null 2>&1 || true
rm -rf /srv/{name}; cp -a /srv/base /srv/{name}; tar -C /srv/{name} -xf /srv/{name}.tar
tar -C /srv/{name} -c . | podman import -q --change 'CMD ["/bin/wait", "3600"]' - localhost/{name}:1 >/dev/null
podman run -d -q --network none --cgroups disabled --name {name} localhost/{name}:1
"""
# Every file of every image and container, when it was last changed, and what runs.
STANDING = """find /var/lib/images/vfs/dir -printf '%p %C@ %s\\n' | sort | sha256sum
podman ps --format '{{.ID}} {{.Names}}' | sort; ps -eo args | grep -c '^/bin/wait'
"""
ALMA = {
    "id": "ALSA-2026:1",
    "modified": (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    "published": "2026-09-01T00:00:00Z",
    "upstream": ["CVE-2026-3000"],
    "database_specific": {"severity": "Important"},
    "affected": [
        {
            "package": {"ecosystem": "AlmaLinux:9", "name": "bash"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "5.1.8-10.el9"}]}],
        }
    ],
}


def shop(left_pad: str) -> Layer:
    """A Debian image with packages of three languages."""
    return {
        "usr/lib/os-release": b"ID=debian\nVERSION_ID=12\n",
        "var/lib/dpkg/status": b"Package: zlib1g\nStatus: install ok installed\nSource: zlib\nVersion: 1:1.2.13.dfsg-1\n",
        "var/lib/dpkg/info/six.list": b"/usr/lib/python3/dist-packages/six-1.dist-info/METADATA\n",
        "usr/lib/python3/dist-packages/six-1.dist-info/METADATA": b"Name: six\nVersion: 1\n",
        "app/node_modules/left-pad/package.json": json.dumps(
            {"name": "left-pad", "version": left_pad}
        ).encode(),
        "app/lib/all.jar": jar(inside={"BOOT-INF/lib/thing.jar": jar(("org.example", "thing", "1.0"))}),
        "usr/local/bin/start": Program(b"#!/bin/sh\n"),
    }


def bank(release: str) -> Layer:
    return {
        "etc/os-release": b'ID="almalinux"\nVERSION_ID="9.4"\n',
        "var/lib/rpm/rpmdb.sqlite": sqlite_database(
            header("bash", "5.1.8", release, vendor="AlmaLinux", files=["/bin/wait"])
        ),
    }


def run_image(host: Host, folder: Path, name: str, files: Layer) -> None:
    (folder / f"{name}.tar").write_bytes(tar(files))
    host.copy_in(folder / f"{name}.tar", f"/srv/{name}.tar")
    host.stage(START.format(name=name), timeout=120)


def findings(at: Operating, deep: bool) -> dict[tuple[str, str], Finding]:
    found = check(at.platform, ACTOR, [at.host], [at.control], deep=deep).findings
    return {(one.rule.partition(".")[2], one.subject.partition("@")[0]): one for one in found}


def queue(at: Operating) -> dict[tuple[str, str], str]:
    refresh(at.platform, datetime.now(UTC))
    with at.platform.store.read() as connection:
        every = read_assets(connection, closed=True)
    return {(one.flaw, one.host.partition("/")[2]): one.how or one.state for one in every if "/" in one.host}


def test_packages_of_languages_and_rpm_in_running_images(host: Callable[..., Host], tmp_path: Path) -> None:
    lab_host = host(kind="container", needs={"systemd"}, packages=["podman", "crun"])
    with operating(tmp_path / "state", lab_host, "vulnerability_scanning") as at:
        feeds = write_feeds(tmp_path / "feeds")
        (feeds / "alma.json").write_text(json.dumps([ALMA]))
        for built in (datetime.now(UTC) - timedelta(days=90), datetime.now(UTC)):
            update_from_folder(feeds, at.platform.folder / ADVISORIES, built, accept_shrunken=True)
        lab_host.stage(ENGINE)
        run_image(lab_host, tmp_path, "shop", shop("1.3.0"))
        run_image(lab_host, tmp_path, "bank", bank("9.el9"))
        before = lab_host.stage(STANDING)

        # The ordinary round has no walk: what is in the images is not known.
        quick = findings(at, deep=False)
        assert quick["images_are_looked_into", "host"].verdict == "unknown"
        assert quick["no_fix_is_late_in_images", "image:localhost/bank:1"].verdict == "unknown"

        deep = findings(at, deep=True)
        late = deep["no_fix_is_late_in_images", "image:localhost/shop:1"]
        assert (late.verdict, "CVE-2026-1000 of left-pad" in late.seen) == ("fail", True), late
        rpm = deep["no_fix_is_late_in_images", "image:localhost/bank:1"]
        assert (rpm.verdict, "of bash" in rpm.seen) == ("fail", True), rpm
        looked = deep["images_are_looked_into", "image:localhost/shop:1"]
        assert looked.verdict == "unknown"  # /bin/wait says of no package
        assert "bin/wait" in looked.seen
        assert deep["images_are_looked_into", "image:localhost/bank:1"].verdict == "pass"
        assert "six" not in str(late)
        opened = queue(at)
        assert opened["CVE-2026-1000", "localhost/shop:1"] == "fix_available"
        assert opened["GHSA-maven", "localhost/shop:1"] == "fix_available"
        assert "fix_available" in {s for (_, image), s in opened.items() if image == "localhost/bank:1"}
        # Nothing was changed by looking, and what was seen stands in the rounds that follow.
        assert lab_host.stage(STANDING) == before
        assert (
            findings(at, deep=False)["no_fix_is_late_in_images", "image:localhost/shop:1"].verdict == "fail"
        )

        # Built anew and put in its place: nothing ends before somebody looked into it.
        run_image(lab_host, tmp_path, "shop", shop("1.3.1"))
        run_image(lab_host, tmp_path, "bank", bank("10.el9"))
        unseen = findings(at, deep=False)["no_fix_is_late_in_images", "image:localhost/shop:1"]
        assert (unseen.verdict, "did not run yet when" in unseen.seen) == ("unknown", True), unseen
        assert queue(at)["CVE-2026-1000", "localhost/shop:1"] == "fix_available"
        mended = findings(at, deep=True)
        calm = mended["no_fix_is_late_in_images", "image:localhost/bank:1"]
        assert calm.verdict == "pass", calm
        assert "CVE-2026-1000" not in mended["no_fix_is_late_in_images", "image:localhost/shop:1"].seen
        closed = queue(at)
        assert closed["CVE-2026-1000", "localhost/shop:1"] == "fixed"
        assert {s for (_, image), s in closed.items() if image == "localhost/bank:1"} == {"fixed"}
