"""Recorded hosts: what is written is scrubbed, and what is read back is checked."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardkeep.core.errors import BadInput
from wardkeep.core.facts import Answer, Question, Snapshot
from wardkeep.fleet.local import LocalConnector
from wardkeep.fleet.record import DISTRIBUTION, NAMES, record
from wardkeep.fleet.recorded import RecordedConnector
from wardkeep.fleet.scrub import Scrubber

AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
KEY = (
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAA\nAAABBBB\n-----END OPENSSH PRIVATE KEY-----"
)
# What is planted → what must not survive of it.
PLANTED = {
    "root:$y$j9T$Zs6qQJ5vEVnGbTTqJAH8D0$hXbL0cJp2h3G1e:20000:0:99999:7:::": "Zs6qQJ5vEVnGbTTqJAH8D0",
    "old:!$6$saltsalt$WkNqz0pR6mS1eu:1:0:99999:7:::": "WkNqz0pR6mS1eu",
    "ancient:ab01FAX.bQRSU:19000:0:99999:7:::": "ab01FAX.bQRSU",
    KEY: "b3BlbnNzaC1rZXktdjEAAAA",
    "AGE-SECRET-KEY-1QQPZRY9X8GF2TVDW0S3": "QQPZRY9X8GF2TVDW0S3",
    "mail to Anna.Berg+x@clinic-nord.se please": "Berg",
    "repo https://robot:hunter22@git.example.net/x": "hunter22",
    "cache redis://:hunter44@cache:6379/0": "hunter44",
    "POSTGRES_PASSWORD=correct-horse-battery": "correct-horse",
    'api_key: "Zm9vYmFyYmF6"': "Zm9vYmFyYmF6",
    "curl -H 'Authorization: Bearer abcdefghijklmnop.qrs'": "abcdefghijklmnop",
    "restic --password hunter33 backup": "hunter33",
    "token ghp_abcdefghijklmnopqrstuvwxyz0123": "ghp_abcdefghij",
    "key AKIAIOSFODNN7EXAMPLE here": "AKIAIOSFODNN7EXAMPLE",
    "jwt eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSMeKKF2QT4": "SflKxwRJSMeKKF2QT4",
    "app1.clinic-nord.se and APP1": "app1",
    "from 8.8.4.4 port 22, [2606:4700::1111]:443": "8.8.4.4",
    "2606:4700::1111": "2606:4700",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEcut": "MIIEcut",  # the last: a key without its end takes all that follows
}
# Lines a parser reads: nothing in them is secret, so nothing may change.
PLAIN = """\
|base-passwd:
|  Installed: 3.6.1
permitrootlogin prohibit-password
passwordauthentication no
PasswordAuthentication=no
passwd:         files systemd
password [success=1 default=ignore] pam_unix.so obscure use_authtok yescrypt
root:*:19000:0:99999:7:::
daemon:!:19000:0:99999:7:::
games:!*:19000::::::
ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com
getty@tty1.service loaded active running
user@1000.service
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEj
ii  openssh-server 1:9.2p1-2+deb12u10
tcp LISTEN 0 128 0.0.0.0:22 127.0.0.1:5432 10.1.2.3:80 [::1]:25 [fe80::1]:22
systemd-ask-password-console.path static
Password: yes
linux-image-6.1.0-28-amd64 6.1.119-1
kernel.yama.ptrace_scope = 1
"""


def test_a_planted_secret_does_not_survive() -> None:
    text = "\n".join(PLANTED) + "\n"
    out = Scrubber(["app1", "app1.clinic-nord.se"]).scrub(text.encode()).decode()
    for secret in PLANTED.values():
        assert secret.lower() not in out.lower(), secret
    assert out.count("\n") >= text.count("\n") - 3  # the structure by lines stays, but for the body of keys
    assert "root:$y$scrubbed$0001:20000:0:99999:7:::" in out
    assert "old:!$6$scrubbed$0002:1:0:99999:7:::" in out
    assert "ancient:scrubbed0003:19000:" in out
    assert "person-1@example.org" in out
    assert "host-1 and host-2" in out
    assert "from 192.0.2.1 port 22, [2001:db8::2]:443\n2001:db8::2" in out


def test_what_is_no_secret_stays_as_it_is() -> None:
    assert Scrubber(["app1", "debian"]).scrub(PLAIN.encode()).decode() == PLAIN
    raw = bytes(range(256)) * 3
    assert Scrubber(["app1"]).scrub(raw) == raw


def test_one_secret_has_one_number_in_the_whole_recording() -> None:
    scrubber = Scrubber()
    first = scrubber.scrub(b"a@b.io c@d.io a@b.io")
    assert first == b"person-1@example.org person-2@example.org person-1@example.org"
    assert scrubber.scrub(b"c@d.io") == b"person-2@example.org"
    assert dict(scrubber.counts) == {"e-mail address": 2}
    assert scrubber.scrub(first) == first


@given(st.binary(max_size=400))
def test_scrubbing_twice_changes_nothing_more(data: bytes) -> None:
    once = Scrubber(["app1"]).scrub(data)
    assert Scrubber(["app1"]).scrub(once) == once


@pytest.mark.parametrize(
    "pattern", ["a", "a.", "a@a.", "password", "eyJ-", "https://a:", "1:", "-----BEGIN "]
)
def test_hostile_output_is_scrubbed_in_a_time_that_grows_with_its_size(pattern: str) -> None:
    begun = time.process_time()
    Scrubber(["app1"]).scrub((pattern * 200_000)[:200_000].encode())
    assert time.process_time() - begun < 3


def snapshot_of(**said: str) -> Snapshot:
    answers = {name: Answer(name, 0, text.encode(), b"", seconds=0.25) for name, text in said.items()}
    return Snapshot("app1", AT, answers, run={"uid": "0", "version": "1"})


async def replay(folder: Path, *names: str) -> Snapshot:
    return await RecordedConnector(folder).ask([Question(name, "true") for name in names])


async def test_a_recorded_host_is_plain_files_and_says_how_it_was_made(tmp_path: Path) -> None:
    snapshot = snapshot_of(
        shadow="root:$y$j9T$salt$hashhashhash:1:0:99999:7:::\n", who="app1 is app1.clinic-nord.se\n",
        **{NAMES.id: "app1\napp1.clinic-nord.se\n", DISTRIBUTION.id: "debian 12\n"},
    )  # fmt: skip
    folder = record(snapshot, tmp_path / "box", how="a test")
    assert sorted(p.name for p in folder.iterdir()) == ["provenance.json", "shadow.out", "who.out"]
    assert (folder / "who.out").read_text() == "host-1 is host-2\n"
    said = json.loads((folder / "provenance.json").read_text())
    assert (said["distribution"], said["how"], said["at"]) == (
        "debian 12",
        "a test",
        "2026-11-22T10:00:00+00:00",
    )
    assert said["scrubbed"] == {"host name": 2, "password hash": 1}
    assert said["answers"]["who"]["out"]["sha256"] == hashlib.sha256(b"host-1 is host-2\n").hexdigest()
    replayed = await replay(folder, "who", "shadow", "never")
    assert (replayed.at, replayed.problem, replayed.run["uid"]) == (AT, "", "0")
    assert replayed.answers["who"].stdout == b"host-1 is host-2\n"
    assert replayed.answers["who"].seconds == 0.25
    assert replayed.answers["never"].problem == "was not asked when this host was recorded"


async def test_an_edited_cut_or_lost_file_is_not_whole_and_the_others_are(tmp_path: Path) -> None:
    folder = record(snapshot_of(a="one\n", b="two\n", c="three\n", d="four\n", e=""), tmp_path / "box")
    (folder / "a.out").write_text("on3\n")
    (folder / "b.out").write_text("two")
    (folder / "c.out").unlink()
    (folder / "e.err").write_text("planted")
    answers = (await replay(folder, *"abcde")).answers
    assert {name: answer.whole for name, answer in answers.items()} == dict(
        a=False, b=False, c=False, d=True, e=False
    )
    assert answers["a"].problem == "a.out is not what was recorded: its digest does not agree"
    assert "c.out: No such file" in answers["c"].problem
    assert "e.err is not what was recorded" in answers["e"].problem


@pytest.mark.parametrize(
    "damage",
    ["", "{", "[" * 100_000, "[]", '{"format": 1}', '{"format": 2}', '{"format": 1, "at": "x", "run": {}, "answers": {}, "problem": ""}',
     '{"format": 1, "at": "2026-01-01T00:00:00+00:00", "run": [], "answers": {}, "problem": ""}',
     '{"format": 1, "at": "2026-01-01T00:00:00+00:00", "run": {}, "answers": {"a": {}}, "problem": ""}'],
)  # fmt: skip
async def test_damaged_provenance_is_a_problem_not_an_error(tmp_path: Path, damage: str) -> None:
    folder = record(snapshot_of(a="one\n"), tmp_path / "box")
    (folder / "provenance.json").write_text(damage)
    snapshot = await replay(folder, "a")
    assert snapshot.problem
    assert not snapshot.answers["a"].whole
    (folder / "provenance.json").unlink()
    assert "No such file" in (await replay(folder, "a")).problem


async def test_what_was_not_whole_stays_so(tmp_path: Path) -> None:
    answers = {
        "cut": Answer("cut", None, b"part", whole=False, problem="did not end within 1 s"),
        "fail": Answer("fail", 7, b"", b"said"),
    }
    folder = record(Snapshot("box", AT, answers, run={"uid": "7"}), tmp_path / "box")
    questions = [Question("cut", "true"), Question("fail", "true", root=False), Question("fail2", "true")]
    got = (await RecordedConnector(folder).ask(questions)).answers
    assert (got["cut"].whole, got["cut"].problem) == (False, "did not end within 1 s")
    assert (got["fail"].whole, got["fail"].exit, got["fail"].stderr) == (True, 7, b"said")
    unprivileged = (await RecordedConnector(folder).ask([Question("fail", "true")])).answers["fail"]
    assert unprivileged.problem == "needs root, and was asked as uid 7"


def test_nothing_is_overwritten_and_no_problem_is_recorded(tmp_path: Path) -> None:
    record(snapshot_of(a="one\n"), tmp_path / "box")
    with pytest.raises(BadInput, match="something is there already"):
        record(snapshot_of(a="one\n"), tmp_path / "box")
    with pytest.raises(BadInput, match="nothing to record: gone"):
        record(Snapshot("box", AT, {}, "gone"), tmp_path / "other")


async def test_this_machine_is_recorded_without_its_name(tmp_path: Path) -> None:
    questions = [Question("who", "cat /etc/hostname; uname -a"), NAMES, DISTRIBUTION]
    snapshot = await LocalConnector("some-name").ask(questions)
    assert snapshot.answers[NAMES.id].whole
    folder = record(snapshot, tmp_path / "box")
    name = Path("/etc/hostname").read_text().strip()
    kept = json.loads((folder / "provenance.json").read_text())["names_kept"]
    assert name in kept or name not in (folder / "who.out").read_text()
