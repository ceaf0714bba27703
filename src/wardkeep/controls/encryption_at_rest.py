"""Data encryption at rest: what is written to a disk cannot be read without its key."""

from __future__ import annotations

from collections.abc import Iterator

from wardkeep.core.control import Control
from wardkeep.core.findings import Seen, Severity, fails, passes, unsure
from wardkeep.facts.block_devices import NOT_TOLD, BlockDevices, Filesystem

# What a machine must read before anybody can give it a key, and media that are never written.
STARTS_THE_MACHINE = ("/boot", "/efi")
NEVER_WRITTEN = frozenset({"squashfs", "iso9660", "erofs", "cramfs"})
NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "virtiofs", "fuse.sshfs", "glusterfs"})
MOVE = (
    "Move the data to a LUKS volume (`cryptsetup luksFormat`), or record a waiver that names the encryption "
    "below this machine."
)

control = Control(
    "encryption_at_rest",
    missing=(
        "Whether the encryption below a virtual machine or inside a disk is on cannot be seen from the host.",
        "Whether backups and exported files are encrypted where they are kept is not looked at.",
        "No drill searches a disk's raw bytes for a known text yet.",
    ),
)
control.cannot_drill("no drill searches a disk's raw bytes for a known text yet")


@control.rule(
    says="Every file system that can hold data lies on an encrypted device.",
    severity=Severity.HIGH,
    serves={
        "164.312(a)(2)(iv)": "An encrypted device is the mechanism by which stored data is unreadable without a key.",
        "164.310(d)(2)(i)": "A disk that leaves the house carries nothing readable if all of it was encrypted.",
        "164.310(d)(2)(ii)": "Media can be used again after their key is destroyed.",
    },
)
def data_on_encrypted_devices(devices: BlockDevices) -> Iterator[Seen]:
    spoken = False
    for filesystem in one_for_each_device(devices):
        spoken = True
        subject = f"mount:{filesystem.target}"
        what = f"{filesystem.kind} on {filesystem.source}"
        if filesystem.kind in NETWORK:
            yield unsure(
                subject, f"{what}: the server that keeps it does not tell", "Ask its keeper for proof."
            )
        elif filesystem.encrypted is None:
            yield unsure(
                subject,
                f"{what}: the device below cannot be followed from here",
                "Look on the machine below.",
            )
        elif filesystem.encrypted:
            yield by_cipher(
                subject, f"{what}, encrypted by dm-crypt ({'; '.join(filesystem.ciphers)})", filesystem
            )
        else:
            yield fails(subject, f"{what}, no encrypted device below it", MOVE)
    if not spoken:
        yield unsure("host", "no file system that holds data is mounted, which cannot be all of a machine")


data_on_encrypted_devices.cannot_mend(
    "a file system cannot be encrypted in place while in use; its data must be moved by a person"
)


def by_cipher(subject: str, seen: str, filesystem: Filesystem) -> Seen:
    """dm-crypt can also be told to do nothing (`cipher_null`)."""
    if any("null" in cipher for cipher in filesystem.ciphers):
        return fails(subject, seen, MOVE)
    if any(cipher.endswith(NOT_TOLD) for cipher in filesystem.ciphers):
        return unsure(subject, seen, "Install dmsetup, so that the cipher can be seen.")
    return passes(subject, seen)


def one_for_each_device(devices: BlockDevices) -> Iterator[Filesystem]:
    """The mount nearest to the root of each device (others are bind mounts and subvolumes), by its path."""
    nearest: dict[str, Filesystem] = {}
    for found in sorted(devices.filesystems, key=lambda f: (len(f.target), f.target), reverse=True):
        starts = any(found.target == p or found.target.startswith(p + "/") for p in STARTS_THE_MACHINE)
        layered = (
            found.kind == "overlay" and found.target != "/"
        )  # its upper folder lies on one of the others
        if starts or layered or found.kind in NEVER_WRITTEN:
            continue
        nearest[found.source if found.source.startswith("/") else found.target] = found
    yield from sorted(nearest.values(), key=lambda f: f.target)


@control.rule(
    says="Memory that is swapped out is encrypted.",
    severity=Severity.MEDIUM,
    serves={
        "164.312(a)(2)(iv)": "Records a program holds in memory reach the disk by swap, so swap needs the same mechanism."
    },
)
def swap_encrypted(devices: BlockDevices) -> Iterator[Seen]:
    if not devices.swaps:
        yield passes("swap", "no swap area is in use")
    for swap in sorted(devices.swaps, key=lambda s: s.path):
        subject = f"swap:{swap.path}"
        if swap.encrypted is None:
            yield unsure(
                subject, "the device below cannot be followed from here", "Look on the machine below."
            )
        elif swap.encrypted:
            yield passes(subject, f"{swap.path} never reaches a disk in clear")
        else:
            todo = (
                f"Run `swapoff {swap.path}`, or swap to a device that /etc/crypttab opens with a random key."
            )
            yield fails(subject, f"{swap.path} has no encrypted device below it", todo)


swap_encrypted.cannot_mend("turning swap off can end programs that need the memory; a person chooses when")
