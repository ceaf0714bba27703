"""A kind that this machine cannot carry is told from one that is broken: by trying, with the rights taken away for real."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab_hosts import want
from wardkeep.lab import Places
from wardkeep.lab.podman import podman, run_root

ASK = "from wardkeep.lab import all_kinds\nfor kind in all_kinds(): print(kind.name, kind.why_not, sep='\\t')"
READ_ONLY = 'mount --make-rprivate / && for d in /sys/fs/cgroup /sys/fs/cgroup/*/; do mount --bind "$d" "$d" && mount -o remount,bind,ro "$d"; done'
NO_TUN = "mount --make-rprivate / && mount -t tmpfs none /dev/net"


def without(what: str, cache: Path) -> dict[str, str]:
    """Why each kind does not work where a right is taken away: a capability, or what a script in a mount namespace hides."""
    if what.startswith("-"):
        taken = ["setpriv", f"--bounding-set={what}", f"--inh-caps={what}"]
    else:
        taken = ["unshare", "--mount", "sh", "-c", f'{what}\nexec "$@"', "-"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
        "WARDKEEP_LAB_CACHE": str(cache),
    }
    asked = subprocess.run(
        [*taken, sys.executable, "-c", ASK], check=True, capture_output=True, text=True, env=environment
    )
    assert not list(cache.glob("probe-*"))
    return dict(line.split("\t") for line in asked.stdout.splitlines())


@pytest.mark.parametrize("capability", ["-sys_admin", "-net_admin"])
def test_without_the_right_no_kind_works(capability: str, tmp_path: Path) -> None:
    want("namespace")
    told = without(capability, tmp_path)["namespace"]
    assert told.startswith("this machine does not let namespaces be made: ")
    assert "not permitted" in told


def test_containers_need_control_groups_that_can_be_written(tmp_path: Path) -> None:
    want("container")
    told = without(READ_ONLY, tmp_path)
    assert told["container"].startswith("this machine does not let containers be run: ")
    assert "ead-only file system" in told["container"]
    assert told["namespace"] == ""


def test_machines_need_a_network_card(tmp_path: Path) -> None:
    want("vm")
    told = without(NO_TUN, tmp_path)
    assert told["vm"] == "there is no /dev/net/tun"
    assert told["container"] == ""


def test_what_a_killed_probe_left_is_removed(tmp_path: Path) -> None:
    want("namespace")
    mine = tmp_path / f"probe-{os.getpid()}-0-x"  # an id that lives, of another birth
    mine.mkdir()
    (tmp_path / "probe-of-old").mkdir()
    without("true", tmp_path)
    assert not mine.exists()


def test_labs_with_records_in_different_places_share_a_cache(tmp_path: Path) -> None:
    """podman refuses a storage whose other folder is not the one that it was begun with."""
    want("container")
    cache = tmp_path / "cache"
    try:
        for run in ("one", "two"):
            assert podman(Places(tmp_path / run, cache), "ps", "-a", "-q").stdout == ""
    finally:
        shutil.rmtree(run_root(Places(tmp_path, cache)))
