"""Hosts made by hand for the rules of system_access: servers, accounts, keys and sudo rules as facts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from wardkeep.controls.system_access import control
from wardkeep.core.control import Rule
from wardkeep.core.findings import Seen
from wardkeep.facts.accounts import Account, Accounts
from wardkeep.facts.authorized_keys import AuthorizedKeys, Key
from wardkeep.facts.pam import Pam, Stack
from wardkeep.facts.sshd import Sshd, SshServer
from wardkeep.facts.sshd_config import read
from wardkeep.facts.sudoers import Grant, Sudoers, Who

NOW = datetime(2026, 11, 22, tzinfo=UTC)
TOLD = {
    "permitrootlogin": "no", "passwordauthentication": "no", "kbdinteractiveauthentication": "no", "usepam": "yes",
    "pubkeyauthentication": "yes", "authenticationmethods": "any", "permitemptypasswords": "no",
}  # fmt: skip
INCLUDE = (("/etc/ssh/sshd_config:1", "/etc/ssh/sshd_config.d/*.conf"),)


def server(text: str = "", **told: str) -> SshServer:
    plain, blocks = read("/c", {"/c": text}, {})
    values = {keyword: (value,) for keyword, value in {**TOLD, **told}.items()}
    return SshServer(7, "", values, plain, blocks, INCLUDE, 0, 1)


def sshd(text: str = "", **told: str) -> Sshd:
    return Sshd((server(text, **told),))


def account(name: str, uid: int = 1000, **other: Any) -> Account:
    return Account(name, uid, uid, "", f"/home/{name}", "/bin/bash", **{"password": "y", **other})


def accounts(*people: Account) -> Accounts:
    root = account("root", 0, password="locked")
    return Accounts((root, *people), {"sudo": (27, ("alice",))})


def key(
    name: str = "alice",
    type_: str = "ssh-ed25519",
    options: tuple[tuple[str, str], ...] = (),
    heeded: bool = True,
) -> Key:
    return Key(
        name, type_, f"SHA256:{name}{type_}", 0, "", options, f"/home/{name}/keys:1", heeded, f"{type_} AAAA"
    )


def keys(*held: Key) -> AuthorizedKeys:
    return AuthorizedKeys(held, ())


EVERYTHING = Grant((Who("user", "alice"),), ("ALL",), ("ALL",), ("ALL",), asks_password=True)
SUDO = Sudoers(True, (EVERYTHING,), {})
NO_PAM = Pam({"sshd": Stack(())}, {})


def rule(name: str) -> Rule:
    return next(made for made in control.rules if made.id == f"system_access.{name}")


def said(name: str, *facts: Any, **more: Any) -> list[Seen]:
    return list(rule(name).check(*facts, **more))


def verdict(name: str, *facts: Any, **more: Any) -> str:
    (seen,) = said(name, *facts, **more)
    return seen.verdict
