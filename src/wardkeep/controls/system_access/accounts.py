"""Accounts: whose they are, whether anybody uses them, and whether a name means one person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from shlex import quote

from wardkeep.controls.system_access.row import Policy, control
from wardkeep.controls.system_access.ways_in import Doors, Without, cut
from wardkeep.core.changes import Act, Blocked, Change
from wardkeep.core.findings import Seen, Severity, fails, passes, unsure
from wardkeep.facts.accounts import Account, Accounts
from wardkeep.facts.authorized_keys import AuthorizedKeys
from wardkeep.facts.logins import Logins
from wardkeep.facts.sshd import Sshd
from wardkeep.facts.sudoers import Sudoers
from wardkeep.facts.way_in import WayIn

PLAN = "Run `wardkeep plan` for this host to see the change."


def subject(account: Account) -> str:
    return f"account:{account.name}"


def lock(account: Account, rule: str, harm: str) -> Change:
    """End the account now, keeping its files; keys stop working too, which a locked password alone does not do."""
    says = f"End the account `{account.name}`"
    if harm:
        return Blocked(says, harm, "Open another way in first, then plan again.", rule, subject(account))
    before = account.expires.isoformat() if account.expires else ""
    name = quote(account.name)
    undo = f"usermod -e '{before}' {name}"
    return Act(says, f"usermod -e 1 {name}", undo, rule, subject(account), cuts_access=True)


@control.rule(
    says="Every account made for a person has an owner named by policy.",
    severity=Severity.MEDIUM,
    serves={
        "164.312(a)(2)(i)": "A name identifies a user only if somebody wrote down whose it is.",
        "164.308(a)(3)(ii)(B)": "Only an account with a named owner can be judged appropriate.",
        "164.308(a)(4)(ii)(B)": "The policy's list is the record of whom access was granted to.",
    },
)
def accounts_have_owners(accounts: Accounts, policy: Policy) -> Iterator[Seen]:
    people = [account for account in accounts.people() if account.uid != 0]
    for account in people:
        if owner := policy.owner(account.name):
            yield passes(subject(account), f"uid {account.uid}, belongs to {owner} by policy")
        else:
            about = account.about.strip(",") or "no name in passwd"
            todo = f"Name the owner under [policy.system_access.people], or end the account: `usermod -e 1 {account.name}`."
            yield fails(
                subject(account), f"uid {account.uid}, {account.shell}, {about}: policy names nobody", todo
            )
    if not people:
        yield passes("accounts", f"no account between uid {accounts.least} and {accounts.most} has a shell")


accounts_have_owners.cannot_mend(
    "only a person can say whose an account is; name the owner in the policy or end the account"
)


@control.rule(
    says="Only root has the rights of root.",
    severity=Severity.CRITICAL,
    serves={
        "164.312(a)(2)(i)": "A second account with uid 0 acts under root's number and leaves no name of its own.",
        "164.312(a)(1)": "An account with uid 0 has every right without anybody having granted it.",
    },
)
def one_root(accounts: Accounts) -> Iterator[Seen]:
    for account in accounts.all:
        if account.uid == 0 and account.name != "root":
            todo = "Find out who made it and what it is for, then give it a number of its own or end it."
            yield fails(subject(account), f"uid 0, shell {account.shell}", todo)
    if all(account.name == "root" for account in accounts.all if account.uid == 0):
        yield passes("account:root", "the only account with uid 0")


one_root.cannot_mend("a second root is a sign of a break-in or of a broken tool; a person has to look first")


@control.rule(
    says="No two accounts share a number.",
    severity=Severity.MEDIUM,
    serves={
        "164.312(a)(2)(i)": "The kernel records numbers: two names with one number cannot be told apart."
    },
)
def numbers_are_unique(accounts: Accounts) -> Iterator[Seen]:
    names: defaultdict[int, list[str]] = defaultdict(list)
    for account in accounts.all:
        names[account.uid].append(account.name)
    shared = {uid: sorted(set(held)) for uid, held in names.items() if uid != 0 and len(set(held)) > 1}
    for uid, held in shared.items():
        todo = "Give each account a number of its own, then correct the owner of its files."
        yield fails(f"uid:{uid}", f"held by {', '.join(held)}", todo)
    if not shared:
        yield passes("accounts", f"{len(accounts.all)} accounts, each with a number of its own")


numbers_are_unique.cannot_mend("which of the accounts owns the files already written, only a person can tell")


@control.rule(
    says="No account has an empty password.",
    severity=Severity.CRITICAL,
    serves={"164.312(d)": "Whoever types the name is let in, and nobody's identity was verified."},
)
def no_empty_password_field(accounts: Accounts) -> Iterator[Seen]:
    empty = [account for account in accounts.all if account.password == "empty"]  # noqa: S105
    for account in empty:
        yield fails(subject(account), f"its password field is empty, shell {account.shell}", PLAN)
    if not empty:
        yield passes("accounts", f"{len(accounts.all)} accounts, none with an empty password field")


@no_empty_password_field.mend
def lock_empty_passwords(failing: list[Seen]) -> Iterator[Change]:
    for seen in failing:
        name = seen.subject.removeprefix("account:")
        # The undo leaves the password locked: an account that anybody may enter is not a state to return to.
        yield Act(
            f"Lock the password of `{name}` (not undone: an empty password is never put back)",
            f"passwd -l {quote(name)}",
            "",
            no_empty_password_field.id,
            seen.subject,
        )


@control.rule(
    says="Accounts that nobody uses are ended.",
    severity=Severity.MEDIUM,
    serves={
        "164.308(a)(3)(ii)(C)": "An account that nobody uses any more is most often that of somebody who left.",
        "164.308(a)(4)(ii)(C)": "Access that is not used is access to be reviewed and taken back.",
    },
)
def no_dormant_account(
    accounts: Accounts, keys: AuthorizedKeys, logins: Logins, policy: Policy, now: datetime
) -> Iterator[Seen]:
    limit = now - policy.dormant_after
    days = policy.dormant_after.days
    spoken = False
    for account in accounts.people():
        can_enter = not account.ended(now.date()) and (account.has_password or keys.of(account.name))
        if not can_enter or account.uid == 0:
            continue
        spoken, last = True, logins.seen.get(account.name)
        if last and last >= limit:
            yield passes(subject(account), f"last seen {last:%Y-%m-%d}, within {days} days")
        elif account.changed and account.changed >= limit.date():
            yield passes(subject(account), f"its password was set on {account.changed}, within {days} days")
        elif last:
            yield fails(subject(account), f"last seen {last:%Y-%m-%d}, more than {days} days ago", PLAN)
        elif logins.since <= limit:
            yield fails(subject(account), f"never seen, and the records begin {logins.since:%Y-%m-%d}", PLAN)
        else:
            why = f"not seen since {logins.since:%Y-%m-%d}, where the records begin: less than {days} days"
            yield unsure(subject(account), why, "Look again once the records reach far enough.")
    if not spoken:
        yield passes("accounts", "no account made for a person can log in")


@no_dormant_account.mend
def end_dormant_accounts(
    sshd: Sshd,
    accounts: Accounts,
    keys: AuthorizedKeys,
    sudoers: Sudoers,
    me: WayIn,
    failing: list[Seen],
    policy: Policy,
) -> Iterator[Change]:
    doors = Doors(sshd, accounts, keys, sudoers)
    for seen in failing:
        if account := accounts.named(seen.subject.removeprefix("account:")):
            harm = cut(doors, Without(accounts=frozenset({account.name})), me)
            yield lock(account, no_dormant_account.id, harm)


@control.rule(
    says="Accounts for a time have an end.",
    severity=Severity.MEDIUM,
    serves={"164.308(a)(3)(ii)(C)": "An end set at the start ends the access even when nobody thinks of it."},
)
def temporary_accounts_end(accounts: Accounts, policy: Policy) -> Iterator[Seen]:
    for name in policy.temporary:
        account = accounts.named(name)
        if account is None:
            yield passes(f"account:{name}", "not on this host")
        elif account.expires is None:
            todo = f"Set its last day: `chage -E YYYY-MM-DD {name}`."
            yield fails(subject(account), "for a time by policy, and without an end", todo)
        else:
            yield passes(subject(account), f"ends on {account.expires}")
    if not policy.temporary:
        yield passes("accounts", "policy names no account for a time")


temporary_accounts_end.cannot_mend("which day is the last one, only a person can say")


@control.rule(
    says="People who have left can no longer log in.",
    severity=Severity.HIGH,
    serves={"164.308(a)(3)(ii)(C)": "Ending the account is what ends the access of somebody who left."},
)
def leavers_have_no_access(
    accounts: Accounts, keys: AuthorizedKeys, policy: Policy, now: datetime
) -> Iterator[Seen]:
    for name in policy.leavers:
        account = accounts.named(name)
        if account is None:
            yield passes(f"account:{name}", "not on this host")
        elif account.ended(now.date()):
            yield passes(subject(account), f"ended on {account.expires}")
        elif account.has_shell and (account.has_password or keys.of(name)):
            yield fails(subject(account), "left by policy, and the account is open", PLAN)
        else:
            yield passes(subject(account), "its password is locked and no key is authorised")
    if not policy.leavers:
        yield passes("accounts", "policy names nobody who left")


@leavers_have_no_access.mend
def end_leavers(
    sshd: Sshd,
    accounts: Accounts,
    keys: AuthorizedKeys,
    sudoers: Sudoers,
    me: WayIn,
    failing: list[Seen],
) -> Iterator[Change]:
    doors = Doors(sshd, accounts, keys, sudoers)
    for seen in failing:
        if account := accounts.named(seen.subject.removeprefix("account:")):
            harm = cut(doors, Without(accounts=frozenset({account.name})), me)
            yield lock(account, leavers_have_no_access.id, harm)


@control.rule(
    says="A second account can enter and become root when the first one fails.",
    severity=Severity.LOW,
    serves={
        "164.312(a)(2)(ii)": "In an emergency the data is reached by another administrator's way in, which must exist before."
    },
)
def second_way_in(sshd: Sshd, accounts: Accounts, keys: AuthorizedKeys, sudoers: Sudoers) -> Iterator[Seen]:
    ways = Doors(sshd, accounts, keys, sudoers).ways()
    names = sorted({way.account for way in ways if way.to_root})
    if len(names) >= 2:
        yield passes("ways in", ", ".join(names))
    elif keys.commanded or keys.certified:
        yield unsure("ways in", f"{', '.join(names) or 'none'} seen; certificates or a program may open more")
    else:
        todo = "Give a second administrator an account with a key of their own and a sudo rule."
        yield fails("ways in", names[0] if names else "no account can enter by a key and become root", todo)


second_way_in.cannot_mend("who the second administrator is, only a person can say")
