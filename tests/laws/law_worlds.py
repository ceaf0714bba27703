"""The worlds that the laws are tried in: recorded answers, whole and spoiled, put together into snapshots."""

from __future__ import annotations

import functools
import random
import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from wardkeep.controls import all_controls
from wardkeep.core.control import Control
from wardkeep.core.facts import PLATFORM, Answer, Fact, Snapshot, Unknown
from wardkeep.core.profiles import HIPAA
from wardkeep.engine.config import default_policy

ANSWERS = Path(__file__).parents[1] / "facts" / "answers"
AT = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)

# Where the order of a collection is what the fact says, and why. Everything else is shuffled.
ORDER_SPEAKS = {
    "Allowlist.entries": "of two entries that say the same the first stays",
    "Entry.spans": "sorted by the reader: two entries that open the same read the same",
    "SshServer.plain": "of two lines with one keyword sshd takes the first",
    "SshServer.blocks": "of two matching blocks sshd takes the first",
    "Block.lines": "of two lines with one keyword sshd takes the first",
    "Block.conditions": "the innermost Match stands last",
    "Line.words": "the words of a line",
    "Choice.offers": "apt prints the versions of a package newest first",
    "IpChain.rules": "the kernel tries the rules of a chain in this order",
    "IpRule.words": "an option and its value",
    "Nftables.rules": "the kernel tries the rules of a chain in this order",
    "Rule.expr": "what a rule asks before its verdict and after it",
    "Stack.modules": "PAM runs the modules of a stack one after the other",
    "Sudoers.grants": "of two sudo rules that match the later one holds",
    "Grant.who": "a negation takes back what stood before it",
    "Grant.commands": "a negation takes back what stood before it",
    "View.lines": "of two lines with one keyword sshd takes the first",
}


@functools.cache
def kinds() -> Mapping[str, type[Fact]]:
    """Question id → the fact read from its answer, of every control."""
    return {kind.ask.id: kind for control in all_controls() for kind in control.facts()}


@functools.cache
def recordings() -> Mapping[str, tuple[tuple[str, bytes], ...]]:
    """Question id → the recorded answers (file name, bytes). A file is named `<question id>-<state>.txt`."""
    found: dict[str, list[tuple[str, bytes]]] = {name: [] for name in kinds()}
    for path in sorted(ANSWERS.glob("*.txt")):
        stem = path.stem
        names = [name for name in found if stem == name or stem.startswith(name + "-")]
        if names:
            found[max(names, key=len)].append((path.name, path.read_bytes()))
    return {name: tuple(texts) for name, texts in found.items()}


@functools.lru_cache(maxsize=4096)
def _learned(kind: type[Fact], stdout: bytes) -> Any:
    ask = kind.ask
    return Snapshot("h", AT, {ask.id: Answer(ask.id, min(ask.ok), stdout)}).learn(kind)


def snapshot(answers: Mapping[str, Answer], subject: str = "host-1") -> Snapshot:
    """A snapshot whose whole, allowed answers are parsed only once in the whole run of the laws."""
    made = Snapshot(subject, AT, answers)
    for name, answer in answers.items():
        kind = kinds().get(name)
        if kind and answer.whole and answer.exit in kind.ask.ok:
            made._learned[kind] = _learned(kind, answer.stdout)
    return made


def of_subject(control: Control, subject: str) -> list[type[Fact]]:
    """The control's facts that this subject is asked for, in a stable order."""
    wanted = PLATFORM if subject == PLATFORM else "host"
    return sorted((k for k in control.facts() if k.ask.subject == wanted), key=lambda k: k.ask.id)


def subjects(control: Control) -> list[str]:
    return sorted({PLATFORM if k.ask.subject == PLATFORM else "host-1" for k in control.facts()})


@st.composite
def snapshots(draw: st.DrawFn, control: Control) -> Snapshot:
    """Some recorded state for each question of the control; sometimes no answer at all."""
    subject = draw(st.sampled_from(subjects(control)))
    answers = {}
    for kind in of_subject(control, subject):
        known = recordings()[kind.ask.id]
        pick = draw(st.integers(min_value=0, max_value=len(known)))  # the last: not answered
        if pick < len(known):
            answers[kind.ask.id] = Answer(kind.ask.id, min(kind.ask.ok), known[pick][1])
    return snapshot(answers, subject)


def policy(control: Control) -> Any:
    return default_policy(control, HIPAA.numbers)


def shuffled(value: Any, hint: Any, rnd: random.Random, place: str = "") -> Any:
    """The same value with every collection whose order says nothing in another order."""
    if isinstance(hint, types.UnionType):
        hint = next((h for h in get_args(hint) if isinstance(value, get_origin(h) or h)), Any)
    inner = get_args(hint)
    if is_dataclass(value) and not isinstance(value, type):
        hints = get_type_hints(type(value))
        changed = {
            f.name: shuffled(getattr(value, f.name), hints[f.name], rnd, f"{type(value).__name__}.{f.name}")
            for f in fields(value)
            if f.init
        }
        return replace(value, **changed)
    if isinstance(value, tuple) and inner and inner[-1] is Ellipsis:
        items = [shuffled(item, inner[0], rnd) for item in value]
        if place not in ORDER_SPEAKS:
            rnd.shuffle(items)
        return tuple(items)
    if isinstance(value, tuple) and len(inner) == len(value):
        return tuple(shuffled(item, h, rnd) for item, h in zip(value, inner, strict=True))
    if isinstance(value, dict) and len(inner) == 2:
        pairs = [(key, shuffled(item, inner[1], rnd)) for key, item in value.items()]
        rnd.shuffle(pairs)
        return dict(pairs)
    return value


def shuffle_snapshot(given: Snapshot, control: Control, rnd: random.Random) -> Snapshot:
    names = list(given.answers)
    rnd.shuffle(names)
    made = Snapshot(given.subject, given.at, {name: given.answers[name] for name in names})
    for kind in of_subject(control, given.subject):
        fact = given.learn(kind)
        made._learned[kind] = fact if isinstance(fact, Unknown) else shuffled(fact, kind, rnd)
    return made


def cuts(text: bytes, most: int = 160) -> Iterator[bytes]:
    """Every proper beginning of a text; of a long one the ends of its lines, their neighbours, and a spread."""
    if len(text) <= most:
        yield from (text[:end] for end in range(len(text)))
        return
    ends = {end for at, byte in enumerate(text) if byte == 10 for end in (at - 1, at, at + 1) if end >= 0}
    step = max(1, len(ends) * 2 // most)
    spread = {len(text) * n // (most // 2) for n in range(most // 2)}
    for end in sorted({*sorted(ends)[::step], *spread, len(text) - 1, len(text) - 2}):
        if end < len(text):
            yield text[:end]
