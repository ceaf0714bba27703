"""What is wrong with an installation, and what to do. Every examination says something, good news too."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from wardkeep import controls
from wardkeep.core.errors import Unavailable, WardkeepError
from wardkeep.core.findings import Verdict
from wardkeep.engine.accounts.opening import second_factors
from wardkeep.engine.config import read_config
from wardkeep.engine.folder import CONFIG, KEYS, LEDGER, is_served
from wardkeep.engine.hosts import last_looks, list_hosts
from wardkeep.engine.in_force import missed, serving
from wardkeep.engine.platform import Platform, open_platform
from wardkeep.engine.queue_file import look_at_queue

LEAST_FREE = 1 << 30  # bytes; a full disk stops the ledger, and with it everything that must be recorded


@dataclass(frozen=True)
class Examined:
    """One thing looked at. `todo` is empty when it is well."""

    what: str
    verdict: Verdict
    seen: str
    todo: str = ""


def examine(folder: Path, hosts: bool = True) -> Iterator[Examined]:
    """Look at the installation whose state is in `folder`, the cheap and fundamental things first.

    Never raises for what is wrong with the installation: that is the answer. With `hosts`, says which ones did not
    answer when they were last asked.
    """
    yield _python()
    yield _program("ssh-keygen", "host keys are shown by it", needed=False)
    if not (folder / LEDGER).is_dir():
        yield Examined("state folder", Verdict.FAIL, f"no platform in {folder}", "Run `wardkeep up`.")
        return
    yield from _rights(folder)
    yield _room(folder)
    yield _config(folder)
    yield _server(folder)
    try:
        with open_platform(folder) as platform:
            yield Examined(
                "database", Verdict.PASS, f"{platform.store.where} answers, its tables are up to date"
            )
            yield from _ledger(platform)
            if hosts:
                yield from _hosts(platform)
    except WardkeepError as e:
        yield Examined("platform", Verdict.FAIL, e.without_todo, e.todo or "See docs/trust.md.")


def _python() -> Examined:
    return Examined("Python", Verdict.PASS, ".".join(str(part) for part in sys.version_info[:3]))


def _program(name: str, why: str, *, needed: bool) -> Examined:
    path = shutil.which(name)
    if path:
        return Examined(name, Verdict.PASS, path)
    return Examined(name, Verdict.FAIL if needed else Verdict.UNKNOWN, "not installed", f"Install it: {why}.")


def _rights(folder: Path) -> Iterator[Examined]:
    for path in (folder, folder / KEYS, folder / LEDGER):
        if not path.exists():
            yield Examined(
                "rights", Verdict.FAIL, f"{path} is missing", "Restore it: `wardkeep state restore`."
            )
            continue
        found = path.stat()
        if found.st_uid != os.geteuid():
            yield Examined(
                "rights", Verdict.FAIL, f"{path} belongs to user {found.st_uid}", "Run Wardkeep as that user."
            )
        elif path != folder / LEDGER and stat.S_IMODE(found.st_mode) & 0o077:
            mode = stat.S_IMODE(found.st_mode)
            yield Examined(
                "rights", Verdict.FAIL, f"{path} is open to others ({mode:04o})", f"chmod 0700 {path}"
            )
        else:
            yield Examined("rights", Verdict.PASS, f"{path} is for its owner alone")


def _room(folder: Path) -> Examined:
    free = shutil.disk_usage(folder).free
    told = f"{free / (1 << 30):.1f} GiB free where the state is"
    if free < LEAST_FREE:
        return Examined("disk", Verdict.FAIL, told, "Free some space: a full disk stops the ledger.")
    return Examined("disk", Verdict.PASS, told)


def _server(folder: Path) -> Examined:
    if not is_served(folder):
        return Examined(
            "server", Verdict.FAIL, "no server holds this state: nothing is observed on schedule",
            "Run `wardkeep up`, or `wardkeep install` to have it always.",
        )  # fmt: skip
    # What it judges by must be what the operator has written; a few seconds are its time to see it.
    now = serving(folder)
    if now and now.problem:
        return Examined(
            "server", Verdict.FAIL, "serving by what was in force before: a file has a fault",
            f"Mend it, the server takes it up by itself: {now.problem}",
        )  # fmt: skip
    if now and now.waits:
        return Examined(
            "server", Verdict.FAIL, f"serving; not in force before its next start: {', '.join(now.waits)}",
            "Restart it: `systemctl restart wardkeep`, or end `wardkeep up` and run it again.",
        )  # fmt: skip
    if now and (changed := missed(now, time.time())):
        return Examined(
            "server", Verdict.FAIL, f"serving, by an older {' and '.join(changed)}",
            "It should have taken it up by itself: see its log (`journalctl -u wardkeep`), and restart it.",
        )  # fmt: skip
    return Examined("server", Verdict.PASS, "serving: schedules run")


def _config(folder: Path) -> Examined:
    try:
        config = read_config(folder / CONFIG, controls.all_controls())
    except WardkeepError as e:
        return Examined("configuration", Verdict.FAIL, e.without_todo, e.todo)
    return Examined("configuration", Verdict.PASS, f"{config.path} is valid, profile {config.profile.name}")


def _ledger(platform: Platform) -> Iterator[Examined]:
    """Everything recorded is read once: the cost grows with the ledger, about a second for 100,000 entries."""

    def read_all() -> str:
        count = sum(1 for _ in platform.ledger.read())
        return f"{count} entries, each under the signed checkpoint"

    def sign() -> str:
        platform.ledger.sign("wardkeep doctor\n")
        return "readable, and the one whose public half the ledger names"

    yield _tried("ledger", read_all)
    yield _tried("evidence", lambda: _blobs(platform))
    yield _tried("signing key", sign)  # without it nothing more is recorded
    yield _tried("second factors", lambda: f"{second_factors(platform)} open with the sealing key")
    if platform.store.is_sqlite:
        yield _tried("work queue", lambda: look_at_queue(platform.folder))
    last = platform.ledger.size
    if last:
        newest = next(iter(platform.ledger.read(last - 1)))
        at = datetime.fromisoformat(str(newest["at"]))
        ahead = (at - datetime.now(UTC)).total_seconds()
        if ahead > 60:
            yield Examined(
                "clock",
                Verdict.FAIL,
                f"the newest entry is {int(ahead)} s in the future",
                "Set this machine's clock right.",
            )
        else:
            yield Examined("clock", Verdict.PASS, "not behind the newest entry")


def _blobs(platform: Platform) -> str:
    """That every blob which an entry names is in its place; what it holds, `wardkeep evidence verify` reads."""
    named: dict[str, int] = {}  # digest → the first entry that names it
    for entry in platform.ledger.read():
        for blob in entry["blobs"]:
            named.setdefault(blob["digest"], entry["index"])
    gone = [digest for digest in named if not platform.ledger.blobs.has(digest)]
    if gone:
        raise Unavailable(
            f"{len(gone)} of {len(named)} blobs are missing, first the one that entry {named[gone[0]]} names",
            where=str(platform.ledger.blobs.path(gone[0])),
            todo="Restore the state: `wardkeep state restore`.",
        )
    return f"{len(named)} blobs that the entries name, all in their place"


def _hosts(platform: Platform) -> Iterator[Examined]:
    if not list_hosts(platform):
        yield Examined(
            "hosts",
            Verdict.UNKNOWN,
            "none in the inventory",
            "Add one: `wardkeep host add NAME ssh://user@address`.",
        )
    for look in last_looks(platform):
        if look.at is None:
            yield Examined(
                f"host {look.host}", Verdict.UNKNOWN, "never asked", f"Run `wardkeep check {look.host}`."
            )
        elif look.problem:
            yield Examined(
                f"host {look.host}",
                Verdict.FAIL,
                look.problem,
                f"Mend it, then `wardkeep check {look.host}`.",
            )
        else:
            yield Examined(f"host {look.host}", Verdict.PASS, "answered when last asked")


def _tried(what: str, look: Callable[[], str]) -> Examined:
    try:
        return Examined(what, Verdict.PASS, look())
    except WardkeepError as e:
        return Examined(what, Verdict.FAIL, e.without_todo, e.todo or "See docs/trust.md.")
