"""Wardkeep as a service of the machine: its own user, a hardened systemd unit, no ambient privileges."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wardkeep.core.errors import Refused, Unavailable
from wardkeep.engine.folder import LEDGER, SYSTEM_FOLDER

UNIT = Path("/etc/systemd/system/wardkeep.service")
USER = "wardkeep"
# By variables: `pipx install --global` came after the pipx of Debian 12. From a wheel: the name belongs to nobody on PyPI.
FOR_ALL = (
    "Install it for all users first: `PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx install` and the wheel, "
    "or a virtual environment of Debian's python3 under /opt."
)

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
    """The service as it would be written. Raises Refused if its user could not read the program or write the folder."""
    argv = tuple(program or _this_program())
    for part in [*argv, *(() if program else _stands_on())]:
        if part.startswith("/") and (why := _out_of_reach(Path(part))):
            raise Refused(f"the service's own user cannot read this program: {why}", where=part, todo=FOR_ALL)
    folder = folder.expanduser().absolute()
    if why := _out_of_sight(folder):
        raise Refused(
            f"the service cannot keep its state here: {why}",
            where=str(folder),
            todo=f"Leave --state out (it is {SYSTEM_FOLDER}); docs/running.md says how a state moves there.",
        )
    if re.search(r"[^A-Za-z0-9/._+@-]", str(folder)):
        raise Refused(
            "a unit cannot name a folder with spaces or signs",
            where=str(folder),
            todo="Choose a plainer name.",
        )
    commands = [
        ("useradd", "--system", "--home-dir", str(folder), "--shell", "/usr/sbin/nologin", USER),
        ("install", "-d", "-m", "0700", "-o", USER, "-g", USER, str(folder)),
        ("systemctl", "daemon-reload"),
        ("systemctl", "enable", "--now", UNIT.name),
    ]
    if (folder / LEDGER).is_dir():  # a state that root restored there, say
        commands.insert(2, ("chown", "-R", f"{USER}:{USER}", str(folder)))
    return Installation(argv, _unit(argv, folder), UNIT, tuple(commands))


def _out_of_sight(path: Path) -> str:
    """Which line of the unit hides this place from the service, or ""."""
    hidden = {"/home": "home", "/root": "home", "/run/user": "home", "/tmp": "tmp", "/var/tmp": "tmp"}  # noqa: S108  (refused)
    why = {"home": "it lies in a home folder", "tmp": "it lies in a folder for temporary files"}
    return next((why[kind] for place, kind in hidden.items() if path.is_relative_to(place)), "")


def _out_of_reach(path: Path) -> str:
    """Why a user without rights cannot run or read what is there, or ""."""
    if why := _out_of_sight(path):
        return why
    for one in (path, *path.parents):
        try:
            mode = one.stat().st_mode
        except OSError:
            continue
        if not mode & (0o001 if one.is_dir() else 0o004):
            return f"{one} is closed to others"
    return ""


def _stands_on() -> tuple[str, ...]:
    """What a program in Python needs besides its own file: the interpreter behind its links, its packages, ours."""
    ours = Path(__file__).resolve().parents[1]
    return sys.executable, str(Path(sys.executable).resolve()), sys.prefix, str(ours)


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
    for command in installation.commands:
        if command[0] == "useradd" and _exists(USER):
            continue
        if command[-1] == "daemon-reload":
            installation.path.write_text(installation.unit)
        _run(command)


def take_out(path: Path = UNIT) -> bool:
    """Stop the service and remove its unit; False where there is none. The state folder and the user stay: they hold evidence."""
    if not path.exists():
        return False
    if os.geteuid() != 0:
        raise Unavailable("only root can remove a service", todo="Run it again by sudo.")
    _run(("systemctl", "disable", "--now", path.name))
    path.unlink()
    _run(("systemctl", "daemon-reload"))
    return True


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
