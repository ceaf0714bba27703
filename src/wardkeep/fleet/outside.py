"""A host as the network shows it from here: which TCP ports answer, over IPv4 and IPv6, and which speak TLS.

Plain connections, at a bounded rate, to the addresses that are handed in and to no others. Nothing is sent but the first
message of TLS, and nothing is sent at all to a port that is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import ip_address

from wardkeep.core.errors import BadInput, Unavailable

RATE = 500.0  # connections begun in a second
AT_ONCE = 200  # connections open at a time; below the usual limit of 1,024 open files
WAIT = 1.5  # seconds until a port counts as silent
TLS_WAIT = 4.0
# Beside 1 to 1024: databases, queues, consoles, agents that are found open by mistake.
USUAL = (
    1433, 1521, 1883, 2049, 2222, 2375, 2376, 2379, 3000, 3128, 3268, 3306, 3389, 4444, 5000, 5044, 5432, 5555, 5601,
    5672, 5900, 5984, 5985, 6379, 6443, 7001, 8000, 8008, 8080, 8081, 8086, 8443, 8500, 8888, 9000, 9042, 9090, 9092,
    9093, 9100, 9200, 9300, 9418, 10000, 10250, 11211, 15672, 26257, 27017, 50000,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tried:
    """One port at one address. `state`: open, closed (refused), silent (no answer in time), error (the network said no)."""

    address: str
    family: str  # "ip" | "ip6"
    port: int
    state: str
    tls: str = ""  # "TLSv1.3", or "" where no TLS was agreed on
    until: datetime | None = None  # the end of the certificate shown


def read_ports(text: str) -> tuple[int, ...]:
    """`22,80,8000-8100` as numbers. Raises BadInput."""
    found: set[int] = set()
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if not first.isascii() or not first.isdigit() or (dash and not last.isdigit()):
            raise BadInput(f"`{part}` is no port", todo="Write for example `22,80,8000-8100`.")
        low, high = int(first), int(last or first)
        if not 0 < low <= high < 65536:
            raise BadInput(f"`{part}` is no range of ports", todo="A port is 1 to 65535.")
        found.update(range(low, high + 1))
    return tuple(sorted(found))


def usual_ports() -> tuple[int, ...]:
    return (*range(1, 1025), *USUAL)


async def addresses_of(place: str) -> tuple[str, ...]:
    """The IPv4 and IPv6 addresses of a name or an address. Raises Unavailable."""
    try:
        told = await asyncio.get_running_loop().getaddrinfo(place, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unavailable("the name has no address", where=place) from None
    return tuple(dict.fromkeys(str(one[4][0]) for one in told))


def own_addresses() -> tuple[str, ...]:
    """The addresses from which this machine would speak to others; none of them leaves the machine in asking."""
    found = []
    for family, elsewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))  # a datagram socket only looks up the route
            found.append(str(probe.getsockname()[0]))
    return tuple(found)


async def look(
    addresses: Iterable[str],
    ports: Iterable[int],
    *,
    rate: float = RATE,
    wait: float = WAIT,
    tls_wait: float = TLS_WAIT,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[Tried]:
    """Try every port at every address, not more than `rate` a second, and TLS at those that are open.

    Sorted by port and address. Raises Unavailable if nothing there answers at all: that is no closed host, it is one that
    cannot be seen from here.
    """
    pairs = [(address, port) for port in ports for address in addresses]
    gate = asyncio.Semaphore(AT_ONCE)
    done = 0

    async def one(address: str, port: int) -> Tried:
        nonlocal done
        try:
            tried = await _try(address, port, wait)
            return await _with_tls(tried, tls_wait) if tried.state == "open" else tried
        finally:
            gate.release()
            done += 1
            progress(done, len(pairs))

    tasks = []
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number, (address, port) in enumerate(pairs):
        await gate.acquire()
        tasks.append(asyncio.create_task(one(address, port)))
        ahead = began + (number + 1) / rate - loop.time()
        if ahead > 0:
            await asyncio.sleep(ahead)
    found = await asyncio.gather(*tasks)
    if not any(tried.state in ("open", "closed") for tried in found):
        where = ", ".join(addresses)
        todo = "See whether the address is right, and whether this machine may reach it."
        raise Unavailable(
            "no port there answers or refuses: the host cannot be seen from here", where=where, todo=todo
        )
    return sorted(found, key=lambda tried: (tried.port, tried.address))


async def _try(address: str, port: int, wait: float) -> Tried:
    family = "ip6" if ip_address(address.partition("%")[0]).version == 6 else "ip"
    tried = Tried(address, family, port, "open")
    try:
        async with asyncio.timeout(wait):
            _, writer = await asyncio.open_connection(address, port)
    except ConnectionRefusedError:
        return replace(tried, state="closed")
    except TimeoutError:
        return replace(tried, state="silent")
    except OSError:
        return replace(tried, state="error")
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return tried


async def _with_tls(tried: Tried, wait: float) -> Tried:
    """The TLS version and certificate of a port that speaks TLS from the start."""
    context = ssl.create_default_context()
    # Looked at, not trusted: whether the certificate is valid is what is to be found out.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(wait):
            _, writer = await asyncio.open_connection(tried.address, tried.port, ssl=context)
    except (OSError, ssl.SSLError, TimeoutError):
        return tried
    try:
        session = writer.get_extra_info("ssl_object")
        return replace(tried, tls=str(session.version() or ""), until=_end(session.getpeercert(True)))
    finally:
        writer.transport.abort()


def _end(certificate: bytes | None) -> datetime | None:
    if not certificate:
        return None
    from cryptography import x509

    try:
        return x509.load_der_x509_certificate(certificate).not_valid_after_utc.astimezone(UTC)
    except ValueError:
        return None
