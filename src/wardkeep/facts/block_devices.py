"""Which mounted file systems and swap areas lie on encrypted devices, as `lsblk`, `findmnt` and `dmsetup` tell it.

Seen is dm-crypt (LUKS and plain) anywhere below a device. Not seen: encryption by the disk's own firmware or by the
provider of a virtual machine (invisible from inside), ZFS and fscrypt, and what an NFS server does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, named, read_json

# With the column NAME lsblk nests what stands on what; without it the list is flat.
# `dmsetup table` masks keys, and only cipher and length of the key are let through at all.
SCRIPT = (
    QUOTE
    + r"""
command -v lsblk >/dev/null && command -v findmnt >/dev/null || exit 127
[ -r /proc/swaps ] || exit 1
devices=$(lsblk --json -o NAME,KNAME,PATH,TYPE,FSTYPE,UUID) || exit 1
mounts=$(findmnt --json -o TARGET,SOURCE,FSTYPE,OPTIONS) || exit 1
printf '= devices\n'; printf '%s\n' "$devices" | quote
printf '= mounts\n'; printf '%s\n' "$mounts" | quote
printf '= swaps\n'
while read -r path type rest; do
  case $type in
    Type) ;;
    file) printf '|file %s %s\n' "$path" "$(findmnt -n -o SOURCE --target "$path")" ;;
    *) printf '|%s %s -\n' "$type" "$path" ;;
  esac
done </proc/swaps
printf '= ciphers\n'
case $devices in *'"crypt"'*)
  if command -v dmsetup >/dev/null; then
    table=$(dmsetup table --target crypt) || exit 1
    printf '%s\n' "$table" | while read -r name start length target cipher key rest; do
      case $key in :*) key=${key#:}; bits=$((${key%%:*} * 8)) ;; *) bits=$((${#key} * 4)) ;; esac
      printf '|%s %s %s\n' "${name%:}" "$cipher" "$bits"
    done
  fi ;;
esac
"""
    + END
)
# Kernel interfaces and memory: nothing of them reaches a disk (swap is looked at for itself).
NOT_STORED = frozenset(
    [
        "autofs",
        "binfmt_misc",
        "bpf",
        "cgroup",
        "cgroup2",
        "configfs",
        "debugfs",
        "devpts",
        "devtmpfs",
        "efivarfs",
        "fusectl",
        "hugetlbfs",
        "mqueue",
        "nsfs",
        "proc",
        "pstore",
        "ramfs",
        "rpc_pipefs",
        "securityfs",
        "selinuxfs",
        "sysfs",
        "tmpfs",
        "tracefs",
        "fuse.lxcfs",
    ]
)
NOT_TOLD = "cipher not told"
CIPHER = re.compile(r"(?P<name>\S+) (?P<cipher>\S+) (?P<bits>\d+)")


@dataclass(frozen=True, slots=True)
class Filesystem:
    """A mounted file system. `encrypted` is None where the device below cannot be followed from inside the host."""

    target: str
    source: str  # "/dev/mapper/vg-root"
    kind: str  # "ext4"
    read_only: bool
    encrypted: bool | None
    ciphers: tuple[str, ...] = ()  # "aes-xts-plain64, 512 bit key"


@dataclass(frozen=True, slots=True)
class Swap:
    """A swap area; `encrypted` as for a file system, and true for zram, which never leaves memory."""

    path: str
    encrypted: bool | None


@dataclass(frozen=True, slots=True)
class BlockDevices:
    ask: ClassVar[Question] = Question("block_devices", SCRIPT, tool="lsblk")
    filesystems: tuple[Filesystem, ...]
    swaps: tuple[Swap, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        devices, mounts, swaps, ciphers = named(answer, "devices", "mounts", "swaps", "ciphers")
        try:
            tree = read_json(devices)["blockdevices"]
            below = _with_members(dict(_below(tree)), list(_flat(tree)))
            mounted = list(_flat(read_json(mounts)["filesystems"]))
        except (KeyError, TypeError, AttributeError):
            raise NotUnderstood("lsblk or findmnt tell something else than expected") from None
        known = dict(_cipher(line) for line in ciphers.lines)
        return cls(
            tuple(_filesystem(m, below, known) for m in mounted if m["fstype"] not in NOT_STORED),
            tuple(_swap(line, below) for line in swaps.lines),
        )


Crypts = frozenset[str]  # the names of the dm-crypt devices on one way down to the disk; empty: none


def _below(devices: list[Any], above: Crypts = frozenset()) -> Iterator[tuple[str, tuple[Crypts, ...]]]:
    """Device path → for each way down to a disk, the dm-crypt devices on it. lsblk nests what stands on a disk."""
    ways: dict[str, list[Crypts]] = {}
    for device in devices:
        path, kernel_path, here = device["path"], f"/dev/{device['kname']}", above
        if device["type"] == "crypt":
            here = above | {path.removeprefix("/dev/mapper/")}
        for name in {path, kernel_path}:  # mounts go by the first, swap areas by the second
            ways.setdefault(name, []).append(here)
        for inner, found in _below(device.get("children") or [], here):
            ways.setdefault(inner, []).extend(found)
    for path, found_ways in ways.items():
        yield path, tuple(found_ways)


def _flat(tree: list[Any]) -> Iterator[Mapping[str, str]]:
    for node in tree:
        yield node
        yield from _flat(node.get("children") or [])


def _with_members(
    below: dict[str, tuple[Crypts, ...]], devices: list[Mapping[str, str]]
) -> dict[str, tuple[Crypts, ...]]:
    """A btrfs file system may span devices of which a mount names one: each stands for all. Unknown members: none stands."""
    members: dict[str | None, set[str]] = {}
    for device in devices:
        if device["fstype"] == "btrfs":
            members.setdefault(device["uuid"], set()).add(device["path"])
    for uuid, paths in members.items():
        ways = tuple(way for path in sorted(paths) for way in below[path])
        for path in paths:
            if uuid is None:
                del below[path]
            else:
                below[path] = ways
    return below


def _filesystem(
    mount: Mapping[str, str], below: Mapping[str, tuple[Crypts, ...]], known: Mapping[str, str]
) -> Filesystem:
    source = mount["source"].partition("[")[0]  # a bind mount or subvolume: "/dev/sda1[/folder]"
    ways = below.get(source)
    names = frozenset().union(*ways) if ways else frozenset[str]()
    return Filesystem(
        mount["target"],
        source,
        mount["fstype"],
        "ro" in mount["options"].split(","),
        None if ways is None else all(ways),
        tuple(sorted(known.get(name, f"{name}: {NOT_TOLD}") for name in names)),
    )


def _swap(line: str, below: Mapping[str, tuple[Crypts, ...]]) -> Swap:
    kind, _, rest = line.partition(" ")
    path, _, source = rest.rpartition(" ")
    if kind not in ("file", "partition") or not path:
        raise NotUnderstood(f"`{line}` is no swap area")
    if path.startswith("/dev/zram"):
        return Swap(path, True)
    ways = below.get(path if kind == "partition" else source.partition("[")[0])
    return Swap(path, None if ways is None else all(ways))


def _cipher(line: str) -> tuple[str, str]:
    match = CIPHER.fullmatch(line)
    if not match:
        raise NotUnderstood(f"`{line}` is no line of `dmsetup table`")
    return match["name"], f"{match['cipher']}, {match['bits']} bit key"
