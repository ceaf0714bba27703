"""The kernel's loaded modules, what taints it, and which modules modprobe may not load (modprobe.d(5), proc(5))."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, named

SCRIPT = (
    QUOTE
    + r"""
[ -r /proc/sys/kernel/tainted ] || exit 3
printf '= container\n'
inside=
if command -v systemd-detect-virt >/dev/null; then inside=$(systemd-detect-virt -c) || inside=; fi
[ -n "$inside" ] || { [ -e /run/.containerenv ] || [ -e /.dockerenv ]; } && inside=${inside:-container}
[ -z "$inside" ] || [ "$inside" = none ] || printf '|%s\n' "$inside"
printf '= tainted\n'
quote </proc/sys/kernel/tainted || exit 1
printf '= loading\n'
for file in /proc/sys/kernel/modules_disabled /sys/module/module/parameters/sig_enforce /sys/kernel/security/lockdown; do
  [ -r "$file" ] && printf '|%s %s\n' "${file##*/}" "$(cat "$file")"
done
[ -r /sys/module/apparmor/parameters/enabled ] && printf '|apparmor %s\n' "$(cat /sys/module/apparmor/parameters/enabled)"
printf '= modules\n'
# A kernel without modules has no such list.
if [ -e /proc/modules ]; then
  all=$(cat /proc/modules) || exit 1
  [ -z "$all" ] || printf '%s\n' "$all" | cut -d' ' -f1 | quote
fi
printf '= blocked\n'
for file in /etc/modprobe.d/*.conf /run/modprobe.d/*.conf /usr/lib/modprobe.d/*.conf /lib/modprobe.d/*.conf; do
  [ -r "$file" ] || continue
  sed -n 's#^[[:space:]]*install[[:space:]]\{1,\}\([^[:space:]]*\)[[:space:]]\{1,\}\(/usr\)\{0,1\}/bin/\(false\|true\).*#|\1#p' "$file"
done
"""
    + END
)
# Documentation/admin-guide/tainted-kernels of the kernel: the bits that say the code is not the distribution's.
TAINTS: Mapping[int, str] = {
    0: "a module with another licence",
    1: "a module loaded by force",
    3: "a module removed by force",
    12: "a module from outside of the kernel's tree",
    13: "a module without a valid signature",
    15: "a live patch",
}


@dataclass(frozen=True, slots=True)
class KernelModules:
    """`blocked` are modules that modprobe answers by running /bin/false or /bin/true. In a container they are the machine's below."""

    ask: ClassVar[Question] = Question("kernel_modules", SCRIPT)
    container: str
    tainted: int
    loading: tuple[
        tuple[str, str], ...
    ]  # ("modules_disabled", "0"), ("sig_enforce", "Y"), ("lockdown", "[none] …")
    modules: frozenset[str]
    blocked: frozenset[str]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        container, tainted, loading, modules, blocked = named(
            answer, "container", "tainted", "loading", "modules", "blocked"
        )
        if len(tainted.lines) != 1 or not tainted.lines[0].isdigit():
            raise NotUnderstood("the kernel does not say what taints it", where=answer.question)
        names = [*modules.lines, *blocked.lines]
        if bad := next((name for name in names if not re.fullmatch(r"[\w-]+", name)), ""):
            raise NotUnderstood(f"`{bad[:60]}` is no module's name", where=answer.question)
        told = tuple((name, value) for name, _, value in (line.partition(" ") for line in loading.lines))
        return cls(
            container.lines[0] if container.lines else "",
            int(tainted.lines[0]),
            told,
            frozenset(name.replace("-", "_") for name in modules.lines),
            frozenset(name.replace("-", "_") for name in blocked.lines),
        )

    @property
    def taints(self) -> tuple[str, ...]:
        """Why the kernel is not the distribution's alone, in words."""
        return tuple(text for bit, text in TAINTS.items() if self.tainted >> bit & 1)
