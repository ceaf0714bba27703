"""What a rule's target does, as parts of the engine's rule body."""

from __future__ import annotations

from collections.abc import Sequence

from wardkeep.packets.dimensions import ANY, Row, Values
from wardkeep.packets.program import Assign, Effect, Nat, NoTrack, Part, Unknown, Verdict
from wardkeep.rulesets.iptables.matches import Garbled, mark_and_mask, spans_of

FULL = 0xFFFFFFFF
# Targets after which the next rule runs, whatever their options say.
GOES_ON = frozenset(
    {
        *(
            "LOG",
            "ULOG",
            "NFLOG",
            "AUDIT",
            "TRACE",
            "TCPMSS",
            "TCPOPTSTRIP",
            "TOS",
            "DSCP",
            "TTL",
            "HL",
            "ECN",
            "CLASSIFY",
            "TEE",
        ),
        *(
            "SECMARK",
            "CONNSECMARK",
            "CHECKSUM",
            "RATEEST",
            "LED",
            "IDLETIMER",
            "SET",
            "CT",
            "ACCOUNT",
            "CONNLABEL",
        ),
    }
)
# Targets that may let the packet through or not: a program, a cookie, a socket decides.
DECIDES = frozenset({"QUEUE", "NFQUEUE", "TPROXY", "SYNPROXY"})
SIMPLE = {"ACCEPT": "accept", "DROP": "drop", "RETURN": "return", "TARPIT": "drop", "STEAL": "drop"}
NAT = {"DNAT", "SNAT", "MASQUERADE", "REDIRECT", "NETMAP", "SAME", "DNPT", "SNPT"}
WITH_MARKS = {"MARK": "mark", "CONNMARK": "ctmark"}


def parts_of(name: str, options: Sequence[str], version: int) -> list[Part]:
    """The target's parts; `options` are the words behind its name. Raises Garbled."""
    told = " ".join((name, *options))
    if name in SIMPLE:
        return [Verdict(SIMPLE[name])]  # type: ignore[arg-type]
    if name == "REJECT":
        return [Verdict("reject", _option(options, "--reject-with") or "")]
    if name in ("NOTRACK",) or (name == "CT" and "--notrack" in options):
        return [NoTrack()]
    if name in GOES_ON:
        return [Effect(told)]
    if name in DECIDES:
        return [Verdict("queue", told)]
    if name in NAT:
        return [Nat(name.lower(), _rewritten(name, options, version))]
    if name in WITH_MARKS:
        return [_marked(WITH_MARKS[name], options)]
    if name == "HMARK":
        return [Assign("mark", values=ANY["mark"])]
    # A target of a module we do not know: it may go on, accept or drop.
    return [Unknown(f"the target {told}"), Verdict("queue", told)]


def _option(options: Sequence[str], *names: str) -> str | None:
    for name in names:
        if name in options[:-1]:
            return options[options.index(name) + 1]
    return None


def _marked(dimension: str, options: Sequence[str]) -> Part:
    """MARK and CONNMARK: the new value is `(old & ~mask) ^ value`, or that of the other mark."""
    if not options:
        raise Garbled("MARK without a value")
    name = options[0]
    if name in ("--save-mark", "--restore-mark"):
        goal, source = ("ctmark", "mark") if name == "--save-mark" else ("mark", "ctmark")
        masks = [_option(options, m) for m in ("--mask", "--nfmask", "--ctmask")]
        if all(m is None or int(m, 0) == FULL for m in masks):
            return Assign(goal, source=source, keep=FULL)
        return Assign(goal, values=ANY[goal])
    if len(options) < 2:
        raise Garbled(f"{name} without a value")
    value, mask = mark_and_mask(options[1])
    match name:
        case "--set-xmark":
            return Assign(dimension, keep=~mask & FULL, xor=value)
        case "--set-mark":
            return Assign(dimension, keep=~(mask | value) & FULL, xor=value)
        case "--and-mark":
            return Assign(dimension, keep=value)
        case "--or-mark":
            return Assign(dimension, keep=~value & FULL, xor=value)
        case "--xor-mark":
            return Assign(dimension, keep=FULL, xor=value)
    raise Garbled(f"`{name}` is no option of MARK")


def _rewritten(name: str, options: Sequence[str], version: int) -> Row:
    destination = name in ("DNAT", "REDIRECT", "DNPT") or (name == "NETMAP")
    address, port = (f"dst{version}", "dport") if destination else (f"src{version}", "sport")
    told = _option(options, "--to-destination", "--to-source", "--to", "--to-ports")
    row: dict[str, Values] = {address: ANY[address]}
    if name in ("REDIRECT", "MASQUERADE"):
        ports = _ports(told or "") if told else None
        # Masquerading keeps the port if it can; a translated source may always get another one.
        if ports or name == "MASQUERADE":
            row[port] = ports or ANY[port]
    elif name in ("DNAT", "SNAT") and told:
        where, ports = _split(told, version)
        if where:
            low, _, high = where.partition("-")
            row[address] = ((spans_of(low, version)[0][0], spans_of(high or low, version)[0][1]),)
        else:
            row.pop(address)
        if ports or name == "SNAT":
            row[port] = ports or ANY[port]
    if (
        name == "NETMAP"
    ):  # in PREROUTING and OUTPUT the destination, in POSTROUTING the source: not told apart
        row[f"src{version}"] = ANY[f"src{version}"]
    return row


def _split(told: str, version: int) -> tuple[str, Values | None]:
    """`10.0.0.1-10.0.0.9:80-90`, `[2001:db8::1]:80` as addresses and ports."""
    if version == 6:
        inner, _, rest = told.removeprefix("[").partition("]")
        where, port = (inner, rest.removeprefix(":")) if told.startswith("[") else (told, "")
    else:
        where, _, port = told.partition(":")
    return where, _ports(port) if port else None


def _ports(text: str) -> Values | None:
    low, _, high = text.partition("/")[0].partition("-")
    if not low.isdigit() or (high and not high.isdigit()):
        return None
    return ((int(low), int(high or low)),)
