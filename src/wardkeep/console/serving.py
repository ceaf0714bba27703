"""Serving the console: Granian inside this process, on the loopback unless a proxy with TLS stands before it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from wardkeep.console.app import create_app
from wardkeep.console.security import is_loopback
from wardkeep.core.errors import Refused, Unavailable
from wardkeep.engine.accounts.opening import accounts_of, first_link, origin_of
from wardkeep.engine.durable import Durable
from wardkeep.engine.platform import Platform


def serve(
    platform: Platform,
    host: str,
    port: int,
    *,
    ready: Callable[[str], None] = lambda link: None,
    durable: Durable | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. `ready` is called once the port answers, with the first sign-in link or "";
    `durable` is the open engine for durable work, if there is one. Raises what `check_address` does.
    """
    check_address(platform, host, port)
    accounts = accounts_of(platform)
    app = create_app(platform, accounts, origin=origin_of(platform, port), durable=durable)
    asyncio.run(_serve(app, host, port, lambda: ready(first_link(platform, accounts, port))))


def check_address(platform: Platform, host: str, port: int) -> None:
    """Whether the console may and can listen there; asked before a first look, which takes a minute.

    Raises Refused for an address beyond the loopback without an https `console.url`: cookies and codes would
    cross the network in the clear. Raises Unavailable if the port is taken.
    """
    if not is_loopback(host) and not origin_of(platform, port).startswith("https:"):
        raise Refused(
            f"the console would be open to the network without TLS at {host}:{port}",
            where="console.listen",
            todo="Listen on 127.0.0.1, or put a proxy with TLS before it and set console.url to its https address.",
        )
    _try_port(host, port)


async def _serve(app: object, host: str, port: int, ready: Callable[[], None]) -> None:
    # Imported here: commands that serve nothing need not pay for it.
    from granian.constants import Interfaces
    from granian.server.embed import Server

    server = Server(
        app, address=host, port=port, interface=Interfaces.ASGI, log_enabled=False, websockets=False
    )
    serving = asyncio.get_running_loop().create_task(server.serve())
    for signal_number in (2, 15):
        asyncio.get_running_loop().add_signal_handler(signal_number, server.stop)
    for _ in range(200):
        if serving.done() or await asyncio.to_thread(_answers, host, port):
            break
        await asyncio.sleep(0.02)
    if not serving.done():
        await asyncio.to_thread(ready)
    await serving


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=0.5):
            return True
    except OSError:
        return False


def _try_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as e:
            raise Unavailable(
                f"the console cannot listen on {host}:{port} ({e.strerror})",
                todo="End the other program, or set console.listen to another port.",
            ) from None
