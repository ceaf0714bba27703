"""The clinic: two hosts that were put up in a hurry, and a neighbour in the same network. Every patient is invented."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from wardkeep.demo.setting import PACKAGES, Setting
from wardkeep.lab import Host, Lab

NETWORK = "clinic"
NAMES = ("db-1", "web-1", "neighbour")
CONFIG = """# The demo's platform: what the clinic has decided.
[policy.firewall]
allow = ["22/tcp from platform", "8080/tcp", "5432/tcp from web"]
zones = {{ platform = ["{platform}"], web = ["{web}"] }}

[policy.system_access]
machines = ["ops"]
administrators = ["ada"]
people = {{ ada = "Ada Okafor <ada@clinic.example>" }}
bastions = ["{platform}"]

[policy.system_access.keys]
"{key}" = "ops"
{ada}"""


@dataclass(frozen=True)
class Clinic:
    """The staged hosts. `config` is the platform's wardkeep.toml, `urls` are how it reaches the hosts.

    `fingerprints` are the host keys, read on the hosts.
    """

    db: Host
    web: Host
    neighbour: Host
    config: str
    urls: dict[str, str]
    fingerprints: dict[str, str]

    def host(self, name: str) -> Host:
        """A host by its name in the story."""
        return {"db-1": self.db, "web-1": self.web, "neighbour": self.neighbour}[name]


def read(name: str) -> str:
    """A file of the folder `clinic`."""
    return (files("wardkeep.demo") / "clinic" / name).read_text()


def put_up(lab: Lab, setting: Setting, note: Callable[[str], None]) -> Clinic:
    """Start the hosts side by side and stage them. `note` is told what is being waited for."""
    once = ", the first time from an image that is built now (a minute or two)" if setting.is_whole else ""
    note(f"starting {', '.join(NAMES)}{once}")

    def start(name: str) -> Host:
        if setting.is_whole:
            return lab.host(
                name, kind=setting.kind, debian=setting.debian, networks=[NETWORK], packages=PACKAGES
            )
        return lab.host(name, kind=setting.kind, needs={"sshd", "nftables"}, networks=[NETWORK])

    with ThreadPoolExecutor(len(NAMES)) as pool:
        db, web, neighbour = pool.map(start, NAMES)
    note("staging the clinic: PostgreSQL, patients, the portal")
    addresses = "".join(f"{host.address_in(NETWORK)} {host.name}\n" for host in (db, web, neighbour))
    platform = lab.networks["outside"].gateway
    given = (
        f"PORTAL_PASSWORD={secrets.token_hex(12)} ADMIN_PASSWORD={secrets.token_hex(12)} PLATFORM={platform} "
        "DATABASE=db-1\n"
    )
    for host in (db, web, neighbour):
        host.stage("cat >>/etc/hosts; mkdir -p -m 700 /root/clinic", stdin=addresses)
    database = read("database.sh" if setting.is_whole else "database-plain.sh") + read("patients.sh")
    # The portal asks the database when it starts to serve, so that one comes first.
    db.stage(given + database + read("packages.sh") + read("export.sh"), timeout=300)
    for name in ("portal.py", "record-flawed.sql", "record-fixed.sql"):
        with as_file(files("wardkeep.demo") / "clinic" / name) as path:
            web.copy_in(path, f"/root/clinic/{name}")
    web.stage(given + read("packages.sh") + read("web.sh"), timeout=300)
    urls = {host.name: host.url for host in (db, web)}
    ada = ""
    if setting.is_whole:
        for host in (db, web):
            urls[host.name] = host.add_operator("ops")
            host.stage(given + read("access.sh"), timeout=120)
            ada += f'"{host.stage("cat /root/clinic/ada.fingerprint").strip()}" = "ada"\n'
    config = CONFIG.format(
        platform=platform, web=web.address_in(NETWORK), key=_fingerprint(lab.key.with_suffix(".pub")), ada=ada
    )
    return Clinic(db, web, neighbour, config, urls, {host.name: _host_key(host) for host in (db, web)})


def _host_key(host: Host) -> str:
    return host.stage("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]


def _fingerprint(public: Path) -> str:
    command = ["ssh-keygen", "-lf", str(public)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[1]
