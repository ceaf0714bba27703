"""Which hosts and rows a command is about, from the words a person typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wardkeep.core.control import Control
from wardkeep.core.errors import BadInput
from wardkeep.core.profiles import did_you_mean
from wardkeep.engine.hosts import list_hosts
from wardkeep.engine.platform import Platform
from wardkeep.fleet import Host


@dataclass(frozen=True)
class Targets:
    """`hosts` is None when no host was named: all of them, and the platform itself."""

    hosts: list[Host] | None
    controls: list[Control]


def select_targets(platform: Platform, names: Sequence[str]) -> Targets:
    """Sort the words into rows and hosts. Raises BadInput naming the nearest known word."""
    rows = {control.id: control for control in platform.controls}
    hosts = {host.name: host for host in list_hosts(platform)}
    for name in names:
        if name not in rows and name not in hosts:
            raise BadInput(
                f"neither a row nor a host is called `{name}`", todo=did_you_mean(name, [*rows, *hosts])
            )
    wanted_hosts = [hosts[name] for name in names if name in hosts]
    wanted_rows = [control for name, control in rows.items() if name in names]
    return Targets(wanted_hosts or None, wanted_rows or list(platform.controls))
