"""Live Debian hosts for the scenarios: podman containers with systemd as PID 1 and sshd on 127.0.0.1.

`python -m tests.e2e.lab up NAME [bookworm|trixie]` keeps a host to play with, `list` shows them, `down NAME` removes it.
Hosts of a test run vanish with it, even when it is killed: a reaper waits on a pipe that only the run holds open,
and the next run removes what a reaper could not.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e import images

CACHE = Path(os.environ.get("WARDKEEP_LAB", Path.home() / ".cache" / "wardkeep-lab"))
LABEL = "wardkeep-lab"
KEPT = "kept"  # the run id of hosts made by hand
# The machine's own limits may be lower than podman's defaults, and crun may be missing: both are settled here.
SETTINGS = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
[network]
network_backend = "netavark"
"""
# Never --privileged: systemd inside would start udevd on this machine's devices.
CAPABILITIES = "NET_ADMIN,NET_RAW,SYS_ADMIN,AUDIT_WRITE,SYS_PTRACE"


@dataclass(frozen=True)
class Ran:
    """How a script on a host ended: exit status, stdout and stderr as text."""

    exit: int
    stdout: str
    stderr: str


def missing() -> str:
    """Why this machine cannot have lab hosts, or ""."""
    if os.geteuid() != 0:
        return "live hosts need root (podman with systemd inside)"
    absent = [name for name in ("podman", "runc", "mmdebstrap", "ssh-keygen") if not shutil.which(name)]
    return f"live hosts need {', '.join(absent)}: `make e2e` installs the Debian packages" if absent else ""


def _podman_command() -> list[str]:
    return ["podman", "--root", str(CACHE / "storage"), "--runroot", "/run/wardkeep-lab"]


def _environment() -> dict[str, str]:
    file = CACHE / "containers.conf"
    if not file.exists() or file.read_text() != SETTINGS:
        CACHE.mkdir(parents=True, exist_ok=True)
        file.write_text(SETTINGS)
    return {**os.environ, "CONTAINERS_CONF": str(file)}


def podman(*args: str, stdin: str = "", check: bool = True, timeout: float = 120) -> Ran:
    """Run podman on the lab's own storage. Raises RuntimeError with its stderr when it fails and `check` is set."""
    done = subprocess.run(
        [*_podman_command(), *args], input=stdin, capture_output=True, text=True, errors="replace",
        timeout=timeout, env=_environment(), check=False,
    )  # fmt: skip
    if check and done.returncode:
        raise RuntimeError(f"podman {args[0]}: {done.stderr.strip()[-600:]}")
    return Ran(done.returncode, done.stdout, done.stderr)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One builder at a time, also across processes."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _key() -> Path:
    key = CACHE / "id_ed25519"
    if not key.exists():
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(key)], check=True
        )
    return key


def _image(suite: str) -> str:
    """The image of a suite, imported if podman does not have it yet."""
    name = f"localhost/{LABEL}/{suite}:{images.digest(suite)}"
    if podman("image", "exists", name, check=False).exit:
        how = ("--change", 'CMD ["/sbin/init"]', "--change", "STOPSIGNAL SIGRTMIN+3")
        podman("import", "-q", *how, str(images.build(suite, CACHE)), name, timeout=300)
    return name


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@dataclass
class LabHost:
    """A live Debian host. `run` and `stage` go past sshd (by podman), so they work whatever a test does to it."""

    name: str
    suite: str
    container: str
    port: int
    key: Path = field(default_factory=_key)

    @property
    def url(self) -> str:
        return f"ssh://root@127.0.0.1:{self.port}"

    def run(self, script: str, *, stdin: str = "", timeout: float = 60) -> Ran:
        """Run a POSIX script as root on the host and say how it ended."""
        return podman(
            "exec", "-i", self.container, "sh", "-c", script, stdin=stdin, check=False, timeout=timeout
        )

    def stage(self, script: str, *, stdin: str = "", timeout: float = 60) -> str:
        """Bring the host into a state: like `run`, but the script must succeed. Returns stdout."""
        done = self.run("set -eu\n" + script, stdin=stdin, timeout=timeout)
        if done.exit:
            raise RuntimeError(
                f"{self.name}: staging failed ({done.exit}): {(done.stderr or done.stdout).strip()[-600:]}"
            )
        return done.stdout

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
        return f"ssh://{user}@127.0.0.1:{self.port}"

    def as_host(self, *, user: str = "root") -> Any:
        """This host as the fleet's inventory would hold it, with its real keys pinned."""
        from wardkeep.fleet import Host

        url = f"ssh://{user}@127.0.0.1:{self.port}"
        return Host(self.name, url, host_keys=self.host_keys(), identity=str(self.key))

    def connector(self, *, user: str = "root") -> Any:
        """The fleet's ssh connector to this host."""
        from wardkeep.fleet import connect

        return connect(self.as_host(user=user))

    def pause(self) -> None:
        """Freeze the host: its port still accepts, nobody answers."""
        podman("pause", self.container)

    def unpause(self) -> None:
        podman("unpause", self.container)

    def reboot(self) -> None:
        """A real reboot: systemd stops everything, the container ends, and boots again with a new boot."""
        self.run("systemctl reboot")
        podman("wait", self.container, timeout=60)
        podman("start", self.container)
        self.wait_ready()

    def wait_ready(self, timeout: float = 60) -> None:
        """Until sshd greets and systemd has finished booting. Raises TimeoutError with what the host said last."""
        until, said = time.monotonic() + timeout, ""
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 2) as s:
                s.settimeout(2)
                if s.recv(8).startswith(b"SSH-2.0"):
                    said = self.run("systemctl is-system-running").stdout.strip()
                    if said in {"running", "degraded"}:
                        return
            time.sleep(0.1)
        raise TimeoutError(f"{self.name}: not up after {timeout:.0f} s (systemd says {said or 'nothing'})")

    def remove(self) -> None:
        podman("rm", "-f", "-t", "0", self.container, check=False)


class Lab:
    """The hosts of one test run. Use as a context manager; they are removed at its end, however it ends."""

    def __init__(self) -> None:
        self.run_id = uuid.uuid4().hex[:10]
        self.hosts: list[LabHost] = []

    def __enter__(self) -> Lab:
        sweep()
        (CACHE / "runs").mkdir(parents=True, exist_ok=True)
        (CACHE / "runs" / self.run_id).write_text(
            json.dumps({"pid": os.getpid(), "born": _born(os.getpid())})
        )
        listed = f"{' '.join(_podman_command())} ps -aq --filter label={LABEL}={self.run_id}"
        reap = f"cat >/dev/null; ids=$({listed}); {' '.join(_podman_command())} rm -f -t 0 $ids; rm -f {CACHE}/runs/{self.run_id}"
        self._reaper = subprocess.Popen(
            ["sh", "-c", reap], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, env=_environment(),
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        assert self._reaper.stdin
        self._reaper.stdin.close()
        self._reaper.wait(60)

    def host(self, suite: str = "bookworm", name: str = "") -> LabHost:
        """A new host, up and answering on ssh (about 2 s; the first of a suite builds its image, about 45 s)."""
        name = name or f"{suite}-{len(self.hosts) + 1}"
        made = start(suite, name, self.run_id)
        self.hosts.append(made)
        return made


def start(suite: str, name: str, run_id: str) -> LabHost:
    """Create and boot a host that belongs to the given run."""
    with _alone():
        image, key = _image(suite), _key()
    for attempt in range(5):
        port = free_port()
        # --dns: no resolver, so that nothing in a test can reach beyond this machine by name.
        done = podman(
            "run", "-d", "--name", f"{LABEL}-{run_id}-{name}", "--label", f"{LABEL}={run_id}",
            "--label", f"{LABEL}-suite={suite}", "--hostname", name, "--systemd=always", "--cap-add", CAPABILITIES,
            "--security-opt", "seccomp=unconfined", "--dns", "127.0.0.1", "-p", f"127.0.0.1:{port}:22", image,
            check=attempt == 4,
        )  # fmt: skip
        if done.exit == 0:
            break
        podman(
            "rm", "-f", "-t", "0", f"{LABEL}-{run_id}-{name}", check=False
        )  # the port was taken in between
    host = LabHost(name, suite, done.stdout.split()[-1], port, key)
    host.stage(
        "mkdir -p -m 700 /root/.ssh; cat > /root/.ssh/authorized_keys; chmod 600 /root/.ssh/authorized_keys",
        stdin=key.with_suffix(".pub").read_text(),
    )
    host.wait_ready()
    return host


def _born(pid: int) -> str:
    """When a process started (clock ticks since boot), so that a reused pid is not taken for it; "" if it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""


def sweep() -> list[str]:
    """Remove the hosts of runs whose process is gone (or that left no record). Returns the runs swept."""
    alive = {KEPT}
    for record in (CACHE / "runs").glob("*"):
        known = json.loads(record.read_text() or "{}")
        if known and known["born"] == _born(known["pid"]):
            alive.add(record.name)
        else:
            record.unlink(missing_ok=True)
    rows = json.loads(podman("ps", "-a", "--filter", f"label={LABEL}", "--format", "json").stdout or "[]")
    dead = [row for row in rows if row["Labels"][LABEL] not in alive]
    for row in dead:
        podman("rm", "-f", "-t", "0", row["Id"], check=False)
    return sorted({row["Labels"][LABEL] for row in dead})


def main(args: list[str]) -> None:
    """`up NAME [SUITE]`, `list`, `down NAME`."""
    match args:
        case ["up", name, *rest]:
            host = start(rest[0] if rest else "bookworm", name, KEPT)
            options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
            print(f"{name} is up: ssh {options} -i {host.key} -p {host.port} root@127.0.0.1")
        case ["down", name]:
            podman("rm", "-f", "-t", "0", f"{LABEL}-{KEPT}-{name}")
        case ["list"]:
            print(
                podman(
                    "ps",
                    "-a",
                    "--filter",
                    f"label={LABEL}",
                    "--format",
                    "{{.Names}}\t{{.Status}}\t{{.Ports}}",
                ).stdout,
                end="",
            )
        case _:
            raise SystemExit(main.__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
