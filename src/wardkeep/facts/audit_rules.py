"""What the kernel's audit trail is told to record, from `auditctl` where it runs, and from the rule files (audit.rules(7))."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, named

SCRIPT = (
    QUOTE
    + r"""
printf '= running\n'
loaded=no
if command -v auditctl >/dev/null && told=$(auditctl -l 2>/dev/null); then
  loaded=yes
  case $told in 'No rules'*) ;; *) [ -z "$told" ] || printf '%s\n' "$told" | quote ;; esac
fi
printf '= state\n'
printf '|loaded %s\n' "$loaded"
if command -v auditctl >/dev/null && told=$(auditctl -s 2>/dev/null); then printf '%s\n' "$told" | quote; fi
printf '= files\n'
for file in /etc/audit/rules.d/*.rules; do
  [ -r "$file" ] || continue
  sed '/^[[:space:]]*#/d; /^[[:space:]]*$/d; s/^/|/' "$file" || exit 1
done
printf '= settings\n'
[ ! -r /etc/audit/auditd.conf ] || sed -n 's/^[[:space:]]*\([a-z_]\{1,\}\)[[:space:]]*=[[:space:]]*\(.*\)/|\1 \2/p' /etc/audit/auditd.conf
"""
    + END
)


@dataclass(frozen=True, slots=True)
class AuditRules:
    """`loaded` says whether the kernel told its rules; `rules` are those in force, or those of the files where it did not."""

    ask: ClassVar[Question] = Question("audit_rules", SCRIPT)
    loaded: bool
    rules: tuple[str, ...]
    state: tuple[tuple[str, str], ...]  # auditctl -s: enabled, lost, backlog, ...
    settings: tuple[tuple[str, str], ...]  # auditd.conf

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        running, state, files, settings = named(answer, "running", "state", "files", "settings")
        told = [(name, value) for name, _, value in (line.partition(" ") for line in state.lines)]
        if not told or told[0] not in (("loaded", "yes"), ("loaded", "no")):
            raise NotUnderstood("it is not told whether rules are loaded", where=answer.question)
        loaded = told[0][1] == "yes"
        rules = running.lines if loaded else files.lines
        if bad := next((rule for rule in rules if not rule.lstrip().startswith("-")), ""):
            raise NotUnderstood(f"`{bad[:60]}` is no audit rule", where=answer.question)
        return cls(
            loaded,
            tuple(" ".join(rule.split()) for rule in rules),
            tuple((name, value.strip()) for name, value in told[1:]),
            tuple((name, value) for name, _, value in (line.partition(" ") for line in settings.lines)),
        )

    def watches(self, *words: str) -> bool:
        """Does some rule name one of the words: a path, or a system call in `-S a,b`?"""
        for rule in self.rules:
            parts = {part for piece in rule.split() for part in piece.split(",")}
            parts |= {
                piece.partition("=")[2] for piece in rule.split() if piece.startswith(("path=", "dir="))
            }
            if parts.intersection(words):
                return True
        return False
