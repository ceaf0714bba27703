"""Networks in namespaces of their own, and the cables between them and the hosts."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import ipaddress
import json
import os
import struct
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from wardkeep.core.errors import Unavailable

T = TypeVar("T")
CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000


def ip(*words: str, inside: str = "", check: bool = True) -> str:
    """Run ip(8), in the network namespace `inside` if named. Raises Unavailable with what it said."""
    where = ["-n", inside] if inside else []
    done = subprocess.run(["ip", *where, *words], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise Unavailable(f"ip {' '.join(words)}: {done.stderr.strip()}", where=inside)
    return done.stdout


@dataclass(frozen=True)
class Network:
    """A switch in a namespace of its own. `subnet` gives IPv4 addresses, `subnet6` IPv6; `number` + 10 is a host's."""

    name: str
    netns: str
    subnet: str
    subnet6: str

    def address(self, number: int) -> str:
        return str(ipaddress.ip_network(self.subnet)[number + 10])

    @property
    def gateway(self) -> str:
        """This machine's own address, in the network that it is on."""
        return str(ipaddress.ip_network(self.subnet)[1])

    def address6(self, number: int) -> str:
        return str(ipaddress.ip_network(self.subnet6)[number + 10])

    def mac(self, number: int) -> str:
        """The hardware address of a host's card here, the same after a reboot: neighbours remember it."""
        return (
            f"02:57:4b:{int(self.subnet.split('.')[1]):02x}:{int(self.subnet.split('.')[2]):02x}:{number:02x}"
        )

    def make(self) -> None:
        """Create the namespace and its bridge. IPv6 is off on the switch itself, which must stay silent."""
        make_netns(self.netns)
        inside(self.netns, _no_ipv6)
        ip("link", "add", "lan", "type", "bridge", inside=self.netns)
        ip("link", "set", "lan", "up", inside=self.netns)


def make_netns(name: str) -> None:
    """A network namespace with its loopback up."""
    ip("netns", "add", name)
    ip("link", "set", "lo", "up", inside=name)


def _no_ipv6() -> None:
    for which in ("all", "default"):
        with (
            contextlib.suppress(FileNotFoundError),
            open(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6", "w") as file,
        ):
            file.write("1")


def inside(netns: str, act: Callable[[], T]) -> T:
    """Run a function in a thread that has entered the network namespace; what it opens stays of that namespace."""
    out: list[T] = []
    wrong: list[BaseException] = []

    def enter() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            with open(f"/run/netns/{netns}", "rb") as file:
                if libc.setns(file.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), f"setns {netns}")
            out.append(act())
        except BaseException as e:  # noqa: BLE001 handed to the caller's thread
            wrong.append(e)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if wrong:
        raise Unavailable(f"{wrong[0]}", where=netns)
    return out[0]


def open_tap(netns: str, name: str) -> int:
    """A tap device in a namespace, as a file descriptor that a child may inherit. It vanishes when that is closed."""

    def make() -> int:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
        return fd

    return inside(netns, make)


def free_subnet(wanted: str, taken: list[str]) -> str:
    """The first /24 of `wanted` that no route of this machine and no other lab uses. Raises Unavailable."""
    used = [ipaddress.ip_network(text) for text in taken]
    for route in json.loads(ip("-4", "-j", "route", "show", "table", "all") or "[]"):
        if route.get("dst", "default") != "default":
            used.append(ipaddress.ip_network(route["dst"], strict=False))
    for pool in (wanted, "10.188.0.0/16", "172.30.0.0/16", "192.168.0.0/16"):
        for candidate in ipaddress.ip_network(pool).subnets(new_prefix=24):
            if not any(candidate.overlaps(one) for one in used if one.version == candidate.version):
                return str(candidate)
    raise Unavailable("no private network is free on this machine", todo="Remove one: ip route")


def plug_veth(network: Network, number: int, netns: str, name: str) -> None:
    """A cable from a host's port of the switch to the interface `name` in its namespace, with its addresses."""
    port = port_of(number)
    ip("link", "add", "name", port, "type", "veth", "peer", "name", name, "address", network.mac(number),
       "netns", netns, inside=network.netns)  # fmt: skip
    plug_port(network, port)
    for address in (f"{network.address(number)}/24", f"{network.address6(number)}/64"):
        ip("addr", "add", address, "dev", name, *(("nodad",) if ":" in address else ()), inside=netns)
    ip("link", "set", name, "up", inside=netns)


def port_of(number: int) -> str:
    """The name of a host's port on every switch."""
    return f"p{number}"


def plug_port(network: Network, port: str) -> None:
    """Put an interface of the switch's namespace on its bridge, up."""
    ip("link", "set", port, "master", "lan", "up", inside=network.netns)


def set_port(network: Network, port: str, *, up: bool) -> None:
    """Pull the plug, or put it in."""
    ip("link", "set", port, "up" if up else "down", inside=network.netns)
