"""Which entries go into a pack, and what they say when they are read one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Counts = dict[str, int]
VERDICTS = ("pass", "fail", "unknown")


def concerns(entry: Mapping[str, Any], control: str) -> bool:
    """Whether an entry is evidence about the control: it names it, assesses it, or is something that it stands on.

    A look (`observe`) answers the questions of all controls at once, a change of policy may touch any of them, and the
    coming and going of hosts says whose looks count.
    """
    if entry.get("kind") in ("observe", "policy", "host"):
        return True
    subject, body = entry.get("subject", {}), entry.get("body", {})
    named = [subject.get("control"), body.get("control"), *_strings(body.get("controls"))]
    return control in named or control in (body.get("rows") or {})


def _strings(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def counts_of(row: object) -> Counts:
    """Verdict → count of one row of an assess entry; what is no count is none."""
    found = row if isinstance(row, Mapping) else {}
    return {v: found[v] if isinstance(found.get(v), int) and found[v] > 0 else 0 for v in VERDICTS}


def state_of(counts: Mapping[str, int]) -> str:
    """A row's one word: fail before unknown before pass; nothing seen is unknown."""
    return "fail" if counts["fail"] else "unknown" if counts["unknown"] or not counts["pass"] else "pass"


@dataclass
class Look:
    """One assessment of a host; of its rows, those that no later one has replaced."""

    host: str
    index: int
    at: str
    rows: dict[str, Counts]
    profile: str
    findings: str  # digest of the blob with the list of findings, or ""


class Standing:
    """Where every row of every host stands, after the assessments so far. A look may be at some of the rows only."""

    def __init__(self) -> None:
        self._of_host: dict[str, list[Look]] = {}

    def add(self, look: Look) -> None:
        """Take in an assessment that is later than those before."""
        before = self._of_host.get(look.host, [])
        for old in before:
            old.rows = {name: row for name, row in old.rows.items() if name not in look.rows}
        self._of_host[look.host] = [old for old in (*before, look) if old.rows]

    def remove(self, host: str) -> None:
        self._of_host.pop(host, None)

    @property
    def looks(self) -> list[Look]:
        """The looks that still say something, by host and index."""
        return [look for host in sorted(self._of_host) for look in self._of_host[host]]

    def matrix(self) -> dict[str, Counts]:
        """Control → counts summed over hosts."""
        made: dict[str, Counts] = {}
        for look in self.looks:
            for control, row in look.rows.items():
                sums = made.setdefault(control, dict.fromkeys(VERDICTS, 0))
                for verdict in VERDICTS:
                    sums[verdict] += row[verdict]
        return made


@dataclass
class Summary:
    """What the entries of a pack come to, gathered while they pass by."""

    control: str = ""
    entries: int = 0
    first_at: str = ""
    last_at: str = ""
    kinds: Counter[str] = field(default_factory=Counter)
    standing: Standing = field(default_factory=Standing)

    def add(self, index: int, entry: Mapping[str, Any]) -> None:
        self.entries += 1
        self.first_at = self.first_at or entry["at"]
        self.last_at = entry["at"]
        self.kinds[entry["kind"]] += 1
        if entry["kind"] == "assess":
            look = look_of(index, entry)
            if self.control:
                look.rows = {name: row for name, row in look.rows.items() if name == self.control}
            self.standing.add(look)
        elif removes_host(entry):
            self.standing.remove(entry["subject"]["host"])


def removes_host(entry: Mapping[str, Any]) -> bool:
    """Whether the entry says that a host left the inventory: what was seen on it no longer counts."""
    return entry["kind"] == "host" and entry["body"].get("act") == "removed" and "host" in entry["subject"]


def look_of(index: int, entry: Mapping[str, Any]) -> Look:
    """An assess entry as a look at its host."""
    rows = entry["body"].get("rows")
    return Look(
        host=str(entry["subject"].get("host", "platform")),
        index=index,
        at=entry["at"],
        rows={name: counts_of(row) for name, row in rows.items()} if isinstance(rows, Mapping) else {},
        profile=str(entry["body"].get("profile", "")),
        findings=next((b["digest"] for b in entry["blobs"] if b["name"] == "findings"), ""),
    )


def outcome(entry: Mapping[str, Any]) -> str:
    """One line that says what an entry records, from its own fields alone."""
    body = entry["body"]
    if entry["kind"] == "assess" and isinstance(body.get("rows"), Mapping):
        states = Counter(state_of(counts_of(row)) for row in body["rows"].values())
        return ", ".join(f"{states[v]} {v}" for v in VERDICTS if states[v]) or "no rows"
    if entry["kind"] == "observe":
        unanswered = body.get("unanswered")
        missing = len(unanswered) if isinstance(unanswered, list) else 0
        said = f"{body.get('questions', '?')} questions, {missing} unanswered"
        return f"{said}: {body['problem']}" if body.get("problem") else said
    if entry["kind"] == "policy":
        return str(body.get("says", ""))[:300]
    parts = (f"{key} {value}" for key, value in body.items() if isinstance(value, str | int) and value != "")
    return "; ".join(parts)[:300]
