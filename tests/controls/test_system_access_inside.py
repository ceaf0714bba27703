"""What happens once somebody is in, and what a plan may write, in states made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.controls.access_world import (
    SUDO,
    account,
    accounts,
    key,
    keys,
    rule,
    server,
    sshd,
    verdict,
)

from wardkeep.controls.system_access.row import Policy
from wardkeep.core.changes import Blocked
from wardkeep.core.findings import fails
from wardkeep.facts.login_records import LoginRecords, Record
from wardkeep.facts.shell_timeout import ShellTimeout
from wardkeep.facts.sshd import Sshd

# Sessions and records.


@pytest.mark.parametrize(
    ("timeout", "channel", "expected"),
    [
        (ShellTimeout(900, True, 0), "none", "pass"),
        (ShellTimeout(900, False, 0), "none", "fail"),  # anybody can change it
        (ShellTimeout(901, True, 0), "none", "fail"),
        (ShellTimeout(0, False, 600), "none", "pass"),
        (ShellTimeout(None, False, None), "none", "fail"),
        (ShellTimeout(None, False, None), "session=15m", "pass"),
        (ShellTimeout(None, False, None), "session:*=0", "fail"),
        (ShellTimeout(None, False, None), "agent-connection=5m", "fail"),
    ],
)
def test_idle_sessions(timeout: ShellTimeout, channel: str, expected: str) -> None:
    assert verdict("idle_sessions_end", timeout, sshd(channeltimeout=channel), Policy()) == expected


def test_a_limit_that_some_users_are_let_off_is_no_limit() -> None:
    off = sshd("Match User alice\nChannelTimeout session=0\n", channeltimeout="session=15m")
    assert verdict("idle_sessions_end", ShellTimeout(None, False, None), off, Policy()) == "fail"


def record(path: str, age: int = 0, size: int = 9, medium: str = "ext2/ext3") -> Record:
    return Record(path, size, 100_000_000 - age, medium)


@pytest.mark.parametrize(
    ("files", "journals", "expected"),
    [
        ([record("/var/log/auth.log")], [], "pass"),
        ([record("/var/log/auth.log", age=90_000)], [], "fail"),  # nothing writes to it any more
        ([record("/var/log/auth.log", size=0)], [], "fail"),
        ([record("/var/log/auth.log", medium="tmpfs")], [], "fail"),
        ([], [record("/var/log/journal/x")], "pass"),
        ([], [record("/run/log/journal/x", medium="tmpfs")], "fail"),
        ([], [], "fail"),
    ],
)
def test_the_record_of_log_ins(files: list[Record], journals: list[Record], expected: str) -> None:
    records = LoginRecords(tuple(files), tuple(journals), 100_000_000)
    assert verdict("login_records_last", records) == expected


# sudo.


@pytest.mark.parametrize(
    ("defaults", "expected"),
    [({}, "pass"), ({"syslog": False}, "fail"), ({"syslog": False, "logfile": "/var/log/sudo"}, "pass")],
)
def test_sudo_leaves_a_record(defaults: dict[str, Any], expected: str) -> None:
    assert verdict("sudo_is_recorded", replace(SUDO, defaults=defaults)) == expected


def test_sudo_without_a_password_everywhere_by_default_is_seen() -> None:
    loose = replace(SUDO, defaults={"authenticate": False})
    assert verdict("sudo_asks", SUDO, accounts(account("alice")), Policy()) == "pass"
    assert verdict("sudo_asks", loose, accounts(account("alice")), Policy()) == "fail"
    assert verdict("sudo_asks", loose, accounts(account("alice")), Policy(machines=("alice",))) == "pass"


# What a plan may write.


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"options": "-f /srv/sshd"}, "this server was started with"),
        ({"includes": ()}, "does not include the files of"),
    ],
)
def test_a_drop_in_that_would_not_be_read_is_not_written(changed: dict[str, Any], reason: str) -> None:
    odd = replace(server(permitemptypasswords="yes"), **changed)
    remedy: Any = rule("no_empty_password").remedy
    (change,) = remedy(sshd=Sshd((odd,)), failing=[fails(odd.subject, "", "x")])
    assert isinstance(change, Blocked)
    assert reason in change.reason


def test_codes_beside_keys_are_not_switched_off() -> None:
    both = sshd(authenticationmethods="publickey,keyboard-interactive password",
                kbdinteractiveauthentication="yes", passwordauthentication="yes")  # fmt: skip
    remedy: Any = rule("no_password_login").remedy
    from wardkeep.facts.way_in import WayIn

    people, held = accounts(account("alice")), keys(key())
    made = list(
        remedy(sshd=both, accounts=people, keys=held, sudoers=SUDO, me=WayIn("root", False),
               failing=[fails("sshd", "", "x")], policy=Policy())
    )  # fmt: skip
    assert made
    assert all(isinstance(change, Blocked) and "second factor" in change.reason for change in made)
