"""The platform's allowlist held against what its hosts last said: their rules, what listens there, and who came.

A list concerns the hosts whose policy names it. What a host did not say is unknown, and is told so; it is never taken for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date

from sqlalchemy import func, select

from wardkeep.allowlists import Allowlist, Defect, Entry, Surroundings, audit
from wardkeep.allowlists.records import seen_by_our_table
from wardkeep.allowlists.usage import Record, unused
from wardkeep.controls.firewall import Policy
from wardkeep.controls.firewall import control as firewall
from wardkeep.controls.firewall.allowed import wanted_lists
from wardkeep.controls.firewall.declared_program import whole_program
from wardkeep.core.errors import WardkeepError
from wardkeep.core.facts import Snapshot, Unknown
from wardkeep.engine.allowlist_effect import effect
from wardkeep.engine.declared import declared, provider_ranges
from wardkeep.engine.hosts import list_hosts
from wardkeep.engine.platform import Platform
from wardkeep.facts.listeners import Listeners
from wardkeep.facts.nftables import Nftables
from wardkeep.fleet.snapshots import snapshot_from_bytes
from wardkeep.store.schema import entries as known_entries

NEVER = "was never asked"
FAMILIES = {4: "ip", 6: "ip6"}


@dataclass(frozen=True)
class Seen:
    """What one host last said. `lists` are those that its policy names; `rules` and `heard` may be why they are not known."""

    host: str
    lists: frozenset[str]
    rules: Nftables | Unknown
    heard: Listeners | Unknown
    record: Record


def audit_platform(platform: Platform, today: date) -> list[Defect]:
    """Everything `audit` finds, and for each list what its hosts make of it."""
    allowlist = declared(platform.config)
    found = audit(allowlist, Surroundings(today, providers=provider_ranges(platform.config)))
    seen = list(last_seen(platform))
    living = [e for e in allowlist.in_force(today) if e.action == "allow"]
    for name in dict.fromkeys(entry.list for entry in living):
        members = [entry for entry in living if entry.list == name]
        concerned = [one for one in seen if name in one.lists]
        found += _of_list(Allowlist(tuple(members), allowlist.lists), concerned, today)
    return found


def last_seen(platform: Platform) -> Iterator[Seen]:
    """For each host the last look that asked for its rules."""
    looks = newest_looks(platform)
    for host in list_hosts(platform):
        policy = platform.config.policy(firewall, host.name)
        lists = wanted_lists(policy.allow) if isinstance(policy, Policy) else frozenset[str]()
        if host.name not in looks:
            yield Seen(host.name, lists, Unknown(NEVER), Unknown(NEVER), Record((), None, None))
            continue
        snapshot = snapshot_of(platform, looks[host.name])
        rules, heard = snapshot.learn(Nftables), snapshot.learn(Listeners)
        told = snapshot.answers.get(Nftables.ask.id)
        usable = told is not None and not isinstance(rules, Unknown)
        record = seen_by_our_table(told.text(), snapshot.at) if told and usable else Record((), None, None)
        yield Seen(host.name, lists, rules, heard, record)


def newest_looks(platform: Platform) -> dict[str, int]:
    """Host → the ledger's entry of its last look: by the index as far as it goes, then by reading on."""
    e = known_entries.c
    query = select(e.host, func.max(e.idx)).where(e.kind == "observe").group_by(e.host)
    with platform.store.read() as connection:
        last = connection.execute(select(func.max(e.idx))).scalar()
        found = {str(host): int(index) for host, index in connection.execute(query)}
    for entry in platform.ledger.read(0 if last is None else int(last) + 1):
        if entry["kind"] == "observe":
            found[str(entry["subject"].get("host", ""))] = int(entry["index"])
    return found


def snapshot_of(platform: Platform, index: int) -> Snapshot:
    """The look that an entry of the ledger is about."""
    entry = next(platform.ledger.read(index, index + 1))
    blob = next(blob for blob in entry["blobs"] if blob["name"] == "snapshot")
    return snapshot_from_bytes(platform.ledger.get_blob(blob["digest"]))


def _of_list(members: Allowlist, concerned: list[Seen], today: date) -> list[Defect]:
    if not concerned:
        seen = "no host's policy names its list"
        todo = f"Name it in the policy of a host, `list {members.entries[0].list}`, or remove it."
        return [Defect("not_effective", entry, seen, todo) for entry in members.entries]
    found: list[Defect] = []
    for one in concerned:
        if isinstance(one.rules, Unknown):
            found += _blind(members.entries, "not_effective", one.host, one.rules)
            continue
        try:
            told = list(effect(members, whole_program(one.rules), today))
        except WardkeepError as e:
            found += _blind(members.entries, "not_effective", one.host, Unknown(e.line()))
            continue
        # Who gets in undeclared is the row `firewall`: it knows what else the policy opens.
        found += [
            replace(defect, seen=f"{one.host}: {defect.seen}")
            for defect in told
            if defect.kind != "undeclared"
        ]
    for entry in members.entries:
        deaf = [one for one in concerned if isinstance(one.heard, Unknown)]
        if any(_listens(entry, one.heard) for one in concerned):
            continue
        seen = f"nothing listens on {entry.service} on {', '.join(one.host for one in concerned)}"
        if deaf:
            seen = f"whether anything listens on {entry.service} on {deaf[0].host} is not known"
        found.append(
            Defect("no_listener", entry, seen, "Remove it, or start what it is for.", unknown=bool(deaf))
        )
    return found + list(unused(members, [one.record for one in concerned], today))


def _blind(entries: Iterable[Entry], kind: str, host: str, why: Unknown) -> list[Defect]:
    """One for the whole list: which of its entries are in force there, nobody knows."""
    first = next(iter(entries))
    seen = f"{host}: what its rules let in is not known ({why.reason})"
    return [Defect(kind, first, seen, f"Run `wardkeep check {host}`.", unknown=True)]


def _listens(entry: Entry, heard: Listeners | Unknown) -> bool:
    if isinstance(heard, Unknown):
        return False
    family = FAMILIES[entry.network.version]
    return any(
        socket.protocol == protocol and low <= socket.port <= high and family in socket.families
        for socket in heard.to_the_world()
        for protocol, low, high in entry.spans
    )
