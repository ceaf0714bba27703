"""Our own table in a copy: what the engine says of a packet for each rule, held against what the kernel counts.

The table as it is in force is loaded into a network namespace that exists only for that, and a neighbour, who has whatever address a
rule is about, sends to it over a cable of their own. Nothing of the host is touched, no real partner is answered, and all of it is
gone with the process. Not shown by it: what tables of others do with the same packets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from wardkeep.controls.firewall.allowed import Permit
from wardkeep.controls.firewall.declared_program import declared_program
from wardkeep.controls.firewall.own_table import TABLE, chain_of, on_trial
from wardkeep.controls.firewall.packet_change import decided
from wardkeep.core.changes import NOT_TRIED

MOST: Final = 64  # packets: each takes some ten milliseconds, one that is dropped three hundred
TRIAL: Final = 2  # seconds of the trial that nobody confirms
REFUSED: Final = "refused"
NOBODY: Final = "nothing"  # a denial counts nowhere
HERE: Final = {4: "198.18.255.254", 6: "2001:2::ffff"}  # RFC 2544 and RFC 5180: addresses of tests, nobody's
ARRIVED, ENTERED = "arrived", "entered"  # counters of the copy before our own table and behind it
BESIDE: Final = "198.18.255.253"
COUNTER: Final = re.compile(r'counter name "(\w+)"')


@dataclass(frozen=True, slots=True)
class Sent:
    """A packet, the counter that must count it, and whether it must get in."""

    version: int
    source: str
    protocol: str
    port: int
    counter: str
    enters: bool

    @property
    def words(self) -> str:
        inside = ENTERED if self.enters else "out"
        return f"{self.version} {self.source} {self.protocol} {self.port} {self.counter} {inside}"


def packets_of(permit: Permit) -> list[Sent]:
    """One packet for each rule about ports or sources that some packet comes to, from the engine; at most `MOST`.

    Rules that only interfaces, ICMP or a full rate decide are left out: such packets a neighbour cannot send at will.
    """
    # Only a drill of a host with our own table needs numpy, which takes long to import.
    from wardkeep.packets.audit import analyse

    program = decided(declared_program(permit))
    chain = next(c for c in program.chains if c.id.endswith(f" {chain_of(permit)}"))
    text = {rule.id: rule.text for rule in chain.rules}
    found: dict[Sent, None] = {}
    for answer in analyse(program).rules:
        if answer.rule in text and answer.witness is not None:
            found.update(dict.fromkeys(_sent(answer.witness.as_dict(), text[answer.rule], permit)))
    return list(found)[:MOST]


def _sent(packet: dict[str, object], text: str, permit: Permit) -> Iterator[Sent]:
    source, protocol = str(packet["source"]), str(packet["protocol"])
    if packet.get("state") != "new" or packet.get("in") not in (None, "any"):
        return
    counter = COUNTER.search(text)
    if counter and counter[1] == REFUSED:
        # The engine names any protocol for the last rule: its sender, and a port that no sentence is about, come to it too.
        protocol, port = _unnamed(permit, source)
        packet = {**packet, "destination_port": port}
    elif not re.search(r"\bdport\b|saddr", text):
        return
    if protocol in ("tcp", "udp") and ":" in source and source.startswith("fe8"):
        source = "fe80::7" if source == "fe80::" else source
    if protocol in ("tcp", "udp"):
        to = counter[1] if counter else NOBODY
        port, enters = int(str(packet["destination_port"])), not text.endswith("drop")
        yield Sent(6 if ":" in source else 4, source, protocol, port, to, enters)


def _unnamed(permit: Permit, source: str) -> tuple[str, int]:
    """A port that no sentence names for this sender; ("", 0) where every one is named."""
    sender = ip_address(source)
    told = [
        one
        for one in (*permit.openings, *permit.denials)
        if not one.sources or any(sender in network for network in one.sources)
    ]
    for protocol in ("udp", "tcp"):
        spans = [(one.low, one.high) for one in told if one.protocol == protocol]
        port = 9
        for low, high in sorted(spans):
            port = high + 1 if low <= port <= high else port
        if port <= 65535:
            return protocol, port
    return "", 0


def one_each(packets: list[Sent]) -> tuple[str, str]:
    """(script for the host, what it says when every packet was counted where it should)."""
    says = f"{len(packets)} packet{'s' * (len(packets) != 1)} sent, each counted by the rule that it is for"
    sent = "".join(f"try {one.words}\n" for one in packets)
    return _in_a_copy(f'{sent}[ "$wrong" = 0 ] && echo "{says}"\n'), says


def unconfirmed(open_one: Sent) -> tuple[str, str]:
    """(script, what it says): a table that lets nobody in is put on trial in the copy, nobody confirms it, and the kernel must
    let the packet in again within a second of the deadline."""
    closed = Permit(())
    text = on_trial(closed, TRIAL, chain=chain_of(closed, "b"), back="goto @BACK@")
    says = "the kernel went back by itself"
    script = f"""back=$(nft list chain {TABLE} input | sed -n 's/^\\t\\tgoto \\(rules_[0-9a-z]*\\)$/\\1/p')
sed "s/@BACK@/$back/" <<'TABLE' | nft -f - || exit 1
{text}TABLE
begun=$(date +%s%N)
send {open_one.words}
case " $seen " in *" {REFUSED} "*) ;; *) echo "on trial the packet was counted by: $seen"; exit 1;; esac
until case " $seen " in *" {open_one.counter} "*) true;; *) false;; esac; do
  [ $(( $(date +%s%N) - begun )) -lt {(TRIAL + 10)}000000000 ] || {{ echo 'it did not go back in 10 s'; exit 1; }}
  send {open_one.words}
done
late=$(( ($(date +%s%N) - begun) / 1000000 - {TRIAL}000 ))
[ $late -ge -100 ] && [ $late -le 1000 ] || {{ echo "it went back $late ms after the deadline"; exit 1; }}
echo "{says}, at most $late ms after its deadline of {TRIAL} s"
"""
    return _in_a_copy(script), says


def _in_a_copy(script: str) -> str:
    """Bash that runs with the copy of the table, the cable and the neighbour made. `try` sends one packet and holds what was
    counted against what should be; IPv6 sends packets of its own accord, which are refused, and say nothing."""
    inner = f"""nft -f - || exit 1
nft -f - <<'ENDS' || exit {NOT_TRIED}
table inet rehearsal {{
  counter {ARRIVED} {{ }}
  counter {ENTERED} {{ }}
  chain first {{
    type filter hook prerouting priority -300;
    meta l4proto {{ tcp, udp }} counter name {ARRIVED}
  }}
  chain last {{
    type filter hook input priority 300;
    meta l4proto {{ tcp, udp }} counter name {ENTERED}
  }}
}}
ENDS
ip link set lo up; ip link add w0 type veth peer name w1 || exit {NOT_TRIED}
unshare -n sleep 55 & n=$!
trap 'kill $n' EXIT
for i in $(seq 100); do
  [ "$(readlink /proc/$n/ns/net)" = "$(readlink /proc/$$/ns/net)" ] || break; sleep 0.02
done
there() {{ nsenter -t $n -n "$@"; }}
ip link set w1 netns $n && there ip link set w1 addrgenmode none && ip link set w0 addrgenmode none || exit {NOT_TRIED}
ip link set w0 up; there ip link set w1 up
mac=$(ip -o link show w0 | sed 's/.*link.ether \\([0-9a-f:]*\\) .*/\\1/')
ip addr add {HERE[4]}/32 dev w0; ip route add default dev w0
# Without any address of its own the kernel would forget the way with each sender.
there ip addr add {BESIDE}/32 dev w1; there ip neigh replace {HERE[4]} lladdr $mac dev w1 nud permanent
six=yes; ip -6 addr add {HERE[6]}/128 dev w0 nodad 2>/dev/null || six=no
if [ $six = yes ]; then
  ip -6 route add default dev w0
  there ip -6 neigh replace {HERE[6]} lladdr $mac dev w1 nud permanent
fi
wrong=0
send() {{
  [ $1 = 4 ] && to={HERE[4]} bits=32 || to={HERE[6]} bits=128
  if [ $1 = 4 ]; then there ip addr add $2/$bits dev w1; else there ip -6 addr add $2/$bits dev w1 nodad; fi
  there ip -$1 route replace $to dev w1 src $2
  there timeout 0.3 bash -c "echo >/dev/$3/$to/$4" 2>/dev/null
  seen=$(nft reset counters | awk '$1 == "counter" {{ n = $2 }} $1 == "packets" && $2 > 0 {{ print n }}' | tr '\\n' ' ')
  there ip addr del $2/$bits dev w1
}}
try() {{
  [ $1 = 4 ] || [ $six = yes ] || return 0
  send "$@"
  counted= arrived=no inside=out
  for one in $seen; do
    case $one in
    {ARRIVED}) arrived=yes;;
    {ENTERED}) inside={ENTERED};;
    {REFUSED}) [ $1 = 6 ] && [ $5 != {REFUSED} ] || counted="$counted $one";;
    *) counted="$counted $one";;
    esac
  done
  [ $arrived = yes ] && [ "${{counted:- {NOBODY}}}" = " $5" ] && [ $inside = $6 ] && return 0
  wrong=1; echo "$3 from $2 to port $4: arrived: $arrived, counted by${{counted:- {NOBODY}}}, $inside; should be by $5, $6"
}}
{script}"""
    return f"""for tool in ip nft unshare nsenter bash timeout awk; do
  command -v $tool >/dev/null || {{ echo "$tool is missing"; exit {NOT_TRIED}; }}
done
# Without the elements of sets: who is banned now is no matter of the rules.
nft -s -t list table {TABLE} | unshare -n bash -c "$(cat <<'INNER'
{inner}INNER
)"
"""
