"""What is said of a question that a host could not answer."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from wardkeep.core.facts import Answer, Snapshot, Unknown
from wardkeep.facts.authorized_keys import AuthorizedKeys
from wardkeep.facts.units import Units

AT = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("stderr", "named"),
    [
        (b"wardkeep: eval: line 46: getent: not found\n", "getent"),  # BusyBox
        (b"/bin/sh: 1: getent: not found\n", "getent"),  # dash
        (b"bash: line 3: getent: command not found\n", "getent"),
        (b"first: not found\nsh: 2: last: not found", "last"),
        (b"", "sshd"),  # said by the script itself, which looked for its tool first
        (b"ld.so: object libx.so cannot be preloaded\n", "sshd"),
        (b"sh: 1: \x1b[31mgetent: not found\n", "sshd"),
        (b"x: " + b"a" * 400 + b": not found", "sshd"),
    ],
)
def test_the_program_that_is_missing_is_named_as_the_shell_there_said(stderr: bytes, named: str) -> None:
    given = Snapshot("host-1", AT, {"authorized_keys": Answer("authorized_keys", 127, b"", stderr)})
    said = given.learn(AuthorizedKeys)
    assert isinstance(said, Unknown)
    assert said.reason == f"authorized_keys: {named} is not installed there"


def test_systemd_without_its_tool_is_a_missing_tool() -> None:
    said = Snapshot("host-1", AT, {"units": Answer("units", 127, b"= first systemd\n")}).learn(Units)
    assert isinstance(said, Unknown)
    assert said.reason == "units: systemctl is not installed there"
