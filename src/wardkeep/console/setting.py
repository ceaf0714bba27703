"""What a request handler finds in `request.app.state.console`: the platform, the accounts, where the console is."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from fastapi import Request

from wardkeep.console.running import Running
from wardkeep.engine.accounts import Accounts, Party
from wardkeep.engine.durable import Durable
from wardkeep.engine.platform import Platform


@dataclass(frozen=True)
class Console:
    """`origin` is how browsers reach it: `http://localhost:8420`, or https through a proxy with TLS.

    `durable` is the serving process's engine for durable work; without one, a drill opens its own.
    """

    platform: Platform
    accounts: Accounts
    origin: str
    durable: Durable | None = None
    running: Running = field(default_factory=Running)

    @property
    def https(self) -> bool:
        return self.origin.startswith("https:")

    @property
    def host(self) -> str:
        return urlsplit(self.origin).hostname or "localhost"

    @property
    def party(self) -> Party:
        """For passkeys: they are bound to exactly this origin."""
        return Party(self.host, self.origin)

    @property
    def session_cookie(self) -> str:
        # On plain http (loopback only) a browser refuses the __Host- prefix, so the name admits it is not there.
        return "__Host-wardkeep" if self.https else "wardkeep-loopback"

    @property
    def visitor_cookie(self) -> str:
        """Before sign-in: ties a form or a passkey challenge to one browser."""
        return "__Host-wardkeep-visitor" if self.https else "wardkeep-loopback-visitor"


def console(request: Request) -> Console:
    found = request.app.state.console
    assert isinstance(found, Console)
    return found
