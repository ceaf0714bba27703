"""The steps of a drill that are tried from here, over the network, against the host's own sshd and ports.

A forbidden login passes only if the *server itself* says no: it answered, it showed its pinned key, and its list of ways to
log in does not hold the method (or it refused a key nobody authorised). A way that is offered fails even if the random
secret sent was wrong: the next one may be right. No connection is no refusal, and so unknown.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from wardkeep.core.changes import StepResult, TryConnect, TryLogin
from wardkeep.core.errors import BadInput, WardkeepError
from wardkeep.core.findings import Verdict
from wardkeep.fleet.inventory import Address, Host
from wardkeep.fleet.ssh import PinnedClient, SshConnector, open_connection
from wardkeep.fleet.ssh_keys import Keyring
from wardkeep.fleet.ssh_library import asyncssh

# What a port may do for what is expected of it; a reason in words counts as `silent`.
EXPECTED: Mapping[str, frozenset[str]] = {
    "open": frozenset({"open"}),
    "closed": frozenset({"refused", "silent"}),
    "answered": frozenset({"open", "refused"}),
    "silent": frozenset({"silent"}),
}
AT_ONCE = (
    5  # connections tried together: fewer than the ten unfinished logins at which an sshd begins to refuse
)
PORT_TIMEOUT = 5.0  # seconds without an answer after which a port counts as silent
# sshd 9.8 and later add 5 s of penalty for each failed login and shut a source out beyond 15 s: stay below it.
PAUSE = 5.5
PENALISES = re.compile(r"OpenSSH_(?:9\.(?:[89]|\d\d)|[1-9]\d)")


class _Trying(PinnedClient):
    """Notes each way to log in that the server offers, and tries the one asked for, once."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.offered_ways: list[str] = []
        self.prompts: list[str] = []
        self.entered = False
        self.version = ""
        self._connection: asyncssh.SSHClientConnection | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        super().connection_made(conn)
        self._connection = conn

    def _first(self, way: str) -> bool:
        """Note the way; true the first time it is the one to try."""
        if self._connection is not None:
            self.version = str(self._connection.get_extra_info("server_version", ""))
        new = way not in self.offered_ways
        if new:
            self.offered_ways.append(way)
        return new and way == self.method

    def public_key_auth_requested(self) -> asyncssh.SSHKey | None:
        return asyncssh.generate_private_key("ssh-ed25519") if self._first("publickey") else None

    def password_auth_requested(self) -> str | None:
        return secrets.token_urlsafe(24) if self._first("password") else None

    def kbdint_auth_requested(self) -> str | None:
        return "" if self._first("keyboard-interactive") else None

    def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> list[str] | None:
        if self.prompts:
            return None
        self.prompts = [text.strip()[:60] for text, _ in prompts]
        return [secrets.token_urlsafe(24) for _ in prompts]

    def auth_completed(self) -> None:
        self.entered = True


@dataclass(frozen=True)
class Target:
    """The sshd to try: where it is and the keys it must show. `own` marks this machine itself."""

    address: Address
    pins: tuple[str, ...]
    own: bool = False


def target_of(host: Host, etc_ssh: Path = Path("/etc/ssh")) -> Target:
    """The sshd of a host. This machine's is found by its own configuration. Raises BadInput for a recorded host."""
    address = host.address
    if address.scheme == "ssh":
        return Target(address, host.host_keys)
    if address.scheme != "local":
        raise BadInput("a recorded host cannot be tried", where=host.name)
    pins, port = [], 22
    try:
        for path in sorted(etc_ssh.glob("ssh_host_*_key.pub")):
            pins.append(" ".join(path.read_text().split()[:2]))
        text = (etc_ssh / "sshd_config").read_text()
        if found := re.search(r"(?im)^\s*Port\s+(\d{1,5})\s*$", text):
            port = int(found[1])
    except OSError as e:
        raise BadInput(f"cannot read this machine's ssh server: {e.strerror}", where=str(etc_ssh)) from None
    if not pins:
        raise BadInput("this machine has no ssh host key: no ssh server to try", where=str(etc_ssh))
    return Target(Address("ssh", "127.0.0.1", "root", port), tuple(pins), own=True)


async def attempt(
    step: TryLogin | TryConnect,
    host: Host,
    *,
    keyring: Keyring | None = None,
    target: Target | None = None,
    port_timeout: float = PORT_TIMEOUT,
    clock: Callable[[], float] = time.monotonic,
) -> StepResult:
    """Try one step. Never raises for a fault of the host or of the way to it: that is unknown, with the reason."""
    begun = clock()
    way = SshConnector(host, keyring=keyring)
    try:
        aim = target or target_of(host)
        tunnel = await way.open_tunnel()
        if isinstance(step, TryLogin):
            verdict, seen, details = await _try_login(step, aim, tunnel)
        else:
            verdict, seen = await _try_connect(step, aim, tunnel, port_timeout)
            details = {}
    except WardkeepError as e:
        verdict, seen, details = Verdict.UNKNOWN, f"could not be tried: {e.line()}", {}
    finally:
        await way.close()
    says = step.says or f"{type(step).__name__} {getattr(step, 'method', getattr(step, 'port', ''))}"
    return StepResult(says, step.proves, verdict.value, seen, round(clock() - begun, 2), details=details)


async def attempt_all(
    steps: Iterable[TryLogin | TryConnect],
    host: Host,
    *,
    keyring: Keyring | None = None,
    target: Target | None = None,
    pause: float = PAUSE,
    rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[StepResult]:
    """Try the steps in their order: connections that follow each other a few at a time, since silence takes its time to be
    told from an answer; logins one after the other, slowly where the server shuts out those who fail too often."""
    failed = 0
    for kind, alike in groupby(steps, key=type):
        if kind is TryConnect:
            for few in _in_pieces(list(alike), AT_ONCE):
                tried = [attempt(step, host, keyring=keyring, target=target) for step in few]
                for result in await asyncio.gather(*tried):
                    yield result
            continue
        for step in alike:
            if failed >= 2:
                await rest(pause)
            result = await attempt(step, host, keyring=keyring, target=target)
            # Unknown may itself be a penalty: then waiting is right as well.
            if PENALISES.search(result.details.get("server", "")) or result.verdict == Verdict.UNKNOWN:
                failed += 1
            yield result


def _in_pieces(steps: Sequence[TryLogin | TryConnect], size: int) -> list[Sequence[TryLogin | TryConnect]]:
    return [steps[start : start + size] for start in range(0, len(steps), size)]


async def _try_login(
    step: TryLogin, aim: Target, tunnel: asyncssh.SSHClientConnection | None
) -> tuple[Verdict, str, dict[str, str]]:
    if step.method not in ("password", "keyboard-interactive", "publickey", "none"):
        raise BadInput(f"`{step.method}` is no way to log in", where=step.proves)
    client = _Trying(step.method)
    address = Address("ssh", aim.address.place, step.user, aim.address.port)
    # Nothing of ours may let us in: no key, no agent, no default.
    nothing: dict[str, Any] = {"client_keys": None, "agent_path": None, "password": None}
    try:
        connection = await open_connection(address, aim.pins, client, tunnel=tunnel, **nothing)
    except asyncssh.PermissionDenied:
        pass
    else:
        connection.abort()
        client.entered = True
    details = {"offered": ", ".join(client.offered_ways) or "nothing", "server": client.version}
    who, ways = f"`{step.user}`", details["offered"]
    if client.entered:
        return Verdict.FAIL, f"The server let {who} in by {step.method}, with a secret made up here.", details
    if step.method == "none":
        return Verdict.PASS, f"The server refused {who} without any proof; it asks for: {ways}.", details
    if step.method not in client.offered_ways:
        return Verdict.PASS, f"The server does not offer {step.method} to {who}; it offers: {ways}.", details
    if step.method == "publickey":
        return Verdict.PASS, f"The server refused {who} a key that nobody authorised.", details
    asked = f" and asked for {', '.join(map(repr, client.prompts))}" if client.prompts else ""
    return (
        Verdict.FAIL,
        f"The server offers {step.method} to {who}{asked}: a right guess would enter.",
        details,
    )


async def _try_connect(
    step: TryConnect, aim: Target, tunnel: asyncssh.SSHClientConnection | None, timeout: float
) -> tuple[Verdict, str]:
    if step.expect not in EXPECTED:
        known = ", ".join(f"`{word}`" for word in EXPECTED)
        raise BadInput(f"a port is expected {known}, not `{step.expect}`", where=step.proves)
    step = replace(step, port=step.port or aim.address.port)
    if aim.own:
        return _seen_from_itself(step, await _knock("127.0.0.1", step.port, timeout))
    if tunnel is not None:
        return Verdict.UNKNOWN, "Behind a jump host: what its network sees is not what the world sees."
    found = await _knock(aim.address.place, step.port, timeout)
    if found in ("open", "refused"):
        is_open = found == "open"
        said = f"Port {step.port} accepted a connection." if is_open else f"Port {step.port} refused it."
        return (Verdict.PASS if found in EXPECTED[step.expect] else Verdict.FAIL), said
    # Silence proves a filter only if the host is there: its ssh port must answer now.
    if await _knock(aim.address.place, aim.address.port, timeout) not in ("open", "refused"):
        return Verdict.UNKNOWN, f"Port {step.port}: {found}, and so is the whole host."
    said = f"Port {step.port}: {found}, while port {aim.address.port} answers."
    return (Verdict.PASS if "silent" in EXPECTED[step.expect] else Verdict.FAIL), said


def _seen_from_itself(step: TryConnect, found: str) -> tuple[Verdict, str]:
    """A machine does not pass its own firewall on the way to itself: only that nothing listens is certain."""
    if found == "refused":
        return (
            Verdict.PASS if found in EXPECTED[step.expect] else Verdict.FAIL
        ), f"Nothing listens on port {step.port}."
    return (
        Verdict.UNKNOWN,
        f"Port {step.port}: {found} from the machine itself, which is not how the world sees it.",
    )


async def _knock(place: str, port: int, timeout: float) -> str:
    """`open`, `refused`, or in words why there was no answer."""
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(place, port)
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return f"no answer in {timeout:g} s"
    except OSError as e:
        return (e.strerror or "not reachable").lower()
    writer.transport.abort()
    return "open"
