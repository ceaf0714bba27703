"""The packages of the system in each image that runs on a host: the package database of one running container of each.

Asked as root of podman and docker by their `cp`, which resolves links inside the container; nothing in the container runs and
nothing is changed. Not seen: images that do not run, rootless containers of other users, RPM databases, language packages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, sections

# Of each entry only name, version, state and source are told; an entry of its own begins with its name.
SCRIPT = (
    QUOTE
    + r"""
copied() { "$tool" cp "$id:$1" - 2>/dev/null; }
told() { awk '/^Package:/ { print "" } /^(Package|Status|Version|Source):/' | quote; }
seen=' '
for tool in podman docker; do
  command -v "$tool" >/dev/null || continue
  # Podman may be called docker, too.
  [ "$tool" = podman ] || case $("$tool" --version) in podman*) continue ;; esac
  [ "$tool" = podman ] || [ -S /var/run/docker.sock ] || continue
  running=$("$tool" ps --no-trunc --format '{{.ID}} {{.Names}}') || exit 1
  [ "$running" ] || continue
  while read -r id name; do
    about=$("$tool" container inspect --format '{{.Image}} {{.Config.Image}}' "$id" 2>/dev/null) || about="gone gone"
    image=${about%% *}
    # Of containers of one image the first stands for all.
    case $seen in *" $tool/$image "*) continue ;; esac
    seen="$seen$tool/$image "
    printf '= image %s %s %s %s\n' "$tool" "$name" "$image" "${about#* }"
    release=$(copied /usr/lib/os-release | tar -xO 2>/dev/null) && [ "$release" ] ||
      release=$(copied /etc/os-release | tar -xO 2>/dev/null)
    printf '%s\n' "$release" | grep -E '^(ID|VERSION_ID)=' | quote
    names=$("$tool" image inspect --format '{{range .RepoDigests}}{{.}} {{end}}' "$image" 2>/dev/null)
    printf 'DIGESTS=%s\n' "$names" | quote
    if packages=$(copied /var/lib/dpkg/status | tar -xO 2>/dev/null) && [ "$packages" ]; then
      printf '= dpkg\n'; printf '%s\n' "$packages" | told
    elif packages=$(copied /var/lib/dpkg/status.d | tar -xO --exclude='*.md5sums' 2>/dev/null) && [ "$packages" ]; then
      printf '= dpkg\n'; printf '%s\n' "$packages" | told
    elif packages=$(copied /lib/apk/db/installed | tar -xO 2>/dev/null) && [ "$packages" ]; then
      printf '= apk\n'; printf '%s\n' "$packages" | awk '/^$/ || /^[PVo]:/' | quote
    else
      printf '= none\n'
    fi
  done <<WARDKEEP_RUNNING
$running
WARDKEEP_RUNNING
done
"""
    + END
)
DIGESTS = "DIGESTS="


@dataclass(frozen=True, slots=True)
class ImagePackages:
    """One image that runs. `kind` is dpkg, apk or none; `release` os-release's lines, `database` the database's, as told."""

    engine: str
    container: str
    image: str
    tag: str
    kind: str
    release: str
    database: str
    digests: tuple[
        str, ...
    ] = ()  # `registry.example/app@sha256:…`, as the engine knows it from pulling, pushing or building


@dataclass(frozen=True, slots=True)
class ContainerPackages:
    ask: ClassVar[Question] = Question("container_packages", SCRIPT, timeout=90)
    images: tuple[ImagePackages, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        found = [section for section in sections(answer) if section.name != "end"]
        if len(found) % 2:
            raise NotUnderstood("an image lacks its packages", where=answer.question)
        made = []
        for head, body in zip(found[::2], found[1::2], strict=True):
            if head.name != "image" or body.name not in ("dpkg", "apk", "none"):
                raise NotUnderstood(f"no section {head.name} was asked for", where=answer.question)
            engine, container, image, tag = head.words(4)
            known = [line for line in head.lines if line.startswith(DIGESTS)]
            release = "\n".join(line for line in head.lines if not line.startswith(DIGESTS))
            digests = tuple(word for line in known for word in line.removeprefix(DIGESTS).split())
            made.append(ImagePackages(engine, container, image, tag, body.name, release, body.text, digests))
        return cls(tuple(made))
