"""Encryption key management: keys can be read only by who uses them, are strong enough, and are renewed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from wardkeep.core.changes import Act, Change, OnHost, Step
from wardkeep.core.control import Control
from wardkeep.core.findings import Seen, Severity, fails, holds, passes
from wardkeep.facts.key_files import KeyFile, KeyFiles

# Debian's own group for services that read keys, and sshd's own for its host keys.
SERVICE_GROUPS = frozenset({"root", "ssl-cert", "ssh_keys", "_ssh", "postgres"})
# NIST SP 800-57 part 1 rev. 5, table 2: at least 112 bits of security; DSA was withdrawn by FIPS 186-5.
LEAST_BITS = {"RSA": 2048, "ECDSA": 256, "ED25519": 256, "ECDSA-SK": 256, "ED25519-SK": 256}
SSH = "/etc/ssh/ssh_host_"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What keys are held to."""

    rotation_days: int = field(
        default=366,
        metadata={"doc": "a service's key is replaced within", "unit": "d", "number": "key_rotation"},
    )
    reader_groups: frozenset[str] = field(
        default=SERVICE_GROUPS,
        metadata={"doc": "groups of services that may read a key besides its owner"},
    )


control = Control(
    "keys",
    policy=Policy,
    missing=(
        "Keys of disks, backups and databases, and keys in other formats or key services, are not looked at.",
        "SSH host keys and people's own keys are not held to a rotation.",
        "Whether keys are kept apart from the data they decrypt is not looked at.",
        "No rotation is drilled yet: the drill only tries to read the keys.",
    ),
)


def exposed(key: KeyFile, policy: Policy) -> str:
    """Who else may read or replace the file, in words; "" for nobody."""
    if key.mode & 0o007:
        return "everybody may open it"
    if key.mode & 0o030:
        return f"the group {key.group} may change it"
    if key.mode & 0o040 and key.group not in policy.reader_groups:
        return f"the group {key.group} may read it"
    return ""


@control.rule(
    says="A private key can be read only by its owner and the services that use it.",
    severity=Severity.HIGH,
    serves={
        "164.312(a)(2)(iv)": "Whoever reads the key decrypts the data; its file's rights are the lock on the lock.",
        "164.312(e)(2)(ii)": "A copied server key lets somebody else pose as the server and read what is sent.",
    },
)
def private_keys_closed(files: KeyFiles, policy: Policy) -> Iterator[Seen]:
    if not files.keys:
        yield passes("host", "no private key in a file under /etc or in a .ssh folder")
    for key in sorted(files.keys, key=lambda k: k.path):
        who = exposed(key, policy)
        if who:
            yield fails(
                f"key:{key.path}", f"{key.shown_mode}: {who}", "Run `wardkeep plan` to see the change."
            )
        else:
            yield passes(f"key:{key.path}", key.shown_mode)


@private_keys_closed.mend
def close_private_keys(files: KeyFiles, failing: list[Seen], policy: Policy) -> Iterator[Change]:
    found = {f"key:{key.path}": key for key in files.keys}
    for seen in failing:
        key = found[seen.subject]
        # What a service may need stays: reading by its own group. All else is taken away.
        kept = 0o740 if key.group in policy.reader_groups else 0o700
        path = shlex.quote(key.path)
        yield Act(
            f"Close {key.path} to others ({key.mode:04o} → {key.mode & kept:04o})",
            f"chmod {key.mode & kept:04o} -- {path}",
            f"chmod {key.mode:04o} -- {path}",
            private_keys_closed.id,
            seen.subject,
        )


@control.rule(
    says="SSH host keys are of a kind and size that is still strong.",
    severity=Severity.MEDIUM,
    serves={
        "164.312(e)(2)(ii)": "The host key is what makes sure that the encrypted session ends at the right machine."
    },
)
def host_keys_strong(files: KeyFiles) -> Iterator[Seen]:
    if not files.host_keys:
        yield passes("host", "no SSH host key in /etc/ssh")
    for key in sorted(files.host_keys, key=lambda k: k.path):
        least = LEAST_BITS.get(key.kind)
        seen = f"{key.kind}, {key.bits} bits" + ("" if least else ": no longer approved, or not known to us")
        todo = f"Make a new host key (`ssh-keygen -A`) and remove {key.path}."
        yield holds(least is not None and key.bits >= least, f"key:{key.path}", seen, todo)


host_keys_strong.cannot_mend("a new host key must be told to everybody who pinned the old one")


@control.rule(
    says="A service's private key is younger than the rotation that policy asks for.",
    severity=Severity.LOW,
    serves={
        "164.312(a)(2)(iv)": "A key that is replaced limits what a copy of it taken unseen can decrypt.",
        "164.312(e)(2)(ii)": "A stolen server key stops being of use when the server gets another.",
    },
)
def service_keys_young(files: KeyFiles, policy: Policy, now: datetime) -> Iterator[Seen]:
    keys = [
        k for k in files.keys if not k.superseded and not k.path.startswith(SSH) and "/.ssh/" not in k.path
    ]
    if not keys:
        yield passes("host", "no service's private key in a file under /etc")
    for key in sorted(keys, key=lambda k: k.path):
        days = (now - key.written).days
        seen = f"the file was last written {key.written:%Y-%m-%d}, {days} days ago"
        yield holds(
            days <= policy.rotation_days, f"key:{key.path}", seen, "Replace the key and its certificate."
        )


service_keys_young.cannot_mend("a new key needs a new certificate, which its issuer must sign")


@control.drilled_by
def try_to_read_keys(files: KeyFiles) -> Iterator[Step]:
    """An account without any rights tries each key: rights of folders and lists of access count as well as the mode."""
    paths = " ".join(shlex.quote(key.path) for key in sorted(files.keys, key=lambda k: k.path))
    if paths:
        yield OnHost(
            "The account `nobody` tries to read every private key, and is refused each time",
            # First that nobody can run anything here at all: otherwise every failure would look like a refusal.
            "runuser -u nobody -- true || exit 3\n"
            f"for key in {paths}; do\n"
            '  [ -e "$key" ] || { echo "$key is gone"; exit 2; }\n'
            '  if runuser -u nobody -- head -c 1 -- "$key" >/dev/null 2>&1; then echo "$key was read"; exit 1; fi\n'
            'done\necho "each was refused"',
            private_keys_closed.id,
            expect_text="each was refused",
        )
