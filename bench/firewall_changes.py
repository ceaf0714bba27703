"""Changing the firewall's own table in the kernel: how long a change takes, what is lost meanwhile, and whether it goes back.

python -m bench.firewall_changes      (as root; makes network namespaces of its own)

Yardsticks of the same run: loading the same number of rules by `flush ruleset` and a plain file, and the stream of new
connections while nothing is changed.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "controls"))
from netns_pair import HOST, Pair, joined, missing

from wardkeep.controls.firewall import Policy, own_scripts, own_table

RULES = 10_000
PACKETS = 60_000
SWAPS = 20
FAULTY = 200
STREAM = """
import socket, sys
host, count = sys.argv[1], int(sys.argv[2])
for n in range(count):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("", 1024 + n % 64000))
        s.sendto(b"x", (host, 9))
print(count)
"""


def main() -> None:
    if why := missing():
        raise SystemExit(why)
    kept = [*apply_times(), lost_packets(), rollback(), *lock_outs()]
    sys.exit(not all(kept))


def apply_times() -> list[bool]:
    """What it takes to replace 10,000 openings by 10,000 others, in one transaction."""
    with joined() as pair:
        policies = [
            Policy(
                allow=(
                    "22/tcp",
                    *(f"{p}/tcp from 10.{p % 250}.{p // 250}.{n}" for p in range(1000, 1000 + RULES)),
                )
            )
            for n in (1, 2, 3)
        ]
        texts = [own_table.ruleset(policy.permit) for policy in policies]
        pair.nft(texts[0])
        taken = [_cpu(pair, text) for text in (*texts[1:], *texts)]
        plain = "flush ruleset\ntable inet t {\n chain c {\n type filter hook input priority 0;\n" + "".join(
            f"  ip saddr 10.{p % 250}.{p // 250}.1 tcp dport {p} accept\n" for p in range(1000, 1000 + RULES)
        )
        yardstick = _cpu(pair, plain + " }\n}\n")
    print(
        f"{RULES:,} openings replaced: {min(taken):.2f} to {max(taken):.2f} CPU s; plain rules after a flush: {yardstick:.2f}"
    )
    return [_told(f"{RULES:,} rules applied within 0.5 CPU s", min(taken) <= 0.5)]


def _cpu(pair: Pair, text: str) -> float:
    """CPU seconds of nft and of the kernel for it: the machine may be busy with something else."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    pair.nft(text)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def lost_packets() -> bool:
    """Every packet is a connection of its own; the opening's counter outlives the swaps and counts each."""
    policies = [
        Policy(allow=("22/tcp", "9/udp", *(f"{p}/tcp" for p in range(1000, 1000 + n)))) for n in range(5)
    ]
    with joined() as pair, pair.listening((22,)):
        pair.nft(own_table.ruleset(policies[0].permit))
        while not pair.knock("ip", (22,))[22]:
            pass
        pair.run("sysctl", "-qw", "net.netfilter.nf_conntrack_max=400000")
        command = [
            "ip",
            "netns",
            "exec",
            pair.stranger,
            "python3",
            "-S",
            "-c",
            STREAM,
            HOST["ip"],
            str(PACKETS),
        ]
        swaps = 0
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stream:
            while stream.poll() is None:
                policy = policies[swaps % len(policies)]
                if swaps % 4 == 3:
                    pair.run("sh", "-c", own_scripts.try_script(policy.permit, 60))
                pair.nft(own_table.ruleset(policy.permit))
                swaps += 1
            sent = int(stream.communicate()[0])
        told = json.loads(pair.run("nft", "-j", "list", "counter", *own_table.TABLE.split(), "open_udp_9"))
    came = next(o["counter"]["packets"] for o in told["nftables"] if "counter" in o)
    print(f"{sent:,} new connections sent during {swaps} swaps: {sent - came} lost")
    return _told(f"none of {PACKETS:,} lost over at least {SWAPS} swaps", sent == came and swaps >= SWAPS)


def rollback() -> bool:
    """From the deadline to the first packet that the rules before let in; nothing of ours runs meanwhile."""
    late = []
    with joined() as pair, pair.listening((22, 443)):
        pair.nft(own_table.ruleset(Policy(allow=("22/tcp", "443/tcp")).permit))
        for seconds in (2, 3, 4):
            pair.run("sh", "-c", own_scripts.try_script(Policy(allow=("80/tcp",)).permit, seconds))
            deadline = time.monotonic() + seconds
            while not pair.knock("ip", (443,))[443]:
                pass
            late.append(time.monotonic() - deadline)
    print(f"back {', '.join(f'{one:.2f}' for one in late)} s after the deadline (a knock takes up to 0.35 s)")
    return _told("back within 1 s of the deadline", min(late) <= 1)


def lock_outs() -> list[bool]:
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(_faulty, range(4)))
    tried, locked = sum(t for t, _ in outcomes), sum(n for _, n in outcomes)
    print(f"{tried} faulty changes: {locked} times the way in was still shut 60 s after its deadline")
    return [_told(f"no lock-out in {FAULTY} faulty changes", tried >= FAULTY and not locked)]


def _faulty(seed: int) -> tuple[int, int]:
    """Policies that forget the operator; scripts that were cut, doubled or garbled."""
    rnd = random.Random(seed)
    locked = 0
    with joined() as pair, pair.listening((22, 443)):
        for _ in range(FAULTY // 4):
            pair.nft(own_table.ruleset(Policy(allow=("22/tcp", "443/tcp")).permit))
            _break(pair, rnd)
            until = time.monotonic() + 60
            while not pair.knock("ip", (22,))[22] and time.monotonic() < until:
                pass
            locked += time.monotonic() >= until
    return FAULTY // 4, locked


def _break(pair: Pair, rnd: random.Random) -> None:
    some = ("80/tcp", "2222/tcp", "5432/tcp from 10.0.0.0/8", "22/tcp from 10.0.0.0/8", "1-21/tcp")
    deny = rnd.choice(((), ("any from 192.0.2.0/24",), ("22/tcp",)))
    script = own_scripts.try_script(Policy(allow=tuple(rnd.sample(some, 2)), deny=deny).permit, 1)
    how = rnd.randrange(5)
    at = rnd.randrange(len(script))
    if how == 1:
        script = script[:at]
    elif how == 2:
        script += script
    elif how == 3:
        script = script[:at] + rnd.choice("}{;\n\"'x9 ") + script[at + 1 :]
    elif how == 4:
        script = script[:at] + script[at + rnd.randrange(1, 40) :]
    command = ["ip", "netns", "exec", pair.host, "sh", "-c", f'cd "$(mktemp -d)" && {script}']
    subprocess.run(command, capture_output=True, check=False, timeout=60)


def _told(what: str, kept: bool) -> bool:
    print(f"  {what}: {'kept' if kept else 'NOT kept'}")
    return kept


if __name__ == "__main__":
    main()
