"""Answers to questions in words: yes, no, partly or undecided, with the packets that show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wardkeep.packets.dimensions import Row
from wardkeep.rulesets.audit.model import sentence, worded
from wardkeep.rulesets.audit.questions import Question
from wardkeep.rulesets.audit.regions import STRANGERS
from wardkeep.rulesets.files import RuleSet
from wardkeep.rulesets.reach import Answer, Met, Reach


@dataclass(frozen=True, slots=True)
class Told:
    """`answer`: yes (all such packets get through), partly, no, undecided. `holds`: whether that is what must be, None: open.

    `accepted` and `dropped` are packets that show it, `rule` lets the accepted one through, `why` says it in a sentence.
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


def answer(rule_set: RuleSet, questions: Sequence[Question]) -> list[Told]:
    """Every question, of one rule set."""
    rows = {n: [r for r in q.rows if _known(r, rule_set)] for n, q in enumerate(questions)}
    close = {n: [_strangers(r) for r in found] if questions[n].world else [] for n, found in rows.items()}
    regions = [row for found in (*rows.values(), *close.values()) for row in found]
    reach = Reach(rule_set.program, regions)
    return [_told(rule_set, reach, q, rows[n], close[n]) for n, q in enumerate(questions)]


def _known(row: Row, rule_set: RuleSet) -> bool:
    """Whether the files speak of the row's family at all."""
    return any(isinstance(v, tuple) and v[0] in rule_set.families for v in row["family"])


def _strangers(row: Row) -> Row:
    version = next(int(v[0]) for v in row["family"] if isinstance(v, tuple))
    return {**row, f"src{version}": STRANGERS[version]}


def _told(
    rule_set: RuleSet, reach: Reach, question: Question, rows: Sequence[Row], close: Sequence[Row]
) -> Told:
    name = rule_set.program.name
    if not rows:
        why = "nothing is known of the family of addresses that is asked about"
        return Told(question.text, name, "undecided", None, why, must=question.must)
    let_in = _best(reach, rows, True)
    kept_out = _best(reach, rows, False)
    stranger = _best(reach, close, True) if close else None
    if let_in.met is None:
        word = "no" if let_in.whole else "undecided"
        why = (
            "no such packet gets through" if word == "no" else "the work allowed did not suffice to decide it"
        )
    elif not let_in.met.sure:
        word, why = (
            "undecided",
            f"{_packet(let_in.met)} may get through: a match that is not modelled decides",
        )
    elif stranger is not None and stranger.met is None:
        word, why = "partly", f"only from some networks: {_packet(let_in.met)} gets through"
    elif kept_out.met is not None and (kept_out.met.sure or stranger is None):
        word = "partly" if stranger is None else "yes"
        why = f"{_packet(let_in.met)} gets through"
        if word == "partly":
            why += f", {_packet(kept_out.met)} {'does' if kept_out.met.sure else 'may'} not"
    else:
        word, why = "yes", f"{_packet(let_in.met)} gets through"
    if let_in.met is not None and let_in.met.rule:
        why += f" (by {let_in.met.rule})"
    return Told(
        question.text,
        name,
        word,
        _holds(question, word, let_in.met),
        why,
        worded(let_in.met.packet) if let_in.met else None,
        worded(kept_out.met.packet) if kept_out.met else None,
        let_in.met.rule if let_in.met else "",
        question.must,
    )


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
