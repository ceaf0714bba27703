"""What each option of a rule tests. A match that is not modelled stays in the rule, as Unknown with its words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from wardkeep.packets.dimensions import STATES, STATUS, TCP_FLAGS, AnyBit, Bits, Row, Values
from wardkeep.packets.program import EVERYTHING, Match, Part, Unknown
from wardkeep.rulesets import names
from wardkeep.rulesets.ipset import Ipset, rows_of
from wardkeep.rulesets.iptables.kinds import kind_of_address, limited
from wardkeep.rulesets.spans import TOPS, Span, Spans, TooManySpans, join, meet, network, outside

MAC = re.compile(r"(?:[0-9A-Fa-f]{1,2}:){5}[0-9A-Fa-f]{1,2}")


class Garbled(Exception):
    """An option's value is none that the tool would have written; the text says which."""


@dataclass(slots=True)
class Draft:
    """A rule while its words are read. `late` holds conntrack options, which need the rule's states to be judged."""

    version: int  # 4 | 6
    sets: Mapping[str, Ipset]
    parts: list[Part] = field(default_factory=list)
    states: Spans | None = None  # those that the rule leaves; None: it does not test them
    late: list[tuple[str, str, bool]] = field(default_factory=list)
    comment: str = ""
    hooks: frozenset[str] = (
        frozenset()
    )  # built-in chains by which packets come to the rule, where that was asked
    arriving: bool = False  # nothing has translated them yet
    typed: list[tuple[int, str]] = field(
        default_factory=list
    )  # places and words of parts about kinds of address

    def add(self, row: Row, negated: bool = False) -> None:
        self.parts.append(Match((row,), negated))

    def doubt(
        self, text: str, negated: bool, may: tuple[Row, ...] = EVERYTHING, must: tuple[Row, ...] = ()
    ) -> None:
        self.parts.append(Unknown(f"! {text}" if negated else text, may, must))

    def side(self, source: bool) -> str:
        return f"{'src' if source else 'dst'}{self.version}"


Reader = Callable[[Draft, Sequence[str], bool], None]


def spans_of(text: str, version: int) -> Spans:
    """One address or network. Raises Garbled."""
    found = network(text, version)
    if found is None:
        raise Garbled(f"`{text}` is no IPv{version} address or network")
    return found


def _address(source: bool) -> Reader:
    def read(draft: Draft, values: Sequence[str], negated: bool) -> None:
        try:
            told = values[0].split(",")
            spans = spans_of(told[0], draft.version)
            if len(told) > 1:
                spans = join(span for part in told for span in spans_of(part, draft.version))
        except TooManySpans:
            draft.doubt(f"{'-s' if source else '-d'} {values[0]}", negated)
        else:
            draft.add({draft.side(source): spans}, negated)

    return read


def _link(side: str) -> Reader:
    def read(draft: Draft, values: Sequence[str], negated: bool) -> None:
        name = values[0]
        # `+` at the end is the wildcard; iptables knows no other, and `+` alone is every interface.
        draft.add({side: (name[:-1] + "*" if name.endswith("+") else name,)}, negated)

    return read


def protocol(text: str) -> int:
    number = names.protocol(text)
    if number is None:
        raise Garbled(f"`{text}` is no protocol")
    return number


def _protocol(draft: Draft, values: Sequence[str], negated: bool) -> None:
    if values[0] in ("all", "0"):
        if negated:
            draft.parts.append(Match(()))
        return
    number = protocol(values[0])
    draft.add({"proto": ((number, number),)}, negated)


def _fragment(draft: Draft, _: Sequence[str], negated: bool) -> None:
    draft.add({"fragment": ((0, 0),) if negated else ((1, 1),)})


def port_span(text: str) -> Span:
    """`22`, `1024:65535`, `:1023`, `ssh`. Reversed ranges stay reversed: they match nothing. Raises Garbled."""
    low, colon, high = text.partition(":")
    first = names.port(low) if low else 0
    last = (names.port(high) if high else 65535) if colon else first
    if first is None or last is None or not (low or colon):
        raise Garbled(f"`{text}` is no port or range of ports")
    return first, last


def _port(*sides: str) -> Reader:
    def read(draft: Draft, values: Sequence[str], negated: bool) -> None:
        spans = tuple(port_span(part) for part in values[0].split(","))
        draft.parts.append(Match(tuple({side: spans} for side in sides), negated))

    return read


def _flag_bits(text: str) -> int:
    bits = 0
    for word in text.split(","):
        if word.upper() == "ALL":
            bits |= 63
        elif word.upper() != "NONE":
            if word.lower() not in TCP_FLAGS:
                raise Garbled(f"`{word}` is no TCP flag")
            bits |= TCP_FLAGS[word.lower()]
    return bits


def _tcp_flags(draft: Draft, values: Sequence[str], negated: bool) -> None:
    draft.add({"tcp_flags": (Bits(_flag_bits(values[0]), _flag_bits(values[1])),)}, negated)


def _syn(draft: Draft, _: Sequence[str], negated: bool) -> None:
    _tcp_flags(draft, ("FIN,SYN,RST,ACK", "SYN"), negated)


def _icmp(draft: Draft, values: Sequence[str], negated: bool) -> None:
    head = "icmp" if draft.version == 4 else "icmp6"
    found = names.icmp(values[0], draft.version)
    if values[0] == "any" or (values[0] == "255" and draft.version == 4):  # the kernel takes 255 for any
        draft.add({f"{head}_type": ((0, 255),)}, negated)
    elif found is None:
        draft.doubt(f"--icmp-type {values[0]}", negated)
    else:
        kind, low, high = found
        draft.add({f"{head}_type": ((kind, kind),), f"{head}_code": ((low, high),)}, negated)


def _states(draft: Draft, values: Sequence[str], negated: bool) -> None:
    state_values: list[Span] = []
    bits = 0
    for word in values[0].split(","):
        low = word.lower()
        if low in STATES:
            state_values.append((STATES.index(low),) * 2)
        elif low in ("snat", "dnat"):
            bits |= STATUS[low]
        else:
            raise Garbled(f"`{word}` is no state of a connection")
    rows: list[Row] = []
    if state_values:
        rows.append({"state": join(state_values)})
    if bits:
        rows.append({"status": (AnyBit(bits),)})
    draft.parts.append(Match(tuple(rows), negated))
    told = ((0, len(STATES) - 1),) if bits and not negated else join(state_values)
    left = outside(told, len(STATES) - 1) if negated else told
    draft.states = left if draft.states is None else meet(draft.states, left)


def _late(option: str) -> Reader:
    def read(draft: Draft, values: Sequence[str], negated: bool) -> None:
        draft.late.append((option, values[0], negated))

    return read


_STATUS_WORDS = ("expected", "seen-reply", "assured", "confirmed")
INVALID, ESTABLISHED, RELATED, NEW, UNTRACKED = ((n, n) for n in range(len(STATES)))


def settle(draft: Draft, translates: bool) -> None:
    """Judge the options about the connection's own addresses and ports, once the whole rule is read.

    Of a new connection they are those of the packet, unless `translates` (a rule rewrites destinations) and it did.
    A reply carries them the other way round, and an ICMP error those of another packet: there the option may hold or not.
    A packet without a connection passes them if the rule tests the state too, and fails them otherwise (xt_conntrack.c).
    """
    nobody: tuple[Row, ...] = ({"state": (INVALID, UNTRACKED)},) if draft.states is not None else ()
    for option, value, negated in draft.late:
        if option == "--ctstatus":
            draft.parts.append(Match((*nobody, *_of_status(value, negated))))
            continue
        row = _original(draft, option, value, negated)
        sure: Values = ()
        doubtful: list[Row] = [{"state": (ESTABLISHED, RELATED, NEW)}]
        if row is not None and option == "--ctproto":
            sure, doubtful = (ESTABLISHED, NEW), [{"state": (RELATED,)}]
        elif row is not None:
            sure, doubtful = (NEW,), [{"state": (ESTABLISHED, RELATED)}]
            if translates and "dst" in option:
                row = {**row, "status": (Bits(STATUS["dnat"], 0),)}
                doubtful.append({"state": (NEW,), "status": (AnyBit(STATUS["dnat"]),)})
        exact = (*nobody, {**row, "state": sure}) if row is not None and sure else nobody
        left = draft.states if draft.states is not None else ((0, len(STATES) - 1),)
        open_ = [d for d in doubtful if any(meet(left, (s,)) for s in d["state"] if isinstance(s, tuple))]
        if open_:
            draft.doubt(f"{option} {value}", negated, may=(*exact, *open_), must=exact)
        else:
            draft.parts.append(Match(exact))


def _of_status(value: str, negated: bool) -> tuple[Row, ...]:
    """The packets of connections with any of the named bits, or with none of them; NONE names no bit (libxt_conntrack.c)."""
    bits = 0
    for word in value.split(","):
        low = word.lower().replace("_", "-")
        if low not in (*_STATUS_WORDS, "none"):
            raise Garbled(f"`{word}` is no status of a connection")
        bits |= STATUS.get(low, 0)
    if not bits:
        return ({"state": (ESTABLISHED, RELATED, NEW)},) if negated else ()
    return ({"status": (Bits(bits, 0) if negated else AnyBit(bits),)},)


def _original(draft: Draft, option: str, value: str, negated: bool) -> Row | None:
    """The packets whose own field meets the option; None for an option about something else."""
    spans: Spans
    match option:
        case "--ctproto":
            number = protocol(value)
            spans, dimension, top = ((number, number),), "proto", 255
        case "--ctorigsrc" | "--ctorigdst":
            dimension, top = draft.side(option == "--ctorigsrc"), TOPS[draft.version]
            spans = spans_of(value, draft.version)
        case "--ctorigsrcport" | "--ctorigdstport":
            dimension, top = ("sport" if "src" in option else "dport"), 65535
            spans = (port_span(value),)
        case _:
            return None
    return {dimension: outside(spans, top) if negated else spans}


def _range(source: bool) -> Reader:
    def read(draft: Draft, values: Sequence[str], negated: bool) -> None:
        low, _, high = values[0].partition("-")
        first, last = spans_of(low, draft.version)[0][0], spans_of(high or low, draft.version)[0][0]
        draft.add({draft.side(source): ((first, last),)}, negated)

    return read


def _mac(draft: Draft, values: Sequence[str], negated: bool) -> None:
    told = values[0]
    if not MAC.fullmatch(told):
        raise Garbled(f"`{told}` is no MAC address")
    if len(told) < len("00:00:00:00:00:00"):
        told = ":".join(part.zfill(2) for part in told.split(":"))
    number = int(told.replace(":", ""), 16)
    draft.add({"mac": ((number, number),)}, negated)


def _mark(dimension: str) -> Reader:
    def read(draft: Draft, values: Sequence[str], negated: bool) -> None:
        value, mask = mark_and_mask(values[0])
        draft.add({dimension: (Bits(mask, value),)}, negated)

    return read


def mark_and_mask(text: str) -> tuple[int, int]:
    """`0x1/0xff` as (value, mask). Raises Garbled."""
    value, slash, mask = text.partition("/")
    try:
        return int(value, 0), int(mask, 0) if slash else 0xFFFFFFFF
    except ValueError:
        raise Garbled(f"`{text}` is no mark") from None


def _owner(dimension: str) -> Reader:
    def read(draft: Draft, values: Sequence[str], negated: bool) -> None:
        low, _, high = values[0].partition("-")
        if low == "root":
            low = "0"
        if not low.isdigit() or (high and not high.isdigit()):
            draft.doubt(
                f"owner {dimension} {values[0]}", negated
            )  # a name: its number is the host's own matter
        else:
            draft.add({dimension: ((int(low), int(high or low)),)}, negated)

    return read


def _set(draft: Draft, values: Sequence[str], negated: bool) -> None:
    text = f"--match-set {values[0]} {values[1]}"
    known = draft.sets.get(values[0])
    rows = None if known is None else rows_of(known, values[1].split(","), draft.version, draft.sets)
    if rows is None:
        draft.doubt(text, negated)
    else:
        draft.parts.append(Match(tuple(rows), negated, absent_ok=True))


def _comment(draft: Draft, values: Sequence[str], _: bool) -> None:
    draft.comment = values[0]


def _nothing(draft: Draft, values: Sequence[str], negated: bool) -> None:
    """An option that qualifies another and tests nothing by itself."""


# Option → (words that follow, reader). An option that stands in none of these tables makes its module unknown.
GENERAL: dict[str, tuple[int, Reader]] = {
    "-s": (1, _address(True)),
    "-d": (1, _address(False)),
    "-i": (1, _link("in")),
    "-o": (1, _link("out")),
    "-p": (1, _protocol),
    "-f": (0, _fragment),
}
LONG = {
    "--source": "-s", "--src": "-s", "--destination": "-d", "--dst": "-d", "--in-interface": "-i", "--out-interface": "-o",
    "--protocol": "-p", "--proto": "-p", "--fragment": "-f", "--jump": "-j", "--goto": "-g", "--match": "-m",
}  # fmt: skip
_PORTS = {o: (1, _port("sport")) for o in ("--sport", "--source-port")}
_PORTS |= {o: (1, _port("dport")) for o in ("--dport", "--destination-port")}
_LATE = (
    *(
        "--ctproto",
        "--ctorigsrc",
        "--ctorigdst",
        "--ctorigsrcport",
        "--ctorigdstport",
        "--ctreplsrc",
        "--ctrepldst",
    ),
    *("--ctreplsrcport", "--ctrepldstport", "--ctstatus", "--ctexpire", "--ctdir"),
)
_ICMP6: dict[str, tuple[int, Reader]] = {"--icmpv6-type": (1, _icmp)}
MODULES: dict[str, dict[str, tuple[int, Reader]]] = {
    "tcp": {**_PORTS, "--tcp-flags": (2, _tcp_flags), "--syn": (0, _syn)},
    "udp": _PORTS,
    "sctp": _PORTS,
    "dccp": _PORTS,
    "udplite": _PORTS,
    "icmp": {"--icmp-type": (1, _icmp)},
    "icmp6": _ICMP6,
    "icmpv6": _ICMP6,
    "ipv6-icmp": _ICMP6,
    "multiport": {
        **{o: (1, _port("sport")) for o in ("--sports", "--source-ports")},
        **{o: (1, _port("dport")) for o in ("--dports", "--destination-ports")},
        "--ports": (1, _port("sport", "dport")),
    },
    "iprange": {"--src-range": (1, _range(True)), "--dst-range": (1, _range(False))},
    "mac": {"--mac-source": (1, _mac)},
    "state": {"--state": (1, _states)},
    "conntrack": {"--ctstate": (1, _states), **{o: (1, _late(o)) for o in _LATE}},
    "mark": {"--mark": (1, _mark("mark"))},
    "connmark": {"--mark": (1, _mark("ctmark"))},
    "owner": {"--uid-owner": (1, _owner("user")), "--gid-owner": (1, _owner("group"))},
    "set": {"--match-set": (2, _set), "--return-nomatch": (0, _nothing)},
    "addrtype": {
        **{"--src-type": (1, kind_of_address(True)), "--dst-type": (1, kind_of_address(False))},
        **{o: (0, limited(o)) for o in ("--limit-iface-in", "--limit-iface-out")},
    },
    "comment": {"--comment": (1, _comment)},
}
