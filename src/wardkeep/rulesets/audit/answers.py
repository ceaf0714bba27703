"""Answers to questions in words: yes, no, partly or undecided, with the packets that show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from wardkeep.packets.dimensions import DIMENSIONS, ROUTES, Row, Values
from wardkeep.packets.program import Program
from wardkeep.rulesets.audit.model import sentence, worded
from wardkeep.rulesets.audit.questions import Question
from wardkeep.rulesets.audit.regions import STRANGERS
from wardkeep.rulesets.files import RuleSet
from wardkeep.rulesets.published import OWN, addressed_here, published, sends_on, to_this_host
from wardkeep.rulesets.reach import Answer, Met, Reach

_INPUT: Final[Values] = ((ROUTES.index("input"),) * 2,)
SERVICE: Final = ("dport", "icmp_type", "icmp_code", "icmp6_type", "icmp6_code")
_FORWARD: Final[Values] = ((ROUTES.index("forward"),) * 2,)


@dataclass(frozen=True, slots=True)
class Told:
    """`answer`: yes (all such packets get through), partly, no, undecided. `holds`: whether that is what must be, None: open.

    `accepted` and `dropped` are packets that show it, `rule` lets the accepted one through, `why` says it in a sentence. `not_known`:
    families that are asked about too, and of which the files do not speak; the answer is that of the others.
    """

    question: str
    rule_set: str
    answer: str
    holds: bool | None
    why: str
    accepted: Mapping[str, Any] | None = None
    dropped: Mapping[str, Any] | None = None
    rule: str = ""
    must: str = ""
    not_known: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """The answer as it is said: of what must be, whether it holds."""
        return (
            self.answer if not self.must or self.holds is None else "holds" if self.holds else "does not hold"
        )

    @property
    def exit_status(self) -> int:
        """0 holds (or, if nothing must be, yes), 1 it does not, 3 undecided."""
        return 3 if self.holds is None else 0 if self.holds else 1


@dataclass(frozen=True, slots=True)
class _Look:
    """Where the packets of a question are looked for: who is let in, and the strangers among them; and who is turned away."""

    rows: Sequence[Row]
    close: Sequence[Row]
    reach: Reach
    against: Reach


def answer(rule_set: RuleSet, questions: Sequence[Question]) -> list[Told]:
    """Every question, of one rule set."""
    program = rule_set.program
    rows = [[r for r in q.rows if _known(r, rule_set)] for q in questions]
    here = [all(r["route"] == _INPUT for r in found) for found in rows]
    rows = [to_this_host(program, found) if mine else found for found, mine in zip(rows, here, strict=True)]
    let_in = against = addressed_here(program)
    if sends_on(program):
        # A port of this host may be one of another: packets to it then come by the forward hook.
        let_in, against = published(program, "drop"), published(program, "accept")
        for found, mine in zip(rows, here, strict=True):
            found += [{**r, "route": _FORWARD} for r in found] if mine else []
    close = [
        [_strangers(r) for r in found] if q.world else [] for q, found in zip(questions, rows, strict=True)
    ]

    def ready(met: Program, mine: bool) -> Reach:
        """The program made ready for the packets to this host, or for the others."""
        asked = [n for n, one in enumerate(here) if one is mine]
        return Reach(met, [r for n in asked for r in (*rows[n], *close[n])])

    elsewhere = ready(program, False)
    inside = ready(let_in, True)
    turning = inside if against is let_in else ready(against, True)
    return [
        _told(
            rule_set,
            q,
            _Look(found, strangers, *((inside, turning) if mine else (elsewhere, elsewhere))),
            mine,
        )
        for q, found, strangers, mine in zip(questions, rows, close, here, strict=True)
    ]


def _of(row: Row, family: int) -> bool:
    return any(isinstance(v, tuple) and v[0] <= family <= v[1] for v in row["family"])


def _known(row: Row, rule_set: RuleSet) -> bool:
    """Whether the files speak of the row's family at all."""
    return any(_of(row, family) for family in rule_set.families)


def _strangers(row: Row) -> Row:
    version = next(int(v[0]) for v in row["family"] if isinstance(v, tuple))
    return {**row, f"src{version}": STRANGERS[version]}


def _told(rule_set: RuleSet, question: Question, look: _Look, here: bool) -> Told:
    name = rule_set.program.name
    if not look.rows:
        why = "nothing is known of the family of addresses that is asked about"
        return Told(question.text, name, "undecided", None, why, must=question.must)
    let_in = _best(look.reach, look.rows, True)
    kept_out = _best(look.against, look.rows, False)
    stranger = _best(look.reach, look.close, True) if look.close else None
    through = _gets_through(let_in.met, here)
    if let_in.met is None:
        word = "no" if let_in.whole else "undecided"
        why = (
            "no such packet gets through" if word == "no" else "the work allowed did not suffice to decide it"
        )
    elif not let_in.met.sure:
        word = "undecided"
        why = _gets_through(let_in.met, here, "may get through") + ": a match that is not modelled decides"
    elif stranger is not None and stranger.met is None:
        word, why = "partly", f"only from some networks: {through}"
    elif kept_out.met is not None and stranger is None:
        word = "partly"
        why = f"{through}, {_packet(kept_out.met)} {'does' if kept_out.met.sure else 'may'} not"
    else:
        word, why = "yes", through
    holds = _holds(question, word, let_in.met)
    if word == "yes" and stranger is not None and stranger.met is not None and stranger.met.sure:
        closed = _other_service(look, stranger.met, here)
        if closed is not None:
            word, let_in, kept_out = "partly", stranger, Answer(closed)
            why = f"{_gets_through(stranger.met, here)}, {_packet(closed)} {'does' if closed.sure else 'may'} not"
            if question.must == "yes":
                holds = False if closed.sure else None
    silent = [f for f in (4, 6) if f not in rule_set.families and any(_of(row, f) for row in question.rows)]
    if silent:
        why += f"; of IPv{silent[0]} nothing is known"
    return Told(
        question.text,
        name,
        word,
        holds,
        why,
        worded(let_in.met.packet) if let_in.met else None,
        worded(kept_out.met.packet) if kept_out.met else None,
        _rule(let_in.met),
        question.must,
        tuple(f"ipv{f}" for f in silent),
    )


def _other_service(look: _Look, stranger: Met, here: bool) -> Met | None:
    """A packet of the question from the same stranger, by the same way, to a service that is closed to him, or may be."""
    protocols = {row.get("proto") for row in look.close}
    if len(protocols) == 1 and None not in protocols:
        free = {*SERVICE, "out"}
    else:
        free = {"proto", "out", *(name for name, d in DIMENSIONS.items() if "proto" in d.needs)}
    like = {name: v for name, v in stranger.packet.items() if name not in free}
    family = int(stranger.packet["family"])
    # Of a packet to this host it is known by which hook it comes; of others that is part of what is asked.
    way = ROUTES.index(str(stranger.packet["route"]))
    for row in look.close:
        if not _of(row, family) or not (here or row["route"] == ((way, way),)):
            continue
        met = look.against.find(row, accepted=False, sure=True, like=like).met
        if met is None:
            continue
        # By which interface it goes out is for routing to say, so it must be closed by each.
        there = {name: v for name, v in met.packet.items() if name != "out"}
        passes = look.reach.find(row, accepted=True, sure=True, like=there).met
        if passes is None or not (met.sure or passes.sure):
            return met
    return None


def _gets_through(met: Met | None, here: bool, how: str = "gets through") -> str:
    """The packet, where to if it was to this host, and the rule that lets it: as the beginning of a sentence."""
    if met is None:
        return ""
    on = " to another host" if here and met.packet["route"] == "forward" else ""
    rule = _rule(met)
    return f"{_packet(met)} {how}{on}" + (f" (by {rule})" if rule else "")


def _rule(met: Met | None) -> str:
    """The rule that decides; none of the rule set where no chain filters what is sent on."""
    return "" if met is None or met.rule.startswith(f"policy of {OWN} ") else met.rule


def _packet(met: Met) -> str:
    return sentence(worded(met.packet) or {})


def _best(reach: Reach, rows: Iterable[Row], accepted: bool) -> Answer:
    """The first certain packet of any row, else a possible one."""
    whole, best = True, None
    for row in rows:
        found = reach.find(row, accepted, sure=True)
        whole &= found.whole
        if found.met is not None and found.met.sure:
            return found
        best = best or found.met
    return Answer(best, whole)


def _holds(question: Question, word: str, let_in: Met | None) -> bool | None:
    """What must not be does not hold if any packet gets through; `from anywhere` means strangers, not one partner's network."""
    if word == "undecided":
        return None
    if question.must == "no":
        return word == "no" or (question.world and word == "partly")
    return word == "yes" or (not question.must and word == "partly" and let_in is not None)
