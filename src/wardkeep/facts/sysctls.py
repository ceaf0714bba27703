"""Settings of the running kernel, read where the kernel shows them (/proc/sys), and whether a container hides whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, sections

KEYS = (
    "fs.protected_fifos",
    "fs.protected_hardlinks",
    "fs.protected_regular",
    "fs.protected_symlinks",
    "fs.suid_dumpable",
    "kernel.core_pattern",
    "kernel.dmesg_restrict",
    "kernel.kptr_restrict",
    "kernel.randomize_va_space",
    "kernel.unprivileged_bpf_disabled",
    "kernel.yama.ptrace_scope",
    "net.core.bpf_jit_harden",
    "net.ipv4.conf.all.accept_redirects",
    "net.ipv4.conf.all.accept_source_route",
    "net.ipv4.icmp_echo_ignore_broadcasts",
    "net.ipv4.tcp_syncookies",
    "net.ipv6.conf.all.accept_redirects",
    "net.ipv6.conf.all.accept_source_route",
)


def _file(key: str) -> str:
    return "/proc/sys/" + key.replace(".", "/")


# One `head` for all: a process for each would be most of the work. It names each file it can open before its first line.
# Not by `read`: it takes byte by byte, and most of these files end after the first.
SCRIPT = (
    r"""
inside=
if command -v systemd-detect-virt >/dev/null; then inside=$(systemd-detect-virt -c) || inside=; fi
[ -n "$inside" ] || { [ -e /run/.containerenv ] || [ -e /.dockerenv ]; } && inside=${inside:-container}
[ -z "$inside" ] || [ "$inside" = none ] || printf '= container %s\n' "$inside"
[ -d /proc/sys/kernel ] || exit 3
line='
'
tell() {
  value=
  case $told in *"==> $2 <==$line"*) value=${told#*"==> $2 <==$line"} value=${value%%"$line"*} ;; esac
  if [ ! -e "$2" ]; then printf '= absent %s\n' "$1"; return; fi
  case $value in
    '' | '==> '*) printf '= hidden %s\n' "$1" ;;
    *) printf '= value %s %s\n' "$1" "$value" ;;
  esac
}
"""
    + f"told=$(head -v -n 1 {' '.join(map(_file, KEYS))} 2>/dev/null)\n"
    + "".join(f"tell {key} {_file(key)}\n" for key in KEYS)
    + r"""
if [ -d /run/systemd/system ]; then
  printf '= limit %s\n' "$(systemctl show -p DefaultLimitCORESoft --value)"
fi
"""
    + END
)


@dataclass(frozen=True)
class Sysctls:
    """`values` by name. `absent`: this kernel has no such setting. `hidden`: it may not be read."""

    ask: ClassVar[Question] = Question("sysctls", SCRIPT)
    values: Mapping[str, str]
    absent: frozenset[str]
    hidden: frozenset[str]
    container: str
    core_limit: str  # systemd's limit on core dumps of services: "0", "infinity", "" if not told

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        """Raises NotUnderstood unless every key asked for is spoken of."""
        values: dict[str, str] = {}
        absent: set[str] = set()
        hidden: set[str] = set()
        container = limit = ""
        for section in sections(answer):
            match section.name:
                case "value":
                    key, value = section.words(2)
                    values[key] = value
                case "absent":
                    absent.add(section.about)
                case "hidden":
                    hidden.add(section.about)
                case "container":
                    container = section.about
                case "limit":
                    limit = section.about
                case _:
                    raise NotUnderstood(f"an unknown section {section.name}")
        if {*values, *absent, *hidden} != set(KEYS):
            raise NotUnderstood("not every setting was spoken of")
        return cls(values, frozenset(absent), frozenset(hidden), container, limit)
