"""Two network namespaces joined by a cable: a host with a packet filter, and a stranger who knocks. IPv4 and IPv6."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

HOST = {"ip": "192.0.2.1", "ip6": "2001:db8::1"}
STRANGER = {"ip": "192.0.2.9", "ip6": "2001:db8::9"}
CABLE = "eth0"  # its name inside the host

LISTEN = """
import json, socket, sys, threading, time
for port in json.loads(sys.argv[1]):
    for family, kind in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        s = socket.socket(family, socket.SOCK_STREAM)
        if family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((kind, port)); s.listen(64)
        globals()[f"s{family}{port}"] = s
print("ready", flush=True)
sys.stdin.read()
"""
KNOCK = """
import concurrent.futures, json, socket, sys
def knock(at):
    try:
        socket.create_connection(at, 1).close()
        return True
    except OSError:
        return False
targets = [tuple(t) for t in json.loads(sys.argv[1])]
with concurrent.futures.ThreadPoolExecutor(64) as pool:
    print(json.dumps(list(pool.map(knock, targets))))
"""


def missing() -> str:
    """Why this machine cannot make the pair, or ""."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    absent = [tool for tool in ("ip", "nft") if not shutil.which(tool)]
    return f"needs {', '.join(absent)}" if absent else ""


@dataclass
class Pair:
    """`run` runs a command inside the host's namespace, `knock` tries TCP connections from the stranger's."""

    host: str
    stranger: str

    def run(self, *command: str, stdin: str = "") -> str:
        return _run("ip", "netns", "exec", self.host, *command, stdin=stdin)

    def nft(self, text: str) -> None:
        self.run("nft", "-f", "-", stdin=text)

    @contextmanager
    def listening(self, ports: Iterable[int]) -> Iterator[None]:
        """Listeners on the ports, over both families, until the end of the block."""
        command = ["ip", "netns", "exec", self.host, "python3", "-c", LISTEN, json.dumps(sorted(set(ports)))]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout
            assert process.stdin
            assert process.stdout.readline() == b"ready\n"
            yield
            process.stdin.close()

    def knock(self, family: str, ports: Iterable[int]) -> dict[int, bool]:
        """Port → whether a connection from the stranger came about."""
        return {port: entered for (_, port), entered in self.knock_all(ports, (family,)).items()}

    def knock_all(
        self, ports: Iterable[int], families: Iterable[str] = ("ip", "ip6")
    ) -> dict[tuple[str, int], bool]:
        """(family, port) → the same, all tried at once."""
        wanted = [(family, port) for family in families for port in sorted(set(ports))]
        targets = json.dumps([(HOST[family], port) for family, port in wanted])
        said = _run("ip", "netns", "exec", self.stranger, "python3", "-S", "-c", KNOCK, targets)
        return dict(zip(wanted, json.loads(said), strict=True))


def _run(*command: str, stdin: str = "") -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"{' '.join(command)[:80]}: {done.stderr[-500:]}"
    return done.stdout


@contextmanager
def joined() -> Iterator[Pair]:
    """The pair; it vanishes at the end of the block."""
    mark = uuid.uuid4().hex[:6]
    pair = Pair(f"wkh{mark}", f"wks{mark}")
    ends = (pair.host, HOST), (pair.stranger, STRANGER)
    try:
        for name, _ in ends:
            _run("ip", "netns", "add", name)
        _run(
            "ip",
            "link",
            "add",
            CABLE,
            "netns",
            pair.host,
            "type",
            "veth",
            "peer",
            CABLE,
            "netns",
            pair.stranger,
        )
        for name, addresses in ends:
            for family, address in addresses.items():
                size, options = ("24", []) if family == "ip" else ("64", ["nodad"])
                _run("ip", "-n", name, "addr", "add", f"{address}/{size}", "dev", CABLE, *options)
            for link in (CABLE, "lo"):
                _run("ip", "-n", name, "link", "set", link, "up")
        yield pair
    finally:
        for name, _ in ends:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
