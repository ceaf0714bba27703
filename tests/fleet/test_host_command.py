"""`wardkeep host` as a person uses it, against a real sshd."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fleet.sshd import Sshd, running_sshd

import wardkeep
from wardkeep.cli import main
from wardkeep.core.facts import Answer, Snapshot
from wardkeep.engine.hosts import add_host, find_host
from wardkeep.engine.platform import Platform, open_platform
from wardkeep.fleet.record import DISTRIBUTION, NAMES, record
from wardkeep.fleet.ssh_keys import fingerprint


@pytest.fixture
def state(tmp_path: Path) -> Path:
    with open_platform(tmp_path / "state", create=True):
        return tmp_path / "state"


def run(capsys: pytest.CaptureFixture[str], state: Path, *words: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of `wardkeep host …`."""
    with pytest.raises(SystemExit) as ended:
        main(["host", *words, "--state", str(state)])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def way(server: Sshd, user: str = "root") -> list[str]:
    return [f"ssh://{user}@{server.address}:{server.port}", "--identity", str(server.identity)]


def test_added_with_a_known_fingerprint_shown_listed_and_removed(
    capsys: pytest.CaptureFixture[str], state: Path, sshd: Sshd
) -> None:
    pin = fingerprint(sshd.host_key)
    status, out, _ = run(
        capsys, state, "add", "app-1", *way(sshd), "--fingerprint", pin, "--label", "tier=web", "--json"
    )
    assert status == 0
    told = json.loads(out)
    assert (told["problem"], told["host_keys"]) == ("", [{"kind": "ssh-ed25519", "fingerprint": pin}])
    assert told["labels"] == {"tier": "web"}
    status, out, _ = run(capsys, state, "show", "app-1")
    assert status == 0
    assert pin in out
    status, out, _ = run(capsys, state, "list", "--json")
    assert [(one["name"], one["state"]) for one in json.loads(out)] == [("app-1", "unknown")]
    status, _, err = run(capsys, state, "remove", "app-1")
    assert (status, "--yes" in err) == (2, True)
    assert run(capsys, state, "remove", "app-1", "--yes") == (0, "app-1 is removed.\n", "")
    status, out, _ = run(capsys, state, "list")
    assert "No host yet" in out


def test_a_wrong_fingerprint_or_no_person_adds_nothing(
    capsys: pytest.CaptureFixture[str], state: Path, sshd: Sshd
) -> None:
    before = sshd.log.count("Accepted")
    status, _, err = run(capsys, state, "add", "app-1", *way(sshd), "--fingerprint", "SHA256:AAAA")
    assert status == 2
    assert f"it shows {fingerprint(sshd.host_key)}" in err
    status, _, err = run(capsys, state, "add", "app-1", *way(sshd))
    assert status == 2
    assert "nobody is here to compare the fingerprints" in err
    assert err.count("\n") == 3  # where, the key, the error
    assert sshd.log.count("Accepted") == before
    with open_platform(state) as platform:
        assert platform.ledger.size == 0


@pytest.mark.parametrize(("typed", "status"), [("yes\n", 0), ("no\n", 2), ("\n", 2)])
def test_a_person_compares_and_types_yes(state: Path, sshd: Sshd, typed: str, status: int) -> None:
    ours, theirs = os.openpty()
    os.write(ours, typed.encode())
    command = [sys.executable, "-m", "wardkeep", "host", "add", "app-1", *way(sshd), "--state", str(state)]
    paths = {**os.environ, "PYTHONPATH": str(Path(wardkeep.__file__).parents[1])}
    done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, timeout=600, env=paths)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == status, done.stderr
    assert fingerprint(sshd.host_key) in done.stderr
    assert "Type yes" in done.stderr
    assert ("app-1 is added" in done.stdout) is (status == 0)


def test_through_a_jump_host_both_keys_are_pinned(
    capsys: pytest.CaptureFixture[str], state: Path, sshd: Sshd, tmp_path: Path
) -> None:
    with running_sshd(tmp_path / "gate") as gate:
        gate.authorise(sshd.identity)
        jump = f"ssh://root@{gate.address}:{gate.port}"
        pins = ["--fingerprint", fingerprint(sshd.host_key), "--fingerprint", fingerprint(gate.host_key)]
        status, _, err = run(capsys, state, "add", "inner", *way(sshd), "--jump", jump, *pins[:2])
        assert (status, "no key with the fingerprint" in err) == (2, True)
        status, out, _ = run(capsys, state, "add", "inner", *way(sshd), "--jump", jump, *pins)
        assert status == 0, out
    with open_platform(state) as platform:
        host = find_host(platform, "inner")
        assert (host.host_keys, host.jump_keys) == ((sshd.host_key,), (gate.host_key,))


def test_a_login_that_fails_is_added_and_said(
    capsys: pytest.CaptureFixture[str], state: Path, sshd: Sshd
) -> None:
    status, out, err = run(capsys, state, "add", "app-1", *way(sshd, "nobody-here"), "--accept-key")
    assert status == 3
    assert "is added, but:" in out
    assert "the login as nobody-here was refused" in out
    assert fingerprint(sshd.host_key) in err
    status, out, _ = run(capsys, state, "add", "app-2", *way(sshd, "guest"), "--accept-key")
    assert (status, "needs root" in out) == (3, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["add", "App", "local:"], "cannot be a host's name"),
        (["add", "a", "http://x"], "not the URL of a host"),
        (["add", "a", "ssh://127.0.0.1:1"], "cannot read the host's key"),
        (["add", "a", "recorded:/nowhere"], "cannot read the recorded host"),
        (["add", "a", "local:", "--label", "x"], "is not a label"),
        (["show", "none"], "no host is called"),
        (["remove", "none", "--yes"], "no host is called"),
        (["record", "none", "/tmp/x"], "no host is called"),
    ],
)
def test_a_wrong_use_is_one_line(
    capsys: pytest.CaptureFixture[str], state: Path, words: list[str], says: str
) -> None:
    status, out, err = run(capsys, state, *words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert says in err


def test_recorded_replayed_and_taken_in_again(
    capsys: pytest.CaptureFixture[str], state: Path, tmp_path: Path
) -> None:
    """From a recording, because asking a real host everything takes seconds; `record` itself is tried in test_record."""
    said = {
        "way_in": "192.0.2.7\n", "sudoers": "%admin anna@clinic.se\n", NAMES.id: "app-7\n",
        DISTRIBUTION.id: "debian 13\n",
    }  # fmt: skip
    answers = {name: Answer(name, 0, text.encode()) for name, text in said.items()}
    first = record(
        Snapshot("app-7", datetime(2026, 1, 1, tzinfo=UTC), answers, run={"uid": "0"}), tmp_path / "first"
    )
    status, out, _ = run(capsys, state, "add", "then", f"recorded:{first}")
    assert (status, "debian 13" in out) == (0, True)
    folder = tmp_path / "second"
    status, out, _ = run(capsys, state, "record", "then", str(folder), "--json")
    assert status == 0
    assert json.loads(out)["answers"] == len(list(folder.glob("*.out"))) > 10
    told = json.loads((folder / "provenance.json").read_text())["answers"]
    assert [name for name in told if told[name]["whole"]] == ["sudoers", "way_in"]
    assert (folder / "sudoers.out").read_text() == "%admin person-1@example.org\n"
    assert run(capsys, state, "record", "then", str(folder))[0] == 2
    with open_platform(state) as platform:
        acts = [(e["subject"]["host"], e["body"]["act"]) for e in platform.ledger.read()]
    assert acts == [("then", "added"), ("then", "recorded")]


def test_jump_keys_survive_the_store(platform: Platform, sshd: Sshd) -> None:
    host = replace(sshd.host(), jump="ssh://gate", jump_keys=("ssh-ed25519 AAAA",), labels={"a": "b"})
    add_host(platform, host, "operator:test")
    assert find_host(platform, host.name) == host
