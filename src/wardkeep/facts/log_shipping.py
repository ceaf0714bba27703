"""Where log lines go: the journal's storage, rsyslog's forwarding actions, systemd-journal-upload.

Not seen: what other shippers (vector, fluent-bit, ...) are told to do, and whether the other side keeps what it gets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, named

# Passwords that an rsyslog file may hold (for databases) are blotted out on the host and never travel.
SCRIPT = (
    QUOTE
    + r"""
printf '= journal\n'
if command -v systemd-analyze >/dev/null; then
  told=$(systemd-analyze cat-config systemd/journald.conf) || exit 1
  printf '%s\n' "$told" | grep -v '^[[:space:]]*[#;]' | grep '=' | quote
elif command -v journalctl >/dev/null; then
  exit 127
fi
printf '= kept\n'
for file in /var/log/journal/*/system.journal; do [ -e "$file" ] && printf '|%s\n' "$file"; done
printf '= upload\n'
cat /etc/systemd/journal-upload.conf /etc/systemd/journal-upload.conf.d/*.conf 2>/dev/null |
  grep '^[[:space:]]*URL=' | quote
printf '= rsyslog\n'
for file in /etc/rsyslog.conf /etc/rsyslog.d/*.conf; do
  [ -r "$file" ] && grep -v '^[[:space:]]*#' "$file" | grep -v ':om[a-z]*sql:' |
    sed -E 's/((pwd|password|passwd|uid)[[:space:]]*=[[:space:]]*)"[^"]*"/\1"..."/Ig' | grep . | quote
done
"""
    + END
)
# `*.* @@host:514`, `:msg, contains, "x" @(o)host;template`; and action(type="omfwd" target="host" ...), omrelp alike.
LEGACY = re.compile(
    r"(?:^&|\s)\s*(?P<proto>@@?)(?:\([^)]*\))?(?P<host>\[[^\]]+\]|[^\s:;@\[]+)(?::\w+)?(?:;\S+)?\s*$"
)
INCLUDE = re.compile(r'^\s*(?:\$IncludeConfig\s+|include\s*\(.*?file\s*=\s*")(?P<path>[^\s"]+)', re.M | re.I)
READ = "/etc/rsyslog.d/"
STAYS = frozenset("omfile omusrmsg ompipe omprog omstdout omjournal omuxsock omtesting omshell".split())  # noqa: SIM905
ACTION = re.compile(r"action\s*\((?P<inside>[^)]*)\)", re.I | re.S)
PARAMETER = re.compile(r'(\w[\w.]*)\s*=\s*"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Forward:
    """One place rsyslog sends lines to. `protocol` is udp, tcp or relp; `encrypted` is what the action itself says."""

    host: str
    protocol: str
    encrypted: bool


@dataclass(frozen=True, slots=True)
class LogShipping:
    ask: ClassVar[Question] = Question("log_shipping", SCRIPT)
    storage: str  # journald's Storage=: "auto" (the default), "persistent", "volatile", "none"
    journal_on_disk: bool
    upload_url: str
    forwards: tuple[Forward, ...]
    others: tuple[str, ...] = ()  # rsyslog's other outputs that may leave the host, by module: "omkafka"

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        journal, kept, upload, rsyslog = named(answer, "journal", "kept", "upload", "rsyslog")
        said = {
            key.strip(): value.strip() for key, _, value in (line.partition("=") for line in journal.lines)
        }
        storage = said.get("Storage", "auto") or "auto"
        if storage not in ("auto", "persistent", "volatile", "none"):
            raise NotUnderstood(f"journald knows no Storage={storage}", where=answer.question)
        urls = [line.partition("=")[2].strip() for line in upload.lines]
        for include in INCLUDE.finditer(rsyslog.text):
            if not include["path"].startswith(READ):
                raise NotUnderstood(f"rsyslog also reads {include['path']}, which was not looked at")
        text = rsyslog.text
        return cls(storage, bool(kept.lines), urls[-1] if urls else "", _forwards(text), _others(text))

    @property
    def journal_survives(self) -> bool:
        """Whether what the journal holds is still there after a restart."""
        return self.storage in ("auto", "persistent") and self.journal_on_disk


def _forwards(text: str) -> tuple[Forward, ...]:
    default = re.search(r"^\s*\$DefaultNetstreamDriver\s+(gtls|ossl)", text, re.M | re.I)
    found = {
        Forward(
            m["host"].strip("[]"),
            "tcp" if m["proto"] == "@@" else "udp",
            bool(default) and m["proto"] == "@@",
        )
        for m in map(LEGACY.search, text.splitlines())
        if m
    }
    for action in ACTION.finditer(text):
        given = {key.lower(): value for key, value in PARAMETER.findall(action["inside"])}
        kind, target = given.get("type", "").lower(), given.get("target", "")
        if kind == "omfwd" and target:
            tls = (
                given.get("streamdriver", "").lower() in ("gtls", "ossl")
                and given.get("streamdrivermode") == "1"
            )
            found.add(Forward(target, given.get("protocol", "udp").lower(), tls))
        elif kind == "omrelp" and target:
            found.add(Forward(target, "relp", given.get("tls", "off").lower() == "on"))
    return tuple(sorted(found, key=lambda f: (f.host, f.protocol, f.encrypted)))


def _others(text: str) -> tuple[str, ...]:
    kinds = {
        dict(PARAMETER.findall(action["inside"])).get("type", "").lower() for action in ACTION.finditer(text)
    }
    return tuple(sorted(kinds - STAYS - {"omfwd", "omrelp", ""}))
