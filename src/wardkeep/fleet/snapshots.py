"""A snapshot as bytes: the raw form kept in the ledger, the same for the same snapshot, checked when it is read back."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Snapshot

_MAGIC = b"wardkeep-snapshot 1\n"
_text = json.encoder.encode_basestring_ascii


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"


def snapshot_bytes(snapshot: Snapshot) -> bytes:
    """The snapshot in its canonical form: a line naming the format, a line for the run, then each answer in the order of its
    id: a line with exit status, counts (bytes) and SHA-256 digests, and the raw stdout and stderr, each followed by a line break."""
    parts = [
        _MAGIC,
        _line(
            {
                "answers": len(snapshot.answers),
                "at": snapshot.at.astimezone(UTC).isoformat(timespec="microseconds"),
                "problem": snapshot.problem,
                "run": dict(snapshot.run),
                "subject": snapshot.subject,
            }
        ),
    ]
    for name in sorted(snapshot.answers):
        answer = snapshot.answers[name]
        err, out = hashlib.sha256(answer.stderr).hexdigest(), hashlib.sha256(answer.stdout).hexdigest()
        ended = "null" if answer.exit is None else answer.exit
        # As `_line` would write it, at a fifth of its time: a fleet has a hundred thousand of these in a cycle.
        parts += [
            (
                f'{{"err":[{len(answer.stderr)},"{err}"],"exit":{ended},"ms":{round(answer.seconds * 1000)},'
                f'"out":[{len(answer.stdout)},"{out}"],"problem":{_text(answer.problem)},'
                f'"question":{_text(name)},"whole":{"true" if answer.whole else "false"}}}\n'
            ).encode(),
            answer.stdout,
            b"\n",
            answer.stderr,
            b"\n",
        ]
    return b"".join(parts)


def snapshot_from_bytes(data: bytes) -> Snapshot:
    """Read back what `snapshot_bytes` wrote. Raises NotUnderstood on any difference: a stored snapshot is evidence."""
    reader = _Reader(data)
    reader.take(_MAGIC)
    try:
        head = reader.line()
        answers = {}
        for _ in range(head["answers"]):
            row = reader.line()
            out, err = reader.blob(*row["out"]), reader.blob(*row["err"])
            answers[row["question"]] = Answer(
                row["question"], row["exit"], out, err, row["whole"], row["problem"], row["ms"] / 1000
            )
        snapshot = Snapshot(
            head["subject"], datetime.fromisoformat(head["at"]), answers, head["problem"], head["run"]
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise NotUnderstood("the stored snapshot is damaged", where=f"byte {reader.at}") from None
    if snapshot_bytes(snapshot) != data:
        raise NotUnderstood("the stored snapshot is not in its canonical form")
    return snapshot


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, expected: bytes) -> None:
        if self.data[self.at : self.at + len(expected)] != expected:
            raise NotUnderstood("the stored snapshot is damaged", where=f"byte {self.at}")
        self.at += len(expected)

    def line(self) -> dict[str, Any]:
        end = self.data.index(b"\n", self.at)
        value = json.loads(self.data[self.at : end])
        self.at = end + 1
        if not isinstance(value, dict):
            raise TypeError
        return value

    def blob(self, count: int, digest: str) -> bytes:
        found = self.data[self.at : self.at + count]
        if len(found) != count or hashlib.sha256(found).hexdigest() != digest:
            raise NotUnderstood(
                "the stored snapshot is damaged: a digest does not agree", where=f"byte {self.at}"
            )
        self.at += count
        self.take(b"\n")
        return found
