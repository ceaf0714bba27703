"""Changing an allowlist's text as a careful person would: only the lines of the entry, comments and order kept.

The file belongs to the operator and to git; what Wardkeep writes must read as a small diff.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import date

from wardkeep.allowlists.entry import ALLOW, DEFAULT_LIST, Allowlist, Entry
from wardkeep.allowlists.networks import TODO, read_network
from wardkeep.allowlists.reading import HEADER, KEYS, UNSEEN, read_toml
from wardkeep.core.errors import BadInput, Refused

HEAD = """\
# Who may reach what from where, who answers for it, and until when. Wardkeep reads and renews this file; edit it freely.
# Check it: wardkeep allowlist audit
"""
TABLE = re.compile(r"\s*\[")


def added(text: str, name: str, told: dict[str, str | date], action: str = ALLOW) -> tuple[str, Entry]:
    """The text with one more entry at its end, and the entry. Raises BadInput where it does not fit or stands there already."""
    for key in ("network", "service"):
        if not str(told.get(key, "")).strip():
            raise BadInput(
                f"the {key} says nothing", todo=TODO if key == "network" else "Write 22/tcp, or any."
            )
    block = "\n".join([f"[[{action}]]", *(_line(key, told[key]) for key in KEYS if told.get(key))])
    # Read by itself first: what is wrong with it is wrong with what was said, not with a line of the file.
    try:
        read_toml(block, name)
    except BadInput as e:
        raise BadInput(e.what, todo=e.todo) from None
    before = read_toml(text, name)
    made = (text.rstrip("\n") + "\n\n" if text.strip() else HEAD + "\n") + block + "\n"
    after = read_toml(made, name)
    entry = after.entries[-1]
    if known := next((one for one in before.entries if one.key == entry.key), None):
        todo = "Extend it: `wardkeep allowlist extend`."
        raise BadInput(f"stands there already: {entry.key}", where=known.place, todo=todo)
    return made, entry


Edits = Sequence[tuple[Entry, dict[str, str | date] | None]]
"""Entries of one text, each with the keys to be set anew, or None to take it out."""


def edited(text: str, edits: Edits) -> str:
    """The text with those entries changed and removed. Raises Refused where the lines of one cannot be told."""
    if not edits:
        return text
    file = edits[0][0].file
    known = read_toml(text, file)
    lines = text.splitlines()
    # From the end: the lines before an entry stay where they are.
    for entry, told in sorted(edits, key=lambda edit: -edit[0].line):
        first, last = _bounds(lines, entry)
        if told is not None:
            lines[first:last] = _block(lines[first:last], told)
            continue
        # A comment that stands right above belongs to it.
        while first > 0 and lines[first - 1].lstrip().startswith("#") and lines[first - 1] not in HEAD:
            first -= 1
        while last < len(lines) and not lines[last].strip():
            last += 1
        del lines[first:last]
    gone = {entry.line for entry, told in edits if told is None}
    made = "\n".join(lines)
    made = (made.rstrip("\n") if gone else made) + "\n"
    left = {entry.list for entry in known.entries if entry.line not in gone}
    for name in dict.fromkeys(entry.list for entry, told in edits if told is None):
        if name not in left and name not in known.lists and re.fullmatch(r"[A-Za-z0-9_-]+", name):
            # A list that a policy names must not vanish with its last entry.
            made += f"\n[list.{name}]\n"
    _check(made, known, edits)
    return made


def find(allowlist: Allowlist, said: str, *, listed: str = "", service: str = "") -> tuple[Entry, ...]:
    """The entry with this id, or for this network: one, or all that say the same. Raises BadInput when it is none or several."""
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
    if len({entry.key for entry in found}) > 1:
        shown = ", ".join(f"{e.id} ({e.key}, line {e.line})" for e in found[:4])
        raise BadInput(f"{len(found)} entries are for `{said[:60]}`: {shown}", todo="Name one by its id.")
    return tuple(found)


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


def _block(block: list[str], told: dict[str, str | date]) -> list[str]:
    made = list(block)
    for key, value in told.items():
        mark = re.compile(rf"\s*{key}\s*=")
        at = next((n for n, line in enumerate(made) if mark.match(line)), None)
        if at is None:
            made.append(_line(key, value))
        else:
            made[at] = _line(key, value)
    return made


def _check(made: str, before: Allowlist, edits: Edits) -> None:
    """What was made is read again: no other entry may differ, and those only in what was to be changed."""
    wanted = {entry.line: told for entry, told in edits}
    expected = [
        _told(entry) | (wanted.get(entry.line) or {})
        for entry in before.entries
        if wanted.get(entry.line, {}) is not None
    ]
    if [_told(entry) for entry in read_toml(made, edits[0][0].file).entries] != expected:
        raise Refused(
            "the entry cannot be changed without touching others",
            where=edits[0][0].place,
            todo="Change it by hand: write one `key = value` a line under [[allow]].",
        )


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
    if UNSEEN.search(value):
        what = "holds a line break, a control character, or one that changes the direction of what follows"
        raise BadInput(f"`{key}` {what}", todo="Write one line of text.")
    return f"{key} = {json.dumps(value, ensure_ascii=False)}"
