"""The PAM stacks through which people enter and become root, with every included file in its place (pam.conf(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, sections

SCRIPT = (
    QUOTE
    + r"""
[ -d /etc/pam.d ] || exit 127
for file in /etc/pam.d/*; do
  [ -f "$file" ] || continue
  printf '= service %s\n' "${file##*/}"; quote <"$file"
done
if [ -r /etc/security/faillock.conf ]; then printf '= faillock\n'; quote </etc/security/faillock.conf; fi
"""
    + END
)
LINE = re.compile(
    r"(?P<soft>-?)(?P<kind>auth|account|password|session)\s+(?P<control>\[[^]]*\]|\w+)\s+(?P<module>\S+)(?P<rest>.*)",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Module:
    """One line of a stack: `auth required pam_faillock.so preauth`."""

    kind: str
    control: str
    name: str  # "pam_faillock.so"
    arguments: tuple[str, ...]

    @property
    def must_succeed(self) -> bool:
        """Can the stack not succeed when this module fails? Judged by the words of its control alone."""
        if self.control.startswith("["):
            return bool(re.search(r"default=(bad|die)", self.control))
        return self.control in ("required", "requisite")


@dataclass(frozen=True, slots=True)
class Stack:
    """The modules of one service in the order in which they run, includes followed."""

    modules: tuple[Module, ...]


@dataclass(frozen=True)
class Pam:
    """The stack of each service."""

    ask: ClassVar[Question] = Question("pam", SCRIPT, tool="PAM")
    stacks: Mapping[str, Stack]
    faillock: Mapping[str, str]  # faillock.conf: {"deny": "5"}; a flag has ""

    def modules(self, service: str, kind: str) -> tuple[Module, ...]:
        """The modules of one kind that `service` runs; of `other` where it has no file, as PAM does."""
        stack = self.stacks.get(service) or self.stacks.get("other") or Stack(())
        return tuple(module for module in stack.modules if module.kind == kind)

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        """Raises NotUnderstood for a line that is none of PAM's, in a file that a service takes in."""
        files: dict[str, tuple[str, ...]] = {}
        faillock: dict[str, str] = {}
        for section in sections(answer):
            if section.name == "service":
                files[section.about] = section.lines
            elif section.name == "faillock":
                for line in section.lines:
                    if text := line.partition("#")[0].strip():
                        key, _, value = text.partition("=")
                        faillock[key.strip()] = value.strip()
            else:
                raise NotUnderstood(f"an unknown section {section.name}")
        if not files:
            raise NotUnderstood("the host has no PAM services")
        return cls({name: Stack(tuple(_stack(name, files, "", 0))) for name in files}, faillock)


def _stack(name: str, files: Mapping[str, tuple[str, ...]], kind: str, depth: int) -> Iterator[Module]:
    if name not in files or depth > 16:
        raise NotUnderstood(f"the PAM file {name} is missing")
    text = ""
    for line in files[name]:
        text += line.partition("#")[0].rstrip()
        if text.endswith("\\"):
            text = text[:-1] + " "
            continue
        text, whole = "", text.strip()
        if not whole:
            continue
        if whole.startswith("@include"):
            yield from _stack(whole.split()[1].rpartition("/")[2], files, kind, depth + 1)
            continue
        found = LINE.fullmatch(whole)
        if not found:
            raise NotUnderstood(f"the PAM file {name} has the line `{whole[:60]}`")
        if kind and found["kind"].lower() != kind:
            continue
        if found["control"] in ("include", "substack"):
            yield from _stack(found["module"].rpartition("/")[2], files, found["kind"].lower(), depth + 1)
        else:
            module = found["module"].rpartition("/")[2]
            yield Module(found["kind"].lower(), found["control"], module, tuple(found["rest"].split()))
