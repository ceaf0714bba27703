"""Keys of hosts (to show, to pin, to compare) and keys of ours (to log in with)."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wardkeep.core.errors import BadInput, Unavailable
from wardkeep.fleet.inventory import Host
from wardkeep.fleet.ssh_library import asyncssh

# What a person calls the algorithm → what is negotiated to be shown that key. Best first.
_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512")
_ALGORITHMS = (
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256",
)  # fmt: skip
Passphrase = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class HostKey:
    """A host's public key. `line` is what is pinned ("ssh-ed25519 AAAA..."), `fingerprint` what a person compares."""

    line: str
    fingerprint: str  # "SHA256:..."

    @property
    def kind(self) -> str:
        return self.line.split()[0]


def host_key_of(key: asyncssh.SSHKey) -> HostKey:
    line = " ".join(key.export_public_key("openssh").decode().split()[:2])
    return HostKey(line, key.get_fingerprint())


def read_host_key(line: str) -> asyncssh.SSHKey:
    """A pinned key as asyncssh wants it. Raises BadInput."""
    try:
        return asyncssh.import_public_key(line)
    except (asyncssh.KeyImportError, ValueError):
        raise BadInput(
            f"this is not a public host key: {line[:40]!r}",
            todo="Add the host again with `wardkeep host add`",
        ) from None


def algorithms_for(pins: Sequence[str]) -> list[str]:
    """What to negotiate: the pinned kinds first. The others stay, so that a server without them shows what it has instead."""
    pinned = {"rsa-sha2-512" if kind == "ssh-rsa" else kind for kind in (line.split()[0] for line in pins)}
    return sorted(_ALGORITHMS, key=lambda algorithm: (algorithm not in pinned, _ALGORITHMS.index(algorithm)))


def fingerprint(line: str) -> str:
    """The SHA256 fingerprint of a pinned key, as `ssh-keygen -l` prints it. Raises BadInput."""
    return read_host_key(line).get_fingerprint()


class Keyring:
    """Private keys, read once. `passphrase` is asked, with the key's path, only for a key that needs one.

    A passphrase is used and forgotten; it is in no error and no log.
    """

    def __init__(self, passphrase: Passphrase | None = None) -> None:
        self._passphrase = passphrase
        self._keys: dict[tuple[str, int], asyncssh.SSHKey] = {}

    def key(self, identity: str) -> asyncssh.SSHKey:
        """The private key in the file. Raises BadInput with one clear line."""
        path = Path(identity).expanduser()
        try:
            mark = (str(path), path.stat().st_mtime_ns)
            if mark not in self._keys:
                self._keys[mark] = self._read(path, path.read_bytes())
        except OSError as e:
            raise BadInput(f"cannot read the key: {e.strerror}", where=identity) from None
        return self._keys[mark]

    def _read(self, path: Path, data: bytes) -> asyncssh.SSHKey:
        try:
            return asyncssh.import_private_key(data)
        except (asyncssh.KeyEncryptionError, asyncssh.KeyImportError) as e:
            if "passphrase" not in str(e).lower() and not isinstance(e, asyncssh.KeyEncryptionError):
                raise BadInput("this is not a private key", where=str(path)) from None
        if self._passphrase is None:
            raise BadInput(
                "the key needs a passphrase",
                where=str(path),
                todo="Load it into an agent: ssh-add " + str(path),
            )
        try:
            return asyncssh.import_private_key(data, self._passphrase(str(path)))
        except (asyncssh.KeyEncryptionError, asyncssh.KeyImportError, ValueError):
            raise BadInput("wrong passphrase", where=str(path), todo="Try again; nothing was sent") from None


async def lacking_keys() -> str:
    """Why there was no key of ours to offer to a host for which none is named; "" where there was one."""
    from asyncssh.public_key import load_default_keypairs

    if load_default_keypairs():
        return ""
    if not os.environ.get("SSH_AUTH_SOCK"):
        agent = "no agent runs here"
    else:
        try:
            async with asyncio.timeout(5), asyncssh.connect_agent() as asked:
                if await asked.get_keys():
                    return ""
            agent = "the agent holds none"
        except (OSError, TimeoutError, asyncssh.Error, ValueError):
            agent = "the agent does not answer"
    return f"there is no key to log in with: ~/.ssh has none that opens without a passphrase, and {agent}"


class _Showing(asyncssh.SSHClient):
    """Takes down the key a server shows, and goes no further."""

    shown: asyncssh.SSHKey | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.shown = key
        return False


async def scan_host_keys(
    host: Host,
    *,
    tunnel: asyncssh.SSHClientConnection | None = None,
    timeout: float = 15,
    kinds: Sequence[str] = _KINDS,
) -> tuple[HostKey, ...]:
    """The keys the host shows now, best first: to be compared by a person with what the host itself prints.

    One connection per kind of key, one after the other; nothing is sent but the key exchange. Raises Unavailable.
    """
    address = host.address
    keys: list[HostKey] = []
    fault = "it showed no key we know"
    for kind in kinds:
        seen = _Showing()
        try:
            async with asyncio.timeout(timeout):
                await asyncssh.connect(
                    address.place, address.port, client_factory=lambda seen=seen: seen, known_hosts=([], [], []),
                    server_host_key_algs=[kind], username=address.user, config=None, client_keys=None,
                    agent_path=None, tunnel=tunnel or (), utf8_decode_errors="replace",
                )  # fmt: skip
        except asyncssh.HostKeyNotVerifiable:
            pass
        # A server without a key of this kind says so or just hangs up, whoever of the two notices first.
        except (asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost) as e:
            fault = reason(e)
        except (OSError, TimeoutError, asyncssh.Error, ValueError) as e:
            fault = reason(e)
            break
        if seen.shown is not None:
            keys.append(host_key_of(seen.shown))
    if not keys:
        raise Unavailable(f"cannot read the host's key: {fault}", where=f"{address.place}:{address.port}")
    return tuple(keys)


def reason(error: BaseException) -> str:
    """An error of the transport in a few words, without what a hostile server could put into it beyond one line."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):
        return _said_by_the_system(error)
    if isinstance(error, asyncssh.Error):
        return " ".join(error.reason.split())[:200] or type(error).__name__
    return f"it does not speak SSH ({type(error).__name__})"


def _said_by_the_system(error: OSError) -> str:
    """The system's own words. The library puts addresses and numbers around them, and joins those of several addresses."""
    numbers = [error.errno] if error.errno else map(int, re.findall(r"\[Errno (\d+)\]", str(error)))
    said = dict.fromkeys(os.strerror(number).lower() for number in numbers if number > 0)
    return " and ".join(said) or (error.strerror or str(error) or type(error).__name__).lower()
