"""The console with a million findings: server time of the matrix, the findings page and search, against a bare route.

python -m bench.console [--database sqlite|postgresql] [--hosts 1000] [--findings 1000]

Both databases, one after the other, when none is named; PostgreSQL is a temporary one of Debian's own, on a unix socket.

Every request goes over HTTP on the loopback to the same Granian in this process that `wardkeep up` uses, signed in,
one after the other. The yardstick is a bare FastAPI route in the same run: what the framework and the way cost alone.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from bench.many_findings import fill
from tests.postgres_server import make_database, running_postgres, server_programs

from wardkeep.console.app import create_app
from wardkeep.engine.accounts.opening import accounts_of
from wardkeep.engine.folder import CONFIG
from wardkeep.engine.platform import Platform, open_platform

LIMIT = 0.150  # seconds at p95
ROUNDS = 60


def main() -> None:
    given = argparse.ArgumentParser(description="Server time of the console's pages with many findings.")
    given.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
    given.add_argument("--hosts", type=int, default=1000)
    given.add_argument("--findings", type=int, default=1000, help="of each host")
    asked = given.parse_args()
    missed = [run(name, asked.hosts, asked.findings) for name in asked.database or ("sqlite", "postgresql")]
    sys.exit(any(missed))


def run(database: str, n_hosts: int, per_host: int) -> bool:
    """Fill a new state, measure; whether a page was over the limit."""
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        folder = Path(scratch) / "state"
        if database == "postgresql":
            if server_programs() is None:
                print("PostgreSQL: not measured (it is not installed here)")
                return False
            _, url = make_database(stack.enter_context(running_postgres()))
            folder.mkdir(mode=0o700)
            (folder / CONFIG).write_text(f'[database]\nurl = "{url}"\n')
        with open_platform(folder, create=True) as platform:
            began = time.perf_counter()
            fill(platform.store, n_hosts=n_hosts, per_host=per_host, at=datetime.now(UTC))
            print(
                f"{database}: {n_hosts * per_host:,} findings of {n_hosts:,} hosts"
                f" made in {time.perf_counter() - began:.0f} s",
                flush=True,
            )
            return measure(platform, n_hosts, database)


def measure(platform: Platform, n_hosts: int, database: str) -> bool:
    """Print the table; whether a page was over the limit."""
    accounts = accounts_of(platform)
    if accounts.users.find("bench") is None:
        accounts.users.add("bench", "operator", by="engine")
    cookie = accounts.sessions.start("bench", "passkey", address="127.0.0.1", agent="bench")
    app = create_app(platform, accounts)

    @app.get("/bare")
    def bare() -> str:
        return "ok"

    port = start(app)
    get = getter(port, f"wardkeep-loopback={cookie}")
    chance = random.Random(1)
    deep = cursors(get, 40)
    words = [
        "package",
        "service",
        "bash",
        "installed",
        "owner app",
        "state failed",
        "zzz",
        "0.0.0.0",
        "host-07",
    ]
    hosts = [f"host-{chance.randrange(n_hosts):04}" for _ in range(50)]
    pages: dict[str, Callable[[], str]] = {
        "bare route": lambda: "/bare",
        "matrix": lambda: "/",
        "findings": lambda: "/findings",
        "findings, deep pages": lambda: f"/findings?after={chance.choice(deep)}",
        "findings, failing": lambda: "/findings?verdict=fail",
        "findings, row and severity": lambda: (
            "/findings?control=firewall&severity=critical,high&verdict=fail,unknown"
        ),
        "findings of a host": lambda: f"/findings?host={chance.choice(hosts)}",
        "findings, overdue": lambda: "/findings?state=overdue",
        "search": lambda: f"/findings?q={chance.choice(words).replace(' ', '+')}",
        "search a host's subject": lambda: (
            f"/findings?q={chance.choice(hosts)}+package-{chance.randrange(1000)}"
        ),
        "search, failing in a row": lambda: (
            f"/findings?q={chance.choice(words[:4])}&verdict=fail&control=backups"
        ),
        "row": lambda: "/rows/firewall",
        "hosts": lambda: "/hosts",
        "host": lambda: f"/hosts/{chance.choice(hosts)}",
    }
    worst, base = 0.0, 0.0
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{'page':30} {'p50 ms':>8} {'p95 ms':>8} {'CPU ms':>8} {'x bare':>8}")
    for name, address in pages.items():
        get(address())  # templates are compiled at their first use
        cpu = (
            time.process_time()
        )  # this process is client and server; the client's part is that of the bare route
        times = sorted(get(address()) for _ in range(ROUNDS))
        cpu = (time.process_time() - cpu) / ROUNDS
        p50, p95 = statistics.median(times), times[int(len(times) * 0.95)]
        base = base or p50
        worst = max(worst, p95)
        print(f"{name:30} {p50 * 1000:8.1f} {p95 * 1000:8.1f} {cpu * 1000:8.1f} {p50 / base:8.1f}")
    print(
        f"every page under {LIMIT * 1000:.0f} ms at p95 on {database}: {'kept' if worst < LIMIT else 'NOT kept'}"
        f" (slowest {worst * 1000:.1f} ms; a bare route {base * 1000:.1f} ms)"
    )
    return worst >= LIMIT


def cursors(get: Callable[[str], float], steps: int) -> list[str]:
    """Places deep in the list: page after page from the beginning, and the far end of each band."""
    bands = [f"{band}.{due}.0" for band in range(12) for due in (0, 10**15, 2 * 10**15)]
    return bands[:steps]


def getter(port: int, cookie: str) -> Callable[[str], float]:
    """A function that gets an address over one kept connection and returns its seconds; anything but 200 ends the run."""
    connection = http.client.HTTPConnection("localhost", port)

    def get(path: str) -> float:
        began = time.perf_counter()
        connection.request("GET", path, headers={"Cookie": cookie})
        answer = connection.getresponse()
        body = answer.read()
        spent = time.perf_counter() - began
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {body[:300]!r}")
        return spent

    return get


def start(app: object) -> int:
    """Serve in a thread of this process; returns the port once it answers."""
    import asyncio

    from granian.constants import Interfaces
    from granian.server.embed import Server

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = Server(
        app, address="127.0.0.1", port=port, interface=Interfaces.ASGI, log_enabled=False, websockets=False
    )
    threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True).start()
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
        except OSError:
            time.sleep(0.05)
        else:
            return port
    raise SystemExit("the server did not start")


if __name__ == "__main__":
    main()
