"""The platform's allowlist and what its hosts last said: in force or not, listened to or not, and never guessed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from wardkeep.core.facts import Answer, Snapshot
from wardkeep.engine.allowlist_hosts import audit_platform
from wardkeep.engine.cycle import record_looks
from wardkeep.engine.hosts import add_host
from wardkeep.engine.index import catch_up
from wardkeep.engine.platform import Platform, open_platform
from wardkeep.fleet import Host

ANSWERS = Path(__file__).parents[1] / "facts" / "answers"
AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LIST = """\
[[allow]]
list = "admins"
network = "8.8.8.8"
service = "22/tcp"

[[allow]]
list = "partners"
network = "9.9.9.9"
service = "443/tcp"

[[allow]]
list = "nobody"
network = "9.9.9.7"
service = "443/tcp"
"""


@pytest.fixture
def fleet(platform: Platform) -> Platform:
    """One host whose policy names two of three lists."""
    add_host(platform, Host(name="app-1", url="local:"), "operator:test")
    (platform.folder / "allowlist.toml").write_text(LIST)
    config = platform.folder / "wardkeep.toml"
    config.write_text(
        config.read_text() + '\n[policy.firewall]\nallow = ["22/tcp", "list admins", "list partners"]\n'
    )
    return platform


def look(platform: Platform, **states: str) -> None:
    given = {q: Answer(q, 0, (ANSWERS / f"{q}-{state}.txt").read_bytes()) for q, state in states.items()}
    record_looks(platform, "operator:test", [Snapshot("app-1", AT, given)], platform.controls)


def told(platform: Platform) -> set[tuple[str, str, bool]]:
    with open_platform(platform.folder) as again:
        found = audit_platform(again, AT.date())
    kinds = ("not_effective", "no_listener", "already_permitted", "unused")
    return {(d.entry.list, d.kind, d.unknown) for d in found if d.kind in kinds}


def test_what_the_hosts_make_of_each_list(fleet: Platform) -> None:
    look(fleet, nftables="debian12-closed", listeners="busy")
    assert told(fleet) == {
        ("admins", "already_permitted", False),  # the policy opens 22/tcp to everybody
        ("admins", "unused", True),  # no record goes back far enough
        ("partners", "not_effective", False),
        ("partners", "no_listener", False),
        ("partners", "unused", True),
        ("nobody", "not_effective", False),
    }


def test_the_index_may_be_behind_the_ledger_or_not(fleet: Platform) -> None:
    look(fleet)
    catch_up(fleet)
    look(fleet, nftables="debian12-closed", listeners="busy")
    before = told(fleet)
    assert ("partners", "no_listener", False) in before
    catch_up(fleet)
    assert told(fleet) == before


def test_what_a_host_did_not_say_is_unknown(fleet: Platform) -> None:
    silent = {
        ("admins", "not_effective", True),
        ("admins", "no_listener", True),
        ("admins", "unused", True),
        ("partners", "not_effective", True),
        ("partners", "no_listener", True),
        ("partners", "unused", True),
        ("nobody", "not_effective", False),
    }
    assert told(fleet) == silent  # nobody has looked yet
    look(fleet)
    assert told(fleet) == silent  # asked, and it did not say
