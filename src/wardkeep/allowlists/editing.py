"""Changing an allowlist's text as a careful person would: only the lines of the entry, comments and order kept.

The file belongs to the operator and to git; what Wardkeep writes must read as a small diff.
"""

from __future__ import annotations

import json
import re
from datetime import date

from wardkeep.allowlists.entry import ALLOW, DEFAULT_LIST, Allowlist, Entry
from wardkeep.allowlists.networks import read_network
from wardkeep.allowlists.reading import HEADER, KEYS, read_toml
from wardkeep.core.errors import BadInput, Refused

HEAD = """\
# Who may reach what from where, who answers for it, and until when. Wardkeep reads and renews this file; edit it freely.
# Check it: wardkeep allowlist audit
"""
TABLE = re.compile(r"\s*\[")


def added(text: str, name: str, told: dict[str, str | date], action: str = ALLOW) -> tuple[str, Entry]:
    """The text with one more entry at its end, and the entry. Raises BadInput where it does not fit or stands there already."""
    block = "\n".join([f"[[{action}]]", *(_line(key, told[key]) for key in KEYS if told.get(key))])
    before = read_toml(text, name)
    made = (text.rstrip("\n") + "\n\n" if text.strip() else HEAD + "\n") + block + "\n"
    after = read_toml(made, name)
    entry = after.entries[-1]
    if any(one.key == entry.key for one in before.entries):
        raise BadInput(
            f"stands there already: {entry.key}", where=name, todo="Extend it: `wardkeep allowlist extend`."
        )
    return made, entry


def removed(text: str, entry: Entry) -> str:
    """The text without the entry's lines. Raises Refused where its lines cannot be told."""
    lines = text.splitlines()
    first, last = _bounds(lines, entry)
    # A comment that stands right above belongs to it.
    while first > 0 and lines[first - 1].lstrip().startswith("#") and lines[first - 1] not in HEAD:
        first -= 1
    while last < len(lines) and not lines[last].strip():
        last += 1
    made = "\n".join([*lines[:first], *lines[last:]]).rstrip("\n") + "\n"
    known = read_toml(text, entry.file)
    if entry.list not in known.lists and sum(one.list == entry.list for one in known.entries) == 1:
        # A list that a policy names must not vanish with its last entry.
        made += f"\n[list.{entry.list}]\n" if re.fullmatch(r"[A-Za-z0-9_-]+", entry.list) else ""
    return _checked(made, text, entry, None)


def changed(text: str, entry: Entry, told: dict[str, str | date]) -> str:
    """The text with some keys of the entry set anew. Raises Refused where its lines cannot be told."""
    lines = text.splitlines()
    first, last = _bounds(lines, entry)
    block = lines[first:last]
    for key, value in told.items():
        mark = re.compile(rf"\s*{key}\s*=")
        at = next((n for n, line in enumerate(block) if mark.match(line)), None)
        if at is None:
            block.append(_line(key, value))
        else:
            block[at] = _line(key, value)
    made = "\n".join([*lines[:first], *block, *lines[last:]]) + "\n"
    return _checked(made, text, entry, told)


def find(allowlist: Allowlist, said: str, *, listed: str = "", service: str = "") -> Entry:
    """The one entry with this id, or for this network. Raises BadInput when it is none or several."""
    found = [entry for entry in allowlist.entries if entry.id == said]
    if not found:
        try:
            network = read_network(said)
        except BadInput:
            raise BadInput(
                f"no entry has the id or network `{said[:60]}`", todo="See `wardkeep allowlist list`."
            ) from None
        found = [
            e
            for e in allowlist.entries
            if (e.network.version, e.network.low, e.network.high)
            == (network.version, network.low, network.high)
        ]
    found = [e for e in found if (not listed or e.list == listed) and (not service or e.service == service)]
    if not found:
        raise BadInput(f"no entry is for `{said[:60]}`", todo="See `wardkeep allowlist list`.")
    if len(found) > 1:
        shown = ", ".join(f"{e.id} ({e.key}, line {e.line})" for e in found[:4])
        raise BadInput(
            f"{len(found)} entries are for `{said[:60]}`: {shown}", todo="Give --list or --service."
        )
    return found[0]


def _bounds(lines: list[str], entry: Entry) -> tuple[int, int]:
    first = entry.line - 1
    if first < 0 or first >= len(lines) or not HEADER.fullmatch(lines[first]):
        raise Refused(
            "the lines of this entry cannot be told apart",
            where=entry.place,
            todo="Change it by hand: write one `key = value` a line under [[allow]].",
        )
    last = first + 1
    while last < len(lines) and not TABLE.match(lines[last]):
        last += 1
    # Comments and blank lines before the next entry are that one's.
    while last > first + 1 and (not lines[last - 1].strip() or lines[last - 1].lstrip().startswith("#")):
        last -= 1
    return first, last


def _checked(made: str, before: str, entry: Entry, told: dict[str, str | date] | None) -> str:
    """What was made is read again: exactly one entry may differ, and only in what was to be changed."""
    old = [_told(e) for e in read_toml(before, entry.file).entries]
    new = [_told(e) for e in read_toml(made, entry.file).entries]
    at = old.index(_told(entry))
    expected = dict(old[at])
    expected.update(told or {})
    wanted = [*old[:at], *([expected] if told is not None else []), *old[at + 1 :]]
    if new != wanted:
        raise Refused(
            "the entry cannot be changed without touching others",
            where=entry.place,
            todo="Change it by hand: write one `key = value` a line under [[allow]].",
        )
    return made


def _told(entry: Entry) -> dict[str, object]:
    return {
        "action": entry.action,
        "network": entry.text,
        "service": entry.service,
        "list": entry.list or DEFAULT_LIST,
        **{
            key: getattr(entry, key)
            for key in ("owner", "reason", "ticket", "created", "expires", "reviewed", "reviewer")
        },
    }


def _line(key: str, value: str | date) -> str:
    if isinstance(value, date):
        return f"{key} = {value.isoformat()}"
    if any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise BadInput(f"`{key}` holds a line break or control character", todo="Write one line.")
    return f"{key} = {json.dumps(value, ensure_ascii=False)}"
