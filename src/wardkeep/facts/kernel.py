"""The kernel that runs, the newest that is installed, and what asks for a reboot.

dpkg itself compares the versions on the host. Not checked: kernels that no package installed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, sections

# Inside a container the kernel is the machine's below. `= old` are libraries that PID 1 still runs from files since replaced.
SCRIPT = (
    QUOTE
    + r"""
printf '= running %s %s\n' "$(uname -r)" "$(uname -v)"
inside=
if command -v systemd-detect-virt >/dev/null; then inside=$(systemd-detect-virt -c) || inside=; fi
[ -n "$inside" ] || { [ -e /run/.containerenv ] || [ -e /.dockerenv ]; } && inside=${inside:-container}
[ -z "$inside" ] || [ "$inside" = none ] || printf '= container %s\n' "$inside"
if command -v dpkg-query >/dev/null; then
  printf '= packages\n'
  newest= ; found=
  told=$(dpkg-query -W -f '${db:Status-Status} ${Package} ${Version}\n' 'linux-image-[0-9]*' 2>/dev/null)
  while read -r state package version; do
    case $state:$package in installed:*-dbg | installed:*-dbgsym) continue ;; installed:*) ;; *) continue ;; esac
    printf '|%s %s\n' "$package" "$version"
    if [ -z "$newest" ] || dpkg --compare-versions "$version" gt "$newest"; then newest=$version; found=$package; fi
  done <<TOLD
$told
TOLD
  [ -z "$found" ] || printf '= newest %s %s\n' "$found" "$newest"
fi
for file in /run/reboot-required /var/run/reboot-required; do
  if [ -e "$file" ]; then
    printf '= reboot %s\n' "$(stat -c %Y "$file")"
    [ ! -r "$file.pkgs" ] || quote <"$file.pkgs"
    break
  fi
done
if maps=$(cat /proc/1/maps 2>/dev/null) && [ -n "$maps" ]; then
  printf '= old\n'
  while read -r range mode offset device inode path; do
    case $mode:$path in ??x*:/*' (deleted)') printf '|%s\n' "$path" ;; esac
  done <<MAPS
$maps
MAPS
fi
"""
    + END
)


@dataclass(frozen=True, slots=True)
class Kernel:
    """`running` is `uname -r`; `built` is the package version that `uname -v` names ("" if it names none)."""

    ask: ClassVar[Question] = Question("kernel", SCRIPT)
    running: str
    built: str
    container: str  # "" on a machine, else which kind of container
    has_dpkg: bool
    installed: tuple[tuple[str, str], ...]  # (package, version)
    newest: tuple[str, str] | None
    reboot_asked: int | None  # Unix time of the file reboot-required
    reboot_for: tuple[str, ...]  # the packages that asked
    old_libraries: tuple[str, ...] | None  # None: could not be read

    @property
    def current(self) -> bool | None:
        """Does the newest installed kernel run? None where no kernel is installed by a package."""
        if self.newest is None:
            return None
        package, version = self.newest
        if package.removesuffix("-unsigned").removeprefix("linux-image-") != self.running:
            return False
        return not self.built or self.built == version

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        running = built = container = ""
        installed: list[tuple[str, str]] = []
        newest: tuple[str, str] | None = None
        asked: int | None = None
        packages: tuple[str, ...] = ()
        old: tuple[str, ...] | None = None
        has_dpkg = False
        for section in sections(answer):
            match section.name:
                case "running":
                    running, about = section.words(2)
                    found = re.search(r"(?:Debian|Ubuntu) (\d\S*)", about)
                    built = found[1] if found else ""
                case "container":
                    container = section.about
                case "packages":
                    has_dpkg = True
                    installed = [_pair(line) for line in section.lines]
                case "newest":
                    newest = _pair(section.about)
                case "reboot":
                    if not section.about.isdigit():
                        raise NotUnderstood("the time of reboot-required is no number")
                    asked, packages = int(section.about), tuple(sorted(set(section.lines)))
                case "old":
                    old = tuple(sorted({line.removesuffix(" (deleted)") for line in section.lines}))
                case _:
                    raise NotUnderstood(f"an unknown section {section.name}")
        if not running or (newest is None) != (not installed):
            raise NotUnderstood("the host did not say which kernel runs or is the newest")
        return cls(running, built, container, has_dpkg, tuple(installed), newest, asked, packages, old)


def _pair(text: str) -> tuple[str, str]:
    words = text.split(" ")
    if len(words) != 2:
        raise NotUnderstood(f"`{text[:60]}` is no package and version")
    return words[0], words[1]
