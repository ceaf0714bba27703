"""The hosts: where each one is and which keys it must show."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from wardkeep.core.errors import BadInput

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
_USER = re.compile(r"[a-z_][a-z0-9_.-]{0,31}\$?", re.IGNORECASE)
_ADDRESS = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?")
TODO = "Write local:, ssh://user@address[:port] or recorded:/folder"


@dataclass(frozen=True, slots=True)
class Address:
    """A host's URL taken apart. `place` is an address, a DNS name or, for `recorded`, a folder."""

    scheme: str  # local, ssh, recorded
    place: str = ""
    user: str = ""
    port: int = 22


@dataclass(frozen=True, slots=True)
class Host:
    """One host of the inventory.

    `host_keys` are the pinned public keys ("ssh-ed25519 AAAA..."): no other key is ever accepted. `jump` is the ssh:// URL of a
    host to go through; its keys are pinned in `jump_keys`. `identity` is the path of a private key, "" for the agent and the
    user's own keys.
    """

    name: str
    url: str
    host_keys: tuple[str, ...] = ()
    jump: str = ""
    jump_keys: tuple[str, ...] = ()
    identity: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> Address:
        return parse_url(self.url)


def parse_url(url: str) -> Address:
    """Take a host's URL apart. Raises BadInput with the one thing that is wrong."""
    scheme, colon, rest = url.partition(":")
    if url in ("local:", "local"):
        return Address("local")
    if scheme == "recorded" and colon:
        if not rest.startswith("/"):
            raise BadInput("a recorded host needs the full path of its folder", where=url, todo=TODO)
        return Address("recorded", rest)
    if scheme != "ssh" or not rest.startswith("//"):
        raise BadInput("this is not the URL of a host", where=repr(url), todo=TODO)
    user, at, place = rest[2:].rpartition("@")
    if ":" in user:
        raise BadInput("a password does not belong into a URL", where="ssh://…", todo="Use a key or an agent")
    if at and not _USER.fullmatch(user):
        raise BadInput(f"{user!r} is not a user's name", where=url, todo=TODO)
    if not place or "/" in place.rstrip("/") or "?" in place:
        raise BadInput("the address is missing or has a path", where=url, todo=TODO)
    place, port = _split_port(place.rstrip("/"), url)
    return Address("ssh", place, user or "root", port)


def _split_port(place: str, url: str) -> tuple[str, int]:
    if place.startswith("["):
        address, bracket, tail = place[1:].partition("]")
        try:
            ip_address(address.partition("%")[0])
        except ValueError:
            raise BadInput(f"{address!r} is not an IPv6 address", where=url, todo=TODO) from None
        if not bracket or (tail and not tail.startswith(":")):
            raise BadInput("what follows the ] is not a port", where=url, todo=TODO)
        port = tail[1:] if tail else "22"
    else:
        address, colon, port = place.partition(":")
        if ":" in port:
            raise BadInput("an IPv6 address needs brackets: ssh://user@[::1]:22", where=url)
        port = port if colon else "22"
        if not _ADDRESS.fullmatch(address):
            raise BadInput(f"{address!r} is not an address", where=url, todo=TODO)
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise BadInput(f"{port!r} is not a port", where=url, todo="A port is 1 to 65535")
    return address, int(port)


def check_host(host: Host) -> Host:
    """The host itself, if its name and URLs can be used. Raises BadInput."""
    if not _NAME.fullmatch(host.name):
        raise BadInput(
            f"{host.name!r} cannot be a host's name",
            todo="Use small letters, digits, dots and hyphens, at most 63",
        )
    parse_url(host.url)
    if host.jump and parse_url(host.jump).scheme != "ssh":
        raise BadInput(
            "a jump host is reached by ssh", where=host.jump, todo="Write ssh://user@address[:port]"
        )
    return host
