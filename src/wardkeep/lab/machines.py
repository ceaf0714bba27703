"""The kind `vm`: a QEMU machine with a kernel, a clock, a TPM and disks of its own, copied from one that has booted."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any, ClassVar

from wardkeep.core.errors import Unavailable
from wardkeep.lab import cables, processes
from wardkeep.lab.cables import Network
from wardkeep.lab.golden import CARDS, MEMORY, golden, memory_of, new_disk, qemu, start_tpm
from wardkeep.lab.host import OUTSIDE, Host
from wardkeep.lab.monitor import execute, listens, monitor
from wardkeep.lab.podman import Ran
from wardkeep.lab.recipes import SUITES

# What the copies would share: clock, name, identity, keys. The keys are made by this machine, whose processor is quick.
# The generator of random numbers is reseeded by the vmgenid device.
OWN = """set -e
date -s @{now:.3f} >/dev/null
hostname {name}; echo {name} > /etc/hostname; echo {identity} > /etc/machine-id
printf '127.0.0.1 localhost\\n::1 localhost\\n127.0.1.1 {name}\\n' > /etc/hosts
umask 077; mkdir -p /root/.ssh; echo '{opens}' > /root/.ssh/authorized_keys
{keys}
ip -batch - <<'I'
{addresses}
I
systemctl start --no-block ssh
"""


class VmHost(Host):
    kind: ClassVar[str] = "vm"
    interfaces: ClassVar[int] = CARDS

    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self.shifted = 0.0
        self._addressed, self._settled = False, False

    @property
    def sockets(self) -> Path:
        """Where its sockets are, without their ending. In RUN: the path of a socket must be short."""
        return self.lab.book.folder / f"vm{self.number}"

    def start(self) -> None:
        is_new = not (self.folder / "root.qcow2").exists()
        kept = golden(self.lab, SUITES[self.debian])
        if is_new:
            for disk in ("root.qcow2", "data.qcow2"):
                new_disk(self.folder / disk, kept / disk)
        if not self.lab.running(f"{self.name}-tpm")[0]:
            start_tpm(self.lab, self.sockets, self.folder / "tpm", f"{self.name}-tpm")
        taps = [
            cables.open_tap(self.lab.network(OUTSIDE).netns, f"w{self.number}c{card}")
            for card in range(CARDS)
        ]
        try:
            memory = (
                memory_of(kept / "memory", shared=False)
                if is_new
                else f"memory-backend-ram,id=ram,size={MEMORY}"
            )
            command = qemu(
                kept, self.sockets, self.name, disks=(self.folder / "root.qcow2", self.folder / "data.qcow2"),
                memory=memory, cards=[f"tap,fd={fd}" for fd in taps], more=("-incoming", "defer") if is_new else (),
            )  # fmt: skip
            self.lab.spawn(command, self.name, keep_open=taps)
        finally:
            for fd in taps:
                os.close(fd)
        if not processes.wait_until(self._hears, 60, 0.01):
            raise Unavailable("QEMU does not start", where=self.name)
        if is_new:
            self._restore(kept)
        else:
            self._wait_boot("")
            self._rewire()

    def _must_run(self) -> None:
        if not self.lab.running(self.name)[0]:
            raise Unavailable(f"QEMU ended: {self._log()}", where=self.name)

    def _hears(self) -> bool:
        self._must_run()
        return listens(self._qmp)

    @property
    def _qmp(self) -> Path:
        return Path(f"{self.sockets}.qmp")

    def _restore(self, kept: Path) -> None:
        share = {"capabilities": [{"capability": "x-ignore-shared", "state": True}]}
        load = {"uri": f"exec:cat {kept}/state"}
        monitor(self._qmp, ("migrate-set-capabilities", share), ("migrate-incoming", load))

        def restored() -> bool:
            self._must_run()
            return monitor(self._qmp, ("query-status", {}))["status"] in (
                "paused",
                "postmigrate",
                "prelaunch",
            )

        if not processes.wait_until(restored, 60, 0.02):
            raise Unavailable("the kept machine could not be restored", where=self.name)
        monitor(self._qmp, ("cont", {}))
        outside = self.lab.networks[OUTSIDE]
        own = OWN.format(
            now=time.time(), name=self.name, identity=uuid.uuid4().hex, keys=self._new_keys(),
            opens=self.key.with_suffix(".pub").read_text().strip(), addresses=_addresses(outside, self.number, "eth0"),
        )  # fmt: skip
        done = self.run(own, timeout=120)
        if done.exit:
            raise Unavailable(
                f"the copy could not be made its own: {done.stderr.strip()[-300:]}", where=self.name
            )
        self._addressed = self._settled = True

    def _new_keys(self) -> str:
        """Shell lines that write host keys made for this machine."""
        lines = []
        for kind in ("ed25519", "ecdsa"):
            file = self.folder / f"ssh_host_{kind}_key"
            make = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", self.name, "-f", str(file)]
            subprocess.run(make, check=True, capture_output=True)
            for part in (file, Path(f"{file}.pub")):
                lines.append(f"cat > /etc/ssh/{part.name} <<'K'\n{part.read_text().strip()}\nK")
                part.unlink()
        return "\n".join([*lines, "chmod 644 /etc/ssh/*.pub"])

    def _log(self) -> str:
        return (self.lab.book.disks / f"{self.name}.log").read_text().strip()[-400:]

    def _set_clock(self) -> None:
        self.stage(f"date -s @{time.time() + self.shifted:.3f} >/dev/null", timeout=120)

    def run(self, script: str, *, stdin: str = "", timeout: float = 60) -> Ran:
        return execute(Path(f"{self.sockets}.agent"), script, stdin, timeout, self.name)

    def _wire(self, network: Network, interface: str) -> None:
        tap = f"w{self.number}{interface.replace('eth', 'c')}"
        outside = self.lab.networks[OUTSIDE]
        if network != outside:
            cables.ip("link", "set", tap, "netns", network.netns, inside=outside.netns)
        cables.ip("link", "set", tap, "name", self.port, inside=network.netns)
        cables.plug_port(network, self.port)
        self._address(network, interface)

    def _address(self, network: Network, interface: str) -> None:
        if self._addressed and interface == "eth0":
            self._addressed = False  # done with the rest of what a copy is told
            return
        self.stage("ip -batch -", stdin=_addresses(network, self.number, interface) + "\n", timeout=120)

    def _not_ready(self) -> str:
        if said := super()._not_ready():
            return said
        if self._settled:  # it was when it was kept
            return ""
        state = self.run("systemctl is-system-running").stdout.strip()
        return "" if state in {"running", "degraded"} else f"systemd says {state or 'nothing'}"

    def _wait_boot(self, before: str) -> None:
        """Until the agent of another boot than `before` answers."""

        def booted() -> bool:
            if not self.lab.running(self.name)[0]:
                raise Unavailable(f"QEMU ended: {self._log()}", where=self.name)
            with contextlib.suppress(Unavailable):
                return self._boot() not in ("", before)
            return False

        self._settled = False
        if not processes.wait_until(booted, 300, 0.3):
            raise Unavailable("the machine did not boot within 300 s", where=self.name)
        self._set_clock()

    def _boot(self) -> str:
        arguments = "cat /proc/sys/kernel/random/boot_id"
        return execute(Path(f"{self.sockets}.agent"), arguments, "", 10, self.name).stdout.strip()

    def pause(self) -> None:
        monitor(self._qmp, ("stop", {}))

    def resume(self) -> None:
        monitor(self._qmp, ("cont", {}))

    def power(self) -> str:
        if not self.lab.running(self.name)[0]:
            return "off"
        return "frozen" if monitor(self._qmp, ("query-status", {}))["status"] == "paused" else "on"

    def kill(self) -> None:
        self.lab.stop(self.name)
        for ending in ("qmp", "agent"):
            Path(f"{self.sockets}.{ending}").unlink(missing_ok=True)

    def reboot(self) -> None:
        """systemd stops everything, the machine is reset and boots its kernel (15 to 40 s)."""
        before = self._boot()
        with contextlib.suppress(Unavailable):
            self.run("systemctl --no-block reboot", timeout=30)
        self._wait_boot(before)
        # QEMU and its cables are the same; the machine has lost its addresses.
        for name, interface in self.wired.items():
            self._address(self.lab.networks[name], interface)
        self.wait_ready()

    def shift_clock(self, seconds: float) -> None:
        self.shifted += seconds
        self._set_clock()
        self.lab.keep(self)

    def _own(self) -> dict[str, Any]:
        return {"shifted": self.shifted}

    def take_up(self, told: dict[str, Any]) -> None:
        super().take_up(told)
        self.shifted = told["shifted"]

    def _discard(self) -> None:
        self.kill()
        self.lab.stop(f"{self.name}-tpm")
        shutil.rmtree(self.folder, ignore_errors=True)
        for left in self.lab.book.folder.glob(f"vm{self.number}.*"):
            left.unlink(missing_ok=True)


def _addresses(network: Network, number: int, interface: str) -> str:
    """Lines for ip(8): the card's own hardware address, which neighbours remember, and its addresses, up."""
    return (
        f"link set {interface} down\nlink set {interface} address {network.mac(number)}\nlink set {interface} up\n"
        f"addr replace {network.address(number)}/24 dev {interface}\n"
        f"addr replace {network.address6(number)}/64 dev {interface} nodad"
    )
