"""The declared allowlist held against a rule set, packet by packet: what of it is in force, what is open without it.

Asked are first packets of strangers to the host itself (the route `input`), who are in no ban set of our own table. What hangs on a condition that the packet engine does
not model is unknown, never said either way.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from wardkeep.allowlists import ALLOW, Allowlist, Defect, Entry, Network
from wardkeep.allowlists.networks import BITS, read_network
from wardkeep.allowlists.services import Span, overlap
from wardkeep.controls.firewall.invariants import for_strangers
from wardkeep.controls.firewall.packet_change import decided
from wardkeep.packets.dimensions import Row, states
from wardkeep.packets.program import Program
from wardkeep.packets.questions import Answer, Asked, Question
from wardkeep.rulesets.translation import from_elsewhere, noted

MOST = 5_000  # entries, and as many gaps between them: each is a question or two of a millisecond
PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}


def effect(
    allowlist: Allowlist, program: Program, today: date, families: tuple[int, ...] = (4, 6)
) -> Iterator[Defect]:
    """`not_effective`, `already_permitted` and `undeclared` entries; unknown ones where the rules hang on what is not modelled,
    or are of a family (4, 6) that `families`, those that the rule set speaks of, does not have.

    *Already permitted*: the other half of the network twice as wide, which nobody declared for this service, gets in as well.
    *Undeclared*: of the services that the list is about, somebody gets in whom the list does not name.
    """
    living = [e for e in allowlist.entries if e.action == ALLOW and not e.expired(today)]
    if len(living) > MOST:
        first = living[0]
        seen = f"more than {MOST:,} entries: which of them the rules let in was not followed"
        yield Defect("not_effective", first, seen, "Audit the lists one by one.", unknown=True)
        return
    for entry in living:
        if entry.network.version not in families:
            seen = f"no rules of IPv{entry.network.version} were given"
            yield Defect("not_effective", entry, seen, "Give them too.", unknown=True)
    living = [entry for entry in living if entry.network.version in families]
    strange = noted(decided(for_strangers(program)))

    def ask(rows: tuple[Row, ...]) -> Question:
        return Question(from_elsewhere(strange, rows), ("input",))

    asked = {entry.key: ask(_sources(entry.network, entry.spans)) for entry in living}
    beside = {entry.key: other for entry in living if (other := _other_half(entry, living)) is not None}
    halves = {e.key: ask(_sources(network, e.spans)) for e, network in _pairs(living, beside)}
    questions = [*asked.values(), *halves.values()]
    gaps = {span: _gaps(span, living, families) for span in sorted({s for e in living for s in e.spans})}
    questions += [ask(rows) for rows in gaps.values() if rows]
    ready = Asked(strange, questions)
    for entry in living:
        yield from _entry(entry, ready.answer(asked[entry.key]))
        if entry.key in beside:
            answer = ready.answer(halves[entry.key])
            if answer.whole:
                seen = f"{beside[entry.key]} gets in as well, which nobody declared"
                yield Defect("already_permitted", entry, seen, "Narrow the rule, or remove the entry.")
    for span, rows in gaps.items():
        if rows:
            yield from _undeclared(span, ready.answer(ask(rows)))


def _entry(entry: Entry, answer: Answer) -> Iterator[Defect]:
    todo = "Apply the policy that names it, or remove it."
    if answer.reach == "closed":
        shown = f"; {answer.denied.text()} does not get in" if answer.denied else ""
        yield Defect("not_effective", entry, f"no packet of it gets in{shown}", todo)
    elif answer.reach != "open":
        seen = "whether it gets in hangs on conditions that are not modelled"
        yield Defect("not_effective", entry, seen, "Look at the rules yourself.", unknown=True)


def _undeclared(span: Span, answer: Answer) -> Iterator[Defect]:
    if answer.allowed is None or answer.reach not in ("open", "perhaps"):
        return
    packet = answer.allowed.packet
    version = answer.allowed.family
    address = int(packet[f"src{version}"])
    entry = Entry(Network(version, address, address), (span,), list="rules")
    todo = "Declare it, or close it."
    seen = f"{answer.allowed.text()} gets in, and no entry names it"
    yield Defect("undeclared", entry, seen, todo, unknown=answer.reach == "perhaps")


def _sources(network: Network, spans: tuple[Span, ...]) -> tuple[Row, ...]:
    return _rows(((network.low, network.high),), network.version, spans)


def _rows(sources: tuple[tuple[int, int], ...], version: int, spans: tuple[Span, ...]) -> tuple[Row, ...]:
    return tuple(
        {
            "family": ((version, version),),
            f"src{version}": sources,
            "proto": ((PROTOCOLS[protocol], PROTOCOLS[protocol]),),
            "dport": ((low, high),),
            "fragment": ((0, 0),),
            "state": states("new"),
        }
        for protocol, low, high in spans
    )


def _other_half(entry: Entry, living: list[Entry]) -> Network | None:
    """The other half of the network twice as wide, if nobody declared any of it for this service."""
    network = entry.network
    if network.prefix in (None, 0):
        return None
    size = network.size
    low = network.low ^ size
    other = Network(network.version, low, low + size - 1)
    for one in living:
        near = one.network.version == other.version and one.network.low <= other.high
        if near and other.low <= one.network.high and overlap(one.spans, entry.spans):
            return None
    return other


def _pairs(living: list[Entry], beside: dict[str, Network]) -> Iterator[tuple[Entry, Network]]:
    for entry in living:
        if entry.key in beside:
            yield entry, beside[entry.key]


def _gaps(span: Span, living: list[Entry], families: tuple[int, ...]) -> tuple[Row, ...]:
    """All sources that no entry names for this service."""
    protocol, low, high = span
    rows: tuple[Row, ...] = ()
    for version in families:
        held = sorted(
            (e.network.low, e.network.high)
            for e in living
            if e.network.version == version
            and any(p == protocol and a <= low and high <= b for p, a, b in e.spans)
        )
        free: list[tuple[int, int]] = []
        at = _first_stranger(version)
        for first, last in held:
            if first > at:
                free.append((at, first - 1))
            at = max(at, last + 1)
        if at < 1 << BITS[version]:
            free.append((at, (1 << BITS[version]) - 1))
        if free:
            rows += _rows(tuple(free), version, (span,))
    return rows


def _first_stranger(version: int) -> int:
    """Addresses before it are "this network" and, for IPv6, the unspecified and loopback ones: no stranger has them."""
    return read_network("1.0.0.0" if version == 4 else "::2").low
