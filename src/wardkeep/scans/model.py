"""The normal form of other tools' results: one `Result` for each thing a tool said, good news kept as evidence too."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

TEXT_LIMIT = 2000  # characters kept of any one text; the file itself stays the evidence
SEVERITIES = ("critical", "high", "medium", "low", "none")
# Words that several tools use; a reader with a scale of its own maps it before.
WORDS = {
    "critical": "critical", "defcon1": "critical", "urgent": "critical",
    "high": "high", "important": "high", "serious": "high", "severe": "high",
    "medium": "medium", "moderate": "medium", "mid": "medium",
    "low": "low", "minor": "low",
    "negligible": "none", "info": "none", "informational": "none", "information": "none", "none": "none", "log": "none",
    "unimportant": "none",
}  # fmt: skip


class State(StrEnum):
    """What the tool says of one thing it tested."""

    FAIL = "fail"
    PASS = "pass"  # noqa: S105
    UNKNOWN = "unknown"  # the tool could not decide, or stopped
    SKIPPED = "skipped"  # not applicable, not selected, not tested
    INFO = "info"  # an observation without a verdict, such as an open port


class Malformed(Exception):
    """An item is not what its format says; the item is refused with this reason, the others are read."""


@dataclass(frozen=True, slots=True)
class Result:
    """One thing a tool said. `severity` is one of SEVERITIES, or "" where nobody gave one; `severity_source` says who.

    `said` are the tool's own words for severity or verdict. `raw` points at the place in the file: a JSON pointer, or
    `line 12: rule-result`, or `row 5`. Texts are cleaned of control characters and cut at TEXT_LIMIT.
    """

    id: str
    title: str
    state: State
    raw: str
    severity: str = ""
    severity_source: str = ""
    said: str = ""
    target: str = ""
    location: str = ""
    component: str = ""
    installed: str = ""
    fixed: str = ""
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """An item that could not be read: where it stands and why. It counts as unknown."""

    raw: str
    why: str


@dataclass
class Report:
    """What one file says. Every item of the file is in `results` or in `refused`: `items` counts those that went in.

    `notes` say what is in the file and is no result (an inventory, statistics).
    """

    tool: str
    version: str = ""
    target: str = ""
    at: str = ""  # when the tool ran, as the file says
    file: str = ""
    sha256: str = ""
    items: int = 0
    results: list[Result] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _read: int = 0

    def each(
        self, items: object, pointer: str, convert: Callable[[Any, str], Iterable[Result]], first: int = 0
    ) -> None:
        """Convert every member of a list; one that cannot be converted, or gives nothing, is refused with its reason."""
        if items is None:
            return
        if not isinstance(items, Sequence) or isinstance(items, str | bytes):
            self.refuse(pointer, f"a list was expected, this is {kind_of(items)}")
            return
        for number, item in enumerate(items, first):
            self.one(item, f"{pointer}/{number}", convert)

    def one(self, item: Any, pointer: str, convert: Callable[[Any, str], Iterable[Result]]) -> None:
        """Convert one item, by the same law."""
        self.items += 1
        try:
            made = list(convert(item, pointer))
        except Malformed as e:
            self.refused.append(Refusal(pointer, str(e)))
            return
        # What a reader did not foresee in foreign data must cost that item only, and be seen.
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as e:
            self.refused.append(Refusal(pointer, f"not as its format says ({type(e).__name__})"))
            return
        if not made:
            self.refused.append(Refusal(pointer, "says nothing that can be read as a result"))
            return
        self._read += 1
        self.results += made

    def refuse(self, pointer: str, why: str) -> None:
        self.items += 1
        self.refused.append(Refusal(pointer, why))

    @property
    def counts(self) -> dict[str, int]:
        """How many results of each state, and `refused`."""
        found = Counter(result.state.value for result in self.results)
        return {state.value: found[state.value] for state in State} | {"refused": len(self.refused)}

    @property
    def nothing_lost(self) -> bool:
        """Every item that went in became results or a refusal."""
        return self.items == self._read + len(self.refused)


def clean(value: object, limit: int = TEXT_LIMIT) -> str:
    """Foreign text as one line that is safe to print: no control, format or surrogate characters. Numbers become their text."""
    if value is None or isinstance(value, dict | list):
        return ""
    text = str(value)
    if len(text) > limit * 4:
        text = text[: limit * 4]
    if not (text.isascii() and text.isprintable()):
        text = "".join(" " if c in "\t\r\n" else c for c in text if c in "\t\r\n" or not _unsafe(c))
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _unsafe(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn")


def kind_of(value: object) -> str:
    """How a person calls a JSON value."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def mapping(value: object) -> dict[str, Any]:
    """The value, which must be an object. Raises Malformed."""
    if not isinstance(value, dict):
        raise Malformed(f"an object was expected, this is {kind_of(value)}")
    return value


def inner(value: object, *path: str) -> dict[str, Any]:
    """The object under a path of keys; an empty one where a key is absent or null. Raises Malformed for another kind."""
    for key in path:
        value = mapping(value).get(key)
        if value is None:
            return {}
    return mapping(value)


def listing(value: object, key: str) -> list[Any]:
    """The list under a key; an empty one where it is absent or null. Raises Malformed for another kind."""
    found = mapping(value).get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise Malformed(f"`{key}` is {kind_of(found)}, a list was expected")
    return found


def text(value: object, *keys: str) -> str:
    """The first of the keys that holds a text or number, cleaned; "" where none does."""
    held = mapping(value)
    for key in keys:
        if made := clean(held.get(key)):
            return made
    return ""


def texts(value: object, limit: int = 50) -> tuple[str, ...]:
    """A text or a list of texts as a tuple, each once."""
    if isinstance(value, str | int):
        value = [value]
    if not isinstance(value, list | tuple):
        return ()
    return tuple(dict.fromkeys(made for one in value if (made := clean(one))))[:limit]


def severity_of(word: object) -> str:
    """The tool's word on our scale; "" for one that is not known: it is kept in `said`, not guessed."""
    return WORDS.get(clean(word).lower(), "")


def severity_of_score(score: object) -> str:
    """A CVSS base score on CVSS 3's qualitative scale (FIRST, CVSS 3.1, section 5); "" where there is no number."""
    try:
        value = float(str(score))
    except ValueError:
        return ""
    for least, name in ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.1, "low"), (0.0, "none")):
        if least <= value <= 10.0:
            return name
    return ""


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
