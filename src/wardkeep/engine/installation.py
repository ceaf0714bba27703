"""Wardkeep as a service of the machine: its own user, a hardened systemd unit, no ambient privileges."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wardkeep.core.errors import Refused, Unavailable
from wardkeep.engine.folder import SYSTEM_FOLDER

UNIT = Path("/etc/systemd/system/wardkeep.service")
USER = "wardkeep"

# What the service may not do: everything it does not need. It opens ssh connections, its own folder and loopback.
HARDENING = """\
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallFilter=mbind
UMask=0077
LimitCORE=0"""  # mbind of @resources: numpy's linear algebra places its memory when it is loaded


@dataclass(frozen=True)
class Installation:
    """What `install` would do: the unit's text, its path, the user, and the commands, in order."""

    program: tuple[str, ...]
    unit: str
    path: Path
    commands: tuple[tuple[str, ...], ...]


def plan_installation(folder: Path = SYSTEM_FOLDER, program: Sequence[str] | None = None) -> Installation:
    """The service as it would be written. Raises Refused if its user could not read the program."""
    argv = tuple(program or _this_program())
    home = next((Path(part) for part in argv if part.startswith(("/root/", "/home/"))), None)
    if home is not None:
        raise Refused(
            "the service's own user cannot read a program under a home folder",
            where=str(home),
            todo="Install it for all users first: `pipx install --global wardkeep` or a virtual environment under /opt.",
        )
    commands = (
        ("useradd", "--system", "--home-dir", str(folder), "--shell", "/usr/sbin/nologin", USER),
        ("install", "-d", "-m", "0700", "-o", USER, "-g", USER, str(folder)),
        ("systemctl", "daemon-reload"),
        ("systemctl", "enable", "--now", UNIT.name),
    )
    return Installation(argv, _unit(argv, folder), UNIT, commands)


def carry_out(installation: Installation) -> None:
    """Write the unit and start the service. Raises Unavailable with the first command that failed, in one line.

    Safe to run again: an existing user and folder are kept, the unit is replaced.
    """
    if os.geteuid() != 0:
        raise Unavailable("only root can install a service", todo="Run it again by sudo.")
    if not Path("/run/systemd/system").is_dir():
        raise Unavailable(
            "systemd does not run here",
            todo="Use `wardkeep install --print` and start it by your own service manager.",
        )
    for command in installation.commands[:2]:
        if command[0] == "useradd" and _exists(USER):
            continue
        _run(command)
    installation.path.write_text(installation.unit)
    for command in installation.commands[2:]:
        _run(command)


def take_out(path: Path = UNIT) -> None:
    """Stop the service and remove its unit. The state folder and the user stay: they hold evidence."""
    if path.exists():
        _run(("systemctl", "disable", "--now", path.name))
        path.unlink()
        _run(("systemctl", "daemon-reload"))


def _unit(argv: Sequence[str], folder: Path) -> str:
    return f"""\
[Unit]
Description=Wardkeep: observes, assesses and proves this platform's controls
After=network-online.target time-sync.target
Wants=network-online.target

[Service]
Type=exec
User={USER}
Group={USER}
ExecStart={" ".join(argv)} up --state {folder}
Restart=on-failure
RestartSec=5
ReadWritePaths={folder}
{HARDENING}

[Install]
WantedBy=multi-user.target
"""


def _this_program() -> tuple[str, ...]:
    script = shutil.which(sys.argv[0]) if sys.argv[0].endswith("wardkeep") else None
    return (str(Path(script).resolve()),) if script else (sys.executable, "-m", "wardkeep")


def _exists(user: str) -> bool:
    return subprocess.run(["id", "-u", user], capture_output=True, check=False).returncode == 0


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise Unavailable(
            f"`{command[0]}` could not run ({type(e).__name__})", todo="Install it, then run this again."
        ) from None
    if done.returncode:
        raise Unavailable(
            f"`{' '.join(command)}` failed: {done.stderr.strip()[:200]}",
            todo="Mend that, then run this again.",
        )
