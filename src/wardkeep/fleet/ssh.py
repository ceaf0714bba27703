"""Hosts over ssh, by asyncssh (docs/adr says why): strict host keys, one session per cycle, everything with an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from wardkeep.core.errors import BadInput, Refused, Unavailable
from wardkeep.core.facts import Answer, Question, Snapshot
from wardkeep.fleet.collector import COMMAND
from wardkeep.fleet.connector import Clock, utc_now
from wardkeep.fleet.inventory import Address, Host, parse_url
from wardkeep.fleet.session import hold_session, run_script
from wardkeep.fleet.ssh_keys import Keyring, algorithms_for, lacking_keys, read_host_key, reason
from wardkeep.fleet.ssh_library import asyncssh

_PIECE = 1 << 18
CONNECT_TIMEOUT = 15.0  # seconds for TCP, key exchange and login together
KEEPALIVE = 10  # seconds of silence before the host is asked whether it lives; three silent ones end it
# AES-GCM first: it is done in C; the rest is the library's own list, in its order.
_CIPHERS = (
    "aes256-gcm@openssh.com,aes128-gcm@openssh.com,chacha20-poly1305@openssh.com,"
    "aes256-ctr,aes192-ctr,aes128-ctr"
)


class HostKeyChanged(Refused):
    """The server shows another key than the pinned one. Nobody logs in there before a person has looked."""


class PinnedClient(asyncssh.SSHClient):
    """Accepts the pinned keys only (asyncssh compares them itself) and takes down any other that is offered."""

    offered: asyncssh.SSHKey | None = None
    met = False  # something answers at that address and port

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self.met = True

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.offered = key
        return False


async def open_connection(
    address: Address,
    pins: Sequence[str],
    client: PinnedClient,
    *,
    tunnel: asyncssh.SSHClientConnection | None = None,
    **login: Any,
) -> asyncssh.SSHClientConnection:
    """Connect and log in, to a host that shows a pinned key. Raises WardkeepError in one line, or PermissionDenied."""
    where = f"{address.place}:{address.port}"
    if not pins:
        raise BadInput("no host key is pinned", where=where, todo="Add the host with `wardkeep host add`")
    trusted = [read_host_key(line) for line in pins]
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            return await asyncssh.connect(
                address.place, address.port, username=address.user, client_factory=lambda: client,
                known_hosts=(trusted, [], []), server_host_key_algs=algorithms_for(pins), config=None, encryption_algs=_CIPHERS, gss_host=None,
                host_based_auth=False, keepalive_interval=KEEPALIVE, keepalive_count_max=3,
                tunnel=tunnel or (), utf8_decode_errors="replace", **login,  # a banner may be in any encoding
            )  # fmt: skip
    except asyncssh.PermissionDenied:
        raise
    except asyncssh.HostKeyNotVerifiable as e:
        if client.offered is None:
            raise Unavailable(f"its host key cannot be verified: {reason(e)}", where=where) from None
        pinned = " ".join(key.get_fingerprint() for key in trusted)
        raise HostKeyChanged(
            f"the host key changed: pinned {pinned}, offered {client.offered.get_fingerprint()}",
            where=where,
            todo="If you changed it, compare the fingerprint on the host and add the host again",
        ) from None
    except TimeoutError:
        what = "connected, but the login was not finished" if client.met else "cannot connect: no answer"
        raise Unavailable(f"{what} within {CONNECT_TIMEOUT:.0f} s", where=where) from None
    except (OSError, asyncssh.Error, ValueError, EOFError) as e:
        raise Unavailable(f"cannot connect: {reason(e)}", where=where) from None


class SshConnector:
    """Asks one host over ssh. The connection is opened at the first need and kept until `close` or a fault."""

    def __init__(
        self,
        host: Host,
        *,
        keyring: Keyring | None = None,
        deadline: float | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self.host = host.name
        self._host, self._keyring = host, keyring or Keyring()
        self._deadline, self._clock = deadline, clock
        self._connections: list[asyncssh.SSHClientConnection] = []  # the jump host's first, ours last

    async def ask(self, questions: Sequence[Question]) -> Snapshot:
        return await hold_session(
            self._transport, self.host, questions, self._clock(), deadline=self._deadline
        )

    async def run(self, script: str, *, stdin: bytes = b"", timeout: float = 60) -> Answer:
        return await run_script(
            self._transport, self.host, script, self._clock(), stdin=stdin, timeout=timeout
        )

    async def close(self) -> None:
        """End the connection, without waiting for a host that does not answer any more."""
        for connection in reversed(self._connections):
            connection.abort()
        self._connections.clear()

    async def connect(self) -> asyncssh.SSHClientConnection:
        """The open connection; opened now if there is none. Raises WardkeepError in one line."""
        if self._connections and not self._connections[-1].is_closed():
            return self._connections[-1]
        await self.close()
        tunnel = await self.open_tunnel()
        self._connections.append(await self._login(self._host.address, self._host.host_keys, tunnel))
        return self._connections[-1]

    async def open_tunnel(self) -> asyncssh.SSHClientConnection | None:
        """The way through the jump host, None where there is none. Ended by `close`. Raises WardkeepError in one line."""
        if not self._host.jump:
            return None
        gate = await self._login(parse_url(self._host.jump), self._host.jump_keys, None)
        self._connections.append(gate)
        return gate

    async def _login(
        self, address: Address, pins: Sequence[str], tunnel: asyncssh.SSHClientConnection | None
    ) -> asyncssh.SSHClientConnection:
        login: dict[str, Any] = {}
        if self._host.identity:
            login = {"client_keys": [self._keyring.key(self._host.identity)], "agent_path": None}
        try:
            return await open_connection(
                address, pins, PinnedClient(), tunnel=tunnel,
                preferred_auth="publickey", **login,
            )  # fmt: skip
        except asyncssh.PermissionDenied:
            where = f"{address.place}:{address.port}"
            if not self._host.identity and (lacking := await lacking_keys()):
                raise Refused(lacking, where=where, todo="Name one by --identity, or `ssh-add` one") from None
            raise Refused(
                f"the login as {address.user} was refused",
                where=where,
                todo=f"Put the public key into ~{address.user}/.ssh/authorized_keys there",
            ) from None

    @asynccontextmanager
    async def _transport(self, script: bytes) -> AsyncIterator[AsyncIterator[bytes]]:
        connection = await self.connect()
        try:
            process = await connection.create_process(COMMAND, encoding=None, stderr=asyncssh.STDOUT)
        except (OSError, asyncssh.Error) as e:
            await self.close()
            raise Unavailable(f"cannot start a session: {reason(e)}") from None
        ended = False
        try:
            process.stdin.write(script)
            process.stdin.write_eof()
            yield _pieces(process.stdout)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await process.wait_closed()
                    ended = True
        finally:
            # A session that did not end by itself takes the connection with it: nothing of it is waited for.
            if not ended:
                await self.close()


async def _pieces(stream: asyncssh.SSHReader[bytes]) -> AsyncIterator[bytes]:
    try:
        while data := await stream.read(_PIECE):
            yield data
    except asyncssh.ConnectionLost:
        raise Unavailable("the connection was lost in the middle") from None
    except (OSError, asyncssh.Error) as e:
        raise Unavailable(f"the connection was lost in the middle: {reason(e)}") from None
