"""What sshd says of itself, read from real answers, and held against a real sshd on configurations made up at random."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer
from wardkeep.facts.sshd import Sshd, SshServer
from wardkeep.facts.sshd_config import canonical, matches, read, words

ANSWERS = Path(__file__).parent / "answers"
SSHD = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")


def answer(name: str) -> Answer:
    return Answer("sshd", 0, (ANSWERS / name).read_bytes())


def test_a_fresh_debian_12_is_read() -> None:
    (server,) = Sshd.parse(answer("sshd-debian12-fresh.txt")).servers
    (view,) = server.views("root")
    assert view.get("PermitRootLogin") == "prohibit-password"
    assert view.get("PasswordAuthentication") == "yes"
    assert view.all("AcceptEnv") == ("LANG", "LC_*")
    assert server.includes == (("/etc/ssh/sshd_config:12", "/etc/ssh/sshd_config.d/*.conf"),)
    assert server.pid == 49
    assert (server.loaded or 0) > server.changed


def test_every_cut_of_an_answer_is_refused() -> None:
    whole = answer("sshd-debian12-fresh.txt").stdout
    for end in range(len(whole) - 1):
        with pytest.raises(NotUnderstood):
            Sshd.parse(Answer("sshd", 0, whole[:end]))


@pytest.mark.parametrize(
    ("line", "split"),
    [
        ("PermitRootLogin yes", ["PermitRootLogin", "yes"]),
        ("  PermitRootLogin=yes  # why", ["PermitRootLogin", "yes"]),
        ("PermitRootLogin = no", ["PermitRootLogin", "no"]),
        ('Match User "alice" Address=10.0.0.0/8', ["Match", "User", "alice", "Address=10.0.0.0/8"]),
        ('Banner "/etc/issue net"', ["Banner", "/etc/issue net"]),
        ("# PermitRootLogin yes", []),
        ("\t", []),
    ],
)
def test_a_line_is_split_as_sshd_does(line: str, split: list[str]) -> None:
    assert words(line) == split


def test_an_open_quotation_mark_is_refused() -> None:
    with pytest.raises(NotUnderstood):
        words('Banner "open')


@pytest.mark.parametrize(
    ("name", "patterns", "found"),
    [
        ("alice", "alice", True),
        ("alice", "bob,al*", True),
        ("alice", "*,!alice", False),
        ("alice", "!bob", False),
        ("alic", "alic?", False),
    ],
)
def test_pattern_lists_match_as_sshd_matches_them(name: str, patterns: str, found: bool) -> None:
    assert matches(name, patterns) is found


def test_an_include_inside_a_block_belongs_to_the_block_and_ends_with_its_file() -> None:
    files = {"/main": "Match User a\nInclude x\nX11Forwarding no\n", "/x": "Match Group g\nMaxAuthTries 2\n"}
    plain, blocks = read("/main", files, {("/main", 2): ["/x"]})
    assert plain == ()
    shown = [(str(block), [line.keyword for line in block.lines]) for block in blocks]
    assert shown == [
        ("Match group g within Match user a", ["maxauthtries"]),
        ("Match user a", ["x11forwarding"]),
    ]


def server_of(text: str) -> SshServer:
    plain, blocks = read("/c", {"/c": text}, {})
    return SshServer(0, "", {"permitrootlogin": ("no",)}, plain, blocks, (), 0)


def test_two_blocks_with_one_condition_hold_together() -> None:
    server = server_of(
        "Match Address 10.0.0.0/8\nPermitRootLogin yes\nMatch Address 10.0.0.0/8\nPermitRootLogin no\n"
    )
    assert [view.get("PermitRootLogin") for view in server.views("root")] == ["no", "yes"]


def test_blocks_that_cannot_change_who_gets_in_are_left_out_however_many() -> None:
    many = "".join(f"Match User sftp{i}\nChrootDirectory /srv/{i}\n" for i in range(40))
    assert server_of(many).conditions() == 0
    assert len(list(server_of(many).views())) == 1


def test_more_conditions_than_can_be_told_apart_are_refused() -> None:
    whole = answer("sshd-debian12-fresh.txt").stdout.decode()
    many = "".join(f"|Match Address 192.0.2.{i}\n|PermitRootLogin yes\n" for i in range(13))
    with pytest.raises(NotUnderstood, match="13 different Match conditions"):
        Sshd.parse(Answer("sshd", 0, whole.replace("= folder", many + "= folder", 1).encode()))


VALUES = {
    "permitrootlogin": ("yes", "no"),
    "passwordauthentication": ("yes", "no"),
    "maxauthtries": ("3", "4"),
}
LINES = st.sampled_from([f"{keyword} {value}" for keyword, values in VALUES.items() for value in values])
CRITERIA = st.sampled_from(
    [
        "all",
        "user root",
        "user alice,bob",
        "user *,!root",
        "address 10.0.0.0/8",
        "user root address 192.0.2.1",
    ]
)
BLOCKS = st.lists(st.tuples(CRITERIA, st.lists(LINES, max_size=3)), max_size=3)


@pytest.mark.skipif(SSHD is None, reason="needs openssh-server")
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(plain=st.lists(LINES, max_size=3), blocks=BLOCKS, user=st.sampled_from(["root", "alice", "carol"]))
def test_whatever_sshd_decides_is_one_of_the_views(
    tmp_path: Path, plain: list[str], blocks: list[tuple[str, list[str]]], user: str
) -> None:
    """The oracle is sshd itself: for every connection its whole answer must be among the views, and each view must be
    its answer for some connection unless two addresses exclude each other."""
    key = tmp_path / "key"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    text = "\n".join([f"HostKey {key}", *plain, *(f"Match {c}\n" + "\n".join(ls) for c, ls in blocks)]) + "\n"
    (tmp_path / "config").write_text(text)
    server = _server(tmp_path / "config", text)
    views = {tuple(view.get(keyword) for keyword in VALUES) for view in server.views(user)}
    decided = {
        tuple(_ask(tmp_path / "config", f"user={user},host=h,addr={address}")[keyword] for keyword in VALUES)
        for address in ("10.1.2.3", "192.0.2.1", "203.0.113.9")
    }
    assert decided <= views
    if not {"address 10.0.0.0/8", "user root address 192.0.2.1"} <= {criterion for criterion, _ in blocks}:
        assert decided == views


def _ask(config: Path, connection: str = "") -> dict[str, str]:
    assert SSHD
    Path("/run/sshd").mkdir(exist_ok=True)
    told = subprocess.run(
        [SSHD, "-T", "-f", str(config), *(["-C", connection] if connection else [])],
        check=True,
        capture_output=True,
        text=True,
    )
    pairs = (line.partition(" ") for line in told.stdout.splitlines())
    return {keyword: canonical(value) for keyword, _, value in pairs}


def _server(config: Path, text: str) -> SshServer:
    plain, blocks = read(str(config), {str(config): text}, {})
    told = {keyword: (value,) for keyword, value in _ask(config).items()}
    return SshServer(0, "", told, plain, blocks, (), 0)
