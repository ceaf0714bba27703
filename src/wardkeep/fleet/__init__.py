"""The hosts and the ways to them: local, ssh, recorded. One round trip per host and cycle, every answer framed."""

from wardkeep.fleet.connector import Connector
from wardkeep.fleet.inventory import Host, parse_url
from wardkeep.fleet.local import LocalConnector

__all__ = ["Connector", "Host", "LocalConnector", "parse_url"]
