"""What every answer carries and every request must satisfy, before any page or route sees it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 256 * 1024
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

# No 'unsafe-inline', no other origin: a string from a host that slips into a page can neither run nor call out.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    # `no-referrer` would make browsers send `Origin: null` with our own forms, and the origin is what we check.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def is_loopback(name: str) -> bool:
    """True for localhost and loopback addresses; a name that merely resolves to one does not count."""
    if name.lower() in LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Guard:
    """Refuses other host names (DNS rebinding), other origins and large bodies; adds the headers above."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], https: bool) -> None:
        self.app, self.https = app, https
        self.hosts = frozenset(h.lower() for h in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
                if self.https:
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._refuse(scope["method"], headers)
        if "\x00" in scope["path"] or b"%00" in scope.get("query_string", b""):
            refusal = 400, "An address holds no zero byte."  # PostgreSQL stores none either
        if refusal:
            status, says = refusal
            await PlainTextResponse(says + "\n", status_code=status)(scope, receive, send_with_headers)
            return
        await self.app(scope, _bounded(receive), send_with_headers)

    def _refuse(self, method: str, headers: Headers) -> tuple[int, str] | None:
        host = host_name(headers.get("host", ""))
        if host not in self.hosts and not is_loopback(host):
            return (
                421,
                "This console does not answer to that host name. Open it under the address it printed.",
            )
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > LARGEST_BODY:
            return 413, f"A request may carry at most {LARGEST_BODY} bytes."
        if method in SAFE_METHODS:
            return None
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "This request came from another site and was refused."
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
            return 403, "This request came from another origin and was refused."
        return None


def host_name(value: str) -> str:
    """The name in a Host header, without port and brackets, in lower case; "" when it is none."""
    try:
        return (urlsplit("//" + value).hostname or "").lower()
    except ValueError:
        return ""


def _bounded(receive: Receive) -> Receive:
    """A body sent in chunks has no Content-Length: count it. Past the limit the client counts as gone."""
    taken = 0

    async def receive_bounded() -> Message:
        nonlocal taken
        message = await receive()
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            if taken > LARGEST_BODY:
                return {"type": "http.disconnect"}
        return message

    return receive_bounded
