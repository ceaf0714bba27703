"""Taking a host in: its keys are shown to a person and pinned, then it is asked once; and writing one down as a recording."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import update

from wardkeep.core.errors import BadInput
from wardkeep.core.facts import HOST, Question, Snapshot
from wardkeep.engine.assess import questions
from wardkeep.engine.hosts import add_host, find_host
from wardkeep.engine.platform import Platform
from wardkeep.fleet import Host, connect, record
from wardkeep.fleet.inventory import check_host, parse_url
from wardkeep.fleet.record import DISTRIBUTION, NAMES
from wardkeep.fleet.recorded import read_provenance
from wardkeep.fleet.ssh import SshConnector
from wardkeep.fleet.ssh_keys import HostKey, Keyring, scan_host_keys
from wardkeep.store.schema import hosts

# Given where the keys were seen and the keys, returns those that a person agrees to. Raises to stop.
Agree = Callable[[str, Sequence[HostKey]], Sequence[HostKey]]
WHO = Question("enrolment.uid", "id -u")


@dataclass(frozen=True)
class Enrolled:
    """A host taken in. `problem` says why it could not be asked yet; `privileged` whether root's view is to be had."""

    host: Host
    distribution: str
    privileged: bool
    problem: str


def enrol(
    platform: Platform, host: Host, agree: Agree, actor: str, keyring: Keyring | None = None
) -> Enrolled:
    """Pin the keys that `agree` returns, add the host, ask it once. A host that cannot be asked yet is added all the same.

    Raises BadInput for a name or URL that cannot be used or is taken, Unavailable where no key can be read.
    """
    check_host(host)
    address = host.address
    if address.scheme == "recorded":
        read_provenance(Path(address.place))
    if address.scheme == "ssh":
        host = asyncio.run(_pin(host, agree, keyring))
    add_host(platform, host, actor)
    if address.scheme == "recorded":  # it says what it was asked then, and nothing else
        return Enrolled(host, str(read_provenance(Path(address.place)).get("distribution", "")), True, "")
    snapshot = asyncio.run(_ask(host, [WHO, DISTRIBUTION], keyring))
    asked = snapshot.answers[DISTRIBUTION.id]
    distribution = asked.stdout.decode(errors="replace").strip()[:100] if asked.whole else ""
    with platform.store.begin() as connection:
        connection.execute(update(hosts).where(hosts.c.name == host.name).values(distribution=distribution))
    who = snapshot.answers[WHO.id]
    return Enrolled(host, distribution, who.whole, snapshot.problem or who.problem)


async def _pin(host: Host, agree: Agree, keyring: Keyring | None) -> Host:
    if not host.jump:
        return replace(host, host_keys=_lines(agree(_place(host.url), await scan_host_keys(host))))
    # The way through is trusted before it is used: nobody logs in to an unknown jump host.
    gate = await scan_host_keys(Host("jump", host.jump))
    host = replace(host, jump_keys=_lines(agree(_place(host.jump), gate)))
    way = SshConnector(host, keyring=keyring)
    try:
        keys = await scan_host_keys(host, tunnel=await way.open_tunnel())
    finally:
        await way.close()
    return replace(host, host_keys=_lines(agree(_place(host.url), keys)))


def _place(url: str) -> str:
    address = parse_url(url)
    return f"{address.place}:{address.port}"


def _lines(keys: Sequence[HostKey]) -> tuple[str, ...]:
    if not keys:
        raise BadInput("no host key was agreed to", todo="Nothing was added")
    return tuple(key.line for key in keys)


async def _ask(host: Host, asked: Sequence[Question], keyring: Keyring | None) -> Snapshot:
    connector = connect(host, keyring=keyring)
    try:
        return await connector.ask(asked)
    finally:
        await connector.close()


def record_host(
    platform: Platform,
    name: str,
    folder: Path,
    actor: str,
    *,
    outside_addresses: bool = True,
    keyring: Keyring | None = None,
) -> Path:
    """Ask a host everything any row asks, and write the answers, scrubbed, into a new folder. Raises BadInput.

    The ledger notes that somebody took a copy, and where to.
    """
    host = find_host(platform, name)
    asked = [*questions(platform.controls, HOST), NAMES, DISTRIBUTION]
    snapshot = asyncio.run(_ask(host, asked, keyring))
    record(snapshot, folder, how="wardkeep host record", outside_addresses=outside_addresses)
    platform.record("host", actor, {"act": "recorded", "folder": str(folder)}, subject={"host": name})
    return folder
