"""The hosts and the ways to them: local, ssh, recorded. One round trip per host and cycle, every answer framed."""

from wardkeep.fleet.connect import connect
from wardkeep.fleet.connector import Connector
from wardkeep.fleet.fanout import observe_all
from wardkeep.fleet.inventory import Host, parse_url
from wardkeep.fleet.local import LocalConnector
from wardkeep.fleet.record import record
from wardkeep.fleet.recorded import RecordedConnector
from wardkeep.fleet.snapshots import snapshot_bytes, snapshot_from_bytes

__all__ = [
    "Connector",
    "Host",
    "LocalConnector",
    "RecordedConnector",
    "connect",
    "observe_all",
    "parse_url",
    "record",
    "snapshot_bytes",
    "snapshot_from_bytes",
]
