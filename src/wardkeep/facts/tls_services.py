"""What the host's own TLS services present: certificate, expiry, and which of TLS 1.0 to 1.2 they take.

The host connects to its own listening ports that usually speak TLS, by `openssl s_client`. Not tried: STARTTLS, DTLS and QUIC,
other ports, and names other than the host's own (a server may hold a certificate for each name).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, Section, sections

PORTS = (
    443,
    465,
    563,
    636,
    853,
    989,
    990,
    992,
    993,
    995,
    2376,
    3269,
    5061,
    5671,
    6443,
    6514,
    8443,
    8883,
    9443,
)
# What s_client calls the versions before 1.3.
VERSIONS = {"tls1": "1.0", "tls1_1": "1.1", "tls1_2": "1.2"}
# MinProtocol and the security level of Debian's own openssl.cnf would keep s_client from even offering old versions.
SCRIPT = (
    QUOTE
    + f"ports=' {' '.join(map(str, PORTS))} '\n"
    + r"""
command -v ss >/dev/null || exit 127
list=$(ss -Hltn) || exit 1
seen=' '
printf '= ports\n'
while read -r state queue queue2 address rest; do
  port=${address##*:}
  case $ports in *" $port "*) ;; *) continue ;; esac
  host=${address%:*}; host=${host%\%*}
  case $host in '*' | 0.0.0.0) host=127.0.0.1 ;; '[::]' | ::) host='[::1]' ;; esac
  case $seen in *" $port "*) continue ;; esac
  seen="$seen$port "
  command -v openssl >/dev/null || exit 127
  printf '= service %s %s\n' "$port" "$host"
  told=$(timeout 4 openssl s_client -connect "$host:$port" </dev/null 2>/dev/null)
  about=$(printf '%s\n' "$told" | openssl x509 -noout -subject -issuer -enddate 2>/dev/null)
  if [ -z "$about" ]; then printf '|silent\n'; continue; fi
  printf '%s\n' "$about" | quote
  for old in tls1 tls1_1 tls1_2; do
    told=$(OPENSSL_CONF=/dev/null timeout 4 openssl s_client -connect "$host:$port" -$old -cipher 'ALL:@SECLEVEL=0' </dev/null 2>&1)
    case $told in
      *'Cipher is (NONE)'* | *'Cipher    : 0000'*) printf '|%s refused\n' "$old" ;;
      *'Cipher is '*) printf '|%s accepted\n' "$old" ;;
      *) printf '|%s untried\n' "$old" ;;
    esac
  done
done <<LIST
$list
LIST
"""
    + END
)


@dataclass(frozen=True, slots=True)
class TlsService:
    """A listening port. `expires` is None where no TLS handshake came about; `old` maps each
    version below 1.3 (`1.1`) to `accepted`, `refused` or `untried`."""

    port: int
    address: str
    subject: str = ""
    issuer: str = ""
    expires: datetime | None = None
    old: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class TlsServices:
    ask: ClassVar[Question] = Question("tls_services", SCRIPT, tool="openssl", timeout=60, root=False)
    services: tuple[TlsService, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        first, *rest = [*sections(answer)] or [Section("", "", ())]
        if first.name != "ports" or any(section.name != "service" for section in rest):
            raise NotUnderstood("another answer than to this question", where=answer.question)
        return cls(tuple(_service(section) for section in rest))


def _service(section: Section) -> TlsService:
    port, address = section.words(2)
    if not port.isdigit():
        raise NotUnderstood(f"`{port}` is no port")
    if section.lines == ("silent",):
        return TlsService(int(port), address)
    said, old = dict[str, str](), list[tuple[str, str]]()
    for line in section.lines:
        key, equals, value = line.partition("=")
        words = line.split(" ")
        if len(words) == 2 and words[0] in VERSIONS and words[1] in ("refused", "accepted", "untried"):
            old.append((VERSIONS[words[0]], words[1]))
        elif equals and key in ("subject", "issuer", "notAfter"):
            said[key] = value.strip()
    if set(said) != {"subject", "issuer", "notAfter"} or len(old) != len(VERSIONS):
        raise NotUnderstood(f"port {port} did not tell everything")
    try:
        expires = datetime.strptime(said["notAfter"], "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
    except ValueError:
        raise NotUnderstood(f"`{said['notAfter']}` is no time") from None
    return TlsService(int(port), address, said["subject"], said["issuer"], expires, tuple(sorted(old)))
