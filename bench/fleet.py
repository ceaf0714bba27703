"""How fast hosts are observed over ssh, against yardsticks measured in the same run. Needs root and openssh-server.

    python -m bench.fleet [hosts ...]        (50 100 unless given; the last line is JSON)

The hosts are real sshds on loopback, one process each. They share this machine's cores with the controller, so a wall time
here contains the work of all hosts, which a real fleet does on its own cores: compare ratios, not seconds. The hosts' own
CPU is told beside it. Figures are the best of some interleaved rounds, but beside other tools the medians of as many runs of each.

Asked of the whole fleet: the shipped questions that are brief (the others take seconds of a host's CPU and are asked of a few),
and a dozen trivial ones, where nothing but the asking costs.

What each is compared with: "the same by a bare script" is connect, log in, run one plain script that asks the same questions
(each in a subshell, nothing framed, limited or timed), hang up, by the same ssh library and with as many hosts at a time.
pyinfra and Ansible (newest from PyPI, in an environment made for the purpose, with as many hosts at a time, Ansible with
pipelining) ask the same questions and bring the answers back. There a question is a `cat` of what this machine answered to
one of Wardkeep's own questions: as many questions and bytes as in a real round, without the work behind them, which would
be the same for all and hide the asking. Each is one program from its start to its end, Wardkeep too (`bench.fleet_ask`). What they take to
come to work (theirs: `--version`; ours: no host asked) is told beside it, and so is the ratio without. It is asked of few hosts, which
have nearly a core each as a real fleet's have, and of the whole fleet, where every process on a host delays all others: there
a tool can at best be as fast as the bare script, whose ratio is told too.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from pathlib import Path

from bench import fleet_ask
from bench.fleet_others import Others
from tests.fleet.sshd import Sshd, running_sshd

from wardkeep.controls import all_controls
from wardkeep.core.facts import HOST, Question
from wardkeep.engine.assess import questions as all_questions
from wardkeep.fleet import observe_all
from wardkeep.fleet.fanout import CONCURRENCY
from wardkeep.fleet.local import LocalConnector
from wardkeep.fleet.ssh import SshConnector

ROUNDS = 5
FEW = 6  # hosts on which all shipped questions are asked with all the work behind them: seconds of each one's CPU
BRIEF = 0.1  # seconds: the shipped questions that take no longer are asked of the whole fleet
# A dozen with next to no work behind them: what is left is the asking itself, the worst that the ratio can be.
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
    hosts: float = 0.0  # seconds of CPU of all hosts together


def spend(act: Callable[[], object], servers: Sequence[Sshd] = ()) -> Spent:
    hosts, before, begun = _cpu_of(servers), _cpu(), time.perf_counter()
    act()
    wall, cpu = time.perf_counter() - begun, _cpu() - before
    if servers:
        time.sleep(0.3)  # sessions that are about to end count once they have
    return Spent(wall, cpu, _cpu_of(servers) - hosts)


def _cpu_of(servers: Sequence[Sshd]) -> float:
    """Seconds of CPU that the hosts have used: each one's sshd is process 1 of its namespace and inherits all that ended."""
    ticks = 0
    for server in servers:
        pid = str(server.process.pid)
        while Path(f"/proc/{pid}/comm").read_text() != "sshd\n":
            pid = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
        ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _cpu() -> float:
    # Children count only once they have ended: those of pyinfra and Ansible have, the sshds (the hosts) have not.
    return sum(
        u.ru_utime + u.ru_stime
        for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def best(rounds: Sequence[Spent]) -> Spent:
    return Spent(min(r.wall for r in rounds), min(r.cpu for r in rounds), min(r.hosts for r in rounds))


def goal(what: str, kept: bool, seen: str) -> None:
    print(f"{what}: {'kept' if kept else 'NOT kept'} ({seen})", flush=True)


def observe(servers: Sequence[Sshd], questions: Sequence[Question], *, strict: bool = True) -> None:
    async def all_of_them() -> None:
        hosts = [server.host(f"h{n}") for n, server in enumerate(servers)]
        async for snapshot in observe_all(hosts, questions):
            missing = [a.problem for a in snapshot.answers.values() if not a.whole]
            if snapshot.problem or (strict and missing):
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


def plain(questions: Sequence[Question]) -> str:
    """A script that asks the same, and nothing else."""
    return "\n".join(f"( {q.script}\n) </dev/null" for q in questions) + "\ntrue\n"


def brief_questions() -> list[Question]:
    """Those of the shipped questions that take this machine at most BRIEF seconds: every look at a fleet asks them."""
    return [q for q in all_questions(all_controls(), HOST) if min(alone(q) for _ in range(3)) <= BRIEF]


def alone(question: Question) -> float:
    """Seconds that one question takes by itself, here."""
    ask = ["/bin/sh", "-c", question.script]
    return spend(lambda: subprocess.run(ask, stdin=subprocess.DEVNULL, capture_output=True)).wall


def fleet(servers: Sequence[Sshd], brief: Sequence[Question]) -> dict[str, float]:
    """Everything about one size of fleet."""
    true = best([spend(lambda: bare(servers, "true\n"), servers) for _ in range(ROUNDS)])
    n, ms = len(servers), 1e3 / len(servers)
    print(
        f"{n} hosts: `true` {true.wall:.2f} s; CPU in ms per host, controller + host: {_cpu_told(true, ms)}"
    )
    told = {"hosts": n, "bare_true_cpu_ms_per_host": round(true.cpu * ms, 2)}
    for what, questions, rounds in (("trivial", DOZEN, ROUNDS), ("shipped", brief, 3)):
        same, ours = [], []
        for _ in range(rounds):
            same.append(spend(lambda q=questions: bare(servers, plain(q)), servers))  # type: ignore[misc]
            ours.append(spend(lambda q=questions: observe(servers, q, strict=False), servers))  # type: ignore[misc]
        p, o = best(same), best(ours)
        print(
            f"{n} hosts, {len(questions)} {what} questions: by a bare script {p.wall:.2f} s, by Wardkeep {o.wall:.2f} s, {o.wall / p.wall:.2f} x "
            f"({o.wall / true.wall:.1f} x a bare `true`); CPU {_cpu_told(p, ms)} and {_cpu_told(o, ms)}"
        )
        told |= {
            f"{what}_wall_s": round(o.wall, 3),
            f"{what}_controller_cpu_ms_per_host": round(o.cpu * ms, 2),
            f"{what}_ratio_to_bare_same_work": round(o.wall / p.wall, 2),
        }
    goal(
        f"{n} hosts: at most 10 ms of the controller's CPU a host",
        o.cpu * ms <= 10,
        f"{o.cpu * ms:.1f} ms for {len(brief)} questions",
    )
    goal(
        f"{n} hosts: wall time at most 1.3 x one bare command that asks the same",
        o.wall <= 1.3 * p.wall, f"{o.wall / p.wall:.2f} x; {o.wall:.2f} s beside {p.wall:.2f} s",
    )  # fmt: skip
    return told


def _cpu_told(spent: Spent, ms: float) -> str:
    return f"{spent.cpu * ms:.1f} + {spent.hosts * ms:.0f}"


def shipped(servers: Sequence[Sshd]) -> dict[str, float]:
    """A few hosts asked all that Wardkeep asks, with all the work behind it, beside a bare script that asks the same."""
    questions = all_questions(all_controls(), HOST)
    same, ours = [], []
    for _ in range(ROUNDS):
        same.append(spend(lambda: bare(servers, plain(questions)), servers))
        ours.append(spend(lambda: observe(servers, questions, strict=False), servers))
    p, o, n = best(same), best(ours), len(servers)
    print(
        f"{n} hosts, all {len(questions)} shipped questions: {o.wall:.2f} s, {o.wall / p.wall:.2f} x the same by a bare script ({p.wall:.2f} s); "
        f"CPU of a host {o.hosts / n:.2f} s and {p.hosts / n:.2f} s"
    )
    return {"hosts": n, "questions": len(questions), "ratio_to_bare_same_work": round(o.wall / p.wall, 2)}


def one_host(server: Sshd) -> dict[str, float]:
    """One host asked everything that Wardkeep asks, against `ssh host true` plus the slowest question alone."""
    questions = all_questions(all_controls(), HOST)
    known = server.folder / "known_hosts"
    known.write_text(f"[{server.address}]:{server.port} {server.host_key}\n")
    true = [
        "ssh", "-F", "none", "-o", f"UserKnownHostsFile={known}", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
        "-i", str(server.identity), "-p", str(server.port), f"root@{server.address}", "true",
    ]  # fmt: skip

    # Twice: the first reads the disk.
    once = [{question.id: alone(question) for question in questions} for _ in range(2)][1]
    slow = max(questions, key=lambda question: once[question.id])
    ours, ssh, slowest = [], [], []
    for _ in range(ROUNDS + 2):
        ssh.append(spend(lambda: subprocess.run(true, check=True)).wall)
        slowest.append(alone(slow))
        ours.append(spend(lambda: asyncio.run(_ask(server, questions))).wall)
    o, s, q = statistics.median(ours), statistics.median(ssh), statistics.median(slowest)
    ratio = o / (s + q)
    goal(
        "one host: at most 1.5 x `ssh host true` and its slowest question", ratio <= 1.5,
        f"{ratio:.2f} x: {len(questions)} questions in {o:.2f} s, beside {s:.2f} s and {q:.2f} s for {slow.id}; all of them one after "
        f"the other {sum(once.values()):.2f} s",
    )  # fmt: skip
    return {"questions": len(questions), "wall_s": round(o, 3), "ratio": round(ratio, 2)}


async def _ask(server: Sshd, questions: Sequence[Question]) -> None:
    connector = SshConnector(server.host())
    snapshot = await connector.ask(questions)
    await connector.close()
    if snapshot.problem:
        raise SystemExit(snapshot.problem)


def answered_questions(servers: Sequence[Sshd]) -> list[Question]:
    """As many questions as Wardkeep ships, each answered by the bytes that this machine answers now."""
    asked = all_questions(all_controls(), HOST)
    answers = asyncio.run(LocalConnector().ask(asked)).answers
    for server in servers:
        (server.folder / "answers").mkdir(exist_ok=True)
        for name, answer in answers.items():
            (server.folder / "answers" / name).write_bytes(answer.stdout or b"nothing\n")
    return [Question(q.id, f"cat /run/test/answers/{q.id}") for q in asked]


def others(servers: Sequence[Sshd], folder: Path) -> dict[str, object]:
    """pyinfra and Ansible asking the same of the same hosts, or why they could not be tried."""
    questions = answered_questions(servers)
    tools = Others(folder, [(q.id, q.script) for q in questions], CONCURRENCY)
    what = "at least 5 x faster than {} asking the same"
    if tools.reason:
        for name in ("pyinfra", "Ansible"):
            print(f"{what.format(name)}: not measured ({tools.reason})")
        return {"skipped": tools.reason}
    told: dict[str, object] = {}
    # Ansible needs seconds of CPU per host for so many tasks: a tenth of the hosts, once, is enough to see the ratio.
    for name, some, rounds in (
        ("pyinfra", servers[:FEW], 3),
        ("pyinfra", servers, 3),
        ("Ansible", servers[: max(5, len(servers) // 10)], 1),
    ):
        told[f"{name} {len(some)}"] = beside(tools, name, some, questions, folder, rounds, what.format(name))
    return told


def beside(
    tools: Others,
    name: str,
    some: Sequence[Sshd],
    questions: Sequence[Question],
    folder: Path,
    rounds: int,
    what: str,
) -> dict[str, float]:
    """One other tool and Wardkeep, in turn, each as a program of its own; medians of `rounds` runs of each."""
    asked, idle = folder / "ask.json", folder / "idle.json"
    fleet_ask.write(asked, [server.host(f"h{n}") for n, server in enumerate(some)], questions)
    fleet_ask.write(idle, [], questions)
    ours, same, theirs, our_start, their_start = [], [], [], [], []
    for _ in range(rounds):
        ours.append(spend(lambda: _program(asked), some))
        same.append(spend(lambda: bare(some, plain(questions)), some))
        theirs.append(spend(lambda: tools.ask(name, some), some))
        our_start.append(spend(lambda: _program(idle)).wall)
        their_start.append(spend(lambda: tools.start(name)).wall)
    o, p, t = middle(ours), middle(same), middle(theirs)
    our, their = statistics.median(our_start), statistics.median(their_start)
    ratio, asking, n = t.wall / o.wall, (t.wall - their) / (o.wall - our), len(some)
    # Ansible's connections outlive it: what they cost the hosts is not seen.
    hosts = f", of the hosts {t.hosts / o.hosts:.1f} x" if name == "pyinfra" else ""
    goal(
        what, ratio >= 5,
        f"{ratio:.1f} x, {asking:.1f} x without what the programs take to start; {len(questions)} questions to {n} hosts, medians of {rounds}: "
        f"{t.wall:.2f} s ({their:.2f} s to start) beside {o.wall:.2f} s ({our:.2f} s to start), by a bare script within this process {p.wall:.2f} s, "
        f"{(t.wall - their) / p.wall:.1f} x; CPU of the controller {t.cpu / o.cpu:.0f} x{hosts}",
    )  # fmt: skip
    return {
        "hosts": n,
        "times_faster": round(ratio, 1),
        "times_faster_without_start": round(asking, 1),
        "bare_script_times_faster_without_start": round((t.wall - their) / p.wall, 1),
        "times_less_cpu": round(t.cpu / o.cpu, 1),
    }


def _program(file: Path) -> None:
    subprocess.run([sys.executable, "-m", "bench.fleet_ask", str(file)], check=True)


def middle(rounds: Sequence[Spent]) -> Spent:
    """The median of each figure by itself."""
    return Spent(*(statistics.median(figure) for figure in zip(*map(astuple, rounds), strict=True)))


def main(sizes: Sequence[int]) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-fleet-") as name, ExitStack() as running:
        folder = Path(name)
        servers = [running.enter_context(running_sshd(folder / f"h{n}")) for n in range(max(sizes))]
        told: dict[str, object] = {"one_host": one_host(servers[0])}
        brief = brief_questions()
        told["fleet"] = [fleet(servers[:size], brief) for size in sizes]
        told["shipped"] = shipped(servers[:FEW])
        told["others"] = others(servers[: min(sizes)], folder)
    print(json.dumps({"bench": "fleet", **told}))


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [50, 100])
