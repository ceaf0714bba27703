"""A second factor for whoever can become root, and an end to guessing."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wardkeep.controls.system_access.authentication import KEYWORDS, chains, password_alone
from wardkeep.controls.system_access.row import Policy, control
from wardkeep.controls.system_access.ways_in import Doors
from wardkeep.core.findings import Seen, Severity, fails, passes, unsure
from wardkeep.facts.accounts import Account, Accounts
from wardkeep.facts.authorized_keys import AuthorizedKeys, Key
from wardkeep.facts.pam import Pam
from wardkeep.facts.sshd import Sshd, View
from wardkeep.facts.sudoers import Sudoers

CODES = frozenset(
    [
        "pam_google_authenticator.so",
        "pam_oath.so",
        "pam_duo.so",
        "pam_yubico.so",
        "pam_u2f.so",
        "pam_privacyidea.so",
    ]
)
OWNS, KNOWS, CODE = "a key", "a password", "a code"


def typed(pam: Pam) -> frozenset[str]:
    """What PAM certainly asks for when sshd lets it ask: a password, a code, or both.

    A code counts only where the stack cannot succeed without it; `nullok` lets those in who never enrolled.
    """
    asked = set()
    for module in pam.modules("sshd", "auth"):
        if module.name in CODES and module.must_succeed and "nullok" not in module.arguments:
            asked.add(CODE)
        elif module.name in ("pam_unix.so", "pam_sss.so", "pam_ldap.so", "pam_krb5.so"):
            asked.add(KNOWS)
    return frozenset(asked)


def demanded(view: View, pam: Pam, *, root: bool) -> frozenset[frozenset[str]]:
    """What each way in of this configuration demands, as kinds of factor. Every one of them has to be enough."""
    allowed = view.get("PermitRootLogin") if root else "yes"
    demands = set()
    for chain in chains(view):
        if allowed == "no" or (allowed != "yes" and any(method in KEYWORDS for method in chain)):
            continue
        kinds: set[str] = set()
        for method in chain:
            if method == "publickey":
                kinds.add(OWNS)
            elif method == "password":
                kinds.add(KNOWS)
            elif method == "keyboard-interactive":
                kinds |= typed(pam) or {KNOWS}
            else:
                kinds.add(method)
        demands.add(frozenset(kinds))
    return frozenset(demands)


def behind_bastion(held: tuple[Key, ...], policy: Policy) -> bool:
    """Do all the account's keys work from the declared bastions only?"""
    sources = [(key.option("from") or "").split(",") for key in held]
    return bool(held and policy.bastions) and all(set(source) <= set(policy.bastions) for source in sources)


@control.rule(
    says="Whoever can become root needs a second factor to log in.",
    severity=Severity.HIGH,
    serves={
        "164.312(d)": "A stolen key or a guessed password alone verifies nobody who can read everything."
    },
)
def second_factor(
    sshd: Sshd, accounts: Accounts, keys: AuthorizedKeys, sudoers: Sudoers, pam: Pam, policy: Policy
) -> Iterator[Seen]:
    doors, spoken = Doors(sshd, accounts, keys, sudoers), False
    for account in accounts.all:
        if not account.has_shell or not doors.becomes_root(account):
            continue
        said = _judge(account, doors, pam, policy)
        if said:
            spoken = True
            yield said
    if not spoken:
        yield passes("sshd", "no account that can become root can log in over SSH")


def _judge(account: Account, doors: Doors, pam: Pam, policy: Policy) -> Seen | None:
    """The account's finding, or None if it has no way in over SSH."""
    about, groups = f"account:{account.name}", doors.accounts.groups_of(account)
    held, keys = doors.keys.of(account.name), doors.keys
    hidden = bool(keys.commanded or keys.certified) or any(name == account.name for name, _ in keys.unread)
    open_ways = {
        kinds
        for server in doors.sshd.servers
        for view in server.views(account.name, groups)
        if view.admits(account.name, groups)
        for kinds in demanded(view, pam, root=account.uid == 0)
        if (OWNS not in kinds or held or hidden) and (KNOWS not in kinds or account.has_password)
    }
    if not open_ways:
        return None
    if not policy.second_factor:
        return passes(about, "policy asks for no second factor")
    alone = sorted(next(iter(kinds)) for kinds in open_ways if len(kinds) == 1)
    if not alone:
        told = sorted(" and ".join(sorted(kinds)) for kinds in open_ways)
        return passes(about, f"asks for {' or '.join(told)}")
    if alone == [OWNS] and hidden:
        return unsure(
            about, "some of its keys come from a certificate, a program or a line that is not looked at"
        )
    if alone == [OWNS] and all(key.on_hardware for key in held):
        return passes(about, f"only keys that stay on a security key: {', '.join(sorted(map(str, held)))}")
    if alone == [OWNS] and behind_bastion(held, policy):
        return passes(about, f"its keys work from the bastion only: {', '.join(policy.bastions)}")
    todo = (
        "Enrol a code (libpam-google-authenticator) and set `AuthenticationMethods publickey,keyboard-interactive`, "
        "or use security keys (`ssh-keygen -t ed25519-sk`), or name a bastion in the policy."
    )
    return fails(about, f"gets in with {' alone, or with '.join(alone)} alone", todo)


second_factor.cannot_mend(
    "each person has to enrol a code or a security key first; demanding it before would lock them out"
)


@control.rule(
    says="Guessing passwords over SSH is stopped.",
    severity=Severity.MEDIUM,
    serves={
        "164.308(a)(5)(ii)(C)": "A guesser's attempts are counted and answered, not merely allowed.",
        "164.312(d)": "A password that may be tried without end is found in the end.",
    },
)
def guessing_is_stopped(sshd: Sshd, pam: Pam, policy: Policy) -> Iterator[Seen]:
    for server in sshd.servers:
        open_to = next((text for view in server.views() if (text := password_alone(view))), "")
        penalties = " ".join(server.told.get("persourcepenalties", ()))
        deny = _lock_out(pam)
        if not open_to:
            yield passes(server.subject, "no password can be tried: the server asks for keys")
        elif deny is not None and 0 < deny <= policy.tries:
            yield passes(server.subject, f"pam_faillock locks the account after {deny} wrong passwords")
        elif re.search(r"\bauthfail:[1-9]", penalties):
            yield passes(server.subject, f"the server makes a guessing address wait: {penalties}")
        else:
            todo = "Turn password logins off (the rule on passwords offers the change), or configure pam_faillock."
            yield fails(server.subject, f"{open_to}, without pam_faillock or PerSourcePenalties", todo)


def _lock_out(pam: Pam) -> int | None:
    """After how many wrong passwords pam_faillock locks an account in sshd's stack; None if it does not stand there whole."""
    found = [module for module in pam.modules("sshd", "auth") if module.name == "pam_faillock.so"]
    words = {argument for module in found for argument in module.arguments}
    if not {"preauth", "authfail"} <= words:
        return None
    given = [argument.removeprefix("deny=") for argument in words if argument.startswith("deny=")]
    text = given[0] if given else pam.faillock.get("deny", "3")  # 3: faillock.conf(5)
    return int(text) if text.isdigit() else None


guessing_is_stopped.cannot_mend(
    "a lock-out lets a stranger lock your people out, so a person has to choose it; turning passwords off is the better change"
)
