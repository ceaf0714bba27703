"""A real sshd (Debian's) for tests: own keys, own accounts, on loopback, without touching the system's.

It runs in a mount and PID namespace of its own: /run is an empty one, /etc a copy with the test's users added (if any),
and when the process that started it dies, however it dies, the kernel ends everything in the namespace.
Needs root, openssh-server and openssh-client; nothing of /etc/ssh is read or written.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from wardkeep.fleet.inventory import Host

SSHD = "/usr/sbin/sshd"

# Every mount is seen in this namespace only. `exec` keeps sshd process 1 of its PID namespace. /etc is copied as a whole:
# a mount over one file is undone when anybody on the system replaces that file. The accounts reach their keys and homes by
# /run/test, whatever the modes of the folders above (pytest of other people closes them). /root is empty:
# bash runs its .bashrc for every command that comes by ssh.
_START = """
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/sshd /run/test
mount --bind "$1" /run/test
mount -t tmpfs -o mode=700 tmpfs /root
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
[ ! -e "$1/etc" ] || mount --bind "$1/etc" /etc
exec /usr/sbin/sshd -D -f "$1/sshd_config" -E "$1/log"
"""


@dataclass(frozen=True)
class Sshd:
    """A running server. `identity` opens root and every user made for it; `host_key` is its public key."""

    folder: Path
    address: str
    port: int
    process: subprocess.Popen[bytes]

    @property
    def host_key(self) -> str:
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    @property
    def identity(self) -> Path:
        return self.folder / "id"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def host(self, name: str = "box", user: str = "root", **more: str) -> Host:
        """This server as a host of the inventory, its key pinned."""
        url = f"ssh://{user}@{self.address}:{self.port}"
        return Host(name, url, (self.host_key,), identity=str(self.identity), **more)

    def authorise(self, identity: Path) -> None:
        """Let the owner of this key in, as any user."""
        with (self.folder / "authorized_keys").open("a") as keys:
            keys.write(identity.with_name(identity.name + ".pub").read_text())

    def stop(self) -> None:
        """End the server and every session it serves."""
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """Freeze server and sessions: a host that hangs."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._inside():
            with suppress(ProcessLookupError):  # a session's commands come and go
                os.kill(pid, number)

    def _inside(self) -> list[int]:
        found, waiting = [], [self.process.pid]
        while waiting:
            pid = waiting.pop()
            try:
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            except OSError:
                continue
            found += map(int, children)
            waiting += map(int, children)
        return found


def make_key(path: Path, *, passphrase: str = "", kind: str = "ed25519") -> Path:
    """A new private key at `path`, its public half beside it."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "made-for-a-test", "-f", str(path)],
        check=True,
    )
    return path


def _write_accounts(folder: Path, users: Sequence[str], sudoers: str, passwords: Mapping[str, str]) -> None:
    """A copy of /etc with `users` added: a shell, a home in the folder, no password but those given (as in shadow)."""
    etc = folder / "etc"
    subprocess.run(["cp", "-a", "/etc", str(etc)], check=True)
    for number, user in enumerate(users, 61000):
        home = folder / "home" / user
        home.mkdir(parents=True)
        os.chown(home, number, number)
        for name, line in (
            ("passwd", f"{user}:x:{number}:{number}::/run/test/home/{user}:/bin/sh"),
            ("shadow", f"{user}:{passwords.get(user, '*')}:19000:0:99999:7:::"),
            ("group", f"{user}:x:{number}:"),
        ):
            with (etc / name).open("a") as file:
                file.write(line + "\n")
    if sudoers:
        (etc / "sudoers").write_text(sudoers)
        (etc / "sudoers").chmod(0o440)


def free_port(address: str = "127.0.0.1") -> int:
    """A port free now. Whoever binds it later must be ready to find it taken."""
    with socket.create_server((address, 0)) as s:
        return int(s.getsockname()[1])


@contextmanager
def shut_port(address: str = "127.0.0.1") -> Iterator[int]:
    """A port that refuses: bound, so that nobody else takes it, and never listened on."""
    with socket.socket() as held:
        held.bind((address, 0))
        yield int(held.getsockname()[1])


@contextmanager
def running_sshd(
    folder: Path,
    *,
    address: str = "127.0.0.1",
    port: int = 0,
    config: str = "",
    after: str = "",
    users: Sequence[str] = (),
    sudoers: str = "",
    passwords: Mapping[str, str] | None = None,
) -> Iterator[Sshd]:
    """Start a server and end it afterwards. `config` lines come first, so they win over the defaults
    below; `after` holds Match blocks."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    make_key(folder / "host_key")
    make_key(folder / "id")
    (folder / "authorized_keys").write_text((folder / "id.pub").read_text())
    if users or sudoers:
        _write_accounts(folder, users, sudoers, passwords or {})
    settings = (
        f"{config}\nListenAddress {address}\nPort %d\nHostKey {folder}/host_key\nAuthorizedKeysFile /run/test/authorized_keys\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        "PermitRootLogin prohibit-password\nPidFile none\nLogLevel VERBOSE\n"
        f"MaxStartups 200:30:400\nPrintMotd no\nUseDNS no\n{after}"
    )
    # A port that was free may be taken when sshd comes to it: then another one is tried.
    for last in (False, False, False, True):
        chosen = port or free_port(address)
        (folder / "sshd_config").write_text(settings % chosen)
        sshd = Sshd(folder, address, chosen, _start(folder))
        try:
            said = _wait_until_it_answers(sshd)
            if not said:
                yield sshd
                return
        finally:
            sshd.stop()
        if port or last or "Address already in use" not in said:
            raise RuntimeError(f"sshd did not start: {said[-500:]}")


def _start(folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "stderr").open("wb") as stderr:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child",
             "--mount-proc", "--propagation", "private", "/bin/sh", "-c", _START, "sshd", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )  # fmt: skip


def _wait_until_it_answers(sshd: Sshd, seconds: float = 120) -> str:
    """Nothing once it does; otherwise what it said."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and sshd.process.poll() is None:
        try:
            with socket.create_connection((sshd.address, sshd.port), timeout=30) as s:
                if s.recv(4) == b"SSH-" and sshd.process.poll() is None:
                    return ""
        except OSError:
            time.sleep(0.02)
    said = [path.read_text() for path in (sshd.folder / "stderr", sshd.folder / "log") if path.exists()]
    return "".join(said).strip() or "it said nothing"
