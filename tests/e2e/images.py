"""Images of the lab's hosts: real Debian with systemd as PID 1, built from this machine's own apt sources.

An image is named by the digest of everything that goes into it, so a changed package list is a new image and an
unchanged one is never built twice. No archive's address stands here: the machine's sources say where packages are.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

SUITES = ("bookworm", "trixie")
COMMON = (
    "systemd-sysv dbus libpam-systemd openssh-server sudo cron nftables iproute2 procps netbase passwd login "
    "systemd-timesyncd unattended-upgrades needrestart libpam-google-authenticator rsyslog less python3-minimal"
)
ONLY = {"bookworm": (), "trixie": ("wtmpdb", "libpam-wtmpdb")}
# What needs the kernel's or the machine's own devices: the container must never touch them.
MASKED = (
    "systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-udev-trigger.service "
    "systemd-remount-fs.service systemd-modules-load.service systemd-sysctl.service systemd-networkd.service "
    "systemd-networkd.socket systemd-networkd-wait-online.service systemd-timesyncd.service getty@tty1.service "
    "console-getty.service sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount "
    "sys-fs-fuse-connections.mount dev-hugepages.mount dev-mqueue.mount apt-daily.timer apt-daily-upgrade.timer "
    "e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-logind-varlink.socket"
)
# Every host gets its own host keys at its first boot, and no way to a package archive: tests stay on this machine.
HOOK = """#!/bin/sh
set -eu
R="$1"
: > "$R/etc/fstab"; : > "$R/etc/apt/sources.list"; rm -f "$R"/etc/apt/sources.list.d/* "$R"/etc/ssh/ssh_host_*
for u in {masked}; do ln -sf /dev/null "$R/etc/systemd/system/$u"; done
cat > "$R/etc/systemd/system/lab-keys.service" <<'U'
[Unit]
Description=Host keys of this lab host
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A
[Install]
WantedBy=multi-user.target
U
sed -i 's/^module(load="imklog".*/# &/' "$R/etc/rsyslog.conf"
chroot "$R" systemctl enable ssh lab-keys >/dev/null 2>&1
chroot "$R" passwd -l root >/dev/null
"""


def sources(suite: str, read: Iterable[Path] | None = None) -> str:
    """This machine's own Debian sources in one-line form, turned to `suite`. Third parties' archives are left out."""
    files = list(read) if read is not None else [Path("/etc/apt/sources.list"), *_parts()]
    lines = [line for file in files if file.exists() for line in _stanzas(file, suite)]
    if not lines:
        raise LookupError("this machine's apt sources name no Debian archive")
    return "\n".join(dict.fromkeys(lines)) + "\n"


def _parts() -> list[Path]:
    return sorted(Path("/etc/apt/sources.list.d").glob("*.*"))


def _codename() -> str:
    found = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.M)
    return found.group(1) if found else ""


def _stanzas(file: Path, suite: str) -> Iterator[str]:
    here, kinds = _codename(), ("", "-updates", "-security")
    rows: list[tuple[str, list[str], str]] = []
    if file.suffix == ".sources":
        for stanza in re.split(r"\n\s*\n", file.read_text()):
            fields = dict(re.findall(r"^([A-Za-z-]+):\s*(.*)$", stanza, re.M))
            if "deb" in fields.get("Types", "").split():
                names, components = fields["Suites"].split(), fields.get("Components", "")
                rows += [(uri, names, components) for uri in fields["URIs"].split()]
    elif file.suffix == ".list":
        found = re.findall(r"^deb\s+(?:\[[^]]*\]\s*)?(\S+)\s+(\S+)\s+(.*)$", file.read_text(), re.M)
        rows += [(uri, [name], components) for uri, name, components in found]
    for uri, names, components in rows:
        for name in names:
            if "main" in components.split() and name in {here + kind for kind in kinds}:
                yield f"deb {uri} {name.replace(here, suite, 1)} main"


def packages(suite: str) -> list[str]:
    return sorted((*COMMON.split(), *ONLY[suite]))


def digest(suite: str) -> str:
    """12 hex digits that change with anything that goes into the image."""
    recipe = "\n".join((suite, *packages(suite), HOOK, MASKED))
    return hashlib.sha256(recipe.encode()).hexdigest()[:12]


def build(suite: str, cache: Path) -> Path:
    """The root file system as a tar file in `cache`, built if it is not there yet (about 30 s).

    Raises RuntimeError with mmdebstrap's last lines.
    """
    made = cache / f"{suite}-{digest(suite)}.tar"
    if made.exists():
        return made
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="wardkeep-lab-") as folder:
        hook, listed, part = Path(folder, "hook.sh"), Path(folder, "lab.list"), made.with_suffix(".part")
        hook.write_text(HOOK.replace("{masked}", MASKED))
        hook.chmod(0o755)
        listed.write_text(sources(suite))
        keys = "--keyring=/usr/share/keyrings"
        ran = subprocess.run(
            ["mmdebstrap", "--variant=minbase", "--format=tar", keys, f"--include={','.join(packages(suite))}",
             f"--customize-hook={hook}", suite, str(part), str(listed)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if ran.returncode:
            raise RuntimeError(f"mmdebstrap {suite}: " + " | ".join(ran.stderr.strip().splitlines()[-4:]))
        part.rename(made)
    return made
