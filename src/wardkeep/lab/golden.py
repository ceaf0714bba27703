"""The machine that all machines are copies of: booted once, settled, and kept with its memory.

    vm-<suite>-<digest>/   base.ext4 vmlinuz initrd    from the image (the same to the byte for the same packages)
                           root.qcow2 data.qcow2       what the boot wrote, on top of base.ext4; an empty second disk
                           memory state                memory and devices of the moment it was kept

A copy maps `memory` privately and shares what it does not change with all the others, so it costs neither the time of
a boot nor the memory of a machine.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wardkeep.core.errors import Unavailable
from wardkeep.lab import images, processes
from wardkeep.lab.monitor import execute, monitor
from wardkeep.lab.recipes import EPOCH, Recipe

if TYPE_CHECKING:
    from wardkeep.lab.lab import Lab

MEMORY, CARDS, DISK = "640M", 3, "512M"
# The clock of the programs that make the disk.
FIXED = {**os.environ, "E2FSPROGS_FAKE_TIME": str(EPOCH)}
# No network names by slot (eth0 stays eth0), no mitigations (nobody else is on this processor), the audit trail on.
KERNEL = "root=LABEL=root rw console=ttyS0 net.ifnames=0 mitigations=off quiet audit=1"
# Ready before the memory is kept: modules that are slow to load, and what every copy runs first, read from the disk
# once. sshd is stopped: a copy starts it with keys of its own.
SETTLE = """
for m in wireguard dm_crypt nft_queue nf_tables nft_ct nft_log tun loop; do modprobe -q $m || true; done
ip link set eth0 up; python3 -c 'import json, socket'; nft list ruleset >/dev/null; date -s @$(date +%s) >/dev/null
hostname $(hostname); ssh -V 2>/dev/null; sshd -t; systemctl stop ssh; systemctl start ssh; systemctl stop ssh
rm -f /etc/ssh/ssh_host_*; systemctl is-system-running; sync
"""


def qemu(
    folder: Path,
    sockets: Path,
    name: str,
    *,
    disks: tuple[Path, Path],
    memory: str,
    cards: Sequence[str],
    more: Sequence[str] = (),
) -> list[str]:
    """The command of a machine. The list of devices must be the same for the kept one and for every copy."""
    plugs = []
    for number, card in enumerate(cards):
        plugs += ["-netdev", f"{card},id=n{number}", "-device", f"virtio-net-pci,netdev=n{number},romfile="]
    drives = []
    for number, disk in enumerate(disks):
        drives += ["-drive", f"file={disk},if=none,id=d{number},format=qcow2,cache=unsafe", "-device",
                   f"virtio-blk-pci,drive=d{number}"]  # fmt: skip
    return [
        # One processor: an emulated second one costs more than it gives. KVM is never used: copies must fit any machine.
        "qemu-system-x86_64", "-name", name, "-M", "q35,memory-backend=ram", "-accel", "tcg,tb-size=128", "-smp", "1",
        "-m", MEMORY, "-object", memory, "-nodefaults", "-no-user-config", "-display", "none",
        "-kernel", str(folder / "vmlinuz"), "-initrd", str(folder / "initrd"), "-append", KERNEL, *drives, *plugs,
        "-device", "virtio-rng-pci", "-device", f"vmgenid,guid={uuid.uuid4()}",
        "-chardev", f"socket,id=tpm0,path={sockets}.tpm", "-tpmdev", "emulator,id=t0,chardev=tpm0",
        "-device", "tpm-crb,tpmdev=t0",
        "-chardev", f"socket,id=ga0,path={sockets}.agent,server=on,wait=off", "-device", "virtio-serial-pci",
        "-device", "virtserialport,chardev=ga0,name=org.qemu.guest_agent.0",
        "-serial", f"file:{sockets}.console", "-qmp", f"unix:{sockets}.qmp,server=on,wait=off", *more,
    ]  # fmt: skip


def start_tpm(lab: Lab, sockets: Path, state: Path, name: str) -> None:
    """An emulated TPM 2.0 whose secrets lie in the folder `state`."""
    state.mkdir(parents=True, exist_ok=True)
    control = Path(f"{sockets}.tpm")
    control.unlink(missing_ok=True)
    lab.spawn(
        ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}", "--ctrl", f"type=unixio,path={control}"],
        name,
    )
    if not processes.wait_until(control.exists, 60, 0.005):
        raise Unavailable("swtpm does not start", where=name)


def golden(lab: Lab, suite: str) -> Path:
    """The folder of the kept machine of a suite; made if it is not there yet (about two minutes)."""
    recipe = Recipe("machine", suite)
    version = subprocess.run(
        ["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=True
    ).stdout
    how = "|".join(
        qemu(Path("x"), Path("y"), "z", disks=(Path("a"), Path("b")), memory="m", cards=("c",) * CARDS)[:-1]
    )
    how = how.replace(how.partition("guid=")[2].partition("|")[0], "")
    told = "\n".join((images.digest(recipe), version, how, SETTLE, DISK))
    made = lab.places.cache / "images" / f"vm-{suite}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"
    if made.exists():
        return made
    with lab.places.alone(f"image-machine-{suite}"):
        if not made.exists():
            folder = lab.book.disks / f"golden-{suite}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            disk(images.build(recipe, lab.places.cache / "images"), folder)
            _boot_and_keep(lab, folder, suite)
            folder.rename(made)
    return made


def disk(tar: Path, folder: Path) -> None:
    """From an image: base.ext4, vmlinuz and initrd in `folder`. The same image gives the same bytes."""
    root = folder / "root"
    root.mkdir()
    subprocess.run(["tar", "-xf", str(tar), "-C", str(root), "--numeric-owner"], check=True)
    for name, pattern in (("vmlinuz", "vmlinuz-*"), ("initrd", "initrd.img-*")):
        shutil.move(next((root / "boot").glob(pattern)), folder / name)
    os.utime(root / "boot", (EPOCH, EPOCH))  # taking something out was written down as its mtime
    base = folder / "base.ext4"
    with open(base, "wb") as file:
        file.truncate(4 << 30)
    seed = "57617264-6b65-4570-8c61-620000000001"
    subprocess.run(
        ["mkfs.ext4", "-q", "-F", "-L", "root", "-U", seed, "-E", f"hash_seed={seed},lazy_itable_init=0", "-d", str(root), str(base)],
        check=True, capture_output=True, env=FIXED,
    )  # fmt: skip
    _fix_times(base)
    shutil.rmtree(root)


def _fix_times(base: Path) -> None:
    """Give every inode one ctime and one atime: mkfs has taken those of the folder, which tell when it was unpacked."""
    told = subprocess.run(
        ["dumpe2fs", str(base)], capture_output=True, text=True, check=True, env=FIXED
    ).stdout
    total = re.search(r"^Inode count:\s+(\d+)$", told, re.M)
    assert total
    free = {
        number
        for ranges in re.findall(r"^\s+Free inodes: (.+)$", told, re.M)
        for first, last in re.findall(r"(\d+)(?:-(\d+))?", ranges)
        for number in range(int(first), int(last or first) + 1)
    }
    # The first ten are the file system's own, but for the root folder.
    used = [number for number in (2, *range(11, int(total[1]) + 1)) if number not in free]
    script = "".join(f"sif <{number}> {field} @{EPOCH}\n" for number in used for field in ("ctime", "atime"))
    subprocess.run(
        ["debugfs", "-w", "-f", "/dev/stdin", str(base)], input=script, capture_output=True, text=True, check=True,
        env=FIXED,
    )  # fmt: skip


def new_disk(path: Path, under: Path | None = None, size: str = "") -> None:
    """A disk on top of another, which must stay as it is; or an empty one."""
    layer = ["-b", str(under), "-F", "raw" if under.suffix == ".ext4" else "qcow2"] if under else []
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", *layer, str(path), *([size] if size else [])],
        check=True, capture_output=True,
    )  # fmt: skip


def memory_of(path: Path, *, shared: bool) -> str:
    """QEMU's words for memory in a file: written through, or mapped privately."""
    return f"memory-backend-file,id=ram,size={MEMORY},mem-path={path},share={'on' if shared else 'off'}"


def _boot_and_keep(lab: Lab, folder: Path, suite: str) -> None:
    name, sockets = f"golden-{suite}", lab.book.folder / f"golden-{suite}"
    # Relative, so that the folder can get its final name.
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.ext4", "-F", "raw", "root.qcow2"],
        check=True, capture_output=True, cwd=folder,
    )  # fmt: skip
    new_disk(folder / "data.qcow2", size=DISK)
    start_tpm(lab, sockets, folder / "tpm", f"{name}-tpm")
    cards = [f"hubport,hubid={number}" for number in range(CARDS)]
    disks = (folder / "root.qcow2", folder / "data.qcow2")
    memory = memory_of(folder / "memory", shared=True)
    lab.spawn(qemu(folder, sockets, name, disks=disks, memory=memory, cards=cards), name)
    agent, said = Path(f"{sockets}.agent"), "nothing"

    def up() -> bool:
        nonlocal said
        if not lab.running(name)[0]:
            raise Unavailable("QEMU ended", where=(lab.book.disks / f"{name}.log").read_text().strip()[-400:])
        try:
            said = execute(agent, "systemctl is-system-running", "", 10, name).stdout.strip()
        except Unavailable as e:
            said = e.what
        return said in {"running", "degraded"}

    if not processes.wait_until(up, 600, 0.5):
        raise Unavailable(f"the machine did not boot: it says {said}", where=name)
    done = execute(agent, SETTLE, "", 120, name)
    if done.exit:
        raise Unavailable(f"the machine could not be settled: {done.stderr.strip()[-300:]}", where=name)
    qmp = Path(f"{sockets}.qmp")
    share = {"capabilities": [{"capability": "x-ignore-shared", "state": True}]}
    monitor(
        qmp,
        ("stop", {}),
        ("migrate-set-capabilities", share),
        ("migrate", {"uri": f"exec:cat > {folder}/state"}),
    )
    until = time.monotonic() + 120
    while (now := monitor(qmp, ("query-migrate", {}))["status"]) != "completed":
        if now == "failed" or time.monotonic() > until:
            raise Unavailable(f"the machine's state could not be kept ({now})", where=name)
        time.sleep(0.05)
    lab.stop(name)
    lab.stop(f"{name}-tpm")
    shutil.rmtree(folder / "tpm")
