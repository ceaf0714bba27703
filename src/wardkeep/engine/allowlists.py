"""The platform's allowlist: its file, and every act on it in the ledger before it holds.

The entries live in one TOML file that people edit and git keeps; the ledger keeps who did what through Wardkeep. What somebody
changes by hand is seen at the next look: the platform's own answer carries the whole file.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from wardkeep.allowlists import Defect, Entry, Surroundings, audit
from wardkeep.allowlists.editing import added, edited, find
from wardkeep.allowlists.reading import UNSEEN, read_toml
from wardkeep.allowlists.views import entry_view
from wardkeep.core.errors import BadInput
from wardkeep.engine.declared import allowlist_path, declared, declared_text, provider_ranges
from wardkeep.engine.platform import Platform

ROW = "firewall_audit"
KIND = "allowlist"


def add_entry(platform: Platform, told: Mapping[str, str | date], action: str, by: str) -> tuple[Entry, int]:
    """Write an entry at the end of the file; returns it and the ledger's index. Raises BadInput, also for an end that is past."""
    until = told.get("expires")
    if isinstance(until, date) and until < datetime.now(UTC).date():
        raise BadInput(f"{until} is over", where="--until", todo="Give a day to come.")
    made: list[Entry] = []

    def edit(text: str, name: str) -> str:
        after, entry = added(text, name, dict(told), action)
        made.append(entry)
        return after

    with editing(platform) as write:
        index = write(edit, by, lambda: {"act": "add", "entry": _plain(made[0])})
    return made[0], index


def defects_of(platform: Platform, entry: Entry, today: date) -> list[Defect]:
    """What the audit says of an entry of the platform's file, by the file alone: what hosts say of it is not asked."""
    found = audit(declared(platform.config), Surroundings(today, providers=provider_ranges(platform.config)))
    return [one for one in found if one.entry.key == entry.key]


def remove_entry(platform: Platform, said: str, *, listed: str, service: str, reason: str, by: str) -> Entry:
    """Take an entry out, with all that say the same. Raises BadInput when it is not found or the reason is missing."""
    why = _said("reason", reason)
    gone: list[Entry] = []

    def edit(text: str, name: str) -> str:
        gone.extend(find(read_toml(text, name), said, listed=listed, service=service))
        return edited(text, [(entry, None) for entry in gone])

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
        found.extend(find(read_toml(text, name), said, listed=listed, service=service))
        return edited(text, [(entry, {"expires": until}) for entry in found])

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
            # Written beside it first: the ledger names no act that cannot be carried out.
            with replacing(path, after) as replace:
                index = platform.record(KIND, by, told, subject={"control": ROW})
                replace()
            return index

        yield write


@contextmanager
def replacing(path: Path, text: str) -> Iterator[Callable[[], None]]:
    """Write a file whole or not at all: at once beside it, in its place when the function given is called. A link stays a link;
    mode and owner stay, a new file is for its owner and group to read. Raises BadInput where it cannot be written."""
    path = path.resolve()
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        kept = path.stat() if path.exists() else None
        if kept and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        mode = kept.st_mode & 0o777 if kept else 0o640
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
            if kept and (kept.st_uid, kept.st_gid) != (os.geteuid(), os.getegid()):
                with suppress(PermissionError):  # only root may give a file away
                    os.fchown(file.fileno(), kept.st_uid, kept.st_gid)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield lambda: os.replace(beside, path)
    except OSError as e:
        todo = "Check the folder's rights."
        raise BadInput(f"cannot be written ({e.strerror})", where=str(path), todo=todo) from None
    finally:
        with suppress(OSError):
            beside.unlink()


def _plain(entry: Entry) -> dict[str, Any]:
    told = entry_view(entry, date.min)
    return {k: told[k] for k in told if k not in ("expired", "file", "written") and told[k] not in ("", None)}


def one_line(what: str, text: str) -> str:
    """What somebody said, on one line and of a length that minutes can print. Raises BadInput for what no terminal shows."""
    said = " ".join(text.split())
    if UNSEEN.search(said):
        raise BadInput(f"the {what} holds a control character or one that is no text", where=f"--{what}")
    return said[:2000]


def _said(what: str, text: str) -> str:
    said = one_line(what, text)
    if not said:
        raise BadInput(f"a {what} is missing", todo=f'Give --{what} "…".')
    return said


def _digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
