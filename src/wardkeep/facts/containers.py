"""The container engines of a host, what runs in them, and when the images of what runs were made.

Asked as root of podman and docker. Not seen: rootless containers of other users, and other engines (containerd, LXC).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, sections

SCRIPT = (
    QUOTE
    + r"""
for tool in podman docker; do
  command -v "$tool" >/dev/null || continue
  # Podman may be called docker, too.
  [ "$tool" = podman ] || case $("$tool" --version) in podman*) continue ;; esac
  # No socket: no daemon, so nothing runs under it.
  [ "$tool" = podman ] || [ -S /var/run/docker.sock ] || { printf '= engine docker (not running)\n'; continue; }
  running=$("$tool" ps --no-trunc --format '{{.ID}} {{.Names}}') || exit 1
  printf '= engine %s\n' "$tool"
  [ "$running" ] || continue
  printf '%s\n' "$running" | while read -r id name; do
    image=$("$tool" container inspect --format '{{.Image}}' "$id") || { printf '|%s gone\n' "$name"; continue; }
    about=$("$tool" image inspect --format '{{json .Created}} {{json .RepoTags}}' "$image") || about=gone
    printf '|%s %s\n' "$name" "$about"
  done
done
"""
    + END
)


@dataclass(frozen=True, slots=True)
class Container:
    """A running container. `made` is when its image was made (UTC); None if the image is no longer there."""

    engine: str
    name: str
    tags: tuple[str, ...]
    made: datetime | None


@dataclass(frozen=True, slots=True)
class Containers:
    ask: ClassVar[Question] = Question("containers", SCRIPT, timeout=30)
    engines: tuple[str, ...]
    running: tuple[Container, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        engines, running = [], []
        for section in sections(answer):
            if section.name == "end":
                continue
            if section.name != "engine":
                raise NotUnderstood(f"no section {section.name} was asked for", where=answer.question)
            engines.append(section.about)
            running += [_container(section.about, line) for line in section.lines]
        return cls(tuple(engines), tuple(running))


def _container(engine: str, line: str) -> Container:
    name, _, about = line.partition(" ")
    if about == "gone":
        return Container(engine, name, (), None)
    try:
        made, end = json.JSONDecoder().raw_decode(about)
        tags = json.loads(about[end:]) or []
        # Engines print nanoseconds, Python reads microseconds.
        when = datetime.fromisoformat(made[:19] + "+00:00")
        if not (name and made[10] == "T" and made.endswith("Z") and all(isinstance(t, str) for t in tags)):
            raise ValueError(made)
    except (ValueError, TypeError, IndexError):
        raise NotUnderstood(f"`{line[:80]}` describes no container") from None
    return Container(engine, name, tuple(tags), when)
