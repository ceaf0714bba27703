"""Who gets in, in states made by hand, where a recorded host cannot show both sides."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from tests.controls.access_world import (
    EVERYTHING,
    NO_PAM,
    NOW,
    SUDO,
    account,
    accounts,
    key,
    keys,
    said,
    server,
    sshd,
    verdict,
)

from wardkeep.controls.system_access.authentication import by_key, password_alone
from wardkeep.controls.system_access.row import Policy
from wardkeep.controls.system_access.ways_in import Doors, Way
from wardkeep.core.findings import Verdict
from wardkeep.facts.authorized_keys import AuthorizedKeys, Key
from wardkeep.facts.logins import Logins
from wardkeep.facts.pam import Module, Pam, Stack
from wardkeep.facts.sudoers import Grant, Sudoers

# What lets somebody in.


@pytest.mark.parametrize(
    ("told", "typed", "key_enough"),
    [
        ({}, False, True),
        ({"passwordauthentication": "yes"}, True, True),
        ({"kbdinteractiveauthentication": "yes"}, True, True),
        ({"kbdinteractiveauthentication": "yes", "usepam": "no"}, False, True),  # nobody is there to ask
        (
            {"authenticationmethods": "publickey,password"},
            False,
            False,
        ),  # password is off: nobody gets in at all
        ({"authenticationmethods": "publickey,password", "passwordauthentication": "yes"}, False, True),
        (
            {"authenticationmethods": "publickey,password password", "passwordauthentication": "yes"},
            True,
            True,
        ),
        (
            {"authenticationmethods": "keyboard-interactive:pam", "kbdinteractiveauthentication": "yes"},
            True,
            False,
        ),
        ({"pubkeyauthentication": "no"}, False, False),
    ],
)
def test_what_a_configuration_lets_in(told: dict[str, str], typed: bool, key_enough: bool) -> None:
    (view,) = server(**told).views("alice")
    assert bool(password_alone(view)) is typed
    assert by_key(view) is key_enough


@pytest.mark.parametrize(
    ("value", "typed", "key_enough"),
    [
        ("yes", True, True),
        ("prohibit-password", False, True),
        ("forced-commands-only", False, False),
        ("no", False, False),
    ],
)
def test_root_is_let_in_as_permitrootlogin_says(value: str, typed: bool, key_enough: bool) -> None:
    (view,) = server(permitrootlogin=value, passwordauthentication="yes").views("root")
    assert (bool(password_alone(view, root=True)), by_key(view, root=True)) == (typed, key_enough)


def test_lists_of_a_match_block_gather_and_groups_are_vetoed() -> None:
    (view,) = server("Match User alice\nAllowUsers bob\nAllowUsers alice\n").views("alice")
    assert view.admits("alice")
    blocked = server("Match Group !staff,*\nPermitRootLogin yes\n")
    assert [v.get("PermitRootLogin") for v in blocked.views("alice", frozenset({"staff", "users"}))] == ["no"]
    assert [v.get("PermitRootLogin") for v in blocked.views("alice", frozenset({"users"}))] == ["yes"]


@pytest.mark.parametrize(
    ("text", "admitted"),
    [
        ("", True),
        ("AllowUsers bob", False),
        ("AllowUsers alice@10.0.0.1", True),
        ("DenyUsers ali*", False),
        ("DenyUsers alice@10.0.0.1", True),  # from elsewhere she gets in
        ("AllowGroups wheel", False),
        ("DenyGroups staff", False),
    ],
)
def test_who_is_admitted(text: str, admitted: bool) -> None:
    (view,) = server(f"Match all\n{text}\n").views("alice", frozenset({"staff"}))
    assert view.admits("alice", frozenset({"staff"})) is admitted


# Ways in.


def ways(*held: Key, text: str = "", grant: Grant = EVERYTHING, **other: Any) -> set[Way]:
    sudo = Sudoers(True, (grant,), {})
    return set(Doors(sshd(text), accounts(account("alice", **other)), keys(*held), sudo).ways())


def test_a_way_in_is_relied_on_only_if_it_is_surely_open() -> None:
    to_root = {Way("alice", "key", True)}
    assert ways(key()) == to_root
    assert ways(key(options=(("command", "/bin/true"),))) == set()
    assert ways(key(heeded=False)) == set()
    assert ways(key(), text="Match Address 10.0.0.0/8\nPubkeyAuthentication no\n") == set()
    assert ways(key(), password="locked") == {Way("alice", "key", False)}  # sudo would ask for a password
    assert ways(key(), password="locked", grant=replace(EVERYTHING, asks_password=False)) == to_root
    assert ways(key(), grant=replace(EVERYTHING, commands=("/bin/ls",))) == {Way("alice", "key", False)}


# Dormant accounts.


@pytest.mark.parametrize(
    ("last", "since", "changed", "expected"),
    [
        (1, 400, None, "pass"),
        (91, 400, None, "fail"),
        (91, 10, None, "fail"),
        (None, 400, None, "fail"),
        (None, 10, None, "unknown"),  # the records do not reach far enough to say
        (None, 10, 5, "pass"),
        (None, 400, 200, "fail"),
    ],
)
def test_an_account_is_dormant_after_90_days(
    last: int | None, since: int, changed: int | None, expected: str
) -> None:
    def ago(days: int) -> datetime:
        return NOW - timedelta(days=days)

    person = account("alice", changed=ago(changed).date() if changed else None)
    seen = {} if last is None else {"alice": ago(last)}
    logins = Logins(seen, ago(since), ("last",))
    assert verdict("no_dormant_account", accounts(person), keys(), logins, Policy(), NOW) == expected
    ended = replace(person, expires=date(2026, 1, 1))
    assert verdict("no_dormant_account", accounts(ended), keys(), logins, Policy(), NOW) == "pass"


# Second factors.


def pam(*modules: Module, **faillock: str) -> Pam:
    return Pam({"sshd": Stack(modules)}, faillock)


CODE = Module("auth", "required", "pam_google_authenticator.so", ())
BOTH = {"authenticationmethods": "publickey,keyboard-interactive", "kbdinteractiveauthentication": "yes"}
SK = "sk-ssh-ed25519@openssh.com"


@pytest.mark.parametrize(
    ("told", "stack", "held", "policy", "expected"),
    [
        ({}, NO_PAM, [key()], Policy(), "fail"),
        (BOTH, pam(CODE), [key()], Policy(), "pass"),
        # Without a stack that asks for a code the keyboard asks for a password: two kinds all the same.
        (BOTH, NO_PAM, [key()], Policy(), "pass"),
        ({"kbdinteractiveauthentication": "yes"}, pam(CODE), [], Policy(), "fail"),  # a code alone
        ({"passwordauthentication": "yes"}, NO_PAM, [key(type_=SK)], Policy(), "fail"),  # or a password alone
        ({}, NO_PAM, [key(type_=SK)], Policy(), "pass"),
        ({}, NO_PAM, [key(type_=SK), key()], Policy(), "fail"),
        ({}, NO_PAM, [key(options=(("from", "192.0.2.1"),))], Policy(bastions=("192.0.2.1",)), "pass"),
        (
            {},
            NO_PAM,
            [key(options=(("from", "192.0.2.1"),)), key(type_="ssh-rsa")],
            Policy(bastions=("192.0.2.1",)),
            "fail",
        ),
        ({}, NO_PAM, [key(options=(("from", "192.0.2.1,*"),))], Policy(bastions=("192.0.2.1",)), "fail"),
        ({}, NO_PAM, [key()], Policy(second_factor=False), "pass"),
        ({}, NO_PAM, [], Policy(), "pass"),  # nobody who can become root can log in
    ],
)
def test_a_second_factor(
    told: dict[str, str], stack: Pam, held: list[Key], policy: Policy, expected: str
) -> None:
    assert (
        verdict("second_factor", sshd(**told), accounts(account("alice")), keys(*held), SUDO, stack, policy)
        == expected
    )


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (CODE, "pass"),
        (replace(CODE, arguments=("nullok",)), "fail"),  # who never enrolled gets in without
        (replace(CODE, control="optional"), "fail"),
        (replace(CODE, control="[success=1 default=ignore]"), "fail"),
        (replace(CODE, control="[success=ok default=die]"), "pass"),
    ],
)
def test_a_code_counts_only_if_nobody_gets_past_it(module: Module, expected: str) -> None:
    password = Module("auth", "required", "pam_unix.so", ())
    told = {"kbdinteractiveauthentication": "yes", "pubkeyauthentication": "no"}
    stack = pam(module, password)
    assert (
        verdict("second_factor", sshd(**told), accounts(account("alice")), keys(), SUDO, stack, Policy())
        == expected
    )


def test_keys_that_cannot_be_seen_leave_the_second_factor_open() -> None:
    hidden = AuthorizedKeys((), (), certified="/etc/ssh/ca.pub")
    found = {
        s.subject: s.verdict
        for s in said("second_factor", sshd(), accounts(account("alice")), hidden, SUDO, NO_PAM, Policy())
    }
    assert found == {"account:alice": Verdict.UNKNOWN}


PREAUTH, AUTHFAIL = (
    Module("auth", "required", "pam_faillock.so", (word,)) for word in ("preauth", "authfail")
)


@pytest.mark.parametrize(
    ("told", "stack", "expected"),
    [
        ({}, NO_PAM, "pass"),
        ({"passwordauthentication": "yes"}, NO_PAM, "fail"),
        ({"passwordauthentication": "yes"}, pam(PREAUTH, AUTHFAIL), "pass"),
        ({"passwordauthentication": "yes"}, pam(AUTHFAIL), "fail"),
        ({"passwordauthentication": "yes"}, pam(PREAUTH, AUTHFAIL, deny="11"), "fail"),
        ({"passwordauthentication": "yes"}, pam(PREAUTH, AUTHFAIL, deny="0"), "fail"),
        ({"passwordauthentication": "yes", "persourcepenalties": "crash:90 authfail:5"}, NO_PAM, "pass"),
        ({"passwordauthentication": "yes", "persourcepenalties": "no"}, NO_PAM, "fail"),
        ({"passwordauthentication": "yes", "persourcepenalties": "authfail:0"}, NO_PAM, "fail"),
    ],
)
def test_guessing(told: dict[str, str], stack: Pam, expected: str) -> None:
    assert verdict("guessing_is_stopped", sshd(**told), stack, Policy()) == expected
