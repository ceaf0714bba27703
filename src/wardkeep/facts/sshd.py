"""The SSH server's configuration as the server itself reports it (`sshd -T`), and every Match block that could change it.

`sshd -T` speaks for a connection about which nothing is known. A `Match` block may allow for some users or addresses what the
rest forbids, so the text of every file that sshd says it reads is brought along, and `SshServer.views` gives the whole
effective configuration once for each combination of blocks that could apply. Not checked: whether two different
conditions can hold at once: a view may then be impossible, but none is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, combinations
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, Section, sections
from wardkeep.facts.sshd_config import GATHERED, Block, Line, canonical, matches, read

MAIN = "/etc/ssh/sshd_config"
# The keywords that a view answers for. Blocks that name none of them (chroots, forced commands) cannot change a view.
DECIDING = frozenset(
    {
        "allowgroups", "allowusers", "authenticationmethods", "channeltimeout", "clientalivecountmax", "clientaliveinterval",
        "denygroups", "denyusers", "gssapiauthentication", "hostbasedauthentication", "kbdinteractiveauthentication",
        "loglevel", "maxauthtries", "passwordauthentication", "permitemptypasswords", "permitrootlogin",
        "pubkeyauthentication", "usepam",
    }
)  # fmt: skip
MOST = 12  # different conditions of such blocks: each doubles the views, and beyond that the answer is not understood
# Asks every sshd that listens in this process namespace with the options it was started with (-f, -o, -p), or, if none
# listens, the sshd that would be started. `-ddd` names the files it takes in. The listener writes its pid file whenever
# it (re)reads its configuration, so the file's age tells which text it runs.
SCRIPT = (
    QUOTE
    + r"""
sshd=$(command -v sshd) || exit 127
return=$(printf '\r')
ask() {
  told=$("$sshd" -T "$@" 2>/dev/null) || { "$sshd" -T "$@" >/dev/null; exit 255; }
  trace=$("$sshd" -T -ddd "$@" 2>&1 >/dev/null)
  printf '= told\n'; printf '%s\n' "$told" | quote
  printf '= trace\n'
  files= ; folders=
  while IFS= read -r line; do
    line=${line%"$return"}
    case $line in
      *'load_server_config: filename '*) printf '|%s\n' "$line"; files="$files
${line##*load_server_config: filename }" ;;
      *' line '*': including '*) printf '|%s\n' "$line" ;;
      *' line '*': new include '*) printf '|%s\n' "$line"; folder=${line##*: new include }
        case ${folder%/*} in /*) folders="$folders
${folder%/*}" ;; esac ;;
    esac
  done <<TRACE
$trace
TRACE
  while IFS= read -r file; do
    [ -n "$file" ] || continue
    changed=$(stat -c %Z "$file") || exit 3
    printf '= file %s %s\n' "$changed" "$file"; quote <"$file"
  done <<FILES
$files
FILES
  while IFS= read -r folder; do
    [ -d "$folder" ] && printf '= folder %s %s\n' "$(stat -c %Z "$folder")" "$folder"
  done <<FOLDERS
$folders
FOLDERS
}
set -f
seen= ; space=$(readlink /proc/self/ns/pid)
for pid in $(cd /proc && set +f && echo [0-9]*); do
  { read -r name <"/proc/$pid/comm"; } 2>/dev/null || continue
  [ "$name" = sshd ] && [ "$(readlink "/proc/$pid/ns/pid")" = "$space" ] || continue
  title=$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)
  case $title in
    *' -R '*) continue ;;
    'sshd: /'*' [listener] '*) title=${title#sshd: }; title=${title%% \[listener\]*} ;;
    */sshd\ *) [ "${title#sshd:}" = "$title" ] || continue ;;
    *) continue ;;
  esac
  set -- $title; shift; options=
  while [ $# -gt 0 ]; do
    case $1 in
      -f | -p) options="$options $1 $2"; shift ;;
      -o) case $2 in *=*) options="$options -o $2"; shift ;; *) options="$options -o $2=$3"; shift; [ $# -gt 0 ] && shift ;; esac ;;
      -f* | -o* | -p*) options="$options $1" ;;
    esac
    [ $# -gt 0 ] && shift
  done
  case "$seen" in *"<$options>"*) continue ;; esac
  seen="$seen<$options>"
  printf '= server %s%s\n' "$pid" "$options"
  ask $options
  file=$(printf '%s\n' "$told" | while read -r key value; do [ "$key" = pidfile ] && echo "$value"; done)
  { read -r written <"$file"; } 2>/dev/null || written=
  [ "$written" = "$pid" ] && printf '= loaded %s\n' "$(stat -c %Z "$file")"
done
[ -n "$seen" ] || { printf '= server 0\n'; ask; }
"""
    + END
)


@dataclass(frozen=True)
class View:
    """One whole effective configuration: what holds for one user under one combination of Match blocks."""

    options: Mapping[str, tuple[str, ...]]
    lines: Mapping[str, Line]  # where a Match block speaks, the line that decided
    blocks: tuple[Block, ...]

    def get(self, keyword: str) -> str:
        """The value in sshd's own words, `prohibit-password` for its old name. Raises NotUnderstood if sshd named none."""
        if keyword.lower() not in DECIDING:
            raise ValueError(f"add {keyword} to DECIDING")
        try:
            return canonical(self.options[keyword.lower()][0])
        except (KeyError, IndexError):
            raise NotUnderstood(f"sshd -T does not report {keyword}") from None

    def all(self, keyword: str) -> tuple[str, ...]:
        """Every value of a keyword that may stand several times; empty if sshd names none."""
        return self.options.get(keyword.lower(), ())

    def admits(self, user: str, groups: frozenset[str] | None = None) -> bool:
        """Do AllowUsers, DenyUsers and their like let `user` in from somewhere? Without groups their lists are ignored."""

        def listed(keyword: str, names: frozenset[str]) -> bool:
            patterns = [pattern for value in self.all(keyword) for pattern in value.split()]
            return any(
                matches(name, pattern.rpartition("@")[0] or pattern) for name in names for pattern in patterns
            )

        # A pattern with an address denies from there only, and no name matches it.
        always_denied = [pattern for value in self.all("denyusers") for pattern in value.split()]
        if any(matches(user, pattern) for pattern in always_denied):
            return False
        if self.all("allowusers") and not listed("allowusers", frozenset({user})):
            return False
        if groups is None:
            return True
        allowed = not self.all("allowgroups") or listed("allowgroups", groups)
        return allowed and not listed("denygroups", groups)

    def quote(self, keyword: str) -> str:
        """`PermitRootLogin yes (Match Address 10.0.0.0/8, /etc/ssh/sshd_config:120)`."""
        line = self.lines.get(keyword.lower())
        said = f"{keyword} {self.get(keyword)}"
        if line is None:
            return said
        block = next(block for block in self.blocks if line in block.lines)
        return f"{said} ({block}, {line.where})"


@dataclass(frozen=True)
class SshServer:
    """One configuration that an sshd runs, or would run. `options` are those of the start line, "" for the usual one.

    `loaded` and `changed` are Unix times: when the server last read its configuration (None: not known), and the
    newest change of a file or folder that makes it up.
    """

    pid: int  # 0: none is running
    options: str
    told: Mapping[str, tuple[str, ...]]
    plain: tuple[Line, ...]
    blocks: tuple[Block, ...]
    includes: tuple[
        tuple[str, str], ...
    ]  # (where, pattern): ("/etc/ssh/sshd_config:12", "/etc/ssh/sshd_config.d/*.conf")
    changed: int
    loaded: int | None = None

    @property
    def subject(self) -> str:
        return f"sshd {self.options}" if self.options else "sshd"

    def _deciding(self) -> tuple[Block, ...]:
        return tuple(block for block in self.blocks if any(line.keyword in DECIDING for line in block.lines))

    def conditions(self) -> int:
        """How many different conditions decide between views, for a user nobody knows."""
        return len(frozenset().union(*(block.hangs_on(None, None) or () for block in self._deciding())))

    def views(self, user: str | None = None, groups: frozenset[str] | None = None) -> Iterator[View]:
        """Every effective configuration `user` can meet; None: whoever it is. Never empty; the plainest comes first."""
        blocks = self._deciding()
        hangs_on = [block.hangs_on(user, groups) for block in blocks]
        criteria = sorted(frozenset().union(*(needed for needed in hangs_on if needed)))
        worlds = chain.from_iterable(combinations(criteria, size) for size in range(len(criteria) + 1))
        shown: set[tuple[int, ...]] = set()
        for world in worlds:
            true = frozenset(world)
            applying = tuple(i for i, needed in enumerate(hangs_on) if needed is not None and needed <= true)
            if applying in shown:
                continue
            shown.add(applying)
            applied = tuple(blocks[i] for i in applying)
            options, lines = dict(self.told), dict[str, Line]()
            for block in applied:
                spoken = frozenset(lines)  # by blocks before this one
                for line in block.lines:
                    if line.keyword not in lines:
                        lines[line.keyword] = line
                        options[line.keyword] = (line.value,)
                    elif line.keyword in GATHERED and line.keyword not in spoken:
                        options[line.keyword] += (line.value,)
            yield View(options, lines, applied)


@dataclass(frozen=True)
class Sshd:
    """The SSH servers of a host, at least one."""

    ask: ClassVar[Question] = Question("sshd", SCRIPT, tool="sshd")
    servers: tuple[SshServer, ...]

    @property
    def running(self) -> bool:
        return any(server.pid for server in self.servers)

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        """Raises NotUnderstood where a section is missing or sshd's words are not of the known form."""
        groups: list[list[Section]] = []
        for section in sections(answer):
            if section.name == "server":
                groups.append([])
            if not groups:
                raise NotUnderstood(f"section {section.name} belongs to no server")
            groups[-1].append(section)
        if not groups:
            raise NotUnderstood("no server was asked")
        servers = tuple(_server(group) for group in groups)
        for server in servers:
            if server.conditions() > MOST:
                raise NotUnderstood(
                    f"{server.conditions()} different Match conditions decide who gets in; up to {MOST} can be told apart",
                    where=server.subject,
                )
        return cls(servers)


def _server(group: list[Section]) -> SshServer:
    pid, _, options = group[0].about.partition(" ")
    told: dict[str, tuple[str, ...]] = {}
    trace: tuple[str, ...] = ()
    files: dict[str, str] = {}
    times: list[int] = []
    loaded = None
    for section in group[1:]:
        match section.name:
            case "told":
                told = _told(section.lines)
            case "trace":
                trace = section.lines
            case "file":
                changed, name = section.words(2)
                files[name] = section.text
                times.append(_seconds(changed))
            case "folder":
                times.append(_seconds(section.words(2)[0]))
            case "loaded":
                loaded = _seconds(section.about)
            case _:
                raise NotUnderstood(f"an unknown section {section.name}")
    if "permitrootlogin" not in told or not files:
        raise NotUnderstood("sshd -T did not tell its configuration")
    start, includes, patterns = _trace(trace)
    plain, blocks = read(start, files, includes)
    return SshServer(_seconds(pid), options, told, plain, blocks, patterns, max(times), loaded)


def _told(lines: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    told: dict[str, tuple[str, ...]] = {}
    for line in lines:
        keyword, space, value = line.partition(" ")
        if not space or not re.fullmatch("[a-z0-9]+", keyword):
            raise NotUnderstood(f"sshd -T said `{line[:60]}`")
        told[keyword] = (*told.get(keyword, ()), value)
    return told


def _trace(
    lines: tuple[str, ...],
) -> tuple[str, dict[tuple[str, int], list[str]], tuple[tuple[str, str], ...]]:
    start = ""
    includes: dict[tuple[str, int], list[str]] = {}
    patterns: list[tuple[str, str]] = []
    for line in lines:
        if found := re.fullmatch(r"debug2: load_server_config: filename (.+)", line):
            start = start or found[1]
        elif found := re.fullmatch(r"debug2: (.+) line (\d+): including (.+)", line):
            includes.setdefault((found[1], int(found[2])), []).append(found[3])
        elif found := re.fullmatch(r"debug2: (.+) line (\d+): new include (.+)", line):
            patterns.append((f"{found[1]}:{found[2]}", found[3]))
        else:
            raise NotUnderstood(f"sshd's trace said `{line[:80]}`")
    if not start:
        raise NotUnderstood("sshd did not say which file it reads")
    return start, includes, tuple(patterns)


def _seconds(text: str) -> int:
    if not text.isdigit():
        raise NotUnderstood(f"`{text[:40]}` is no number")
    return int(text)
