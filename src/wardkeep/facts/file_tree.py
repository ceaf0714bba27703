"""One pass over a host's local file systems: set-id, writable by everybody, owned by nobody, devices, capabilities.

One `find` does it all, so that a host with 800,000 files is seen in seconds. Walked are the file systems that lie on the
host (memory ones too: /dev/shm and /run are where intruders leave things). Left out, and named in `excluded`: those of
the kernel's own making, of other machines, and the layers of container images, which are looked at as images. Not seen:
subvolumes of btrfs that are not mounted, and what lies beneath a mount.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, named

HOUR = 3600
LAYERS = (
    "/var/lib/docker/overlay2",
    "/var/lib/docker/vfs",
    "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs",
    "/var/lib/containers/storage/overlay",
    "/root/.local/share/containers/storage/overlay",
    "/home/*/.local/share/containers/storage/overlay",
)
# File names may hold anything but NUL: a line break in one travels as \001. The streams: 7 the answer, 3 a dot for each
# entry, 6 the programs whose capabilities are asked for, 5 what is told at the end.
SCRIPT = (
    QUOTE
    + r"""
command -v find >/dev/null && command -v xargs >/dev/null || exit 127
[ -r /proc/self/mountinfo ] || exit 3
top=
excluded= ; whole=' ' ; places=' '
set --
printf '= now\n|%s\n' "$(date +%s)"
if [ "$top" ]; then set -- "$top"; else
  while read -r id parent device root at rest; do
    [ "$root" = / ] && whole="$whole$device "
  done </proc/self/mountinfo
  while read -r id parent device root at options rest; do
    kind=${rest#*- }; kind=${kind%% *}; at=$(printf '%b' "$at")
    why=
    case $kind in
      ext[234] | xfs | btrfs | zfs | f2fs | jfs | reiserfs | bcachefs | vfat | exfat | ntfs* | tmpfs | ramfs) ;;
      overlay) [ "$at" = / ] || why=container ;;
      nfs* | cifs | smb* | ceph | glusterfs | 9p | virtiofs | fuse | fuse.* | afs | lustre) [ "$at" = / ] || why=other-machine ;;
      *) why=kernel ;;
    esac
    case $kind:$at in tmpfs:/sys/* | tmpfs:/proc/*) why=kernel ;; esac
    # A part of a file system that is walked from its root would be seen twice.
    [ -n "$why" ] || [ "$root" = / ] || case $whole in *" $device "*) why=seen-elsewhere ;; esac
    if [ -n "$why" ]; then excluded="$excluded$why $kind $at
"; continue; fi
    case $places in *" $at "*) continue ;; esac
    places="$places$at "
    set -- "$@" "$at"
  done </proc/self/mountinfo
fi
[ $# -gt 0 ] || exit 4
printf '= roots\n'
for at in "$@"; do printf '%s\n' "$at" | quote; done
printf '= excluded\n'
printf '%s' "$excluded" | quote
printf '= subids\n'
for file in /etc/subuid /etc/subgid; do [ ! -r "$file" ] || sed "s,^,|${file#/etc/sub}:," "$file"; done
users=$(getent passwd | cut -d: -f3 | sort -un | head -n 400 | sed 's/^/! -uid /') || exit 5
groups=$(getent group | cut -d: -f3 | sort -un | head -n 400 | sed 's/^/! -gid /') || exit 5
[ -n "$users" ] && [ -n "$groups" ] || exit 5
if command -v getcap >/dev/null; then caps='xargs -0 -r getcap'; else caps='head -c 0'; fi
exec 7>&1
printf '= found\n'
aside=$(
  exec 5>&1
  { { {
    find "$@" -xdev -ignore_readdir_race -type d \( @LAYERS@ \) -prune -o \
      -fprintf /dev/fd/3 . \( ! -type f -o ! -perm /111 -o -fprintf /dev/fd/6 '%p\0' \) \
      \( -perm /6000 -type f -o -perm -0002 ! -type l ! -type s \( ! -type d -o ! -perm -1000 \) \
         -o -type b -o -type c -o $users -nouser -o $groups -nogroup \) \
      -printf '%y %m %U %u %G %g %p\0'
    printf 'status %s\0' $?
  } | tr '\n\0' '\001\n' | sed 's/^/|/' >&7; } 3>&1 | wc -c | sed 's/^/counted /' >&5; } 6>&1 |
    { $caps 2>/dev/null; cat >/dev/null; } | sed 's/^/cap /' >&5
)
printf '= aside\n'
printf '%s\n' "$aside" | quote
printf '= tools\n'
! command -v getcap >/dev/null || printf '|getcap\n'
"""
    + END
).replace("@LAYERS@", " -o ".join(f"-path '{path}'" for path in LAYERS))
ENTRY = re.compile(
    r"(?P<kind>[fdbcpslD]) (?P<mode>[0-7]{1,4}) (?P<uid>\d+) (?P<user>.+?) (?P<gid>\d+) (?P<group>.+?) (?P<path>/.*)"
)
CAPABILITY = re.compile(r"(?P<path>/.*?) =? ?(?P<told>(?:cap_|=|all)[a-z_,=+ep i0-9]*)")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, folder or device that was found. `kind` is find's letter (`f`, `d`, `b`, `c`); `user` a name or a bare number."""

    kind: str
    mode: int
    uid: int
    user: str
    gid: int
    group: str
    path: str

    @property
    def set_id(self) -> bool:
        return self.kind == "f" and bool(self.mode & 0o6000)

    @property
    def world_writable(self) -> bool:
        """Can everybody change it? A folder in which everybody may only add counts as closed (sticky)."""
        return (
            self.kind in "fdp" and bool(self.mode & 0o002) and not (self.kind == "d" and self.mode & 0o1000)
        )

    @property
    def device(self) -> bool:
        return self.kind in "bc"

    @property
    def shown_mode(self) -> str:
        return f"{self.mode:04o} {self.user}:{self.group}"


@dataclass(frozen=True, slots=True)
class Span:
    """Numbers lent to an account for its containers (subuid(5), subgid(5))."""

    kind: str  # "uid" | "gid"
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class FileTree:
    """`at` is the host's clock as the pass began. `count` entries under `roots` were looked at; `entries` are those that are noteworthy.

    `complete` is false when `find` reported a fault: what it saw is true, what it did not see is not known.
    `capabilities` is None where the host has no getcap.
    """

    # How long it takes is the disk's affair where nothing is in memory: a long look, and not in every cycle.
    ask: ClassVar[Question] = Question(
        "file_tree", SCRIPT, tool="find", timeout=600, limit=32 << 20, keep=6 * HOUR
    )
    at: datetime
    roots: tuple[str, ...]
    excluded: tuple[tuple[str, str, str], ...]  # why, kind of file system, where
    lent: tuple[Span, ...]
    entries: tuple[Entry, ...]
    capabilities: tuple[tuple[str, str], ...] | None  # path, what it may
    count: int
    complete: bool

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        # A file's name need not be UTF-8; what is not travels as \xNN, so that no name can blind the whole look.
        told = replace(answer, stdout=answer.stdout.decode("utf-8", "backslashreplace").encode())
        now, roots, excluded, subids, found, aside, tools = named(
            told, "now", "roots", "excluded", "subids", "found", "aside", "tools"
        )
        if len(now.lines) != 1 or not now.lines[0].isdigit() or len(now.lines[0]) > 11:
            raise NotUnderstood("the pass does not say when it was made", where=answer.question)
        if not found.lines or not found.lines[-1].startswith("status "):
            raise NotUnderstood("the pass did not tell how it ended", where=answer.question)
        counted = [line for line in aside.lines if line.startswith("counted ")]
        if len(counted) != 1 or not counted[0][8:].isdigit() or not roots.lines:
            raise NotUnderstood("the pass did not count what it saw", where=answer.question)
        return cls(
            datetime.fromtimestamp(int(now.lines[0]), UTC),
            roots.lines,
            tuple(_excluded(line) for line in excluded.lines),
            tuple(span for line in subids.lines if (span := _span(line))),
            tuple(_entry(line) for line in found.lines[:-1]),
            _capabilities(aside.lines) if "getcap" in tools.lines else None,
            int(counted[0][8:]),
            found.lines[-1] == "status 0",
        )

    def is_lent(self, kind: str, number: int) -> bool:
        """Does the number belong to an account's containers?"""
        return any(s.kind == kind and s.first <= number < s.first + s.count for s in self.lent)

    def unowned(self) -> tuple[Entry, ...]:
        """Those whose owner or group has no name here and is lent to nobody."""
        return tuple(
            e for e in self.entries
            if (e.user == str(e.uid) and not self.is_lent("uid", e.uid))
            or (e.group == str(e.gid) and not self.is_lent("gid", e.gid))
        )  # fmt: skip


def _excluded(line: str) -> tuple[str, str, str]:
    words = line.split(" ", 2)
    if len(words) != 3:
        raise NotUnderstood(f"`{line[:60]}` names nothing that was left out")
    return words[0], words[1], words[2]


def _span(line: str) -> Span | None:
    """`uid:alice:100000:65536`; a comment or another form of these files lends nothing."""
    parts = line.split(":")
    if len(parts) != 4 or parts[0] not in ("uid", "gid") or not (parts[2].isdigit() and parts[3].isdigit()):
        if parts[0] not in ("uid", "gid"):
            raise NotUnderstood(f"`{line[:60]}` is no line of subuid or subgid")
        return None
    return Span(parts[0], int(parts[2]), int(parts[3]))


def _entry(line: str) -> Entry:
    match = ENTRY.fullmatch(line)
    if not match:
        raise NotUnderstood(f"`{line[:60]}` describes no file")
    return Entry(
        match["kind"], int(match["mode"], 8), int(match["uid"]), match["user"], int(match["gid"]), match["group"],
        match["path"].replace("\x01", "\\n"),
    )  # fmt: skip


def _capabilities(lines: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    found = []
    pending = ""
    for line in lines:
        if line.startswith("counted "):
            continue
        if not line.startswith("cap "):
            raise NotUnderstood(f"`{line[:60]}` is no line of getcap")
        whole = pending + line[4:]
        match = CAPABILITY.fullmatch(whole)
        if match:
            found.append((match["path"], match["told"].strip()))
            pending = ""
        else:
            pending = whole + "\\n"  # a name with a line break goes on in the next line
    if pending:
        raise NotUnderstood(f"`{pending[:60]}` is no line of getcap")
    return tuple(found)
