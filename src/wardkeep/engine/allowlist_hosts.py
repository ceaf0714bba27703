"""The platform's allowlist held against what its hosts last said: their rules, what listens there, and who came.

A list concerns the hosts whose policy names it. What a host did not say is unknown, and is told so; it is never taken for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime

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
from wardkeep.engine.allowlist_diverted import Diverted
from wardkeep.engine.allowlist_effect import MOST, effect
from wardkeep.engine.allowlist_standing import NONE, LastUse, Standing, last_use, noted, sent_on, standing
from wardkeep.engine.declared import declared, provider_ranges
from wardkeep.engine.hosts import list_hosts
from wardkeep.engine.platform import Platform
from wardkeep.facts.listeners import Listeners
from wardkeep.facts.nftables import Nftables
from wardkeep.fleet.snapshots import snapshot_from_bytes
from wardkeep.store.schema import entries as known_entries

NEVER = "was never asked"
LOOKS_BACK = 20  # looks at a host that may have asked for something else since its rules were asked for
FAMILIES = {4: "ip", 6: "ip6"}


@dataclass(frozen=True)
class Seen:
    """What one host last said. `lists` are those that its policy names; `rules` and `heard` may be why they are not known."""

    host: str
    lists: frozenset[str]
    rules: Nftables | Unknown
    heard: Listeners | Unknown
    record: Record


@dataclass(frozen=True)
class Judged:
    """Everything the audit finds, and how each entry stands on the hosts (by the entry's key)."""

    defects: list[Defect]
    standing: Mapping[str, Standing]


def audit_platform(platform: Platform, today: date) -> list[Defect]:
    """Everything `audit` finds, and for each list what its hosts make of it."""
    return judge_platform(platform, today).defects


def judge_platform(platform: Platform, today: date) -> Judged:
    """The audit of the platform's list, and where each of its entries is in force and used."""
    allowlist = declared(platform.config)
    found = audit(allowlist, Surroundings(today, providers=provider_ranges(platform.config)))
    seen = list(last_seen(platform))
    elsewhere = {one.host: _diverted(one) for one in seen}
    living = [e for e in allowlist.in_force(today) if e.action == "allow"]
    stand: dict[str, Standing] = {}
    for name in dict.fromkeys(entry.list for entry in allowlist.entries):
        members = Allowlist(tuple(e for e in living if e.list == name), allowlist.lists)
        concerned = [one for one in seen if name in one.lists]
        told = {one.host: followed(members, one, today) for one in concerned}
        if members.entries:
            found += _of_list(members, concerned, told, elsewhere, today)
        records = [noted(one.host, one.rules, one.record, elsewhere[one.host]) for one in concerned]
        for entry in allowlist.entries:
            if entry.list == name:
                used = LastUse(NONE) if entry.action != "allow" else last_use(entry, records)
                stand[entry.key] = standing(entry, {} if entry.expired(today) else told, used)
    return Judged(found, stand)


def last_seen(platform: Platform) -> Iterator[Seen]:
    """For each host the last look that asked for its rules."""
    looks = newest_looks(platform)
    for host in list_hosts(platform):
        policy = platform.config.policy(firewall, host.name)
        lists = wanted_lists(policy.allow) if isinstance(policy, Policy) else frozenset[str]()
        if host.name not in looks:
            yield Seen(host.name, lists, Unknown(NEVER), Unknown(NEVER), Record((), None, None))
            continue
        snapshot = look_for_rules(platform, host.name, looks[host.name])
        rules, heard = snapshot.learn(Nftables), snapshot.learn(Listeners)
        yield Seen(host.name, lists, rules, heard, _record(snapshot, rules))


def _record(snapshot: Snapshot, rules: Nftables | Unknown) -> Record:
    told = snapshot.answers.get(Nftables.ask.id)
    if told is not None and not isinstance(rules, Unknown):
        with suppress(
            WardkeepError
        ):  # a table of ours that somebody altered may note nothing that we understand
            return seen_by_our_table(told.text(), snapshot.at)
    return Record((), None, None)


def look_for_rules(platform: Platform, host: str, newest: int) -> Snapshot:
    """The last look at the host that asked for its rules, or could not ask for anything; `newest` is the very last one.

    A check of one other row says nothing of the packet filter, and hides nothing that is known of it.
    """
    last = snapshot_of(platform, newest)
    if last.problem or Nftables.ask.id in last.answers:
        return last
    e = known_entries.c
    query = select(e.idx).where(e.kind == "observe", e.host == host, e.idx < newest)
    with platform.store.read() as connection:
        indexed = connection.execute(select(func.max(e.idx))).scalar()
        before = [
            int(n) for n in connection.execute(query.order_by(e.idx.desc()).limit(LOOKS_BACK)).scalars()
        ]
    begin = 0 if indexed is None else int(indexed) + 1
    later = [
        int(entry["index"])
        for entry in platform.ledger.read(begin, newest)
        if entry["kind"] == "observe" and entry["subject"].get("host") == host
    ]
    for index in (*reversed(later), *before):
        found = snapshot_of(platform, index)
        if found.problem or Nftables.ask.id in found.answers:
            return found
    return last


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


def followed(members: Allowlist, one: Seen, today: date) -> list[Defect] | Unknown:
    """What the host's rules make of the list, or why that is not known."""
    if isinstance(one.rules, Unknown):
        return one.rules
    if len(members.entries) > MOST:
        return Unknown(f"a list of more than {MOST:,} entries is not followed through the rules")
    try:
        return list(effect(members, whole_program(one.rules), today))
    except WardkeepError as e:
        return Unknown(e.line())


def _of_list(
    members: Allowlist,
    concerned: list[Seen],
    told: Mapping[str, Sequence[Defect] | Unknown],
    elsewhere: Mapping[str, Diverted | Unknown],
    today: date,
) -> list[Defect]:
    if not concerned:
        seen = "no host's policy names its list"
        todo = f"Name it in the policy of a host, `list {members.entries[0].list}`, or remove it."
        return [Defect("not_effective", entry, seen, todo) for entry in members.entries]
    found: list[Defect] = []
    for host, made in told.items():
        if isinstance(made, Unknown):
            found += _blind(members.entries, "not_effective", host, made)
            continue
        # Who gets in undeclared is the row `firewall`: it knows what else the policy opens.
        found += [
            replace(defect, seen=f"{host}: {defect.seen}") for defect in made if defect.kind != "undeclared"
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
    for defect in unused(members, [_of_all([one.record for one in concerned])], today):
        blind = next(filter(None, (_not_noted(defect.entry, h, elsewhere[h]) for h in told)), "")
        if blind and not defect.unknown:
            seen = f"{defect.seen}, but {blind}"
            found.append(
                Defect("unused", defect.entry, seen, "Ask its owner whether it is used.", unknown=True)
            )
        else:
            found.append(defect)
    return found


def _diverted(one: Seen) -> Diverted | Unknown:
    if isinstance(one.rules, Unknown):
        return one.rules
    try:
        return Diverted(whole_program(one.rules))
    except WardkeepError as e:
        return Unknown(e.line())


def _not_noted(entry: Entry, host: str, elsewhere: Diverted | Unknown) -> str:
    """Why the host's own table may not have noted who came by the entry; "" where it did."""
    if isinstance(elsewhere, Unknown):
        return f"{host}: whether its rules send packets on is not known ({elsewhere.reason})"
    ports = elsewhere.part_of(entry)
    return f"on {host} {sent_on(ports)}" if ports else ""


def _of_all(records: Sequence[Record]) -> Record:
    """One record of all hosts: it goes back as far as the shortest of them, and nowhere if one host kept none."""
    begins: list[datetime] = [one.since for one in records if one.since is not None]
    since = max(begins) if len(begins) == len(records) else None
    return Record(tuple(use for one in records for use in one.uses), since, None)


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
