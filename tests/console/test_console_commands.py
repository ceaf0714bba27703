"""`wardkeep user` and `wardkeep token`, and what the server refuses before it serves."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from wardkeep.cli import main
from wardkeep.console.serving import serve
from wardkeep.core.errors import Refused, Unavailable
from wardkeep.engine.accounts.opening import accounts_of, first_link, origin_of
from wardkeep.engine.platform import Platform, open_platform

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(fleet_folder: Path, platform: Platform) -> Path:
    """A state of one's own, closed for the commands that open it themselves."""
    platform.close()
    return platform.folder


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """`run("user", "list")` gives the exit status, stdout and stderr."""

    def command(*words: str) -> tuple[int, str, str]:
        try:
            main([*words, "--state", str(folder)])
            status = 0
        except SystemExit as e:
            status = int(e.code or 0)
        said = capsys.readouterr()
        return status, said.out, said.err

    return command


def test_a_person_from_adding_to_disabling(run: Run, folder: Path) -> None:
    status, out, _ = run("user", "add", "boss", "--role", "operator")
    assert status == 0
    assert re.search(r"http://localhost:8420/sign-in/link\?token=\S{43}", out)
    assert run("user", "add", "ada", "--role", "auditor", "--json")[0] == 0
    told = json.loads(run("user", "link", "ada", "--json")[1])
    assert told.keys() == {"user", "link", "minutes"}
    assert run("user", "role", "ada", "developer")[1] == "ada is developer now.\n"
    assert run("user", "disable", "ada")[0] == 0
    status, _, err = run("user", "link", "ada")
    assert (status, "disabled" in err, err.count("\n")) == (2, True, 1)
    assert run("user", "enable", "ada")[0] == 0
    assert "http://" in run("user", "reset", "ada")[1]
    people = json.loads(run("user", "list", "--json")[1])
    assert [(p["name"], p["role"]) for p in people] == [("ada", "developer"), ("boss", "operator")]
    assert "wardkeep user link" in run("user", "list")[1]
    status, _, err = run("user", "disable", "boss")
    assert status == 2
    assert "last operator" in err
    with open_platform(folder) as opened:
        acts = [e["body"]["act"] for e in opened.ledger.read() if e["kind"] == "user"]
    assert acts == ["added", "added", "role changed", "disabled", "enabled", "ways to sign in reset"]


def test_a_token_from_issue_to_revocation(run: Run, folder: Path) -> None:
    run("user", "add", "boss", "--role", "operator")
    status, out, _ = run(
        "token", "issue", "ci", "--user", "boss", "--scope", "read", "--scope", "check", "--days", "7"
    )
    assert status == 0
    secret = out.splitlines()[0]
    with open_platform(folder) as opened:
        bearer = accounts_of(opened).tokens.check(secret)
    assert bearer is not None
    assert bearer.scopes == {"read", "check"}
    listed = run("token", "list")[1]
    assert bearer.token.id in listed
    assert secret not in listed
    assert run("token", "revoke", bearer.token.id)[0] == 0
    assert json.loads(run("token", "list", "--json")[1])[0]["revoked"]
    status, _, err = run("token", "issue", "ci", "--user", "boss", "--scope", "everything")
    assert status == 2
    assert "is no scope" in err
    assert run("token", "revoke", bearer.token.id)[0] == 2


def test_what_is_done_to_people_and_tokens_is_told_as_json(run: Run) -> None:
    run("user", "add", "boss", "--role", "operator")
    run("user", "add", "ada", "--role", "auditor")
    assert json.loads(run("user", "role", "ada", "developer", "--json")[1])["role"] == "developer"
    ended = json.loads(run("user", "disable", "ada", "--json")[1])
    assert (ended["name"], bool(ended["disabled"])) == ("ada", True)
    assert json.loads(run("user", "enable", "ada", "--json")[1])["disabled"] is None
    issued = json.loads(run("token", "issue", "ci", "--user", "boss", "--scope", "read", "--json")[1])
    revoked = json.loads(run("token", "revoke", issued["id"], "--json")[1])
    assert (revoked["id"], bool(revoked["revoked"])) == (issued["id"], True)


def test_the_first_link_is_given_until_somebody_has_enrolled(platform: Platform) -> None:
    accounts = accounts_of(platform)
    assert "/sign-in/link?token=" in first_link(platform, accounts)
    assert "/sign-in/link?token=" in first_link(platform, accounts)
    assert [user.name for user in accounts.users.all()] == ["operator"]
    accounts.factors.set_totp(accounts.users.need("operator"), accounts.factors.new_secret())
    assert first_link(platform, accounts) == ""
    assert origin_of(platform) == "http://localhost:8420"


def test_nothing_is_served_to_the_network_without_tls(platform: Platform) -> None:
    for host in ("0.0.0.0", "192.0.2.1", "::", "example.org"):
        with pytest.raises(Refused, match="without TLS"):
            serve(platform, host, 8420)


def test_a_taken_port_is_said_in_one_line(platform: Platform) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(Unavailable, match="cannot listen"):
            serve(platform, "127.0.0.1", other.getsockname()[1])


def test_two_first_starts_make_one_sealing_key(platform: Platform) -> None:
    from concurrent.futures import ThreadPoolExecutor

    key = platform.folder / "keys" / "seal"
    key.unlink()
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: accounts_of(platform).books.seal.key, range(4)))
    assert set(made) == {key.read_bytes()}
    assert key.stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in key.parent.iterdir() if p.name.startswith("seal")) == ["seal"]
    key.write_bytes(b"short")
    with pytest.raises(Unavailable, match="damaged"):
        accounts_of(platform)
