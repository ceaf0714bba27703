"""By which account and over which path Wardkeep itself entered the host. A remedy must not cut this way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question

# sudo keeps the name of who called it but drops SSH_CONNECTION, so that the path is read from the ancestors.
SCRIPT = r"""
name=${SUDO_USER:-$(id -un)} || exit
path=local; pid=$$
while [ "$pid" -gt 1 ]; do
  { read -r comm <"/proc/$pid/comm"; } 2>/dev/null || break
  case $comm in sshd | sshd-session | dropbear) path=ssh; break ;; esac
  parent=
  while read -r key value; do [ "$key" = PPid: ] && parent=$value; done <"/proc/$pid/status"
  pid=${parent:-0}
done
[ -z "$SSH_CONNECTION" ] || path=ssh
printf '= in %s %s\n= end\n' "$path" "$name"
"""


@dataclass(frozen=True, slots=True)
class WayIn:
    """The account's name, and whether it came over SSH."""

    ask: ClassVar[Question] = Question("way_in", SCRIPT, root=False)
    account: str
    over_ssh: bool

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        lines = answer.text().split("\n")
        words = lines[0].split(" ", 3)
        if (
            lines[1:2] != ["= end"]
            or len(words) != 4
            or words[:2] != ["=", "in"]
            or words[2] not in ("ssh", "local")
        ):
            raise NotUnderstood("the answer is not of the known form")
        return cls(words[3], words[2] == "ssh")
