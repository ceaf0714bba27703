"""nft files from the wild: how many rules are analysed, how many exactly, and the kernel's verdict on boundary packets of each file.

`python -m bench.firewall_wild [FOLDER]`: every `*.nft` and `*.conf` below the folder; without one, the files of tests/rulesets/nft_files,
which are odd on purpose, and no goal is judged. Needs root, nft and ip.

- *loads*: nft takes the file in an empty network namespace that has the interfaces it names. The others are counted by nft's
  reason (a file it includes is absent, a name is not defined, ...): they are no rule sets by themselves.
- *analysed*: the rule of a file that loads is in the program that we read, and the file's audit comes to its end.
- *exact*: no part of the rule is `Unknown`: which packets it decides about is known of each packet for certain.
  A rate limit that decides stays inexact on purpose, and so does a set that rules or other programs fill while the host runs.
- *proved*: rules with an unknown part of which it is proved that it decides nothing, or only what is logged, for every answer of all
  other unknown parts (`packets/chances.py`; a limited `log drop` before a policy of drop). What becomes of each packet is known there
  too, so that they count with the exact ones; both numbers are told. Marks, sets and other limits that hang on it are not nothing.
- *beyond the limit*: of each such rule that the packets below meet, one of them is sent 250 times more at once, so that a limit of
  some ten or hundred a second is exceeded: the kernel must do the same with all of them.
- *the kernel's verdict*: at least 1,000 IPv4 and IPv6 packets (TCP, UDP, ICMP; to the host and through it; values at the ends
  of what the rules ask for; over each of up to four interfaces they name) go into a namespace with the rules in force. A chain behind all
  others on `input` and `forward` notes which came through; for each that must be one of the fates that the plain evaluator
  foretells. Packets that rules rewrite to other addresses are left out, and files whose only base chains are of other layers.
"""

from __future__ import annotations

import json
import re
import shlex
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from bench.firewall_kernel import Host, host
from bench.wild_packets import FILTER_MAC, LOCAL4, LOCAL6, Corners, Shot, frame_of

from wardkeep.core.errors import WardkeepError
from wardkeep.packets.program import Nat, Program, Unknown
from wardkeep.packets.ranks import rows_of
from wardkeep.packets.reference import ways
from wardkeep.rulesets.audit.audit import audit
from wardkeep.rulesets.files import load
from wardkeep.rulesets.nft.loading import links_in

OWN = Path(__file__).parents[1] / "tests" / "rulesets" / "nft_files"
PACKETS = 1_000
MOST_LINKS = 4
# Files that are no rule sets by themselves.
NONE = (
    "nft refuses it: ",
    "nft breaks down on it: ",
    "nft loads it and cannot list it: ",
    "is a part of",
    "is a script",
    "is of no format",
)
TRIES = 5
MOST_NUMBERS = 60_000  # of packets of a file; those beyond are of packets sent again
AGAIN = 250
MOST_SECONDS = 60  # of the plain evaluator for one file
JUDGE = """
table inet judge {
	set four { typeof ip id; size 65535; flags dynamic; }
	set six { typeof ip6 flowlabel; size 65535; flags dynamic; }
	chain note { meta nfproto ipv4 add @four { ip id }; meta nfproto ipv6 add @six { ip6 flowlabel }; }
	chain input { type filter hook input priority 2147483647; policy accept; jump note; }
	chain forward { type filter hook forward priority 2147483647; policy accept; jump note; }
}
"""
SEND = """
import socket, struct, sys
held = {}
data = sys.stdin.buffer
while head := data.read(4):
    link, size = struct.unpack("!HH", head)
    if link not in held:
        held[link] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        held[link].bind((f"peer{link}", 0))
    held[link].send(data.read(size))
"""


@dataclass
class Read:
    """What became of one file. `refused`: nft's reason, of a file that does not load; `failed`: ours, of one that does."""

    name: str
    rules: int = 0
    exact: int = 0
    proved: int = 0
    silent: int = 0  # of the proved ones those on which no log line hangs either
    repeated: int = 0  # of the proved ones those met by packets that were sent again and again
    swayed: int = 0  # and those of which the kernel did not do the same with all
    refused: str = ""
    failed: str = ""
    seconds: float = 0.0
    packets: int = 0
    certain: int = 0
    came: int = 0
    wrong: int = 0
    apart: str = ""  # why its packets are not compared
    reasons: Counter[str] = field(default_factory=Counter)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else OWN
    if len(sys.argv) < 2:
        print("no folder given: the project's own files, odd on purpose, are read, and no goal is judged.")
        print(
            "`python -m bench.firewall_wild FOLDER` reads every *.nft and *.conf below a folder of real ones."
        )
    paths = sorted(p for p in folder.rglob("*") if p.suffix in (".nft", ".conf") and p.is_file())
    if not paths:
        raise SystemExit(f"no *.nft or *.conf below {folder}: give a folder that has some")
    files = [one(path) for path in paths]
    report(files, judged=len(sys.argv) > 1)
    sys.exit(any(f.wrong or f.failed for f in files))


def report(files: list[Read], judged: bool) -> None:
    """The table, the reasons and the goals."""
    loaded = [f for f in files if not f.refused]
    for f in loaded:
        shots = (
            f"{f.packets:5} packets, {f.certain} certain, {f.came} accepted, {f.wrong} wrong"
            if f.packets
            else f.apart
        )
        print(f"{f.exact:4}/{f.rules:<4} exact {f.seconds:6.2f} s  {shots:56} {f.failed} {f.name}")
    rules, exact = sum(f.rules for f in loaded), sum(f.exact for f in loaded)
    read = sum(f.rules for f in loaded if not f.failed)
    proved, silent = sum(f.proved for f in loaded), sum(f.silent for f in loaded)
    compared = [f for f in loaded if f.packets >= PACKETS]
    wrong = sum(f.wrong for f in loaded)
    print(f"{len(files)} files, {len(loaded)} load; nft refuses the others:")
    for reason, n in Counter(f.refused for f in files if f.refused).most_common(12):
        print(f"  {n:4}  {reason}")
    print("why rules are not exact:")
    for reason, n in sum((f.reasons for f in loaded), Counter[str]()).most_common(25):
        print(f"  {n:4}  {reason}")
    print(f"{read}/{rules} rules analysed; slowest file {max(f.seconds for f in loaded):.2f} s")
    print(f"{exact}/{rules} ({exact / max(rules, 1):.1%}) have no unknown part")
    print(
        f"{proved} of the {rules - exact} others have one that is proved to change no packet's fate ({silent} of them no log line"
        f" either): {exact + proved}/{rules} ({(exact + proved) / max(rules, 1):.1%}) with these"
    )
    if not judged:
        print(">= 99 % of the rules of real files analysed, >= 94 % exactly: not measured (no folder given)")
    else:
        kept = "kept" if read >= 0.99 * rules else "NOT kept"
        print(f">= 99 % of the rules of real files analysed: {kept} ({read} of {rules}, {len(loaded)} files)")
        kept = "kept" if exact + proved >= 0.94 * rules else "NOT kept"
        print(f">= 94 % exactly, those of no consequence counted: {kept} ({exact + proved} of {rules})")
    repeated, swayed = sum(f.repeated for f in loaded), sum(f.swayed for f in loaded)
    kept = "kept" if not swayed else "NOT kept"
    print(f"beyond a limit of no consequence all fare alike: {kept} ({swayed} of {repeated} rules differ)")
    shots = sum(f.packets for f in loaded)
    kept = "kept" if not wrong else "NOT kept"
    print(
        f"the kernel's verdict is ours: {kept} ({wrong} of {shots:,} packets differ, {len(compared)} files with >= {PACKETS:,})"
    )


def one(path: Path) -> Read:
    """Read, count and compare one file."""
    found = Read(path.name)
    try:
        held = load([path])[0]
    except WardkeepError as e:
        if any(sign in str(e) for sign in NONE):
            found.refused = _kind(str(e))
        else:
            found.failed = str(e)[:120]
        return found
    program = held.program
    for chain in program.chains:
        for rule in chain.rules:
            texts = [p.text for p in rule.body if isinstance(p, Unknown)]
            found.rules += 1
            found.exact += not texts
            found.reasons.update({" ".join(t.split()[:2]) for t in texts})
    start, idle = time.perf_counter(), dict[str, str]()
    try:
        told = audit(held)
        found.seconds = time.perf_counter() - start
        idle = {m.rule: m.decides for m in told.unknown_matches if not m.matters}
        found.proved, found.silent = len(idle), sum(d == "nothing" for d in idle.values())
    except WardkeepError as e:
        found.failed = str(e)[:120]
    compare(path, program, found, set(idle))
    return found


def _kind(told: str) -> str:
    sign = next(sign for sign in NONE if sign in told)
    if sign != NONE[0]:
        return sign.strip(": ")
    words = told.partition("Error: ")[2].partition(". ")[0]
    return re.sub(r"[‘'][^’']*[’']|/\S+", "...", words)[:70]


def compare(path: Path, program: Program, found: Read, idle: set[str]) -> None:
    """Send the packets and look which came through. `idle`: rules with unknown parts that change no packet's fate."""
    layers = {c.entry.layer for c in program.chains if c.entry and not c.entry.dormant}
    if layers - {"ip", "arp"} or "ip" not in layers:
        found.apart = (
            "no packets: chains of " + ", ".join(sorted(layers)) if layers else "no packets: no base chain"
        )
        return
    # What is done behind the judge is not judged.
    seen = replace(
        program,
        chains=tuple(
            c for c in program.chains if not c.entry or c.entry.hook in ("prerouting", "input", "forward")
        ),
    )
    rewriting = {r.id for c in seen.chains for r in c.rules if any(isinstance(p, Nat) for p in r.body)}
    named = [*dict.fromkeys([*_names(program, "in")[:MOST_LINKS], "lan0"])]
    outs = [*dict.fromkeys([*_names(program, "out")[:2], "wan0"])]
    with gateway(path, named, outs) as pair:
        number, started = 0, time.perf_counter()
        for n, out in enumerate(outs):
            for version in ("-4", "-6"):
                pair.run(pair.filtering, "ip", version, "route", "replace", "default", "dev", out)
            corners = Corners(program, n, named, named[0])
            shots: dict[tuple[int, int], Shot] = {}
            fates: dict[tuple[int, int], set[bool]] = {}
            meeting: dict[str, Shot] = {}
            while len(shots) < PACKETS // len(outs) + 1 and number < MOST_NUMBERS:
                number += 1
                if time.perf_counter() - started > MOST_SECONDS:
                    found.apart = "the plain evaluator is too slow for its sets"
                    break
                if (shot := corners.packet(number, out)) is None:
                    continue
                told = ways(seen, shot.packet)
                if not any(way.matched & rewriting for way in told):
                    key = int(shot.packet["family"]), number
                    shots[key], fates[key] = shot, {way.fate == "accept" for way in told}
                    meeting |= dict.fromkeys(set().union(*(way.matched for way in told)) & idle, shot)
            entered = arrived(pair, shots, named)
            for _ in range(TRIES):  # a frame may be lost on a busy machine
                lost = {k: shots[k] for k in shots if k not in entered and False not in fates[k]}
                if not lost:
                    break
                entered |= arrived(pair, lost, named)
            wrong = [k for k in shots if (k in entered) not in fates[k]]
            for key in wrong[:3]:
                print(
                    f"  {path.name}: the kernel {'accepts' if key in entered else 'drops'} {shots[key].packet}"
                )
            for rule in sorted(meeting):
                found.repeated += 1
                if not alike(pair, meeting[rule], named):
                    print(f"  {path.name}: beyond its limit {rule} decides about {meeting[rule].packet}")
                    found.swayed += 1
            idle = idle - meeting.keys()
            found.packets += len(shots)
            found.certain += sum(len(fate) == 1 for fate in fates.values())
            found.came += sum(key in entered for key in shots)
            found.wrong += len(wrong)
    if found.packets < PACKETS and not found.apart:
        found.apart = "most packets are rewritten"


def alike(pair: Host, shot: Shot, named: list[str]) -> bool:
    """Whether one packet fares the same however often it is sent at once."""
    field, again = "ip_id" if shot.packet["family"] == 4 else "flow_label", dict[tuple[int, int], Shot]()
    for number in range(MOST_NUMBERS, MOST_NUMBERS + AGAIN):
        again[int(shot.packet["family"]), number] = Shot(number, {**shot.packet, field: number})
    for _ in range(TRIES):
        entered = {key for key in arrived(pair, again, named) if key in again}
        if not entered or len(entered) == AGAIN:
            break
    pair.run(pair.filtering, "nft", "flush set inet judge four; flush set inet judge six")
    return not entered or len(entered) == AGAIN


def _names(program: Program, side: str) -> list[str]:
    """The interfaces that rules name, those with a wildcard made whole."""
    found: dict[str, None] = {}
    for chain in program.chains:
        for rule in chain.rules:
            for part in rule.body:
                for row in rows_of(part):
                    for v in row.get(side, ()):
                        if isinstance(v, str) and v not in ("", "*", "lo"):
                            found[v.replace("*", "7")[:15]] = None
    return [name for name in found if "/" not in name and " " not in name]


@contextmanager
def gateway(path: Path, named: list[str], outs: list[str]) -> Iterator[Host]:
    """A host with the file's rules and those interfaces, and one that sends to each of them."""
    with host() as pair:
        run, space = pair.run, pair.filtering
        links = [*dict.fromkeys([*named, *outs, *sorted(links_in(path.read_text(errors="replace")))])]
        lines = ["ip link set lo up", "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"]
        for n, name in enumerate(links):
            if name != "eth0":
                lines.append(f"ip link add {name} type veth peer name peer{n} netns {pair.sending}")
            else:
                run(pair.sending, "ip", "link", "set", "cable", "name", f"peer{n}")
            lines.append(
                f"ip link set {name} address {FILTER_MAC.hex(':')}; sysctl -qw net/ipv6/conf/{name}/addr_gen_mode=1"
                f" net/ipv6/conf/{name}/disable_ipv6=0 net/ipv6/conf/{name}/accept_ra=0 net/ipv4/conf/{name}/rp_filter=0;"
                f" ip link set {name} arp off up"
            )
        home = named[0]
        lines += [
            "sysctl -qw net.ipv4.conf.all.rp_filter=0",
            "ip address flush dev eth0 2>/dev/null",
            f"ip address add {IPv4Address(LOCAL4)}/32 dev {home}; ip address add {IPv6Address(LOCAL6)}/128 dev {home} nodad",
            f"cd {shlex.quote(str(path.absolute().parent))} && nft -I . -f {shlex.quote(str(path.absolute()))}",
            f"nft -f - <<'X'\n{JUDGE}\nX",
            # Loaded with the first rule that looks at connections; without one there is nothing to tell.
            "sysctl -qw net.netfilter.nf_conntrack_checksum=0 2>/dev/null; true",
        ]
        run(space, "sh", "-c", "\n".join(lines))
        up = "".join(f"ip link set peer{n} up;" for n in range(len(links)))
        run(pair.sending, "sh", "-c", f"ip link set cable up 2>/dev/null; {up} true")
        yield pair


def arrived(pair: Host, shots: dict[tuple[int, int], Shot], named: list[str]) -> set[tuple[int, int]]:
    """Send, and the (family, number) of all that were accepted so far."""
    data = b"".join(
        struct.pack("!HH", named.index(str(s.packet["in"])), len(frame)) + frame
        for s in shots.values()
        for frame in (frame_of(s),)
    )
    pair.run(pair.sending, "python3", "-c", SEND, stdin=data)
    out: set[tuple[int, int]] = set()
    for name, family in (("four", 4), ("six", 6)):
        told = json.loads(pair.run(pair.filtering, "nft", "-j", "list", "set", "inet", "judge", name))
        (held,) = (item["set"].get("elem", ()) for item in told["nftables"] if "set" in item)
        out |= {(family, int(e["elem"]["val"] if isinstance(e, dict) else e)) for e in held}
    return out


if __name__ == "__main__":
    main()
