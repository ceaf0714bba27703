"""How fast hosts are observed over ssh, against yardsticks measured in the same run. Needs root and openssh-server.

    python -m bench.fleet [hosts ...]        (50 100 unless given; the last line is JSON)

The hosts are real sshds on loopback, one process each. They share this machine's cores with the controller, so a wall time
here contains the work of all hosts, which a real fleet does on its own cores: compare ratios, not seconds. Every figure
is the best of `ROUNDS` interleaved rounds. pyinfra and Ansible run in a virtual environment made for the purpose.
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.fleet_others import Others
from tests.fleet.sshd import Sshd, running_sshd

from wardkeep.controls import all_controls
from wardkeep.core.facts import HOST, Question
from wardkeep.engine.assess import questions as all_questions
from wardkeep.fleet import observe_all
from wardkeep.fleet.fanout import CONCURRENCY
from wardkeep.fleet.ssh import SshConnector

ROUNDS = 3
# A dozen that any tool can ask in the same words, each cheap for a host: what is measured is the asking.
DOZEN = [
    Question(name, script)
    for name, script in {
        "release": "cat /etc/os-release",
        "kernel": "uname -a",
        "users": "cat /etc/passwd",
        "groups": "cat /etc/group",
        "mounts": "cat /proc/mounts",
        "memory": "cat /proc/meminfo",
        "sockets": "cat /proc/net/tcp",
        "sshd": "cat /etc/ssh/sshd_config",
        "disks": "df -P",
        "jobs": "ls -l /etc/cron.d /etc/cron.daily",
        "limits": "sysctl kernel fs",
        "packages": "dpkg-query -W",
    }.items()
]


@dataclass(frozen=True)
class Spent:
    wall: float  # seconds
    cpu: float  # seconds of the controller and its children


def spend(act: Callable[[], object]) -> Spent:
    before, begun = _cpu(), time.perf_counter()
    act()
    return Spent(time.perf_counter() - begun, _cpu() - before)


def _cpu() -> float:
    # Children count only once they have ended: those of pyinfra and Ansible have, the sshds (the hosts) have not.
    return sum(
        u.ru_utime + u.ru_stime
        for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def best(rounds: Sequence[Spent]) -> Spent:
    return Spent(min(r.wall for r in rounds), min(r.cpu for r in rounds))


def observe(servers: Sequence[Sshd], questions: Sequence[Question]) -> None:
    async def all_of_them() -> None:
        hosts = [server.host(f"h{n}") for n, server in enumerate(servers)]
        async for snapshot in observe_all(hosts, questions):
            missing = [a.problem for a in snapshot.answers.values() if not a.whole]
            if snapshot.problem or missing:
                raise SystemExit(f"{snapshot.subject}: {snapshot.problem or missing[0]}")

    asyncio.run(all_of_them())


def bare(servers: Sequence[Sshd], script: str) -> None:
    """One command on every host, by the same transport and with as many at a time: connect, log in, run, hang up."""

    async def all_of_them() -> None:
        free = asyncio.Semaphore(CONCURRENCY)

        async def one(server: Sshd) -> None:
            async with free:
                way = SshConnector(server.host())
                connection = await way.connect()
                done = await connection.run("exec /bin/sh -s", input=script.encode(), encoding=None)
                if done.exit_status != 0:
                    raise SystemExit(f"the bare command failed: {done.stderr!r}")
                await way.close()

        await asyncio.gather(*map(one, servers))

    asyncio.run(all_of_them())


def fleet(servers: Sequence[Sshd]) -> dict[str, float]:
    """Everything about one size of fleet."""
    work = "\n".join(f"( {q.script} ) </dev/null" for q in DOZEN) + "\ntrue\n"
    true, plain, ours = [], [], []
    for _ in range(ROUNDS):
        true.append(spend(lambda: bare(servers, "true\n")))
        plain.append(spend(lambda: bare(servers, work)))
        ours.append(spend(lambda: observe(servers, DOZEN)))
    t, p, o, n = best(true), best(plain), best(ours), len(servers)
    print(
        f"{n} hosts, {len(DOZEN)} questions: {o.wall:.2f} s, controller CPU {o.cpu / n * 1e3:.1f} ms per host (at most 10)"
    )
    print(f"  {o.wall / p.wall:.2f} x one bare command that does the same work ({p.wall:.2f} s; at most 1.3)")
    print(
        f"  {o.wall / t.wall:.2f} x a bare `true` ({t.wall:.2f} s), the hosts' own work on these cores included"
    )
    return {
        "hosts": n,
        "wall_s": round(o.wall, 3),
        "controller_cpu_ms_per_host": round(o.cpu / n * 1e3, 2),
        "bare_true_cpu_ms_per_host": round(t.cpu / n * 1e3, 2),
        "ratio_to_bare_same_work": round(o.wall / p.wall, 2),
        "ratio_to_bare_true": round(o.wall / t.wall, 2),
    }


def one_host(server: Sshd) -> dict[str, float]:
    """One host asked everything that Wardkeep asks, against `ssh host true` plus the slowest question alone."""
    shipped = all_questions(all_controls(), HOST)
    known = server.folder / "known_hosts"
    known.write_text(f"[{server.address}]:{server.port} {server.host_key}\n")
    true = [
        "ssh", "-F", "none", "-o", f"UserKnownHostsFile={known}", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
        "-i", str(server.identity), "-p", str(server.port), f"root@{server.address}", "true",
    ]  # fmt: skip

    def alone(question: Question) -> float:
        ask = ["/bin/sh", "-c", question.script]
        return spend(lambda: subprocess.run(ask, stdin=subprocess.DEVNULL, capture_output=True)).wall

    ours, ssh, slowest, name = [], [], [], ""
    once = {question.id: alone(question) for question in shipped}
    slow = max(shipped, key=lambda question: once[question.id])
    for _ in range(ROUNDS):
        ssh.append(spend(lambda: subprocess.run(true, check=True)).wall)
        slowest.append(alone(slow))
        ours.append(spend(lambda: asyncio.run(_ask(server, shipped))).wall)
    name = slow.id
    yardstick = statistics.median(ssh) + statistics.median(slowest)
    ratio = statistics.median(ours) / yardstick
    print(
        f"one host, {len(shipped)} questions: {statistics.median(ours):.2f} s, {ratio:.2f} x `ssh host true` "
        f"({statistics.median(ssh):.2f} s) plus the slowest question ({name}, {statistics.median(slowest):.2f} s; at most 1.5)"
    )
    return {"questions": len(shipped), "wall_s": round(statistics.median(ours), 3), "ratio": round(ratio, 2)}


async def _ask(server: Sshd, questions: Sequence[Question]) -> None:
    connector = SshConnector(server.host())
    snapshot = await connector.ask(questions)
    await connector.close()
    if snapshot.problem:
        raise SystemExit(snapshot.problem)


def others(servers: Sequence[Sshd], folder: Path) -> dict[str, object]:
    """pyinfra and Ansible asking the same dozen of the same hosts, or why they could not be tried."""
    tools = Others(folder, [(q.id, q.script) for q in DOZEN], CONCURRENCY)
    if tools.reason:
        print(f"pyinfra and Ansible: skipped, {tools.reason}")
        return {"skipped": tools.reason}
    told: dict[str, object] = {}
    # Ansible needs seconds of CPU per host for a dozen tasks: a tenth of the hosts is enough to see the ratio.
    for name, some in (("pyinfra", list(servers)), ("ansible", list(servers)[: max(5, len(servers) // 10)])):
        ours = best([spend(lambda some=some: observe(some, DOZEN)) for _ in range(2)])  # type: ignore[misc]
        theirs = spend(lambda name=name, some=some: tools.ask(name, some))  # type: ignore[misc]
        ratio, n = theirs.wall / ours.wall, len(some)
        print(
            f"{name}, the same questions on {n} hosts: {theirs.wall:.2f} s, {theirs.cpu / n * 1e3:.0f} ms CPU per host; "
            f"Wardkeep {ours.wall:.2f} s, {ratio:.1f} x faster (at least 5), {theirs.cpu / ours.cpu:.0f} x less CPU"
        )
        told[name] = {
            "hosts": n,
            "times_faster": round(ratio, 1),
            "times_less_cpu": round(theirs.cpu / ours.cpu, 1),
        }
    return told


def main(sizes: Sequence[int]) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-fleet-") as name, ExitStack() as running:
        folder = Path(name)
        servers = [running.enter_context(running_sshd(folder / f"h{n}")) for n in range(max(sizes))]
        told: dict[str, object] = {"one_host": one_host(servers[0])}
        told["fleet"] = [fleet(servers[:size]) for size in sizes]
        told["others"] = others(servers[: min(sizes)], folder)
    print(json.dumps({"bench": "fleet", **told}))


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [50, 100])
