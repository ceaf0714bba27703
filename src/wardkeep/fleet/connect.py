"""Which connector a host's URL asks for. The ssh library is loaded only for ssh hosts: it takes a quarter of a second."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wardkeep.fleet.connector import Connector
from wardkeep.fleet.inventory import Host, check_host
from wardkeep.fleet.local import LocalConnector
from wardkeep.fleet.recorded import RecordedConnector

if TYPE_CHECKING:
    from wardkeep.fleet.ssh_keys import Keyring


def connect(host: Host, *, keyring: Keyring | None = None, deadline: float | None = None) -> Connector:
    """The connector for the host. Nothing is opened yet. `deadline` is seconds for one round; raises BadInput."""
    address = check_host(host).address
    if address.scheme == "local":
        return LocalConnector(host.name, deadline=deadline)
    if address.scheme == "recorded":
        return RecordedConnector(Path(address.place), host=host.name)
    from wardkeep.fleet.ssh import SshConnector

    return SshConnector(host, keyring=keyring, deadline=deadline)
