"""Reading allowlists: our own TOML file, and plain files of networks as text, CSV or JSON."""

from __future__ import annotations

import csv
import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from wardkeep.allowlists.entry import ALLOW, DEFAULT_LIST, DENY, INTERNAL, PUBLIC, Allowlist, Entry, Named
from wardkeep.allowlists.networks import read_network
from wardkeep.allowlists.services import read_service
from wardkeep.core.collector import collector_paused
from wardkeep.core.errors import BadInput
from wardkeep.core.text_files import parse_toml, read_text_file

TEXTS = ("list", "network", "service", "owner", "reason", "ticket", "reviewer")
DAYS = ("created", "expires", "reviewed")
KEYS = (*TEXTS, *DAYS)
LARGEST = 64 << 20
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
HEADER = re.compile(r"\s*\[\[\s*(allow|deny)\s*\]\]\s*(?:#.*)?")
KEY = re.compile(r"[A-Za-z0-9_-]+")
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.A)
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# Beside control characters: what breaks a line or turns the reading direction of all that follows it, so that minutes and
# terminals show something else than what holds (Unicode Standard Annex 9, 2.1 to 2.4), and halves of a character.
UNSEEN = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]")
Told = (
    dict[str, Any] | tuple[Any, ...]
)  # what is written; a tuple has it in the order of KEYS, None for what is not
Raw = tuple[str, int, Told]  # (allow or deny, line, what is written)
# An entry with nothing between its lines, and what begins after it: read at once, half the time of line by line.
LINES_OF = "|".join(
    [rf'{key} = "([^"\n]*)"\n' for key in TEXTS] + [rf"{key} = (\d{{4}}-\d\d-\d\d)\n" for key in DAYS]
)
PLAIN = re.compile(rf"\[\[(allow|deny)\]\]\n((?:{LINES_OF})*+)\n*+(?=\[|\Z)", re.A)


def read_file(path: Path, *, service: str = "", action: str = ALLOW) -> Allowlist:
    """Any of the forms, told apart by the name's end and then by the content. Raises BadInput with `file:line`.

    `service` is what entries are for that do not say so; `action` is what a plain list does.
    """
    text = read_text_file(path, largest=LARGEST)
    if not text.strip():
        todo = "Write one line with `#` into a list that is meant to have no entry."
        raise BadInput("is empty", where=str(path), todo=todo)
    return read_text(text, str(path), service=service, action=action)


def read_text(text: str, name: str, *, service: str = "", action: str = ALLOW) -> Allowlist:
    """As `read_file`, of a text that is already here. A plain file's list is called after the file."""
    suffix = Path(name).suffix.lower()
    if suffix == ".toml":
        return read_toml(text, name)
    stem = re.sub(r"[^A-Za-z0-9_.-]", "-", Path(name).stem).lstrip("-._") or DEFAULT_LIST
    plain = _Plain(name, stem[:63], service or "any", action)
    if suffix == ".json" or text.lstrip()[:1] in ("[", "{"):
        return plain.json(text)
    head = text.partition("\n")[0].strip().lower()
    if suffix == ".csv" or ("network" in head.split(",") and re.fullmatch(r"[a-z ,]+", head)):
        return plain.csv(text)
    return plain.lines(text)


def read_toml(text: str, name: str) -> Allowlist:
    """`[[allow]]` and `[[deny]]` entries, `[list.NAME]` tables. Raises BadInput with `file:line` for the first fault."""
    with collector_paused():
        raws, tables = _simple(text) or _whole(text, name)
        # Only then can a text hold what nobody sees; a hundred thousand entries are not searched for nothing.
        odd = not text.isascii() or "\\" in text
        entries = tuple([_entry(raw, name, odd) for raw in raws])
        raws.clear()
    lists = {}
    for key, about in tables.items():
        if not NAME.fullmatch(key):
            raise BadInput(
                f"`{key[:40]}` is no name of a list", where=name, todo="Use letters, digits, - _ ."
            )
        if not isinstance(about, Mapping) or not set(about) <= {"scope", "says"}:
            raise BadInput(f"[list.{key}] knows `scope` and `says`", where=name, todo="Take the rest out.")
        scope = about.get("scope", PUBLIC)
        if scope not in (PUBLIC, INTERNAL):
            raise BadInput(
                f"[list.{key}]: no scope is `{scope}`", where=name, todo=f"Write {PUBLIC} or {INTERNAL}."
            )
        lists[key] = Named(scope, str(about.get("says", "")))
    return Allowlist(entries, lists)


def _simple(text: str) -> tuple[list[Raw], dict[str, Any]] | None:
    """The form in which we write: one `key = "text"` or `key = day` a line. None where anything else stands; then the
    standard library reads it, forty times slower and without line numbers."""
    if "\\" in text or "'" in text or CONTROL.search(text):
        return None
    if "\r" in text:
        text = text.replace("\r\n", "\n")
        if "\r" in text:
            return None
    raws: list[Raw] = []
    tables: dict[str, Any] = {}
    into: dict[str, Any] | None = None
    days = _Days()
    at, number = 0, 1
    try:
        while at < len(text):
            if text[at] == "[" and (plain := PLAIN.match(text, at)):
                action, lines, *told = plain.groups()
                if lines.count("\n") != len(KEYS) - told.count(None):
                    return None  # a key stands there twice
                told[-3:] = [days[told[-3]], days[told[-2]], days[told[-1]]]
                raws.append((action, number, tuple(told)))
                number += text.count("\n", at, plain.end())
                at, into = plain.end(), None
                continue
            line, newline, _ = text[at : (text.find("\n", at) + 1) or len(text)].partition("\n")
            at += len(line) + len(newline)
            number += 1
            line = line.strip(" \t")
            if not line or line[0] == "#":
                continue
            if line[0] != "[":
                key, value = _pair(line, days)
                if into is None or key in into:
                    return None
                into[key] = value
            elif line in ("[[allow]]", "[[deny]]"):
                into = {}
                raws.append((line[2:-2], number - 1, into))
            else:
                match = re.fullmatch(r"\[list\.([A-Za-z0-9_-]+)\]", line)
                if match is None or match[1] in tables:
                    return None
                into = tables[match[1]] = {}
    except ValueError:
        return None
    return raws, tables


class _Days(dict[str | None, date | None]):
    """Days by what is written, each made once. Raises ValueError for a day that no calendar has."""

    def __missing__(self, text: str | None) -> date | None:
        made = self[text] = None if text is None else date.fromisoformat(text)
        return made


def _pair(line: str, days: _Days) -> tuple[str, str | date | None]:
    """What a line sets a key to. Raises ValueError for what is written in any other way."""
    key, equals, value = line.partition(" = ")
    if not equals or not KEY.fullmatch(key):
        raise ValueError(line)
    if value[:1] == '"' and value.find('"', 1) == len(value) - 1:
        return key, value[1:-1]
    if not DAY.fullmatch(value):
        raise ValueError(line)
    return key, days[value]


def _told(told: Told) -> dict[str, Any]:
    if isinstance(told, dict):
        return told
    return {key: value for key, value in zip(KEYS, told, strict=True) if value is not None}


def _whole(text: str, name: str) -> tuple[list[Raw], dict[str, Any]]:
    data = parse_toml(text, name)
    for key in data:
        if key not in (ALLOW, DENY, "list"):
            raise BadInput(
                f"nothing is called `{key}` here",
                where=name,
                todo="Write [[allow]], [[deny]] or [list.NAME].",
            )
    marks: dict[str, list[int]] = {ALLOW: [], DENY: []}
    for number, line in enumerate(text.splitlines(), start=1):
        if match := HEADER.fullmatch(line):
            marks[match[1]].append(number)
    raws: list[Raw] = []
    for action in (ALLOW, DENY):
        told = data.get(action, [])
        if not isinstance(told, list) or not all(isinstance(one, dict) for one in told):
            raise BadInput(f"`{action}` is no list of entries", where=name, todo=f"Write [[{action}]].")
        # A text over several lines may hold what looks like a header: then no line is better than a wrong one.
        lines = marks[action] if len(marks[action]) == len(told) else [0] * len(told)
        raws += [(action, line, one) for line, one in zip(lines, told, strict=True)]
    tables = data.get("list", {})
    if not isinstance(tables, dict):
        raise BadInput("`list` is no table", where=name, todo="Write [list.NAME].")
    return sorted(raws, key=lambda raw: raw[1]), tables


@functools.lru_cache(maxsize=4096)
def _is_name(text: str) -> bool:
    return NAME.fullmatch(text) is not None


def _entry(raw: Raw, name: str, odd: bool = True) -> Entry:
    action, line, written = raw
    try:
        if isinstance(written, tuple) and not odd:
            # Its keys and types are right already.
            listed, network, service, owner, reason, ticket, reviewer, created, expires, reviewed = written
            if network and service is not None and (listed is None or _is_name(listed)):
                return Entry(
                    read_network(network),
                    read_service(service),
                    action,
                    DEFAULT_LIST if listed is None else listed,
                    owner.strip() if owner else "",
                    reason.strip() if reason else "",
                    ticket.strip() if ticket else "",
                    created,
                    expires,
                    reviewed,
                    reviewer.strip() if reviewer else "",
                    network,
                    name,
                    line,
                )
        told = _told(written)
        if not told.keys() <= _TYPES.keys():
            unknown = next(key for key in told if key not in _TYPES)
            near = get_close_matches(unknown, KEYS, n=1, cutoff=0.5)
            todo = f"Did you mean `{near[0]}`?" if near else f"Valid: {', '.join(KEYS)}."
            raise BadInput(f"nothing is called `{unknown[:40]}` in an entry", todo=todo)
        network = told.get("network")
        if not network:
            raise BadInput("the entry has no `network`", todo='Write network = "192.0.2.0/24".')
        for key, value in told.items():
            wanted = _TYPES[key]
            if type(value) is not wanted:
                form = f"a day: {key} = 2027-01-31" if wanted is date else f'a text: {key} = "…"'
                raise BadInput(f"`{key}` does not fit", todo=f"Write {form}.")
        for key, value in told.items() if odd else ():
            if isinstance(value, str) and not value.isascii() and UNSEEN.search(value):
                what = "holds a character that breaks the line or changes the direction of what follows"
                raise BadInput(f"`{key}` {what}", todo="Take it out.")
        listed = told.get("list", DEFAULT_LIST)
        if not _is_name(listed):
            raise BadInput(f"`{listed[:40]}` is no name of a list", todo="Use letters, digits, - _ .")
        if "service" not in told:
            raise BadInput("the entry has no `service`", todo='Write service = "22/tcp", or "any".')
        return Entry(
            read_network(network),
            read_service(told["service"]),
            action,
            listed,
            told.get("owner", "").strip(),
            told.get("reason", "").strip(),
            told.get("ticket", "").strip(),
            told.get("created"),
            told.get("expires"),
            told.get("reviewed"),
            told.get("reviewer", "").strip(),
            network,
            name,
            line,
        )
    except BadInput as e:
        raise BadInput(e.what, where=f"{name}:{line}" if line else name, todo=e.todo) from None


_TYPES: dict[str, type] = {**dict.fromkeys(TEXTS, str), **dict.fromkeys(DAYS, date)}


@dataclass(frozen=True)
class _Plain:
    """The forms that others write."""

    name: str
    called: str
    service: str
    action: str

    def lines(self, text: str) -> Allowlist:
        """A network a line; `#` and `;` begin a comment."""
        entries = []
        for number, line in enumerate(text.splitlines(), start=1):
            written = re.split(r"[#;]", line, maxsplit=1)[0].strip().rstrip(",")
            if written:
                entries.append(self._made(number, {"network": written}))
        return Allowlist(tuple(entries), bare=True)

    def csv(self, text: str) -> Allowlist:
        """A header that names the columns as the TOML keys are named, in any order; other columns are refused."""
        rows = csv.reader(text.splitlines(), strict=True)
        try:
            header = [word.strip().lower() for word in next(rows, [])]
            if "network" not in header or not set(header) <= {*KEYS, "action"}:
                raise BadInput(
                    "the first line does not name the columns",
                    where=f"{self.name}:1",
                    todo=f"Known: {', '.join(KEYS)}, action.",
                )
            entries = [
                self._made(rows.line_num, self._columns(header, row, rows.line_num)) for row in rows if row
            ]
        except csv.Error as e:
            raise BadInput(f"no valid CSV: {e}", where=f"{self.name}:{rows.line_num}") from None
        return Allowlist(tuple(entries), bare=not set(header) & {"owner", "reason", "expires", "reviewed"})

    def _columns(self, header: list[str], row: list[str], line: int) -> dict[str, Any]:
        if len(row) != len(header):
            raise BadInput(
                f"{len(row)} columns, the first line has {len(header)}", where=f"{self.name}:{line}"
            )
        return {key: value.strip() for key, value in zip(header, row, strict=True) if value.strip()}

    def json(self, text: str) -> Allowlist:
        """An array of networks, or of objects with the keys of the TOML file."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as e:
            line = getattr(e, "lineno", 0)
            raise BadInput(
                f"no valid JSON: {e}", where=f"{self.name}:{line}" if line else self.name
            ) from None
        if not isinstance(data, list):
            raise BadInput("no array of networks or entries", where=self.name, todo='Write ["192.0.2.0/24"].')
        bare = all(isinstance(one, str) for one in data)
        entries = []
        for number, one in enumerate(data, start=1):
            if not isinstance(one, str | dict):
                raise BadInput(f"item {number} is neither a text nor an object", where=self.name)
            entries.append(
                self._made(0, {"network": one} if isinstance(one, str) else one, f"item {number}: ")
            )
        return Allowlist(tuple(entries), bare=bare)

    def _made(self, line: int, told: Mapping[str, Any], before: str = "") -> Entry:
        about: dict[str, Any] = {"list": self.called, "service": self.service, **told}
        action = about.pop("action", self.action)
        where = f"{self.name}:{line}" if line else self.name
        if action not in (ALLOW, DENY):
            raise BadInput(f"{before}`{action}` is neither allow nor deny", where=where)
        for key in DAYS:
            if isinstance(value := about.get(key), str):
                about[key] = _day(value, f"{before}{key}", where)
        try:
            return _entry((action, line, about), self.name)
        except BadInput as e:
            raise BadInput(f"{before}{e.what}", where=where, todo=e.todo) from None


def _day(text: str, key: str, where: str) -> date:
    try:
        return datetime.fromisoformat(text).date()
    except ValueError:
        raise BadInput(f"{key}: `{text[:40]}` is no day", where=where, todo="Write 2027-01-31.") from None
