"""The kind `vm`: a QEMU machine with a kernel, a clock, a TPM and disks of its own, copied from one that has booted."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path
from typing import Any, ClassVar

from wardkeep.core.errors import Unavailable
from wardkeep.lab import cables, processes
from wardkeep.lab.cables import Network
from wardkeep.lab.golden import CARDS, MEMORY, golden, memory_of, new_disk, qemu, start_tpm
from wardkeep.lab.host import Host
from wardkeep.lab.monitor import execute, monitor
from wardkeep.lab.podman import Ran
from wardkeep.lab.recipes import SUITES

# What the copies would share: name, identity, keys. The generator of random numbers is reseeded by the vmgenid device.
OWN = """set -e
hostname {name}; echo {name} > /etc/hostname; printf '127.0.0.1 localhost\\n127.0.1.1 {name}\\n' > /etc/hosts
rm -f /etc/machine-id /etc/ssh/ssh_host_*; systemd-machine-id-setup >/dev/null 2>&1
for t in ed25519 ecdsa; do ssh-keygen -q -t $t -N '' -C {name} -f /etc/ssh/ssh_host_${{t}}_key; done
mkdir -p -m 700 /root/.ssh; cat > /root/.ssh/authorized_keys; chmod 600 /root/.ssh/authorized_keys
systemctl restart ssh
"""


class VmHost(Host):
    kind: ClassVar[str] = "vm"
    interfaces: ClassVar[int] = CARDS

    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self.shifted = 0.0

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
            cables.open_tap(self.lab.network("outside").netns, f"w{self.number}c{card}")
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
        if not processes.wait_until(
            lambda: self._qmp.exists() or not self.lab.running(self.name)[0], 60, 0.01
        ):
            raise Unavailable("QEMU does not start", where=self.name)
        if is_new:
            self._restore(kept)
        else:
            self._wait_boot("")
            self._rewire()

    @property
    def _qmp(self) -> Path:
        return Path(f"{self.sockets}.qmp")

    def _restore(self, kept: Path) -> None:
        share = {"capabilities": [{"capability": "x-ignore-shared", "state": True}]}
        load = {"uri": f"exec:cat {kept}/state"}
        monitor(self._qmp, ("migrate-set-capabilities", share), ("migrate-incoming", load))

        def restored() -> bool:
            if not self.lab.running(self.name)[0]:
                raise Unavailable(f"QEMU ended: {self._log()}", where=self.name)
            return bool(
                monitor(self._qmp, ("query-status", {}))["status"] in ("paused", "postmigrate", "prelaunch")
            )

        if not processes.wait_until(restored, 60, 0.02):
            raise Unavailable("the kept machine could not be restored", where=self.name)
        monitor(self._qmp, ("cont", {}))
        self._set_clock()
        own = OWN.format(name=self.name)
        done = self.run(own, stdin=self.key.with_suffix(".pub").read_text(), timeout=120)
        if done.exit:
            raise Unavailable(
                f"the copy could not be made its own: {done.stderr.strip()[-300:]}", where=self.name
            )

    def _log(self) -> str:
        return (self.lab.book.disks / f"{self.name}.log").read_text().strip()[-400:]

    def _set_clock(self) -> None:
        self.stage(f"date -s @{time.time() + self.shifted:.3f} >/dev/null", timeout=120)

    def run(self, script: str, *, stdin: str = "", timeout: float = 60) -> Ran:
        return execute(Path(f"{self.sockets}.agent"), script, stdin, timeout, self.name)

    def _wire(self, network: Network, interface: str) -> None:
        tap = f"w{self.number}{interface.replace('eth', 'c')}"
        outside = self.lab.networks["outside"]
        if network != outside:
            cables.ip("link", "set", tap, "netns", network.netns, inside=outside.netns)
        cables.ip("link", "set", tap, "name", self.port, inside=network.netns)
        cables.plug_port(network, self.port)
        self._address(network, interface)

    def _address(self, network: Network, interface: str) -> None:
        self.stage(
            f"ip link set {interface} down; ip link set {interface} address {network.mac(self.number)}\n"
            f"ip addr replace {network.address(self.number)}/24 dev {interface}; ip link set {interface} up\n"
            f"ip addr replace {network.address6(self.number)}/64 dev {interface} nodad",
            timeout=120,
        )

    def _not_ready(self) -> str:
        if said := super()._not_ready():
            return said
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
