"""Network traffic encryption: nothing that crosses a network can be read or changed on the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from wardkeep.core.changes import Step, TryConnect
from wardkeep.core.control import Control
from wardkeep.core.findings import Seen, Severity, fails, passes, unsure
from wardkeep.facts.listeners import Listeners
from wardkeep.facts.tls_services import TlsServices

# Ports whose protocol has no encryption at all, or starts without it and may stay so.
CLEAR = {
    20: "FTP data",
    21: "FTP",
    23: "Telnet",
    69: "TFTP",
    80: "HTTP",
    110: "POP3",
    111: "RPC",
    143: "IMAP",
    161: "SNMP",
    389: "LDAP",
    512: "rexec",
    513: "rlogin",
    514: "rsh or syslog",
    873: "rsync",
    2049: "NFS",
    2375: "Docker without TLS",
    3000: "HTTP",
    5900: "VNC",
    6379: "Redis",
    8000: "HTTP",
    8080: "HTTP",
    9100: "HTTP (node exporter)",
    9200: "Elasticsearch",
    11211: "memcached",
    27017: "MongoDB",
}


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What traffic is held to."""

    tls_at_least: str = field(
        default="1.2",
        metadata={
            "doc": "the oldest TLS version a service may take",
            "unit": "TLS version",
            "number": "tls_at_least",
        },
    )
    certificate_days_left: int = field(
        default=21,
        metadata={"doc": "a certificate is renewed at least this long before it ends", "unit": "d"},
    )
    clear_ports: frozenset[int] = field(
        default=frozenset(),
        metadata={
            "doc": "ports that may answer unencrypted because they only redirect (such as 80) or carry no data"
        },
    )


control = Control(
    "traffic_encryption",
    policy=Policy,
    missing=(
        "STARTTLS, QUIC and ports other than the usual ones are not tried.",
        "The ciphers and key exchanges of SSH and TLS are not judged.",
        "No drill listens on the wire for a known text yet; it only tries the usual ports in clear from outside.",
        "Whether traffic between the fleet's own hosts and to databases is encrypted is not looked at.",
    ),
)


@control.rule(
    says="No service that speaks in clear can be reached from the network.",
    severity=Severity.HIGH,
    serves={
        "164.312(e)(1)": "Whoever sits on the network reads what a service sends in clear.",
        "164.312(e)(2)(ii)": "A protocol without encryption is a transmission that nothing encrypts.",
    },
)
def no_clear_service(listeners: Listeners, policy: Policy) -> Iterator[Seen]:
    reachable = {(s.protocol, s.port): s for s in listeners.to_the_world()}
    clear = {key: CLEAR[key[1]] for key in reachable if key[1] in CLEAR}
    if not clear:
        yield passes(
            "host", f"none of {len(reachable)} reachable ports is one whose usual protocol is in clear"
        )
    for key, protocol in sorted(clear.items()):
        subject, what = f"port:{key[0]}/{key[1]}", f"{protocol} by {programs(listeners, key)}"
        if key[1] in policy.clear_ports:
            yield passes(subject, f"{what}, which policy allows to answer in clear")
        else:
            todo = "Let it listen on loopback behind TLS, or name the port in `clear_ports` if it only redirects."
            yield fails(subject, f"{what} listens on more than loopback", todo)


no_clear_service.cannot_mend("which program may stop listening is the operator's to decide")


def programs(listeners: Listeners, key: tuple[str, int]) -> str:
    named = {s.programs for s in listeners.to_the_world() if (s.protocol, s.port) == key}
    return ", ".join(sorted(named))


@control.rule(
    says="Every certificate that a service presents is valid and far from its end.",
    severity=Severity.HIGH,
    serves={
        "164.312(e)(1)": "An ended certificate teaches people to click warnings away, and then anybody can sit between.",
        "164.312(e)(2)(i)": "The certificate is what binds a connection's integrity to the right server.",
    },
)
def certificates_valid(tls: TlsServices, policy: Policy, now: datetime) -> Iterator[Seen]:
    if not tls.services:
        yield passes("host", "no port that usually speaks TLS is listened on")
    for service in sorted(tls.services, key=lambda s: s.port):
        subject = f"port:tcp/{service.port}"
        if service.expires is None:
            yield unsure(
                subject, "listens, but no TLS handshake came about", "Look what program holds the port."
            )
            continue
        left = service.expires - now
        what = f"{service.subject}, until {service.expires:%Y-%m-%d}"
        if left <= timedelta(0):
            yield fails(subject, f"{what}: ended", "Renew the certificate.", severity=Severity.CRITICAL)
        elif left < timedelta(days=policy.certificate_days_left):
            yield fails(
                subject, f"{what}: {left.days} days left", "Renew the certificate and see why nobody did."
            )
        else:
            yield passes(subject, f"{what}: {left.days} days left")


certificates_valid.cannot_mend("a certificate is renewed where it was issued")


@control.rule(
    says="No service takes a TLS version older than policy allows.",
    severity=Severity.MEDIUM,
    serves={
        "164.312(e)(2)(ii)": "TLS 1.0 and 1.1 rest on hash functions that are broken, so they do not count as encryption.",
        "164.312(e)(2)(i)": "Their record protection can be forged with effort, a change would go unseen.",
    },
)
def no_old_tls(tls: TlsServices, policy: Policy) -> Iterator[Seen]:
    tried = [s for s in sorted(tls.services, key=lambda s: s.port) if s.expires is not None]
    if not tls.services:
        yield passes("host", "no port that usually speaks TLS is listened on")
    elif not tried:
        yield unsure("host", "no TLS handshake came about on any port")
    for service in tried:
        subject = f"port:tcp/{service.port}"
        too_old = {version: what for version, what in service.old if version < policy.tls_at_least}
        shown = ", ".join(f"TLS {version} {what}" for version, what in sorted(too_old.items()))
        if "accepted" in too_old.values():
            todo = f"Set the service's oldest version to TLS {policy.tls_at_least}."
            yield fails(subject, shown, todo)
        elif set(too_old.values()) == {"refused"}:
            yield passes(subject, shown)
        else:
            yield unsure(subject, f"{shown}: this host's openssl could not offer them all")


no_old_tls.cannot_mend("every program has its own setting for this; a person changes the right one")


TRIED = (
    21,
    23,
    110,
    143,
    389,
    513,
    2375,
    6379,
    9200,
    27017,
)  # a filtered port costs seconds, so not all of CLEAR


@control.drilled_by
def try_clear_ports(listeners: Listeners, policy: Policy) -> Iterator[Step]:
    """From where Wardkeep runs, which is nearer than an attacker may be, never farther."""
    for port in TRIED:
        if port not in policy.clear_ports:
            yield TryConnect(port, "closed", no_clear_service.id, f"Connect to port {port} ({CLEAR[port]})")
