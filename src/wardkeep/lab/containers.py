"""The kind `container`: Debian 12 or 13 with systemd as its first process, by podman, up in a second or two."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import ClassVar

from wardkeep.core.errors import Unavailable
from wardkeep.lab import cables, images, processes
from wardkeep.lab.cables import Network
from wardkeep.lab.host import Host
from wardkeep.lab.podman import Ran, podman, storage
from wardkeep.lab.reaper import LABEL
from wardkeep.lab.recipes import SUITES, Recipe
from wardkeep.lab.records import Places

# Never --privileged: systemd inside would start udevd on this machine's devices.
CAPABILITIES = "NET_ADMIN,NET_RAW,SYS_ADMIN,AUDIT_WRITE,SYS_PTRACE"


def image(suite: str, places: Places, more: tuple[str, ...] = ()) -> str:
    """The name of a suite's image with the packages `more`, built and imported if podman does not have it yet."""
    recipe = Recipe("host", suite, more)
    name = f"localhost/{LABEL}/{suite}:{images.digest(recipe)}"
    with places.alone(f"image-host-{suite}"):
        if podman(places, "image", "exists", name, check=False).exit:
            how = ("--change", 'CMD ["/sbin/init"]', "--change", "STOPSIGNAL SIGRTMIN+3")
            podman(
                places,
                "import",
                "-q",
                *how,
                str(images.build(recipe, places.cache / "images")),
                name,
                timeout=600,
            )
    return name


class ContainerHost(Host):
    kind: ClassVar[str] = "container"
    interfaces: ClassVar[int] = 32

    @property
    def netns(self) -> str:
        return f"wkl-{self.lab.book.lab}-{self.name}"

    @property
    def container(self) -> str:
        """Its name for podman."""
        return self.netns

    def _podman(self, *words: str, stdin: str = "", check: bool = True, timeout: float = 120) -> Ran:
        lab = self.lab.book.lab if words[0] in ("run", "start") else ""
        return podman(self.lab.places, *words, stdin=stdin, check=check, timeout=timeout, lab=lab)

    def _make_netns(self) -> None:
        self.lab.book.will_make("netns", self.netns)
        cables.make_netns(self.netns)

    def start(self) -> None:
        if self._podman("container", "exists", self.container, check=False).exit == 0:
            self._renew_netns()
            self._podman("start", self.container)
            self._rewire()
            return
        named = image(SUITES[self.debian], self.lab.places, self.packages)
        self._make_netns()
        self.lab.book.will_make("container", self.container)
        # --dns: no resolver, so that nothing in a test can reach beyond this machine by name.
        self._podman(
            "run", "-d", "--name", self.container, "--label", f"{LABEL}={self.lab.book.lab}",
            "--label", f"{LABEL}-run={self.lab.places.run}", "--hostname", self.name,
            "--systemd=always", "--cap-add", CAPABILITIES, "--security-opt", "seccomp=unconfined",
            "--network", f"ns:/run/netns/{self.netns}", "--dns", "127.0.0.1", named,
        )  # fmt: skip
        self.stage(
            "mkdir -p -m 700 /root/.ssh; cat > /root/.ssh/authorized_keys; chmod 600 /root/.ssh/authorized_keys",
            stdin=self.key.with_suffix(".pub").read_text(),
        )

    def _renew_netns(self) -> None:
        # A kernel that boots has no rules and no interfaces: the namespace is a new one.
        cables.ip("netns", "del", self.netns, check=False)
        self._make_netns()

    def run(self, script: str, *, stdin: str = "", timeout: float = 60) -> Ran:
        command = ("exec", "-i", self.container, "sh", "-c", script)
        done = self._podman(*command, stdin=stdin, check=False, timeout=timeout)
        # podman's own exit statuses may be the script's too: only a host that is off or frozen makes them podman's.
        if done.exit in (125, 255):
            self.must_be_on()
        return done

    def power(self) -> str:
        told = self._podman("inspect", "-f", "{{.State.Status}}", self.container, check=False)
        return {"running": "on", "paused": "frozen"}.get(told.stdout.strip(), "off")

    def copy_in(self, source: Path, target: str) -> None:
        """As for every host, in one step."""
        self._podman("cp", str(source), f"{self.container}:{target}", timeout=600)

    def copy_out(self, source: str, target: Path) -> None:
        """As for every host, in one step."""
        self._podman("cp", f"{self.container}:{source}", str(target), timeout=600)

    def _wire(self, network: Network, interface: str) -> None:
        cables.plug_veth(network, self.number, self.netns, interface)

    def _not_ready(self) -> str:
        if said := super()._not_ready():
            return said
        state = self.run("systemctl is-system-running").stdout.strip()
        return "" if state in {"running", "degraded"} else f"systemd says {state or 'nothing'}"

    def pause(self) -> None:
        self._podman("pause", self.container)

    def resume(self) -> None:
        self._podman("unpause", self.container)

    def kill(self) -> None:
        self._podman("kill", "-s", "KILL", self.container, check=False)
        self._wait_off()

    def _wait_off(self) -> None:
        if not processes.wait_until(lambda: self.power() == "off", 60):
            raise Unavailable("the container does not end", where=self.name)

    def reboot(self) -> None:
        """systemd stops everything, the container ends, and boots again in a new network namespace."""
        self.run("systemctl reboot")
        self._podman("wait", self.container, timeout=90)
        self.start()
        self.wait_ready()

    def _discard(self) -> None:
        self._podman("rm", "-f", "-i", "-t", "0", self.container)
        self.lab.book.is_gone("container", self.container)
        cables.ip("netns", "del", self.netns, check=False)
        self.lab.book.is_gone("netns", self.netns)
        shutil.rmtree(self.folder, ignore_errors=True)


def listed(places: Places) -> list[str]:
    """The containers on the lab's storage, whoever made them: for the count of what is left."""
    if not storage(places).exists():
        return []
    rows = json.loads(podman(places, "ps", "-a", "--format", "json", check=False).stdout or "[]")
    return [row["Names"][0] for row in rows]
