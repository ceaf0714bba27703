"""The first start: this machine becomes the only host, to be looked at and not touched."""

from __future__ import annotations

import os
import re

from wardkeep.engine.hosts import add_host, list_hosts
from wardkeep.engine.platform import Platform
from wardkeep.fleet import Host


def take_this_machine(platform: Platform, actor: str) -> str:
    """Add this machine as a local host if the inventory was never used; return its name, or "" when nothing was added.

    An inventory that the operator has emptied stays empty: the ledger remembers that a host was added before.
    """
    if list_hosts(platform) or any(entry["kind"] == "host" for entry in platform.ledger.read()):
        return ""
    name = _name(os.uname().nodename)
    add_host(platform, Host(name=name, url="local:"), actor)
    return name


def _name(node: str) -> str:
    """The machine's own name as a host name of ours."""
    plain = re.sub(r"[^a-z0-9-]+", "-", node.split(".")[0].lower()).strip("-")[:63].strip("-")
    return plain if plain and plain != "platform" else "this-host"
