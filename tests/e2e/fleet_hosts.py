"""A lab's host as the fleet knows it: with its real keys pinned, entered with the lab's key."""

from __future__ import annotations

from wardkeep.fleet import Connector, connect
from wardkeep.fleet import Host as FleetHost
from wardkeep.lab import Host


def in_fleet(host: Host, *, user: str = "root") -> FleetHost:
    """This host as the fleet's inventory would hold it."""
    return FleetHost(host.name, host.url_of(user), host_keys=host.host_keys(), identity=str(host.key))


def connector(host: Host, *, user: str = "root") -> Connector:
    """The fleet's ssh connector to this host."""
    return connect(in_fleet(host, user=user))
