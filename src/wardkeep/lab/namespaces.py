"""The kind `namespace`: this machine's own Debian in namespaces of its own, up in milliseconds.

Its processes, network, mounts and name are its own; /etc, /usr, /var and /opt are this machine's under a layer that
takes what is written; /root, /home, /run, /tmp and /dev are new. The kernel, the clock and the processor are shared,
and it is no jail: what runs there is root on this machine's kernel.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import ClassVar

from wardkeep.core.errors import Unavailable
from wardkeep.lab import cables, processes
from wardkeep.lab.cables import Network
from wardkeep.lab.host import OUTSIDE, Host, call
from wardkeep.lab.podman import Ran

SSHD = """Port 22
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
UsePAM no
Subsystem sftp internal-sftp
"""
KEYS = """mkdir -p /run/sshd; cat > /etc/ssh/sshd_config
[ -e /root/.ssh/authorized_keys ] || { mkdir -p -m 700 /root/.ssh; printf '%s\\n' "$0" > /root/.ssh/authorized_keys; }
[ -e /var/lib/lab-host ] || {
  rm -f /etc/ssh/sshd_config.d/* /etc/ssh/ssh_host_*
  ssh-keygen -q -t ed25519 -N '' -C lab -f /etc/ssh/ssh_host_ed25519_key
  sed -i 's/^root:[^:]*:/root:*:/' /etc/shadow
  getent passwd sshd >/dev/null || useradd -r -d /run/sshd -s /usr/sbin/nologin sshd
  : > /var/lib/lab-host
}
exec /usr/sbin/sshd
"""


class NamespaceHost(Host):
    kind: ClassVar[str] = "namespace"
    interfaces: ClassVar[int] = 32

    @property
    def netns(self) -> str:
        return f"wkl-{self.lab.book.lab}-{self.name}"

    def start(self) -> None:
        if not Path("/run/netns", self.netns).exists():
            self.lab.book.will_make("netns", self.netns)
            cables.make_netns(self.netns)
        for part in ("layers", "root"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        # --kill-child: who ends the outer process ends the host.
        pid = self.lab.spawn(
            ["nsenter", f"--net=/run/netns/{self.netns}", "unshare", "--mount", "--uts", "--ipc", "--pid", "--fork",
             "--kill-child", sys.executable, "-S", str(Path(__file__).with_name("namespace_init.py")),
             str(self.folder), self.name],
            self.name,
        )  # fmt: skip
        ready = self.folder / "ready"
        log = self.lab.book.disks / f"{self.name}.log"

        def settled() -> bool:
            return ready.exists() or not processes.born(pid)

        if not processes.wait_until(settled, 60, 0.002) or not ready.exists():
            raise Unavailable(
                f"the namespaces could not be made: {log.read_text().strip()[-400:]}", where=self.name
            )
        ready.unlink()
        if self.wired:
            self._rewire()
        if "sshd" in self.needs:
            public = self.key.with_suffix(".pub").read_text().strip()
            done = self._call(["sh", "-c", KEYS, public], SSHD, 60)
            if done.exit:
                raise Unavailable(f"sshd: {done.stderr.strip()[-400:]}", where=self.name)

    @property
    def first(self) -> int:
        """The id, on this machine, of the host's first process."""
        pid, _ = self.lab.running(self.name)
        if pid:
            with contextlib.suppress(OSError, IndexError):
                return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
        raise Unavailable("the host is off", where=self.name, todo="Start it")

    def _call(self, command: list[str], stdin: str, timeout: float) -> Ran:
        into = [
            "nsenter",
            f"--target={self.first}",
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--pid",
            "--root",
            "--wd",
        ]
        plain = [
            "/usr/bin/env",  # the host's own, wherever this machine's PATH leads
            "-i",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME=/root",
            "LC_ALL=C.UTF-8",
            "TERM=dumb",
        ]
        return call([*into, *plain, *command], stdin, timeout, self.name)

    def run(self, script: str, *, stdin: str = "", timeout: float = 60) -> Ran:
        return self._call(["sh", "-c", script], stdin, timeout)

    def _wire(self, network: Network, interface: str) -> None:
        cables.plug_veth(network, self.number, self.netns, interface)

    def _not_ready(self) -> str:
        return self._sshd_says() if "sshd" in self.needs and OUTSIDE not in self.cuts else ""

    def _members(self) -> list[int]:
        """Every process of the host, by its id on this machine: those of the first one's process namespace."""
        space = Path(f"/proc/{self.first}/ns/pid").readlink()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if (entry / "ns" / "pid").readlink() == space:
                        found.append(int(entry.name))
        return sorted(found)

    def _signal(self, number: int, state: str) -> None:
        # A process may fork while it is told: ask again until all are as they should be.
        def told() -> bool:
            others = [pid for pid in self._members() if not re.match(state, _state(pid))]
            for pid in others:
                _send(pid, number)
            return not others

        if not processes.wait_until(told, 20):
            raise Unavailable("some of its processes did not follow", where=self.name)

    def pause(self) -> None:
        self._signal(signal.SIGSTOP, "[TZX]")

    def resume(self) -> None:
        self._signal(signal.SIGCONT, "[^T]")
        # A command of `run` waits outside of the host, and stopped with the one inside.
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if f"--target={self.first}".encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                        _send(int(entry.name), signal.SIGCONT)

    def power(self) -> str:
        try:
            return "frozen" if _state(self.first) == "T" else "on"
        except Unavailable:
            return "off"

    def kill(self) -> None:
        self.lab.stop(self.name)
        cables.ip("netns", "del", self.netns, check=False)

    def reboot(self) -> None:
        """Its processes are told to end, then the namespaces are made anew; what was written stays."""
        with contextlib.suppress(Unavailable):
            self.run(
                "kill -TERM -1; i=0; while [ $i -lt 20 ] && [ $(ls -d /proc/[0-9]* | wc -l) -gt 3 ]; do sleep 0.05; i=$((i+1)); done"
            )
        self.kill()
        self.start()
        self.wait_ready()

    def _discard(self) -> None:
        self.kill()
        self.lab.book.is_gone("netns", self.netns)
        shutil.rmtree(self.folder, ignore_errors=True)
        for left in (".log", ".pid"):
            (self.lab.book.disks / f"{self.name}{left}").unlink(missing_ok=True)


def _state(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return "X"


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)
