"""Authorised keys: whose they are, how strong, and how many accounts one opens."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from shlex import quote

from wardkeep.controls.system_access.row import Policy, control
from wardkeep.controls.system_access.ways_in import Doors, Without, cut
from wardkeep.core.changes import Act, Blocked, Change
from wardkeep.core.findings import Seen, Severity, fails, passes, unsure
from wardkeep.facts.accounts import Accounts
from wardkeep.facts.authorized_keys import AuthorizedKeys, Key
from wardkeep.facts.sshd import Sshd
from wardkeep.facts.sudoers import Sudoers
from wardkeep.facts.way_in import WayIn

PLAN = "Run `wardkeep plan` for this host to see the change."


def subject(key: Key) -> str:
    """One line of one account: the same key twice in one account is one subject."""
    return f"key:{key.account}:{key.fingerprint}"


def each(keys: AuthorizedKeys) -> Iterator[Key]:
    """Every key once per account."""
    seen: set[str] = set()
    for key in keys.keys:
        if subject(key) not in seen:
            seen.add(subject(key))
            yield key


def owner(key: Key, policy: Policy) -> str:
    """Whose key it is: as policy says by fingerprint, or by a comment that names a person the policy knows."""
    if named := policy.keys.get(key.fingerprint):
        return named
    words = set(re.split(r"[^\w.+@-]+", key.comment.lower())) | {key.comment.lower().partition("@")[0]}
    for account, person in policy.people.items():
        addresses = {word.lower() for word in re.findall(r"[\w.+-]+@[\w.-]+", person)}
        if account.lower() in words or person.lower() in key.comment.lower() or addresses & words:
            return person
    return next((f"the program {name}" for name in policy.machines if name.lower() in words), "")


def remove(key: Key, rule: str, harm: str) -> Change:
    """Take the key's lines out of its file, keeping a copy; the undo puts the copy back."""
    file = key.where.rpartition(":")[0]
    says = f"Remove {key} from {file}"
    if harm:
        return Blocked(says, harm, "Open another way in first, then plan again.", rule, subject(key))
    blob, path = key.text.split(key.type, 1)[1].split()[0], quote(file)
    # A fingerprint's letters are base64, whose slash would name a folder that is not there.
    kept = quote(f"{file}.wardkeep-{key.fingerprint[7:15].replace('/', '_')}")
    # The rewritten file keeps its owner and mode, for it is written in place.
    script = (
        f"[ -e {kept} ] || cp -p {path} {kept}; "
        f"while IFS= read -r line; do case $line in *{quote(blob)}*) ;; *) printf '%s\\n' \"$line\" ;; esac; done <{kept} >{path}"
    )
    undo = f"cat {kept} >{path} && rm {kept}"
    return Act(says, script, undo, rule, subject(key), cuts_access=True)


@control.rule(
    says="Every authorised key belongs to a person or program that policy names.",
    severity=Severity.MEDIUM,
    serves={
        "164.312(d)": "A key verifies a person only if it is known whose it is.",
        "164.308(a)(4)(ii)(C)": "A key nobody owns is access that nobody reviews.",
    },
)
def keys_have_owners(keys: AuthorizedKeys, policy: Policy) -> Iterator[Seen]:
    for key in each(keys):
        if whose := owner(key, policy):
            yield passes(subject(key), f"{key} in {key.where} belongs to {whose}")
        else:
            todo = f'Write `"{key.fingerprint}" = "owner"` under [policy.system_access.keys], or remove the line.'
            yield fails(subject(key), f"{key} in {key.where}: policy names no owner", todo)
    for account, where in keys.unread:
        yield unsure(f"line:{where}", f"a line in {account}'s file is no key that Wardkeep knows", "Read it.")
    if keys.commanded:
        yield unsure("AuthorizedKeysCommand", f"{keys.commanded} gives further keys, which are not looked at")
    if keys.certified:
        yield unsure(
            "TrustedUserCAKeys", f"certificates signed by {keys.certified} open accounts and are not listed"
        )
    if not (keys.keys or keys.unread or keys.commanded or keys.certified):
        yield passes("keys", "no account has an authorised key")


keys_have_owners.cannot_mend("only a person can say whose key it is; name the owner or remove the line")


@control.rule(
    says="A key opens one account only.",
    severity=Severity.MEDIUM,
    serves={
        "164.312(a)(2)(i)": "With one key to two accounts the name in the log no longer tells who it was."
    },
)
def keys_are_not_shared(keys: AuthorizedKeys) -> Iterator[Seen]:
    accounts: defaultdict[str, set[str]] = defaultdict(set)
    for key in keys.keys:
        accounts[key.fingerprint].add(key.account)
    shared = {name: sorted(held) for name, held in accounts.items() if len(held) > 1}
    for fingerprint, held in shared.items():
        todo = "Give each person a key and an account of their own, then remove the line from the other accounts."
        yield fails(f"key:{fingerprint}", f"opens {', '.join(held)}", todo)
    if not shared:
        yield passes("keys", f"{len(accounts)} keys, none of them in two accounts")


keys_are_not_shared.cannot_mend("which of the accounts the key's owner should keep, only a person can say")


@control.rule(
    says="Authorised keys are of a strong kind.",
    severity=Severity.HIGH,
    serves={"164.312(d)": "A key that can be computed from its public half verifies nobody."},
)
def keys_are_strong(keys: AuthorizedKeys, policy: Policy) -> Iterator[Seen]:
    for key in each(keys):
        if key.type == "ssh-dss":
            yield fails(subject(key), f"{key}: DSA, refused by today's OpenSSH", PLAN)
        elif key.type == "ssh-rsa" and key.bits < policy.rsa_bits:
            severity = Severity.HIGH if key.bits < 2048 else Severity.LOW
            seen = f"{key}: {key.bits} bits, wanted {policy.rsa_bits}"
            yield fails(subject(key), seen, f"Have {key.account} make a new key.", severity=severity)
        else:
            yield passes(subject(key), f"{key}" + (f", {key.bits} bits" if key.bits else ""))
    if not keys.keys:
        yield passes("keys", "no account has an authorised key")


@keys_are_strong.mend
def remove_weak_keys(
    sshd: Sshd,
    accounts: Accounts,
    keys: AuthorizedKeys,
    sudoers: Sudoers,
    me: WayIn,
    failing: list[Seen],
    policy: Policy,
) -> Iterator[Change]:
    doors, wanted = Doors(sshd, accounts, keys, sudoers), {seen.subject for seen in failing}
    for key in each(keys):
        if subject(key) in wanted:
            held = frozenset({(key.account, key.fingerprint)})
            harm = cut(doors, Without(keys=held), me, (key.account, *policy.administrators))
            yield remove(key, keys_are_strong.id, harm)


@control.rule(
    says="No key opens root's account.",
    severity=Severity.MEDIUM,
    serves={
        "164.312(a)(2)(i)": "Who enters by root's keys leaves root's name in the log and not their own.",
        "164.308(a)(4)(ii)(B)": "Rights of root are granted by sudo rules, where they can be read and taken back.",
    },
)
def no_keys_of_root(keys: AuthorizedKeys, policy: Policy) -> Iterator[Seen]:
    held = [key for key in each(keys) if key.account == "root"]
    for key in held:
        if policy.root_login_by_key and owner(key, policy):
            yield passes(subject(key), f"{key}: root may log in by key by policy, and its owner is named")
        elif key.option("command") is not None:
            yield passes(subject(key), f"{key}: runs one command only")
        else:
            yield fails(subject(key), f"{key} in {key.where}", PLAN)
    if not held:
        yield passes("account:root", "no key is authorised for root")


@no_keys_of_root.mend
def remove_keys_of_root(
    sshd: Sshd,
    accounts: Accounts,
    keys: AuthorizedKeys,
    sudoers: Sudoers,
    me: WayIn,
    failing: list[Seen],
    policy: Policy,
) -> Iterator[Change]:
    doors, wanted = Doors(sshd, accounts, keys, sudoers), {seen.subject for seen in failing}
    harm = cut(doors, Without(root=True), me, policy.administrators)
    for key in each(keys):
        if subject(key) in wanted:
            yield remove(key, no_keys_of_root.id, harm)
