"""Hosts replayed from a folder that `record` wrote: the same answers, every digest checked again."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from wardkeep.core.errors import BadInput
from wardkeep.core.facts import Answer, Question, Snapshot
from wardkeep.fleet.connector import unreachable, utc_now
from wardkeep.fleet.frames import needs_root

FORMAT = 1
PROVENANCE = "provenance.json"
_NOTHING = hashlib.sha256(b"").hexdigest()


class RecordedConnector:
    """Answers from a folder. A file that was edited, cut or lost is an answer that is not whole.

    `at` of the snapshot is when the host was recorded, so replaying is deterministic. A question that was not asked then has no
    answer; whether its script was the same then is not checked.
    """

    def __init__(self, folder: Path, *, host: str = "") -> None:
        self.folder = folder
        self.host = host or folder.name

    async def ask(self, questions: Sequence[Question]) -> Snapshot:
        # Reading does not wait for anything: the others get their turn here, and what was read before is judged meanwhile.
        await asyncio.sleep(0)
        try:
            provenance = read_provenance(self.folder)
            at = datetime.fromisoformat(provenance["at"])
            run = {str(k): str(v) for k, v in provenance["run"].items()}
            kept = _names(self.folder)
            answers = {q.id: self._answer(q, provenance["answers"].get(q.id), run, kept) for q in questions}
        except BadInput as e:
            return unreachable(self.host, utc_now(), questions, e.line())
        except (KeyError, TypeError, ValueError, AttributeError) as e:
            problem = f"{self.folder}/{PROVENANCE}: damaged ({type(e).__name__})"
            return unreachable(self.host, utc_now(), questions, problem)
        return Snapshot(self.host, at, answers, str(provenance["problem"]), run)

    async def run(self, script: str, *, stdin: bytes = b"", timeout: float = 60) -> Answer:
        return Answer("run", None, b"", whole=False, problem="a recorded host cannot be changed")

    async def close(self) -> None:
        return None

    def _answer(self, question: Question, row: Any, run: dict[str, str], kept: frozenset[str]) -> Answer:
        name = question.id
        if row is None:
            return Answer(name, None, b"", whole=False, problem="was not asked when this host was recorded")
        doubts = []
        streams = []
        for stream in ("out", "err"):
            file = f"{name}.{stream}"
            data = b""
            if file not in kept and not row[stream]["bytes"] and row[stream]["sha256"] == _NOTHING:
                streams.append(data)  # an empty one is not kept
                continue
            try:
                with open(f"{self.folder}/{file}", "rb") as opened:
                    data = opened.read()
            except OSError as e:
                if row[stream]["bytes"] or not isinstance(e, FileNotFoundError):
                    doubts.append(f"{file}: {e.strerror}")
            if hashlib.sha256(data).hexdigest() != row[stream]["sha256"]:
                doubts.append(f"{file} is not what was recorded: its digest does not agree")
            streams.append(data)
        problem = str(row["problem"]) or "; ".join(doubts) or needs_root(question, run)
        if not problem and len(streams[0]) > question.limit:
            problem = f"longer than its limit of {question.limit} bytes"
        whole = row["whole"] is True and not problem
        exit_status = row["exit"] if type(row["exit"]) is int else None
        if whole and exit_status is None:
            whole, problem = False, "no exit status was recorded"
        return Answer(name, exit_status, streams[0], streams[1], whole, problem, row["ms"] / 1000)


def _names(folder: Path) -> frozenset[str]:
    """What the folder holds; nothing where it cannot be listed."""
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()


def read_provenance(folder: Path) -> dict[str, Any]:
    """The provenance of a recorded host. Raises BadInput in one line."""
    where = str(folder / PROVENANCE)
    try:
        provenance = json.loads((folder / PROVENANCE).read_bytes())
    except OSError as e:
        raise BadInput(f"cannot read the recorded host: {e.strerror}", where=where) from None
    except (ValueError, RecursionError):
        raise BadInput("this is not JSON", where=where, todo="Record the host again") from None
    if not isinstance(provenance, dict) or provenance.get("format") != FORMAT:
        raise BadInput(
            "this is not a recorded host of this version", where=where, todo="Record the host again"
        )
    return provenance
