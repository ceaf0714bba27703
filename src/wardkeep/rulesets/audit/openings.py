"""What strangers can reach: sensitive services open to the world or to wide networks, traffic nobody filters, and IPv6 left open."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from wardkeep.packets.dimensions import ROUTES, Row
from wardkeep.packets.flat import Flat
from wardkeep.packets.program import Match, Program, Rule, Verdict
from wardkeep.packets.ranks import rows_of
from wardkeep.rulesets.audit.model import Finding, finding_id, sentence, worded
from wardkeep.rulesets.audit.regions import SENSITIVE, STRANGERS, TOP, UNICAST, WORLD, service
from wardkeep.rulesets.names import PROTOCOL_NAMES, SERVICES
from wardkeep.rulesets.published import to_this_host
from wardkeep.rulesets.reach import Met, Reach
from wardkeep.rulesets.spans import Spans, join, meet

ODD: Final = 64_999  # a port that nobody opens by name: what is let in there is let in everywhere
WIDEST: Final = {4: 16, 6: 32}  # a source network with a shorter prefix is wide
MOST_NAMED: Final = 40  # ports of rules that are compared between the families
LABELS: Final = {(number, port): name for name, number, port, _ in SENSITIVE}
NAMES: Final = {port: name for name, port in reversed(SERVICES.items())}


@dataclass(frozen=True, slots=True)
class Opening:
    """One service over one family and route: who of the world gets through. `stranger` is met first, `anyone` else."""

    family: int
    route: str
    protocol: int
    port: int
    stranger: Met | None
    anyone: Met | None


@dataclass
class Openings:
    """The services of a rule set, looked at once for all findings. `unfolded`: its worlds, where they are made already."""

    program: Program
    families: Sequence[int]
    unfolded: Sequence[Flat] | None = None
    odd: dict[tuple[int, str], Met] = field(default_factory=dict)
    found: list[Opening] = field(default_factory=list)

    def look(self) -> None:
        """Ask the engine about every service, family and route."""
        # A host whose input chain has no rule is as open as one without any, whatever it does with what it passes on.
        routes = ["input", *(["forward"] if _filters(self.program, "forward") else [])]
        named = named_ports(self.program) if len(self.families) > 1 else []
        services = list(dict.fromkeys([*((p, port) for _, p, port, _ in SENSITIVE), *named]))
        like = _alike(self.program, [*services, (6, ODD), (17, ODD)])
        worlds = [(f, r) for f in self.families for r in routes]
        # What comes to the host itself was sent to an address of its own; what it passes on, perhaps too, and was translated.
        (here,) = to_this_host(self.program, [{}])
        regions = {
            (f, r, s): {**_region(f, r, *s), **(here if r == "input" else {})}
            for f, r in worlds
            for s in set(like.values())
        }
        strangers = {f: _apart(self.program, f) for f in self.families}
        close = {key: {**row, f"src{key[0]}": strangers[key[0]]} for key, row in regions.items()}
        reach = Reach(self.program, [*regions.values(), *close.values()], self.unfolded)
        reach.prepare(regions.values(), True)
        open_ = [key for key, region in regions.items() if reach.find(region, True).met]
        reach.prepare([close[key] for key in open_], True, sure=True)
        for family, route in worlds:
            met: dict[tuple[int, int], tuple[Met | None, Met | None]] = {}
            for one in dict.fromkeys(like.values()):
                anyone = reach.find(regions[family, route, one], True).met
                stranger = reach.find(close[family, route, one], True, sure=True).met if anyone else None
                met[one] = (stranger, anyone)
            odd = [met[like[protocol, ODD]][0] for protocol in (6, 17)]
            if first := next((o for o in odd if o and o.sure), None) or next((o for o in odd if o), None):
                self.odd[family, route] = first
            for one in services:
                self.found.append(Opening(family, route, *one, *met[like[one]]))


def _alike(program: Program, services: Sequence[tuple[int, int]]) -> dict[tuple[int, int], tuple[int, int]]:
    """Each service → the first of those that no rule tells apart from it: what holds for one holds for all."""
    protocols, ports = _cuts(program, "proto"), _cuts(program, "dport")
    first: dict[tuple[int, int, int], tuple[int, int]] = {}
    found = {}
    for protocol, port in services:
        key = (bisect_right(protocols, protocol), bisect_right(ports, port), protocol)
        found[protocol, port] = first.setdefault(key, (protocol, port))
    return found


def _apart(program: Program, family: int) -> Spans:
    """Those of the strangers whom some rule tells apart."""
    cuts = _cuts(program, f"src{family}")
    return tuple({bisect_right(cuts, span[0]): span for span in reversed(STRANGERS[family])}.values())


def _cuts(program: Program, dimension: str) -> list[int]:
    """Where some rule's range of the dimension begins or has ended, sorted."""
    return sorted(
        {
            end
            for chain in program.chains
            for rule in chain.rules
            for part in rule.body
            for row in rows_of(part)
            for span in row.get(dimension, ())
            if isinstance(span, tuple)
            for end in (span[0], span[1] + 1)
        }
    )


def _region(family: int, route: str, protocol: int, port: int) -> Row:
    """Anybody to the service, in as few boxes as can be: strangers are asked about once somebody at all gets through."""
    return {
        **service(protocol, port),
        "family": ((family, family),),
        "route": ((ROUTES.index(route),) * 2,),
        f"dst{family}": ((UNICAST[family][0][0], UNICAST[family][-1][1]),),
        f"src{family}": ((WORLD[family][0][0], WORLD[family][-1][1]),),
    }


def _filters(program: Program, route: str) -> bool:
    """Whether any chain with rules, or a closed policy, stands on the route's own hook."""
    return any(
        c.entry and c.entry.layer == "ip" and c.entry.hook == route and (c.rules or c.entry.policy == "drop")
        for c in program.chains
    )


def named_ports(program: Program) -> list[tuple[int, int]]:
    """(protocol, port) of rules that name single ports, the most named first."""
    counted: dict[tuple[int, int], int] = {}
    for chain in program.chains:
        for rule in chain.rules:
            protocols, ports = _asked(rule)
            for key in ((p, port) for p in protocols for port in ports):
                counted[key] = counted.get(key, 0) + 1
    return sorted(counted, key=lambda k: (-counted[k], k))[:MOST_NAMED]


def _asked(rule: Rule) -> tuple[list[int], list[int]]:
    protocols: list[int] = []
    ports: list[int] = []
    for part in rule.body:
        for row in part.rows if isinstance(part, Match) and not part.negated else ():
            protocols += [
                v[0] for v in row.get("proto", ()) if isinstance(v, tuple) and v[0] == v[1] in (6, 17)
            ]
            ports += [v[0] for v in row.get("dport", ()) if isinstance(v, tuple) and v[0] == v[1]]
    return list(dict.fromkeys(protocols)), list(dict.fromkeys(ports))[:16]


def findings(looked: Openings) -> Iterator[Finding]:
    """Everything about what strangers reach."""
    rules = {rule.id: rule for chain in looked.program.chains for rule in chain.rules}
    for (family, route), met in sorted(looked.odd.items(), key=lambda one: one[0]):
        yield _unfiltered(family, route, met, rules)
    for opening in looked.found:
        if (opening.family, opening.route) in looked.odd:
            continue  # said once for all services
        if (opening.protocol, opening.port) in LABELS:
            yield from _sensitive(opening, rules)
    yield from _gaps(looked)


def _unfiltered(family: int, route: str, met: Met, rules: Mapping[str, Rule]) -> Finding:
    where = "to this host" if route == "input" else "through this host"
    may = "are" if met.sure else "may be"
    by = f"the rule {met.rule}" if met.rule in rules else met.rule or "no chain, since none looks at it"
    kind = "permissive" if met.rule in rules else "unfiltered"
    doubt = "" if met.sure else ": a match that is not modelled decides"
    severity = "high" if met.sure else "low"
    if way := _by(met).removeprefix(", to packets"):
        severity = "medium" if met.sure else "low"
    what = f"IPv{family} packets of strangers {where}{way} {may} accepted on any port, by {by}{doubt}"
    fix = "Accept what is needed by name, and end the chain with drop or a policy of drop"
    return Finding(
        finding_id(kind, str(family), route), kind, severity, what, (met.rule,) if met.rule else (), worded(met.packet), fix, met.sure
    )  # fmt: skip


def _sensitive(opening: Opening, rules: Mapping[str, Rule]) -> Iterator[Finding]:
    name = LABELS[opening.protocol, opening.port]
    severity = next(s for n, p, port, s in SENSITIVE if (p, port) == (opening.protocol, opening.port))
    label = f"{opening.port}/{PROTOCOL_NAMES[opening.protocol]} ({name})"
    about = (str(opening.family), opening.route, str(opening.protocol), str(opening.port))
    if opening.stranger and opening.stranger.sure:
        met, kind = opening.stranger, "open"
        what = f"{label} is open to the world over IPv{opening.family}{_through(opening.route)}{_by(met)}"
        fix = "Name the networks that need it, or put it behind a tunnel"
    elif opening.stranger:
        met, kind, severity = opening.stranger, "open", {"high": "medium"}.get(severity, "low")
        what = f"{label} may be open to the world over IPv{opening.family}{_through(opening.route)}: a match that is not modelled decides"
        fix = "Look at the rule; a rate limit or a knock does not say who may come"
    elif opening.anyone and (wide := _widest(opening, rules)) is not None:
        met, kind, severity = opening.anyone, "wide", "medium"
        is_ = "is" if met.sure else "may be"
        doubt = "" if met.sure else ": a match that is not modelled decides"
        what = f"{label} {is_} open to a network of prefix length {wide} over IPv{opening.family}{_through(opening.route)}{doubt}"
        fix = "Name the addresses that need it"
    else:
        return
    where = (met.rule,) if met.rule else ()
    yield Finding(finding_id(kind, *about), kind, severity, what, where, worded(met.packet), fix, met.sure)


def _by(met: Met) -> str:
    """The interface by which it must come: the engine shows one that no rule names where it can, and then says "any"."""
    link = met.packet.get("in", "")
    return f", to packets that arrive by {link}" if link not in ("", "any", None) else ""


def _through(route: str) -> str:
    return "" if route == "input" else " to hosts behind this one"


def _widest(opening: Opening, rules: Mapping[str, Rule]) -> int | None:
    """The prefix length of the widest public source of the rule that lets it in, if that is wide."""
    rule = rules.get(opening.anyone.rule) if opening.anyone else None
    if rule is None:
        return None
    family = opening.family
    spans = [
        span
        for part in rule.body
        if isinstance(part, Match) and not part.negated
        for row in part.rows
        for span in row.get(f"src{family}", ())
        if isinstance(span, tuple)
    ]
    public = meet(join(spans), WORLD[family])
    size = max((high - low + 1 for low, high in public), default=0)
    length = TOP[family].bit_length() - (size.bit_length() - 1) if size else None
    return length if length is not None and length < WIDEST[family] else None


def _gaps(looked: Openings) -> Iterator[Finding]:
    """Services that strangers cannot reach over IPv4 and can over IPv6."""
    seen = {(o.family, o.route, o.protocol, o.port): o for o in looked.found}
    for key, six in seen.items():
        four = seen.get((4, *key[1:]))
        if key[0] != 6 or four is None or four.stranger or not (six.stranger and six.stranger.sure):
            continue
        if (6, key[1]) in looked.odd and (4, key[1]) not in looked.odd:
            continue  # the whole family is open: told once, below
        label = f"{key[3]}/{PROTOCOL_NAMES[key[2]]}"
        what = f"{label} is closed to strangers over IPv4 and open over IPv6{_through(key[1])}"
        yield Finding(
            finding_id("gap", *map(str, key[1:])), "gap", "high", what,
            (six.stranger.rule,) if six.stranger.rule else (), worded(six.stranger.packet),
            "Give IPv6 the same rules, in an inet table or with ip6tables",
        )  # fmt: skip
    for route in ("input", "forward"):
        met = looked.odd.get((6, route))
        if met and met.sure and (4, route) not in looked.odd and 4 in looked.families:
            what = f"IPv4 is filtered and IPv6 is not{_through(route)}: {sentence(worded(met.packet) or {})} is accepted"
            yield Finding(
                finding_id("gap", route), "gap", "high", what, (met.rule,) if met.rule else (), worded(met.packet),
                "Give IPv6 the same rules, in an inet table or with ip6tables",
            )  # fmt: skip


def accepts(rule: Rule) -> bool:
    """Whether the rule itself ends in accept."""
    return any(isinstance(part, Verdict) and part.kind == "accept" for part in rule.body)
