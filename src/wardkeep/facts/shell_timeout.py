"""After how long an idle session ends: TMOUT as a login shell really gets it, and logind's own limit.

TMOUT is read by starting bash the way a login does, with an empty home, because files of /etc/profile.d may set it anywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, sections

SCRIPT = (
    r"""
if command -v bash >/dev/null; then
  told=$(env -i PATH="$PATH" HOME=/nonexistent LC_ALL=C PS1=x bash --noprofile --norc -c \
    '. /etc/profile >/dev/null 2>&1 </dev/null; case $(declare -p TMOUT 2>/dev/null) in *-*r*\ TMOUT*) fixed=yes ;; *) fixed=no ;; esac
     echo "= tmout $fixed ${TMOUT:-0}"' 2>/dev/null </dev/null)
  printf '%s\n' "$told"
fi
if command -v busctl >/dev/null; then
  told=$(busctl get-property org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager StopIdleSessionUSec 2>/dev/null) &&
    printf '= logind %s\n' "$told"
fi
"""
    + END
)
INFINITE = 2**64 - 1


@dataclass(frozen=True, slots=True)
class ShellTimeout:
    """Seconds; 0 means never. `fixed` says that the user cannot change TMOUT. None: there is no such program there."""

    ask: ClassVar[Question] = Question("shell_timeout", SCRIPT)
    tmout: int | None
    fixed: bool
    logind: int | None

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        tmout: int | None = None
        fixed, logind = False, None
        for section in sections(answer):
            if section.name == "tmout" and (found := re.fullmatch(r"(yes|no) (\d+)", section.about)):
                fixed, tmout = found[1] == "yes", int(found[2])
            elif section.name == "logind" and (found := re.fullmatch(r"t (\d+)", section.about)):
                logind = 0 if int(found[1]) == INFINITE else int(found[1]) // 1_000_000
            else:
                raise NotUnderstood(f"`{section.name} {section.about[:40]}` is not of the known form")
        return cls(tmout, fixed, logind)
