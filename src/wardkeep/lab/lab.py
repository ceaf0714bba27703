"""A lab: hosts and networks that belong to one process and vanish with it, or that are kept until they are removed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from wardkeep.core.errors import BadInput, Unavailable
from wardkeep.lab import cables, processes, reaper
from wardkeep.lab.cables import Network
from wardkeep.lab.host import OUTSIDE, Host
from wardkeep.lab.kinds import choose, kind_class
from wardkeep.lab.records import Book, Places, all_books, kept_id, new_id

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
MOST = 200  # hosts in one lab: each has an address of a /24
# Processes of kept labs go on without us: Python must not complain of a child that nobody waits for.
_OUTLIVING: list[subprocess.Popen[bytes]] = []
WANTED = "10.88.0.0/16"  # where the network `outside` is, unless this machine uses it


class Lab:
    """Use as a context manager: all that it made is removed at its end, however the process ends.

    A `kept` lab outlives its process: its hosts are found again by name until they are removed.
    """

    def __init__(self, *, kept: bool = False, places: Places | None = None) -> None:
        self.places = places or Places.usual()
        self.kept = kept
        self.book = Book(self.places, kept_id(self.places) if kept else new_id())
        self.networks: dict[str, Network] = {}
        self._hosts: dict[str, Host] = {}
        self._lock = threading.RLock()
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    # Beginning and end.

    def __enter__(self) -> Lab:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.kept:
            self.close()

    def open(self) -> Lab:
        """Remove what dead labs left, and begin. Raises Unavailable without root."""
        if os.geteuid() != 0:
            raise Unavailable(
                "a lab makes namespaces and hosts, and needs root", todo="Run it as root, or with sudo"
            )
        self.places.cache.mkdir(parents=True, exist_ok=True)
        reaper.sweep(self.places)
        # A kept lab begins with its first host: to look at none must make nothing.
        if self.kept and self.book.is_open():
            self._take_up()
        elif not self.kept:
            self._begin()
        return self

    def _begin(self) -> None:
        with self.places.alone("begin"):
            if self.book.is_open():
                return
            taken = [book.owner().get("subnet", WANTED) for book in all_books(self.places)]
            subnet = cables.free_subnet(WANTED, taken)
            self.book.begin(0 if self.kept else os.getpid(), subnet=subnet)
        try:
            if not self.kept:
                self._watch()
            self._make_outside(subnet)
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One at a time: threads of this process, and for a kept lab other commands."""
        with self._lock, self.places.alone(f"lab-{self.book.lab}") if self.kept else contextlib.nullcontext():
            yield

    def _watch(self) -> None:
        where = [str(self.places.run), str(self.places.cache), self.book.lab]
        me = [str(os.getpid()), processes.born(os.getpid())]
        source = str(Path(__file__).parents[2])
        # Without the lab's mark: the watchdog must not be among the processes that it ends.
        self._watchdog = subprocess.Popen(
            [sys.executable, "-m", "wardkeep.lab.watchdog", *where, *me], stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, cwd="/",
            env={**os.environ, "PYTHONPATH": source},
        )  # fmt: skip

    def _make_outside(self, subnet: str) -> None:
        outside = self._make_network(OUTSIDE, subnet)
        # The only thing in this machine's own namespace: one end of a cable, with one address.
        uplink = f"wkl{self.book.lab}"
        self.book.will_make("link", uplink)
        cables.ip(
            "link",
            "add",
            "name",
            "uplink",
            "type",
            "veth",
            "peer",
            "name",
            uplink,
            "netns",
            str(os.getpid()),
            inside=outside.netns,
        )
        cables.plug_port(outside, "uplink")
        gateway = outside.gateway
        cables.ip("addr", "add", f"{gateway}/24", "dev", uplink)
        cables.ip("link", "set", uplink, "up")

    def close(self) -> None:
        """Remove everything that this lab made. Raises Unavailable for what would not go; the record stays then."""
        for child in self._children.values():
            child.kill()
            child.wait()
        reaper.reap(self.book)
        for remembered in (self._hosts, self.networks, self._children):
            remembered.clear()
        if self._watchdog:
            assert self._watchdog.stdin
            self._watchdog.stdin.close()
            self._watchdog.wait(60)

    # Hosts.

    def host(
        self,
        name: str = "",
        *,
        needs: Iterable[str] = (),
        debian: str = "",
        kind: str = "",
        networks: Iterable[str] = (),
        packages: Iterable[str] = (),
    ) -> Host:
        """A new host that offers what is needed, of the cheapest kind that works, up and ready.

        `debian` is "12" or "13", "" for this machine's, 12 for a container, 13 for a vm; `networks` are joined besides `outside`;
        `packages` are installed besides (a container only: an image of its own is built once).
        Raises BadInput for a need that no kind offers, Unavailable when the kind does not work on this machine.
        """
        wanted = frozenset(needs)
        chosen, debian = choose(wanted, debian, kind)
        more = tuple(sorted(set(packages)))
        if more and chosen != "container":
            raise BadInput(
                f"a {chosen} cannot be given packages", todo="Ask for a container: kind='container'"
            )
        self._begin()
        with self._alone():
            number = self._free_number()
            name = name or f"{chosen}-{number}"
            if not NAME.fullmatch(name):
                raise BadInput(
                    f"`{name}` cannot be a host's name",
                    todo="Use small letters, digits and hyphens, at most 32",
                )
            if name in self._hosts or name in self._told():
                raise BadInput(
                    f"there is a host `{name}` already", todo="Remove it first, or take another name"
                )
            host = self._hosts[name] = kind_class(chosen)(self, name, number, debian, wanted)
            host.packages = more
            self.keep(host)
        try:
            host.folder.mkdir(parents=True, exist_ok=True)
            host.start()
            for network in (OUTSIDE, *networks):
                host.join(network)
            host.wait_ready()
        except BaseException:
            with contextlib.suppress(Unavailable):
                host.remove()
            raise
        return host

    def fleet(self, count: int, **asked: Any) -> list[Host]:
        """That many hosts alike, started side by side."""
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(lambda _: self.host(**asked), range(count)))

    def hosts(self) -> list[Host]:
        """The hosts that are there now, those of other processes too, by name."""
        with self._lock:
            for name in set(self._told()) - set(self._hosts):
                self.find(name)
            return [self._hosts[name] for name in sorted(self._hosts)]

    def find(self, name: str) -> Host:
        """A host by its name. Raises BadInput when there is none."""
        with self._lock:
            if name not in self._hosts:
                told = self._told().get(name)
                if not told:
                    raise BadInput(
                        f"the lab has no host `{name}`", todo=f"It has {', '.join(self._told()) or 'none'}"
                    )
                host = kind_class(told["kind"])(self, name, told["number"], told["debian"], told["needs"])
                host.take_up(told)
                self._hosts[name] = host
            return self._hosts[name]

    def keep(self, host: Host) -> None:
        """Write down how the host is now."""
        self.book.write(f"hosts/{host.name}.json", host.described())

    def forget(self, host: Host) -> None:
        (self.book.folder / "hosts" / f"{host.name}.json").unlink(missing_ok=True)
        with self._lock:
            self._hosts.pop(host.name, None)

    def _told(self) -> dict[str, Any]:
        files = sorted((self.book.folder / "hosts").glob("*.json"))
        return {file.stem: json.loads(file.read_text()) for file in files}

    def _free_number(self) -> int:
        taken = {host.number for host in self._hosts.values()} | {
            told["number"] for told in self._told().values()
        }
        free = next((n for n in range(1, MOST + 1) if n not in taken), 0)
        if not free:
            raise Unavailable(f"a lab has at most {MOST} hosts")
        return free

    # Networks.

    def network(self, name: str) -> Network:
        """The network of that name, made if it is not there yet: a switch in a namespace of its own."""
        if not NAME.fullmatch(name):
            raise BadInput(
                f"`{name}` cannot be a network's name", todo="Use small letters, digits and hyphens"
            )
        self._begin()
        with self._alone():
            self._take_up()
            if name not in self.networks:
                # Nobody outside of the lab sees these addresses, so that every lab may use the same.
                self._make_network(name, f"10.77.{len(self.networks)}.0/24")
            return self.networks[name]

    def _make_network(self, name: str, subnet: str) -> Network:
        number = len(self.networks)
        made = Network(name, f"wkl-{self.book.lab}-net-{name}", subnet, f"fd77:77:77:{number}::/64")
        self.book.will_make("netns", made.netns)
        made.make()
        self.networks[name] = made
        self.book.write(
            "networks.json", {n: [w.netns, w.subnet, w.subnet6] for n, w in self.networks.items()}
        )
        return made

    def _take_up(self) -> None:
        if not (self.book.folder / "networks.json").exists():
            return
        told = json.loads((self.book.folder / "networks.json").read_text())
        self.networks = {name: Network(name, *words) for name, words in told.items()}

    # What hosts are made with.

    @property
    def key(self) -> Path:
        """The lab's private key, made once per cache."""
        key = self.places.cache / "id_ed25519"
        if not key.exists():
            with self.places.alone("key"):
                if not key.exists():
                    make = [
                        "ssh-keygen",
                        "-q",
                        "-t",
                        "ed25519",
                        "-N",
                        "",
                        "-C",
                        "lab",
                        "-f",
                        str(key) + ".part",
                    ]
                    subprocess.run(make, check=True, capture_output=True)
                    Path(f"{key}.part.pub").rename(f"{key}.pub")
                    Path(f"{key}.part").rename(key)
        return key

    def spawn(self, command: list[str], name: str, *, keep_open: Iterable[int] = ()) -> int:
        """Start a process that belongs to the lab, known by `name` to every process that works with it. Returns its id."""
        with open(self.book.disks / f"{name}.log", "ab") as log:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/",
                env=processes.environment(self.book.lab), pass_fds=tuple(keep_open),
            )  # fmt: skip
        self._children[name] = child
        if self.kept:
            _OUTLIVING.append(child)
        (self.book.disks / f"{name}.pid").write_text(f"{child.pid} {processes.born(child.pid)}")
        return child.pid

    def running(self, name: str) -> tuple[int, str]:
        """Id and birth of a process of `spawn`; (0, "") when it is gone."""
        try:
            pid, birth = (self.book.disks / f"{name}.pid").read_text().split()
        except (OSError, ValueError):
            return 0, ""
        return (int(pid), birth) if processes.is_alive(int(pid), birth) else (0, "")

    def stop(self, name: str) -> None:
        """End a process of `spawn`."""
        pid, birth = self.running(name)
        if pid and not processes.end(pid, birth):
            raise Unavailable(f"process {pid} would not end", where=name)
        child = self._children.pop(name, None)
        if child:
            child.wait()
        (self.book.disks / f"{name}.pid").unlink(missing_ok=True)


def counted(places: Places) -> Mapping[str, list[str]]:
    """What is recorded by every lab, by kind: for a person who wants to see that nothing is left."""
    found: dict[str, list[str]] = {}
    for book in all_books(places):
        for kind, name in book.things():
            found.setdefault(kind, []).append(name)
    return found
