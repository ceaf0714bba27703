"""ssh with a real sshd: keys, sudo, jump hosts, and every fault a host may have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fleet.sshd import Sshd, make_key, running_sshd

from wardkeep.core.errors import BadInput, Unavailable
from wardkeep.core.facts import Question, Snapshot
from wardkeep.fleet.connect import connect
from wardkeep.fleet.fanout import observe_all
from wardkeep.fleet.inventory import Host
from wardkeep.fleet.local import LocalConnector
from wardkeep.fleet.ssh import KEEPALIVE, SshConnector
from wardkeep.fleet.ssh_keys import Keyring, fingerprint, scan_host_keys

WHO = [Question("who", "id -u"), Question("name", "id -un", root=False)]


async def problem_of(host: Host, keyring: Keyring | None = None, deadline: float = 120) -> str:
    connector = SshConnector(host, keyring=keyring, deadline=deadline)
    snapshot = await connector.ask(WHO)
    await connector.close()
    assert not any(answer.whole for answer in snapshot.answers.values())
    assert "\n" not in snapshot.problem
    return snapshot.problem


@pytest.mark.parametrize("user", ["ops", "limited"])
async def test_a_login_that_is_not_root_uses_sudo_once(sshd: Sshd, user: str) -> None:
    connector = SshConnector(sshd.host(user=user))
    snapshot = await connector.ask(WHO)
    assert (snapshot.problem, snapshot.answers["who"].problem) == ("", "")
    assert snapshot.answers["who"].stdout == b"0\n"
    assert snapshot.run["sudo"] == "yes"
    answer = await connector.run("cat >&2; id -u", stdin=b"x\0y")
    assert (answer.whole, answer.stdout, answer.stderr) == (True, b"0\n", b"x\0y")
    await connector.close()


async def test_without_sudo_it_says_so_for_each_question_that_needs_root(sshd: Sshd) -> None:
    never = sshd.folder / "never"
    connector = SshConnector(sshd.host(user="guest"))
    snapshot = await connector.ask(WHO)
    assert snapshot.problem == ""
    assert snapshot.answers["name"].stdout == b"guest\n"
    assert snapshot.answers["who"].problem == "needs root, and was asked as uid 61002: `sudo -n` was refused"
    answer = await connector.run(f"echo changed >{never}")
    assert not answer.whole
    assert answer.problem == "needs root: the login is not root and `sudo -n` was refused there"
    assert not never.exists()
    await connector.close()


async def test_one_connection_serves_several_rounds(sshd: Sshd) -> None:
    connector = SshConnector(sshd.host())
    for _ in range(3):
        assert (await connector.ask(WHO)).answers["who"].whole
    first = await connector.connect()
    assert await connector.connect() is first
    await connector.close()


async def test_the_keys_are_shown_for_pinning(sshd: Sshd) -> None:
    keys = await scan_host_keys(Host("box", f"ssh://root@{sshd.address}:{sshd.port}"))
    assert [key.line for key in keys] == [sshd.host_key]
    assert keys[0].fingerprint == fingerprint(sshd.host_key)
    assert keys[0].fingerprint.startswith("SHA256:")


async def test_a_changed_key_of_the_same_kind_never_connects(sshd: Sshd, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other").with_suffix(".pub").read_text()
    pinned = " ".join(other.split()[:2])
    before = sshd.log.count("Accepted publickey")
    problem = await problem_of(replace(sshd.host(), host_keys=(pinned,)))
    assert (
        f"the host key changed: pinned {fingerprint(pinned)}, offered {fingerprint(sshd.host_key)}" in problem
    )
    assert sshd.log.count("Accepted publickey") == before


async def test_a_changed_key_of_another_kind_never_connects(sshd: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "other", kind="ecdsa")
    pinned = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    problem = await problem_of(replace(sshd.host(), host_keys=(pinned,)))
    assert (
        f"the host key changed: pinned {fingerprint(pinned)}, offered {fingerprint(sshd.host_key)}" in problem
    )


async def test_no_pinned_key_or_a_broken_one_never_connects(sshd: Sshd) -> None:
    assert "no host key is pinned" in await problem_of(replace(sshd.host(), host_keys=()))
    assert "not a public host key" in await problem_of(replace(sshd.host(), host_keys=("ssh-ed25519 AAAA",)))


async def test_a_key_nobody_authorised_is_refused_in_one_line(sshd: Sshd, tmp_path: Path) -> None:
    host = replace(sshd.host(), identity=str(make_key(tmp_path / "stranger")))
    assert "the login as root was refused. Put the public key into ~root/.ssh" in await problem_of(host)


async def test_where_no_key_of_ours_is_at_hand_that_is_what_is_said(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    host = replace(sshd.host(), identity="")
    said = await problem_of(host)
    assert "there is no key to log in with: ~/.ssh has none" in said
    assert "no agent runs here. Name one by --identity" in said
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "gone"))
    assert "the agent does not answer" in await problem_of(host)
    (tmp_path / ".ssh").mkdir()
    make_key(tmp_path / ".ssh" / "id_ed25519")
    assert "the login as root was refused" in await problem_of(host)


@pytest.mark.parametrize(
    "banner", ["Zugriff verboten für Unbefugte\n".encode("latin-1"), bytes(range(256)) * 16]
)
async def test_a_banner_in_any_encoding_holds_nobody_up(tmp_path: Path, banner: bytes) -> None:
    shown = tmp_path / "banner"
    shown.write_bytes(banner)
    with running_sshd(tmp_path / "sshd", config=f"Banner {shown}") as server:
        connector = SshConnector(server.host())
        assert (await connector.ask(WHO)).answers["name"].stdout == b"root\n"
        await connector.close()
        assert [key.line for key in await scan_host_keys(server.host())] == [server.host_key]


async def test_a_login_shell_that_ends_at_once_is_named_as_what_to_look_at(tmp_path: Path) -> None:
    with running_sshd(tmp_path / "sshd", config="ForceCommand /bin/false") as server:
        said = await problem_of(server.host())
    assert said.startswith("the collector did not start there: the shell there ended without a word")
    assert "login shell" in said


async def test_a_host_without_sudo_says_so() -> None:
    bare = ("setpriv", "--reuid=61002", "--clear-groups", "env", "PATH=/nowhere", "/bin/sh", "-s")
    connector = LocalConnector("bare", shell=bare)
    snapshot = await connector.ask(WHO)
    assert snapshot.answers["who"].problem == "needs root, and was asked as uid 61002: there is no sudo there"
    answer = await connector.run("echo never")
    assert answer.problem == "needs root: the login is not root and there is no sudo there"


async def test_passphrases(sshd: Sshd, tmp_path: Path) -> None:
    secret = "correct horse"
    key = make_key(tmp_path / "locked", passphrase=secret)
    sshd.authorise(key)
    host = replace(sshd.host(), identity=str(key))
    assert "needs a passphrase" in await problem_of(host)
    wrong = await problem_of(host, Keyring(lambda path: "wrong horse"))
    assert f"{key}: wrong passphrase" in wrong
    assert "horse" not in wrong
    asked: list[str] = []
    keyring = Keyring(lambda path: asked.append(path) or secret)  # type: ignore[func-returns-value]
    for _ in range(2):
        connector = SshConnector(host, keyring=keyring)
        assert (await connector.ask(WHO)).answers["who"].whole
        await connector.close()
    assert asked == [str(key)]
    with pytest.raises(BadInput, match="No such file"):
        keyring.key(str(tmp_path / "none"))
    with pytest.raises(BadInput, match="not a private key"):
        keyring.key("/etc/hostname")


async def test_through_a_jump_host(sshd: Sshd, tmp_path: Path) -> None:
    with running_sshd(tmp_path / "gate") as gate:
        gate.authorise(sshd.identity)
        host = replace(sshd.host(), jump=f"ssh://root@{gate.address}:{gate.port}", jump_keys=(gate.host_key,))
        connector = SshConnector(host)
        assert (await connector.ask(WHO)).answers["who"].whole
        await connector.close()
        assert "Accepted publickey" in gate.log
        stolen = replace(host, jump_keys=(sshd.host_key,))
        assert "the host key changed" in await problem_of(stolen)


@asynccontextmanager
async def serving(talk: bytes, *, hold: bool = False, flood: bool = False) -> AsyncIterator[int]:
    """A server that is none, on the port yielded."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(talk)
            while flood:
                writer.write(b"x" * 65536)
                await writer.drain()
            if hold:
                await reader.read()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


@pytest.mark.parametrize(
    ("talk", "more"),
    [
        (b"", {}),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", {}),
        (b"SSH-2.0-x\r\n" + b"\0" * 500, {}),
        (b"SSH-2.0-x\r\n" + bytes(range(256)) * 40, {"hold": True}),
        (b"SSH-2.0-x\r\n", {"flood": True}),
        (b"", {"flood": True}),
    ],
    ids=["closes", "http", "zeros", "garbage", "flood", "flood-at-once"],
)
async def test_what_is_no_ssh_server_is_a_problem_in_one_line(
    sshd: Sshd, talk: bytes, more: dict[str, bool]
) -> None:
    async with serving(talk, **more) as port:
        assert await problem_of(replace(sshd.host(), url=f"ssh://root@127.0.0.1:{port}"), deadline=1.5)


async def test_nobody_listens_there(sshd: Sshd) -> None:
    host = replace(sshd.host(), url="ssh://root@127.0.0.1:1")
    assert await problem_of(host) == "127.0.0.1:1: cannot connect: connection refused"
    with pytest.raises(Unavailable, match="cannot read the host's key: connection refused"):
        await scan_host_keys(host)


class Watched(SshConnector):
    """Does `then` once two whole answers have come from the host: in the middle of its round."""

    def __init__(self, host: Host, deadline: float, then: Callable[[], None]) -> None:
        super().__init__(host, deadline=deadline)
        self.then, self.came = then, b""

    @asynccontextmanager
    async def _transport(self, script: bytes) -> AsyncIterator[AsyncIterator[bytes]]:
        async with super()._transport(script) as stream:
            yield self._watch(stream)

    async def _watch(self, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for data in stream:
            before = self.came.count(b"\nend ")
            self.came += data
            yield data
            if before < 2 <= self.came.count(b"\nend "):
                self.then()


async def test_faulty_hosts_do_not_slow_or_spoil_the_others(sshd: Sshd, tmp_path: Path) -> None:
    """One hangs from the start, one freezes in the middle, one dies in the middle, one sends without end."""
    # Seconds a host may take. A busy machine may need longer for the sound ones and for the middle of the others.
    for deadline in (6, 12, 30, 120):
        came, struck = await ask_a_faulty_fleet(sshd, tmp_path / str(deadline), deadline)
        if struck == {"freezes", "dies"} and list(came)[-1] not in ("good-1", "good-2"):
            break
    assert struck == {"freezes", "dies"}, {name: one.problem for name, one in came.items()}
    for name in ("good-1", "good-2"):
        assert all(answer.whole for answer in came[name].answers.values())
        assert list(came).index(name) < list(came).index("silent"), "it waited for one that hangs"
    assert "the login was not finished within" in came["silent"].problem
    late = f"the login was finished, but only 2 of 3 questions were answered within {deadline} s"
    problem = came["freezes"].answers["later"].problem
    # Asked three times in vain whether it lives, a host is given up before a long deadline.
    assert late in problem or (deadline > 2 * KEEPALIVE and "the connection was lost" in problem)
    assert "that are no answers" in came["floods"].problem
    for name in ("freezes", "dies"):
        answers = came[name].answers
        assert [a for a in answers if answers[a].whole] == ["who", "name"], answers
        assert answers["later"].problem


async def ask_a_faulty_fleet(
    sshd: Sshd, folder: Path, deadline: float
) -> tuple[dict[str, Snapshot], set[str]]:
    """Host → its snapshot, in the order they came; and those that were struck in their middle."""
    # Only where a fault is to come does the last question take long enough to be in the middle.
    later = 'case $SSH_CONNECTION in *" $FREEZES" | *" $DIES") sleep 600 ;; esac; echo later'
    flood = "ForceCommand exec cat /dev/zero"  # whatever is asked, it answers without end
    came: dict[str, Snapshot] = {}
    struck: set[str] = set()
    async with serving(b"SSH-2.0-x\r\n", hold=True) as silent:
        with (
            running_sshd(folder / "freezes") as freezes,
            running_sshd(folder / "dies") as dies,
            running_sshd(folder / "floods", config=flood) as floods,
        ):
            hosts = [
                sshd.host("good-1"),
                replace(sshd.host("silent"), url=f"ssh://root@127.0.0.1:{silent}"),
                freezes.host("freezes"),
                dies.host("dies"),
                floods.host("floods"),
                sshd.host("good-2"),
            ]
            acts = {"freezes": freezes.pause, "dies": dies.stop}

            def strike(name: str) -> None:
                if name in acts:
                    acts[name]()
                    struck.add(name)

            def connecting(host: Host) -> SshConnector:
                return Watched(host, deadline, lambda: strike(host.name))

            script = later.replace("$FREEZES", str(freezes.port)).replace("$DIES", str(dies.port))
            questions = [*WHO, Question("later", script, timeout=900)]
            async for snapshot in observe_all(hosts, questions, connecting=connecting):
                came[snapshot.subject] = snapshot
            freezes.resume()
    return came, struck


async def test_the_scheme_decides_the_connector(sshd: Sshd) -> None:
    assert isinstance(connect(sshd.host()), SshConnector)
