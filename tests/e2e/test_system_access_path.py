"""What a plan for system access takes back, and what it refuses. The whole path: tests/scenarios/weak-logins.transcript."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.world import World

from wardkeep.lab import Host

pytestmark = pytest.mark.e2e
ROW = "system_access"


@pytest.fixture
def world(tmp_path: Path, debian_host: Host) -> Iterator[World]:
    debian_host.add_operator("ops")
    debian_host.stage(
        "printf 'PermitRootLogin yes\\nPasswordAuthentication yes\\nPermitEmptyPasswords yes\\n' "
        "> /etc/ssh/sshd_config.d/50-weak.conf; systemctl restart ssh"
    )
    made = World(tmp_path)
    made.add(debian_host, user="ops")
    yield made
    made.platform.close()


def test_undo_gives_the_host_back_as_it_was(world: World, debian_host: Host) -> None:
    state = "cd /etc/ssh && sha256sum sshd_config sshd_config.d/* && ls -la --time-style=+ sshd_config.d && sshd -T | sort"
    before = debian_host.stage(state)
    stored = world.plan(debian_host.name, ROW)
    assert world.apply(stored)["state"] == "applied"
    assert debian_host.stage(state) != before
    assert world.undo(stored.id)["state"] == "undone"
    assert debian_host.stage(state) == before


def test_the_only_way_in_is_not_cut(world: World, tmp_path: Path, debian_host: Host) -> None:
    debian_host.stage("userdel -r ops 2>/dev/null; rm -f /etc/sudoers.d/ops")
    (tmp_path / "other").mkdir()
    alone = World(tmp_path / "other")
    alone.add(debian_host, user="root")
    stored = alone.plan(debian_host.name, ROW)
    refused = {one.rule for one in stored.plan.withheld}
    assert f"{ROW}.no_root_login" in refused
    assert alone.apply(stored)["state"] == "applied"
    assert f"{ROW}.no_root_login" in alone.failing(debian_host.name, ROW)  # still there, still said, still in
    alone.platform.close()
