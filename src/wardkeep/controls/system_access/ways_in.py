"""Who can enter a host over SSH and become root there, and whether a change would cut the last such way.

Pure functions of facts. A way counts only if every fact speaks for it; a way that cannot be seen is not relied on.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from wardkeep.controls.system_access.authentication import by_key, password_alone
from wardkeep.facts.accounts import Account, Accounts
from wardkeep.facts.authorized_keys import AuthorizedKeys
from wardkeep.facts.sshd import Sshd
from wardkeep.facts.sudoers import Sudoers
from wardkeep.facts.way_in import WayIn

KEY, PASSWORD = "key", "password"


@dataclass(frozen=True, slots=True)
class Way:
    """An account that can log in by a key or a password, and whether root is then in reach."""

    account: str
    by: str
    to_root: bool


@dataclass(frozen=True, slots=True)
class Without:
    """What a change takes away. Keys are named by (account, fingerprint)."""

    passwords: bool = False
    root: bool = False
    accounts: frozenset[str] = frozenset()
    keys: frozenset[tuple[str, str]] = frozenset()
    sudo: frozenset[str] = frozenset()  # accounts that lose their way from themselves to root


NOTHING = Without()


@dataclass(frozen=True, slots=True)
class Doors:
    """The facts that decide who can enter."""

    sshd: Sshd
    accounts: Accounts
    keys: AuthorizedKeys
    sudoers: Sudoers

    def ways(self, without: Without = NOTHING) -> frozenset[Way]:
        """Every way in that is surely open, once `without` is taken away."""
        found = set()
        for account in self.accounts.all:
            if (
                not account.has_shell
                or account.name in without.accounts
                or (account.uid == 0 and without.root)
            ):
                continue
            to_root = account.name not in without.sudo and self.becomes_root(account)
            if self._by_key(account, without):
                found.add(Way(account.name, KEY, to_root))
            if not without.passwords and self._by_password(account):
                found.add(Way(account.name, PASSWORD, to_root))
        return frozenset(found)

    def becomes_root(self, account: Account) -> bool:
        """Is the account root, or may it run anything as root by sudo?"""
        if account.uid == 0:
            return True
        allowed = False
        for grant in self.sudoers.grants:
            if grant.as_root and grant.everything and grant.covers(account, self.accounts):
                allowed = account.has_password or not grant.asks_password
        return allowed

    def _by_key(self, account: Account, without: Without) -> bool:
        own = [
            key
            for key in self.keys.of(account.name)
            if key.heeded
            and (account.name, key.fingerprint) not in without.keys
            and key.option("command") is None
        ]
        groups = self.accounts.groups_of(account)
        return bool(own) and all(
            view.admits(account.name, groups)
            and by_key(view, root=account.uid == 0, typing=not without.passwords)
            for server in self.sshd.servers
            for view in server.views(account.name, groups)
        )

    def _by_password(self, account: Account) -> bool:
        groups = self.accounts.groups_of(account)
        return account.has_password and any(
            view.admits(account.name, groups) and bool(password_alone(view, root=account.uid == 0))
            for server in self.sshd.servers
            for view in server.views(account.name, groups)
        )


def cut(doors: Doors, without: Without, me: WayIn, needed: Collection[str] = ()) -> str:
    """What harm taking `without` away would do to those who must get in; "" if none.

    `needed` are accounts that must keep a way in, such as the policy's administrators. Wardkeep's own account (`me`) counts if it came over SSH.
    """
    before, after = doors.ways(), doors.ways(without)
    if me.over_ssh:
        mine = {way for way in before if way.account == me.account}
        if not mine:
            return f"it cannot be seen by which key Wardkeep itself enters as {me.account}, so the change might cut it"
        if not any(way.account == me.account and way.to_root for way in after):
            return f"Wardkeep itself enters as {me.account} and would then no longer get in and become root"
    for name in sorted(needed):
        if any(way.account == name for way in before) and not any(way.account == name for way in after):
            return f"{name} could then no longer log in: no other way in is open to this account"
    if any(way.to_root for way in before) and not any(way.to_root for way in after):
        return "nobody could then enter over SSH and become root: no other account with an authorised key may"
    return ""
