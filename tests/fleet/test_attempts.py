"""Forbidden logins and ports, really tried against a real sshd and real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fleet.sshd import Sshd, make_key, running_sshd, shut_port

from wardkeep.core.changes import StepResult, TryConnect, TryLogin
from wardkeep.fleet import attempts
from wardkeep.fleet.attempts import PENALISES, Target, attempt, attempt_all, target_of
from wardkeep.fleet.inventory import Address, Host

OPEN = """\
Match User ops
  PasswordAuthentication yes
  KbdInteractiveAuthentication yes
Match User guest
  PasswordAuthentication yes
  PermitEmptyPasswords yes
Match All
"""


@pytest.fixture(scope="module")
def lax(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """root: keys only. ops: passwords too. guest: no password needed at all."""
    folder = tmp_path_factory.mktemp("lax")
    with running_sshd(folder, users=("ops", "guest"), passwords={"guest": ""}, after=OPEN) as server:
        yield server


async def login(server: Sshd, user: str, method: str) -> StepResult:
    return await attempt(TryLogin(user, method, "r.x", f"Log in as {user} by {method}"), server.host())


@pytest.mark.parametrize(
    ("user", "method", "verdict", "seen"),
    [
        ("root", "password", "pass", "The server does not offer password to `root`; it offers: publickey."),
        ("root", "keyboard-interactive", "pass", "does not offer keyboard-interactive to `root`"),
        ("root", "none", "pass", "refused `root` without any proof; it asks for: publickey."),
        ("root", "publickey", "pass", "refused `root` a key that nobody authorised"),
        ("ops", "password", "fail", "offers password to `ops`: a right guess would enter"),
        ("ops", "none", "pass", "it asks for: publickey, keyboard-interactive, password"),
        ("guest", "none", "fail", "let `guest` in by none"),
        ("nobody-here", "password", "pass", "does not offer password to `nobody-here`"),
    ],
)
async def test_logins(lax: Sshd, user: str, method: str, verdict: str, seen: str) -> None:
    result = await login(lax, user, method)
    assert (result.verdict, result.proves) == (verdict, "r.x"), result
    assert seen in result.seen
    assert "OpenSSH" in result.details["server"] or user == "guest"


async def test_an_authorised_agent_or_key_of_ours_does_not_open_the_door(lax: Sshd) -> None:
    """The host's own identity is authorised for root; the attempt must not use it."""
    assert (await login(lax, "root", "publickey")).verdict == "pass"
    assert "Accepted publickey for root" not in lax.log


async def test_no_server_is_no_refusal(lax: Sshd, tmp_path: Path) -> None:
    nowhere = replace(lax.host(), url="ssh://root@127.0.0.1:1")
    result = await attempt(TryLogin("root", "password", "r.x"), nowhere)
    assert result.verdict == "unknown"
    assert "cannot connect" in result.seen
    other = make_key(tmp_path / "other").with_suffix(".pub").read_text()
    result = await attempt(TryLogin("root", "password", "r.x"), replace(lax.host(), host_keys=(other,)))
    assert result.verdict == "unknown"
    assert "the host key changed" in result.seen
    result = await attempt(TryLogin("root", "rhosts", "r.x"), lax.host())
    assert result.verdict == "unknown"
    recorded = await attempt(TryLogin("root", "none", "r.x"), Host("old", "recorded:/srv/x"))
    assert "a recorded host cannot be tried" in recorded.seen


async def test_ports(lax: Sshd) -> None:
    host = lax.host()

    async def at(port: int, expect: str) -> tuple[str, str]:
        result = await attempt(TryConnect(port, expect, "r.x"), host)
        return result.verdict, result.seen

    assert await at(lax.port, "open") == ("pass", f"Port {lax.port} accepted a connection.")
    assert (await at(lax.port, "closed"))[0] == "fail"
    with shut_port() as shut:
        assert await at(shut, "closed") == ("pass", f"Port {shut} refused it.")
        assert (await at(shut, "open"))[0] == "fail"
        assert (await at(shut, "ajar"))[0] == "unknown"


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that does not answer, as behind a filter: its queue of connections is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        waiting = []
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
            waiting.append(client)
        yield port
        for client in waiting:
            client.close()


async def test_silence_counts_as_closed_only_while_the_host_answers(lax: Sshd) -> None:
    with silent_port() as silent, silent_port() as gone:
        closed, opened = (TryConnect(silent, expect, "r.x") for expect in ("closed", "open"))
        there, not_there = lax.host(), replace(lax.host(), url=f"ssh://root@127.0.0.1:{gone}")
        # All at once: each waits for what never comes.
        result, other, *unseen = await asyncio.gather(
            *(attempt(step, host, port_timeout=4) for host in (there, not_there) for step in (closed, opened))
        )
        assert result.seen == f"Port {silent}: no answer in 4 s, while port {lax.port} answers."
        assert (result.verdict, other.verdict) == ("pass", "fail")
        for result in unseen:
            assert result.verdict == "unknown"
            assert "so is the whole host" in result.seen


async def test_this_machine_cannot_see_itself_from_outside(lax: Sshd) -> None:
    own = Target(Address("ssh", "127.0.0.1", "root", lax.port), (lax.host_key,), own=True)
    host = Host("here", "local:")
    with shut_port() as shut:
        verdicts = [
            (await attempt(TryConnect(port, expect, "r.x"), host, target=own)).verdict
            for port in (lax.port, shut)
            for expect in ("open", "closed")
        ]
    assert verdicts == ["unknown", "unknown", "fail", "pass"]
    assert (await attempt(TryLogin("root", "password", "r.x"), host, target=own)).verdict == "pass"


def test_this_machines_server_is_found_by_its_own_files(tmp_path: Path) -> None:
    (tmp_path / "ssh_host_ed25519_key.pub").write_text("ssh-ed25519 AAAA root@x\n")
    (tmp_path / "sshd_config").write_text("#Port 1\n  Port 2222\n")
    assert target_of(Host("here", "local:"), tmp_path) == Target(
        Address("ssh", "127.0.0.1", "root", 2222), ("ssh-ed25519 AAAA",), own=True
    )


async def test_who_is_refused_too_often_waits() -> None:
    nowhere = Host("gone", "ssh://root@127.0.0.1:1", ("ssh-ed25519 AAAA",))
    steps = [TryLogin("root", "none", "r.x") for _ in range(4)]
    happened: list[object] = []

    async def rest(seconds: float) -> None:
        happened.append(seconds)

    async for result in attempt_all(steps, nowhere, pause=0.5, rest=rest):
        happened.append(result.verdict)
    assert happened == ["unknown", "unknown", 0.5, "unknown", 0.5, "unknown"]


async def test_connections_are_tried_together_and_told_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    under_way, most = 0, []

    async def slow(step: TryLogin | TryConnect, host: Host, **_: object) -> StepResult:
        nonlocal under_way
        under_way += 1
        for _turn in range(10):
            await asyncio.sleep(0)
        most.append(under_way)
        under_way -= 1
        return StepResult(step.proves, step.proves, "pass", "")

    monkeypatch.setattr(attempts, "attempt", slow)
    steps = [TryConnect(n, "closed", f"port {n}") for n in range(7)]
    mixed = [*steps, TryLogin("root", "none", "login 1"), TryLogin("root", "none", "login 2")]
    told = [result.proves async for result in attempt_all(mixed, Host("h", "local:"))]
    assert told == [step.proves for step in mixed]
    assert max(most[:7]) == attempts.AT_ONCE
    assert most[7:] == [1, 1]


@pytest.mark.parametrize(
    ("version", "punishes"), [("9.2p1", False), ("9.7", False), ("9.8p1", True), ("10.0p2", True)]
)
def test_the_versions_that_punish(version: str, punishes: bool) -> None:
    assert bool(PENALISES.search(f"SSH-2.0-OpenSSH_{version} Debian-7")) is punishes
