"""The form of a file that Wardkeep keeps: each setting under a mark that names its key and rule, a blank line after it.

    # Kept by Wardkeep. ...

    #= PermitRootLogin system_access.no_root_login
    PermitRootLogin no

Lines without a mark were written by somebody else; they stay, at the end.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from wardkeep.core.errors import BadInput

HEAD = "# Kept by Wardkeep: a line under a mark (#=) belongs to the rule named there. Others stay."
MARK = "#= "


@dataclass(frozen=True)
class Kept:
    """A kept file taken apart: key → (rule, its line or lines), in the file's order; and everybody else's lines."""

    settings: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    others: tuple[str, ...] = ()

    def with_settings(self, wanted: Iterable[tuple[str, str, str]]) -> Kept:
        """These (key, rule, line) put in the place of their key, or after the rest."""
        settings = dict(self.settings)
        for key, rule, line in wanted:
            if not key or any(c.isspace() for c in key):
                raise BadInput(f"{key!r} cannot be a setting's key")
            if not line.strip() or "" in line.split("\n"):
                raise BadInput(f"the setting {key} has an empty line")
            settings[key] = (rule, line)
        return Kept(settings, self.others)

    def text(self) -> str:
        parts = [HEAD, *(f"{MARK}{key} {rule}\n{line}" for key, (rule, line) in self.settings.items())]
        if self.others:
            parts.append("\n".join(self.others))
        return "\n\n".join(parts) + "\n"


def read_kept(text: str) -> Kept:
    """Take a file apart; nothing of it is lost, whoever wrote it. `read_kept(kept.text()) == kept`."""
    settings: dict[str, tuple[str, str]] = {}
    others: list[str] = []
    under: tuple[str, str] | None = None
    lines: list[str] = []

    def end() -> None:
        nonlocal under
        if under is not None and lines:
            settings[under[0]] = (under[1], "\n".join(lines))
        under = None
        lines.clear()

    for line in text.splitlines():
        if line.startswith(MARK) and len(line.split()) == 3:
            end()
            _, key, rule = line.split()
            under = (key, rule)
        elif under is not None and line:
            lines.append(line)
        elif under is not None:
            end()
        elif line != HEAD:
            others.append(line)
    end()
    while others and not others[0]:
        others.pop(0)
    while others and not others[-1]:
        others.pop()
    return Kept(settings, _single_blanks(others))


def _single_blanks(lines: list[str]) -> tuple[str, ...]:
    return tuple(
        line for before, line in zip(["", *lines], lines, strict=False) if line or before or not lines
    )


def diff(path: str, before: str | None, after: str) -> str:
    """A unified diff as a person reads it; `before` is None where there is no file yet."""
    told = difflib.unified_diff(
        [] if before is None else before.splitlines(),
        after.splitlines(),
        "/dev/null" if before is None else path,
        path,
        lineterm="",
        n=3,
    )
    return "\n".join(told)
