"""The platform's allowlist: its file, and every act on it in the ledger before it holds.

The entries live in one TOML file that people edit and git keeps; the ledger keeps who did what through Wardkeep. What somebody
changes by hand is seen at the next look: the platform's own answer carries the whole file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from wardkeep.allowlists import Entry
from wardkeep.allowlists.editing import added, changed, find, removed
from wardkeep.allowlists.reading import read_toml
from wardkeep.allowlists.views import entry_view
from wardkeep.core.errors import BadInput
from wardkeep.engine.declared import allowlist_path, declared_text
from wardkeep.engine.platform import Platform

ROW = "firewall_audit"
KIND = "allowlist"


def add_entry(platform: Platform, told: Mapping[str, str | date], action: str, by: str) -> tuple[Entry, int]:
    """Write an entry at the end of the file; returns it and the ledger's index. Raises BadInput."""
    made: list[Entry] = []

    def edit(text: str, name: str) -> str:
        after, entry = added(text, name, dict(told), action)
        made.append(entry)
        return after

    with editing(platform) as write:
        index = write(edit, by, lambda: {"act": "add", "entry": _plain(made[0])})
    return made[0], index


def remove_entry(platform: Platform, said: str, *, listed: str, service: str, reason: str, by: str) -> Entry:
    """Take an entry out. Raises BadInput when it is not found or the reason is missing."""
    why = _said("reason", reason)
    gone: list[Entry] = []

    def edit(text: str, name: str) -> str:
        gone.append(find(read_toml(text, name), said, listed=listed, service=service))
        return removed(text, gone[0])

    with editing(platform) as write:
        write(edit, by, lambda: {"act": "remove", "entry": _plain(gone[0]), "reason": why})
    return gone[0]


def extend_entry(
    platform: Platform, said: str, *, listed: str, service: str, until: date, reason: str, by: str
) -> Entry:
    """Let an entry hold until another day. Raises BadInput for a day that is past, or without a reason."""
    why = _said("reason", reason)
    if until < datetime.now(UTC).date():
        raise BadInput(f"{until} is over", where="--until", todo="Give a day to come.")
    found: list[Entry] = []

    def edit(text: str, name: str) -> str:
        found.append(find(read_toml(text, name), said, listed=listed, service=service))
        return changed(text, found[0], {"expires": until})

    body = lambda: {  # noqa: E731 - the entry is known only once the file was read
        "act": "extend",
        "entry": _plain(found[0]),
        "until": until.isoformat(),
        "reason": why,
    }
    with editing(platform) as write:
        write(edit, by, body)
    return found[0]


Edit = Callable[[str, str], str]
Write = Callable[[Edit, str, Callable[[], dict[str, Any]]], int]


@contextmanager
def editing(platform: Platform) -> Iterator[Write]:
    """One editor at a time. Gives a function (edit of text, actor, the entry's body): ledger first, then the file.

    Killed in between, the ledger names an act that the file does not show; the act can be repeated.
    """
    path = allowlist_path(platform.config)
    with platform.store.begin() as connection:
        platform.store.lock(connection, "allowlist")

        def write(edit: Edit, by: str, body: Callable[[], dict[str, Any]]) -> int:
            before = declared_text(platform.config, new=True)
            after = edit(before, str(path))
            told = {**body(), "file": path.name, "before": _digest(before), "after": _digest(after)}
            index = platform.record(KIND, by, told, subject={"control": ROW})
            replace_text(path, after)
            return index

        yield write


def replace_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; its mode stays, a new one is for its owner and group to read."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o640
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as e:
        beside.unlink(missing_ok=True)
        raise BadInput(
            f"cannot be written ({e.strerror})", where=str(path), todo="Check the folder's rights."
        ) from None


def _plain(entry: Entry) -> dict[str, Any]:
    told = entry_view(entry, date.min)
    return {k: told[k] for k in told if k not in ("expired", "file", "written") and told[k] not in ("", None)}


def _said(what: str, text: str) -> str:
    said = " ".join(text.split())
    if not said:
        raise BadInput(f"a {what} is missing", todo=f'Give --{what} "…".')
    return said[:2000]


def _digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
