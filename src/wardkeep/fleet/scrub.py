"""Take secrets and identities out of raw answers, in a way that leaves their structure readable to a parser.

Each replacement is numbered in the order of first sight (the same secret gets the same number everywhere in one recording) and says
nothing about what it replaced: no digest of it, which could be guessed at. Plain text is searched, and base64 or
compressed content is not: look through a recording before giving it away.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

_CRYPT = re.compile(r"\$(1|2[abxy]?|5|6|7|y|gy|md5|sha1|apr1|scrypt|argon2(?:id|i|d))(\$[^\s:'\"]{8,})")
_SHADOW = re.compile(r"(?m)^([A-Za-z_][^:\s]*:!*)([^:!*x\s][^:\s]*)(:\d*:\d*:\d*:\d*:\d*:\d*:\d*)$")
_PRIVATE = re.compile(
    r"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY[A-Z ]*)-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----|\Z)",
    re.DOTALL,
)
_AGE = re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]+")
_TOKEN = re.compile(
    r"\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}|"
    r"sk-[\w-]{20,}|sk_live_\w{10,}|npm_\w{30,}|hvs\.[\w-]{20,}|eyJ[\w-]{8,999}\.[\w-]{8,2999}\.[\w-]{8,999})"
)
_BEARER = re.compile(r"(?i)\b((?:bearer|basic)\s+)([A-Za-z0-9+/=._~-]{12,})")
_URL = re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{0,64}:)([^\s/@]{1,256})(@)")
_WORDS = (
    r"(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential|\bpsk)"
)
_NAMED = re.compile(
    rf"(?i)({_WORDS}[\w.-]{{0,64}}[\"']?[ \t]{{0,8}}(?:=|:[ \t])[ \t]{{0,8}}[\"']?|--[\w-]{{0,32}}{_WORDS}[\w-]{{0,32}}[ =])([^\s\0\"',;]+)"
)
_HARMLESS = re.compile(
    r"(?i)(?:yes|no|true|false|none|null|on|off|prohibit-password|without-password|forced-commands-only|files|compat|"
    r"systemd|ldap|sss|\d{1,5}|/[\w./@%:-]*|[*x!]+|\[.*|.*\]|.*\.(?:so|service|path|socket|timer|target))"
)
_MAIL = re.compile(
    r"(?<![\w.+-])([A-Za-z0-9][\w.+-]{0,63})@([A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,8}\.([A-Za-z]{2,24}))(?![\w-])"
)
_UNITS = frozenset(
    ["service", "socket", "timer", "slice", "mount", "path", "target", "scope", "device", "swap", "automount"]
)
# Names of algorithms look like addresses; Debian's lists are public.
_PUBLIC = ("openssh.com", "libssh.org", "lysator.liu.se", "debian.org", "example.org", "example.com")
_V4 = re.compile(r"(?<![\w.:+~-])(\d{1,3}(?:\.\d{1,3}){3})(?![\w+~-]|\.\w)")
_V6 = re.compile(
    r"(?<![\w.:])((?:[0-9A-Fa-f]{1,4}:){2,7}[0-9A-Fa-f]{0,4}|(?:[0-9A-Fa-f]{1,4}:){1,6}(?::[0-9A-Fa-f]{1,4}){1,6})(?![\w:.])"
)
# Replacing these as a host's name would change what the answers mean.
_TOO_COMMON = frozenset(
    [
        "localhost",
        "debian",
        "ubuntu",
        "linux",
        "root",
        "host",
        "server",
        "none",
        "local",
        "lan",
        "home",
        "domain",
        "localdomain",
        "admin",
        "test",
        "www",
    ]
)


class Scrubber:
    """One recording's replacements. `counts` says how many different things of each kind were replaced."""

    def __init__(self, host_names: Sequence[str] = (), *, outside_addresses: bool = True) -> None:
        self._seen: dict[tuple[str, str], int] = {}
        self.counts: Counter[str] = Counter()
        self.kept_names = tuple(n for n in host_names if len(n) < 3 or n.lower() in _TOO_COMMON)
        names = sorted({n for n in host_names if n and n not in self.kept_names}, key=lambda n: (-len(n), n))
        self._names = (
            re.compile(r"(?<![\w-])(?:" + "|".join(map(re.escape, names)) + r")(?![\w-])", re.IGNORECASE)
            if names
            else None
        )
        self._outside = outside_addresses

    def scrub(self, data: bytes) -> bytes:
        """The same bytes without secrets. Bytes that are not ASCII pass unchanged."""
        text = data.decode("latin-1")
        for pattern, replace in self._steps():
            text = pattern.sub(replace, text)
        return text.encode("latin-1")

    def _steps(self) -> list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]]:
        steps: list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = [
            (_PRIVATE, lambda m: self._private(m)),
            (_AGE, lambda m: f"AGE-SECRET-KEY-1SCRUBBED{self._number('private key', m[0])}"),
            (_CRYPT, lambda m: f"${m[1]}$scrubbed${self._number('password hash', m[2]):04}"),
            (
                _SHADOW,
                lambda m: (
                    m[0]
                    if m[2].startswith("$")
                    else f"{m[1]}scrubbed{self._number('password hash', m[2]):04}{m[3]}"
                ),
            ),
            (_URL, lambda m: f"{m[1]}scrubbed{self._number('password', m[2])}{m[3]}"),
            (_TOKEN, lambda m: f"scrubbed-token-{self._number('token', m[0])}"),
            (_BEARER, lambda m: m[1] + f"scrubbed-token-{self._number('token', m[2])}"),
            (_NAMED, self._named),
            (_MAIL, self._mail),
        ]
        if self._names:
            steps.append((self._names, lambda m: f"host-{self._number('host name', m[0].lower())}"))
        if self._outside:
            steps += [(_V4, self._address), (_V6, self._address)]
        return steps

    def _number(self, kind: str, secret: str) -> int:
        if (kind, secret) not in self._seen:
            self.counts[kind] += 1
            self._seen[kind, secret] = self.counts[kind]
        return self._seen[kind, secret]

    def _private(self, found: re.Match[str]) -> str:
        number = self._number("private key", found[0])
        return f"-----BEGIN {found[1]}-----\nscrubbed {number}\n-----END {found[1]}-----"

    def _named(self, found: re.Match[str]) -> str:
        if _HARMLESS.fullmatch(found[2]) or found[2].startswith(("scrubbed", "$")):
            return found[0]
        return f"{found[1]}scrubbed-{self._number('named secret', found[2])}"

    def _mail(self, found: re.Match[str]) -> str:
        domain = found[2].lower()
        if found[3].lower() in _UNITS or domain.endswith(_PUBLIC):
            return found[0]
        return f"person-{self._number('e-mail address', found[0].lower())}@example.org"

    def _address(self, found: re.Match[str]) -> str:
        try:
            address = ip_address(found[1])
        except ValueError:
            return found[0]
        if not address.is_global:
            return found[0]
        number = self._number("outside address", str(address))
        if isinstance(address, IPv6Address):
            return str(IPv6Address("2001:db8::") + number)
        # Three documentation networks of 254 addresses; later ones share the last network's.
        network = ("192.0.2.0", "198.51.100.0", "203.0.113.0")[min(number - 1, 761) // 254]
        return str(IPv4Address(network) + (number - 1) % 254 + 1)
