"""What a test may need of a host, in one word each, and which kinds of host offer it, the cheapest first."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from wardkeep.core.errors import BadInput

NEEDS: dict[str, str] = {
    "shell": "commands run as root",
    "network": "interfaces of its own, wired into the lab's networks",
    "packets": "packet sockets, veth, namespaces within the host",
    "nftables": "a firewall of its own, kept by nobody over a reboot unless the host does",
    "sshd": "an ssh server at port 22 of its address",
    "reboot": "processes end and start anew, files stay",
    "pause": "the whole host freezes and goes on",
    "systemd": "systemd as the first process, with units, timers and sandboxes",
    "journald": "a system journal",
    "users": "accounts of its own, sudo, PAM, login records",
    "debian-packages": "dpkg and apt of a fresh Debian, with no archive to fetch from",
    "rsyslog": "rsyslog",
    "cron": "cron",
    "kernel": "a kernel of its own: modules, sysctl, kernel log",
    "clock": "a clock of its own, which can be shifted",
    "disk": "a second disk, /dev/vdb, empty",
    "luks": "device-mapper and LUKS2 (cryptsetup, clevis)",
    "tpm": "a TPM 2.0 (emulated)",
    "tang": "a tang server",
    "wireguard": "WireGuard in the kernel",
    "auditd": "the kernel's audit trail and auditd",
    "cgroups": "resource limits that are enforced",
}
_NAMESPACE = "shell network packets nftables sshd reboot pause"
_CONTAINER = f"{_NAMESPACE} systemd journald users debian-packages rsyslog cron"
OFFERS: dict[str, frozenset[str]] = {
    "namespace": frozenset(_NAMESPACE.split()),
    "container": frozenset(_CONTAINER.split()),
    "vm": frozenset(NEEDS),
}


def cheapest(needs: Iterable[str]) -> str:
    """The cheapest kind that offers all of it. Raises BadInput for a word that is none."""
    wanted = set(needs)
    for word in sorted(wanted - set(NEEDS)):
        near = difflib.get_close_matches(word, NEEDS, 1)
        hint = f"Did you mean `{near[0]}`?" if near else f"Known: {', '.join(NEEDS)}"
        raise BadInput(f"no host offers `{word}`", where="needs", todo=hint)
    return next(kind for kind, offered in OFFERS.items() if wanted <= offered)
