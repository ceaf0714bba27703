"""One interface for every kind of host in the lab: what a test or a person can do to it."""

from __future__ import annotations

import base64
import contextlib
import shlex
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from wardkeep.core.errors import BadInput, Refused, Unavailable
from wardkeep.lab import cables, processes
from wardkeep.lab.cables import Network
from wardkeep.lab.needs import OFFERS
from wardkeep.lab.podman import Ran

if TYPE_CHECKING:
    from wardkeep.lab.lab import Lab

OUTSIDE = "outside"  # the network of every host, which this machine is on too
CHUNK = 1 << 20  # bytes per step when files are copied


class Host(ABC):
    """A live host. `run` and the copies go past its network and its sshd: they work whatever a test does to those.

    `address` is its IPv4 address on the network `outside`: every port of it can be reached from this machine.
    """

    kind: ClassVar[str]
    interfaces: ClassVar[int]  # most networks that it can be in

    def __init__(self, lab: Lab, name: str, number: int, debian: str, needs: Iterable[str] = ()) -> None:
        self.lab, self.name, self.number, self.debian = lab, name, number, debian
        self.needs = frozenset(needs)
        self.packages: tuple[str, ...] = ()  # Debian packages besides those that every host has
        self.wired: dict[str, str] = {}  # network → interface of the host
        self.cuts: set[str] = set()
        self.slowed: dict[str, dict[str, float]] = {}

    # What every kind has to bring.

    @abstractmethod
    def start(self) -> None:
        """Switch on. Returns when commands can be run; see `wait_ready`."""

    @abstractmethod
    def run(self, script: str, *, stdin: str = "", timeout: float = 60) -> Ran:
        """Run a POSIX script as root on the host and say how it ended. Raises Unavailable when it does not in time."""

    @abstractmethod
    def pause(self) -> None:
        """Freeze the host: nothing in it goes on, nobody answers."""

    @abstractmethod
    def resume(self) -> None:
        """Go on after `pause`."""

    @abstractmethod
    def kill(self) -> None:
        """Power lost: nothing is written or said any more. `start` boots it again."""

    @abstractmethod
    def reboot(self) -> None:
        """An orderly reboot, until the host is ready again."""

    @abstractmethod
    def power(self) -> str:
        """How it stands: `on`, `frozen` (by `pause`) or `off`."""

    @abstractmethod
    def _discard(self) -> None:
        """End and remove all of it but its cables."""

    @abstractmethod
    def _wire(self, network: Network, interface: str) -> None:
        """Make the cable and give the host its addresses."""

    def shift_clock(self, seconds: float) -> None:
        """Set the host's clock forward (or back). Only a host with a clock of its own can: see `needs`."""
        raise Refused(
            f"a {self.kind} has this machine's clock", where=self.name,
            todo="Ask for one that needs `clock`",
        )  # fmt: skip

    # What follows from it.

    @property
    def address(self) -> str:
        return self.lab.networks[OUTSIDE].address(self.number)

    @property
    def url(self) -> str:
        return self.url_of("root")

    def url_of(self, user: str) -> str:
        return f"ssh://{user}@{self.address}:22"

    @property
    def key(self) -> Path:
        """The private key that opens every host of the lab."""
        return self.lab.key

    @property
    def offers(self) -> frozenset[str]:
        return OFFERS[self.kind]

    @property
    def folder(self) -> Path:
        """The host's own files on this machine: disk, sockets, logs."""
        return self.lab.book.disks / self.name

    def must_be_on(self) -> None:
        """Raises Unavailable for a host that is off or frozen, with the way out."""
        if (power := self.power()) != "on":
            todo = "Start it" if power == "off" else "Let it go on: resume"
            raise Unavailable(f"the host is {power}", where=self.name, todo=todo)

    def stage(self, script: str, *, stdin: str = "", timeout: float = 60) -> str:
        """Bring the host into a state: like `run`, but the script must succeed. Returns stdout."""
        done = self.run("set -eu\n" + script, stdin=stdin, timeout=timeout)
        if done.exit:
            said = (done.stderr or done.stdout).strip()[-600:]
            raise Unavailable(f"staging failed ({done.exit}): {said}", where=self.name)
        return done.stdout

    def copy_in(self, source: Path, target: str) -> None:
        """Copy a file to the host, with its permission bits. Its folder must be there."""
        part = shlex.quote(f"{target}.lab-part")
        self.stage(f": > {part}")
        with open(source, "rb") as file:
            while piece := file.read(CHUNK):
                self.stage(f"base64 -d >> {part}", stdin=base64.b64encode(piece).decode() + "\n", timeout=300)
        mode = oct(source.stat().st_mode & 0o7777)[2:]
        self.stage(f"chmod {mode} {part}; mv {part} {shlex.quote(target)}")

    def copy_out(self, source: str, target: Path) -> None:
        """Copy a file from the host to this machine."""
        path = shlex.quote(source)
        size = int(self.stage(f"stat -L -c %s {path}"))
        with open(target, "wb") as file:
            for block in range(0, size, CHUNK):
                read = f"dd if={path} bs={CHUNK} skip={block // CHUNK} count=1 status=none | base64 -w0"
                file.write(base64.b64decode(self.stage(read, timeout=300)))
        if target.stat().st_size != size:
            raise Unavailable("the file changed while it was copied", where=f"{self.name}:{source}")

    def host_keys(self) -> tuple[str, ...]:
        """The public host keys as `type base64`, read from the host itself."""
        lines = self.stage("cat /etc/ssh/ssh_host_*_key.pub").splitlines()
        return tuple(" ".join(line.split()[:2]) for line in lines)

    def add_operator(self, user: str = "ops") -> str:
        """A second way in: a user with the lab's key and sudo without a password. Returns the user's URL."""
        self.stage(
            f"id {user} >/dev/null 2>&1 || useradd -m -s /bin/bash {user}\n"
            f"install -d -m 700 -o {user} -g {user} /home/{user}/.ssh\n"
            f"cat > /home/{user}/.ssh/authorized_keys; chown {user}: /home/{user}/.ssh/authorized_keys\n"
            f"chmod 600 /home/{user}/.ssh/authorized_keys\n"
            f"echo '{user} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{user}; chmod 440 /etc/sudoers.d/{user}",
            stdin=self.key.with_suffix(".pub").read_text(),
        )
        return self.url_of(user)

    # Networks.

    def join(self, network: str) -> str:
        """Wire the host into a network of the lab. Returns its IPv4 address there."""
        wired = self.lab.network(network)
        if network not in self.wired:
            if len(self.wired) >= self.interfaces:
                raise Refused(f"a {self.kind} has {self.interfaces} network cards", where=self.name)
            interface = f"eth{len(self.wired)}"
            self.wired[network] = interface
            self._wire(wired, interface)
            self.lab.keep(self)
        return wired.address(self.number)

    def address_in(self, network: str) -> str:
        """Its IPv4 address in a network that it is wired into."""
        self._networks(network)
        return self.lab.networks[network].address(self.number)

    def cut(self, network: str = "") -> None:
        """Pull the cable to a network, or all of them."""
        for name in self._networks(network):
            cables.set_port(self.lab.networks[name], self.port, up=False)
            self.cuts.add(name)
        self.lab.keep(self)

    def heal(self, network: str = "") -> None:
        """Put the cables back in that `cut` pulled, and make slow ones quick again."""
        for name in self._networks(network):
            self._quicken(name)
            cables.set_port(self.lab.networks[name], self.port, up=True)
            self.cuts.discard(name)
        self.lab.keep(self)

    def slow(self, delay: float, *, loss: float = 0, rate: float = 0, network: str = "") -> None:
        """Make cables slow: `delay` seconds each way, `loss` of packets (0 to 1), `rate` in bytes per second (0: any)."""
        if not 0 <= loss <= 1 or delay < 0 or rate < 0:
            raise BadInput("delay and rate are not negative, loss is 0 to 1", where="slow")
        for name in self._networks(network):
            self._quicken(name)
            wired = self.lab.networks[name]
            near, far = f"d{self.number}", f"e{self.number}"
            cables.ip("link", "add", near, "type", "veth", "peer", "name", far, inside=wired.netns)
            cables.ip("link", "set", self.port, "nomaster", inside=wired.netns)
            line = [sys.executable, str(Path(__file__).with_name("delay_line.py")), self.port, far]
            cables.ip("link", "set", far, "up", inside=wired.netns)
            ready = self.folder / "delay-ready"
            self.lab.spawn(
                [
                    "nsenter",
                    f"--net=/run/netns/{wired.netns}",
                    *line,
                    str(delay),
                    str(loss),
                    str(rate),
                    str(ready),
                ],
                f"{self.name}-{name}-delay",
            )
            if not processes.wait_until(ready.exists, 60, 0.005):
                raise Unavailable("the slow cable could not be made", where=self.name)
            ready.unlink()
            cables.plug_port(wired, near)
            self.slowed[name] = {"delay": delay, "loss": loss, "rate": rate}
        self.lab.keep(self)

    def _quicken(self, name: str) -> None:
        if self.slowed.pop(name, None) is not None:
            wired = self.lab.networks[name]
            self.lab.stop(f"{self.name}-{name}-delay")
            cables.ip("link", "del", f"d{self.number}", inside=wired.netns, check=False)
            # A port that is gone with the host's end of its cable is made anew by `_rewire`.
            cables.ip("link", "set", self.port, "master", "lan", inside=wired.netns, check=False)

    @property
    def port(self) -> str:
        """The host's port on every switch."""
        return cables.port_of(self.number)

    def _networks(self, network: str) -> list[str]:
        if network and network not in self.wired:
            raise BadInput(
                f"{self.name} is not in the network `{network}`", todo=f"It is in {', '.join(self.wired)}"
            )
        return [network] if network else list(self.wired)

    def _rewire(self) -> None:
        """After the host's own end of the cables was lost: make them again, as cut and as slow as they were."""
        for name, interface in self.wired.items():
            wired = self.lab.networks[name]
            slowed = self.slowed.get(name)
            self._quicken(name)
            cables.ip("link", "del", self.port, inside=wired.netns, check=False)
            self._wire(wired, interface)
            if slowed:
                self.slow(slowed["delay"], loss=slowed["loss"], rate=slowed["rate"], network=name)
            if name in self.cuts:
                cables.set_port(wired, self.port, up=False)

    # Life.

    def wait_ready(self, timeout: float = 180) -> None:
        """Until the host does what it is for. Raises Unavailable with what it said last."""
        said = ""

        def ready() -> bool:
            nonlocal said
            said = self._not_ready()
            return not said

        if not processes.wait_until(ready, timeout):
            within = ""
            with contextlib.suppress(Unavailable):
                within = self.run(
                    "systemctl is-active ssh; ip -br addr; ss -Hltn | head -5", timeout=60
                ).stdout
            raise Unavailable(f"not up after {timeout:.0f} s: {said}; within it: {within}", where=self.name)

    def _not_ready(self) -> str:
        """What is still waited for; "" when nothing is."""
        return self._sshd_says() if OUTSIDE not in self.cuts else ""

    def _sshd_says(self) -> str:
        with contextlib.suppress(OSError), socket.create_connection((self.address, 22), 2) as s:
            s.settimeout(2)
            if s.recv(8).startswith(b"SSH-2.0"):
                return ""
        return "sshd does not answer"

    def remove(self) -> None:
        """End the host and remove all of it."""
        for name in list(self.wired):
            self._quicken(name)
        self._discard()
        for name in self.wired:
            cables.ip("link", "del", self.port, inside=self.lab.networks[name].netns, check=False)
        self.lab.forget(self)

    # For another process.

    def described(self) -> dict[str, Any]:
        """What `Lab.find` needs to work with this host in another process."""
        return {
            "name": self.name, "kind": self.kind, "number": self.number, "debian": self.debian,
            "needs": sorted(self.needs), "wired": self.wired, "cuts": sorted(self.cuts), "slowed": self.slowed,
            "address": self.address, "since": time.time(), **self._own(),
        }  # fmt: skip

    def _own(self) -> dict[str, Any]:
        """What only this kind has to remember."""
        return {}

    def take_up(self, told: dict[str, Any]) -> None:
        """Become the host that `described` told of."""
        self.wired, self.cuts, self.slowed = told["wired"], set(told["cuts"]), told["slowed"]


def call(command: list[str], stdin: str, timeout: float, where: str) -> Ran:
    """Run a command of this machine that runs one on a host."""
    try:
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"the command did not end within {timeout:.0f} s", where=where) from None
    # Ended by a signal: as a shell says it.
    status = done.returncode if done.returncode >= 0 else 128 - done.returncode
    return Ran(status, done.stdout, done.stderr)
