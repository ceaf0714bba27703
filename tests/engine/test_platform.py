"""Opening a platform, its inventory and the matrix of one that has seen nothing yet."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from wardkeep.core.errors import BadInput, Unavailable
from wardkeep.core.findings import Verdict
from wardkeep.engine.folder import find_folder, hold, is_served
from wardkeep.engine.hosts import add_host, find_host, list_hosts, remove_host
from wardkeep.engine.platform import Platform, open_platform
from wardkeep.engine.settings import settings_in_force
from wardkeep.engine.start import take_this_machine
from wardkeep.engine.views import matrix, pressing, score
from wardkeep.fleet import Host


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with open_platform(tmp_path / "state", create=True) as made:
        yield made


def test_a_folder_without_a_platform_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"no platform is here yet.*wardkeep up"):
        open_platform(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_state_is_for_its_owner_alone(platform: Platform) -> None:
    assert platform.folder.stat().st_mode & 0o077 == 0
    assert (platform.folder / "keys" / "ledger").stat().st_mode & 0o077 == 0


def test_nothing_observed_is_25_unknown_rows_and_none_that_holds(platform: Platform) -> None:
    rows = matrix(platform)
    assert [row.number for row in rows] == list(range(1, 26))
    assert {row.status for row in rows} == {Verdict.UNKNOWN}
    assert all(row.reason for row in rows)
    assert score(rows).holding == 0
    assert pressing(platform) == []


def test_this_machine_is_taken_once_and_not_again_when_it_was_removed(platform: Platform) -> None:
    name = take_this_machine(platform, "operator:test")
    assert [host.name for host in list_hosts(platform)] == [name]
    assert take_this_machine(platform, "operator:test") == ""
    remove_host(platform, name, "operator:test")
    assert take_this_machine(platform, "operator:test") == ""
    assert [entry["body"]["act"] for entry in platform.ledger.read()] == ["added", "removed"]


def test_a_host_is_added_once_and_found_by_its_nearest_name(platform: Platform) -> None:
    add_host(platform, Host(name="app-1", url="local:"), "operator:test")
    with pytest.raises(BadInput, match="already"):
        add_host(platform, Host(name="app-1", url="local:"), "operator:test")
    with pytest.raises(BadInput, match="Did you mean `app-1`"):
        find_host(platform, "ap-1")


@pytest.mark.parametrize("name", ["", "platform", "Upper", "a b", "-x", "x" * 64, "a/b", "a\nb"])
def test_a_name_that_cannot_be_one_is_refused(platform: Platform, name: str) -> None:
    with pytest.raises(BadInput):
        add_host(platform, Host(name=name, url="local:"), "operator:test")
    assert list_hosts(platform) == []


def test_a_policy_for_a_host_that_is_not_there_is_a_fault_of_the_file(platform: Platform) -> None:
    add_host(platform, Host(name="app-1", url="local:"), "operator:test")
    path = platform.folder / "wardkeep.toml"
    path.write_text("[host.app-2.policy.system_access]\n")
    with pytest.raises(BadInput, match=r"wardkeep.toml:1: .*Did you mean `app-1`"):
        open_platform(platform.folder)


def test_only_one_server_holds_a_state_folder(platform: Platform) -> None:
    assert not is_served(platform.folder)
    with hold(platform.folder):
        assert is_served(platform.folder)
        with pytest.raises(Unavailable, match="another Wardkeep"), hold(platform.folder):
            pass
    assert not is_served(platform.folder)


def test_who_serves_can_be_asked_and_told_where_nothing_can_be_written(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    monkeypatch.setattr(os, "ftruncate", full)
    assert not is_served(platform.folder)
    with hold(platform.folder):
        assert is_served(platform.folder)


def test_the_folder_is_the_one_given_then_the_environments_then_the_users(tmp_path: Path) -> None:
    assert find_folder(tmp_path / "a", {"WARDKEEP_STATE": "/b"}) == tmp_path / "a"
    assert find_folder(None, {"WARDKEEP_STATE": str(tmp_path)}) == tmp_path
    assert find_folder(None, {"XDG_STATE_HOME": "/x", "HOME": "/h"}) == Path("/x/wardkeep")


def test_settings_tell_where_each_value_comes_from_and_hide_secrets(platform: Platform) -> None:
    path = platform.folder / "wardkeep.toml"
    path.write_text('[numbers]\nbackup_age = "12 h"\n[alerts]\nurls = ["mailto://user:hunter2@mail.test"]\n')
    with open_platform(platform.folder) as again:
        told = {one.key: one for one in settings_in_force(again.config, again.controls)}
    assert (told["numbers.backup_age"].value, told["numbers.backup_age"].source) == (
        "12 h",
        "wardkeep.toml:2",
    )
    assert told["numbers.key_rotation"].source == "profile"
    assert told["alerts.urls"].value == ["mailto://…"]
    assert "hunter2" not in repr(told)


def test_a_database_that_is_gone_is_said_and_no_empty_one_takes_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with open_platform(folder, create=True) as made:
        made.record("policy", "test", {})
    database = folder / "state.sqlite3"
    kept = database.read_bytes()
    database.unlink()
    for create in (False, True):
        with pytest.raises(
            Unavailable, match=r"the database is gone, and the ledger has 1 entries.*state rebuild"
        ):
            open_platform(folder, create=create)
        assert not database.exists()
    open_platform(folder, anew=True).close()
    database.write_bytes(kept)
    open_platform(folder).close()
