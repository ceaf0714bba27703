"""A serving Wardkeep goes by the operator's files as they are written, not as they were when it started.

Between two acts it looks whether one changed. A file that holds is taken up: the change of policy goes on record, and every host
is looked at anew. One with a fault is not: what was in force before goes on, and that is a finding until it is mended. Three
settings cannot change under a server (`RESTART`); they wait for its next start, which is said too.

What the server goes by stands in `serving.json`, so that other commands can tell.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from wardkeep.core.errors import BadInput
from wardkeep.core.facts import PLATFORM
from wardkeep.core.findings import Finding, Severity, Verdict
from wardkeep.engine.config import Config
from wardkeep.engine.files_read import Files, read_files
from wardkeep.engine.folder import SERVING
from wardkeep.engine.leases import born
from wardkeep.engine.logs import learn_secrets
from wardkeep.engine.platform import Platform
from wardkeep.engine.policy_record import record_policy

RESTART = ("database_url", "console_listen", "console_url")  # bound when the server starts
SEEN_WITHIN = 60.0  # seconds; a turn comes every five, a long one of the state may delay it
ROW = "system_monitoring"
_log = logging.getLogger("wardkeep.in_force")
_turn = threading.Lock()


@dataclass(frozen=True)
class Serving:
    """By what the server of a folder goes. `problem` is the fault of a file that was not taken up, as one line, and `place` where;
    `waits` names settings that change at its next start; `files` are those that it has read and goes by; `port` is its console's."""

    pid: int
    born: str
    files: tuple[tuple[str, tuple[int, ...]], ...]
    problem: str = ""
    place: str = ""
    waits: tuple[str, ...] = ()
    port: int = 0


def take_up(platform: Platform, actor: str = "engine", wait: bool = True) -> int | None:
    """Go by the files as they are now, if one changed; the ledger's index of the change of policy, None when there is none.

    With `wait`, not before it was seen twice as it is: it may be half of what its editor is writing, and an empty or a missing
    file is a valid policy. Raises only for faults of our own state: a fault of the files is kept in `serving.json` and logged.
    """
    with _turn:
        before = serving(platform.folder)
        changed = platform.files.changed
        if not changed and not (before and before.problem):
            return None
        now = platform.files.now()
        if wait and now != platform.seen:
            platform.seen = now
            return None
        try:
            config, files = read_files(platform.folder, platform.controls, platform.store)
        except BadInput as e:
            if before is None or before.problem != e.line():
                # Its place alone: a file that holds secrets is not quoted, and those of this one are not known yet.
                _log.error("a fault at %s: not taken up, what was in force goes on", e.where)
            tell(platform, problem=e.line(), place=e.where)
            return None
        held, waits = _held_back(platform.config, config)
        learn_secrets(held)
        platform.config, platform.files = held, files
        tell(platform, waits=waits)
        _log.info("taken up: %s", ", ".join(Path(path).name for path in changed) or "mended by what it names")
        return record_policy(platform, actor)


def tell(platform: Platform, *, problem: str = "", place: str = "", waits: tuple[str, ...] = ()) -> None:
    """Write `serving.json` for this process."""
    files = platform.files.stamps
    now = Serving(os.getpid(), born(os.getpid()), files, problem, place, waits, platform.port)
    beside = platform.folder / f".{SERVING}.{os.getpid()}"
    beside.write_text(json.dumps(asdict(now)))
    beside.chmod(0o600)
    beside.replace(platform.folder / SERVING)


def serving(folder: Path) -> Serving | None:
    """What the living server of this folder goes by; None when there is none, or it does not say."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        told: dict[str, Any] = json.loads((folder / SERVING).read_text())
        stamps = tuple((str(path), tuple(int(n) for n in stamp)) for path, stamp in told["files"])
        found = Serving(**{**told, "files": stamps, "waits": tuple(told["waits"])})
        return found if born(found.pid) == found.born else None
    return None


def in_force_finding(platform: Platform) -> Finding:
    """Whether the server judges by the files as they are written. A command reads them anew by itself."""
    now = serving(platform.folder)
    verdict, todo = Verdict.PASS, ""
    seen = "the operator's files are in force as they are written"
    if now and now.problem:
        # Not the fault's own words: a file that holds secrets shall not be quoted in the ledger.
        verdict, seen = (
            Verdict.FAIL,
            f"a fault at {now.place or 'its files'}: what was in force before goes on",
        )
        todo = (
            "Run `wardkeep settings`, which names the fault, and mend it; the server takes it up by itself."
        )
    elif now and now.waits:
        verdict, seen = (
            Verdict.FAIL,
            f"changed and not in force before the next start: {', '.join(now.waits)}",
        )
        todo = "Restart the server: `systemctl restart wardkeep`, or end `wardkeep up` and run it again."
    return Finding(
        ROW,
        f"{ROW}.policy_in_force",
        "Wardkeep judges by the operator's files as they are written.",
        PLATFORM,
        "configuration",
        verdict,
        Severity.HIGH,
        seen,
        todo,
    )


def _held_back(old: Config, new: Config) -> tuple[Config, tuple[str, ...]]:
    """The new configuration with what cannot change under a server as it was, and the names of that."""
    waits = tuple(name for name in RESTART if getattr(old.settings, name) != getattr(new.settings, name))
    kept = {name: getattr(old.settings, name) for name in waits}
    told = tuple(name.replace("_", ".", 1) for name in waits)
    return replace(new, settings=replace(new.settings, **kept)), told


def missed(now: Serving, moment: float) -> tuple[str, ...]:
    """The names of files that changed more than `SEEN_WITHIN` before `moment` (seconds of the epoch), and were not taken up."""
    stamps = tuple((path, (stamp[0], stamp[1], stamp[2])) for path, stamp in now.files)
    changed = (Path(path) for path in Files(stamps).changed)
    return tuple(path.name for path in changed if moment - _changed_at(path) > SEEN_WITHIN)


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
