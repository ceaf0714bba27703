"""Listeners, read from lines that `ss -Hltnup` really printed."""

import pytest

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer
from wardkeep.facts.listeners import Listeners

REAL = b"""\
= sockets
|udp UNCONN 0      0            0.0.0.0:23006 0.0.0.0:* users:(("python3",pid=16574,fd=8))
|udp UNCONN 0      0      127.0.0.53%lo:53    0.0.0.0:* users:(("systemd-resolve",pid=5,fd=9))
|tcp LISTEN 0      128          0.0.0.0:22    0.0.0.0:* users:(("sshd",pid=7,fd=3))
|tcp LISTEN 0      128        127.0.0.1:23002 0.0.0.0:* users:(("python3",pid=16574,fd=4))
|tcp LISTEN 0      128                *:23004       *:* users:(("a \\"b\\"",pid=1,fd=6),("c",pid=2,fd=6))
|tcp LISTEN 0      128             [::]:23003    [::]:* users:(("python3",pid=16574,fd=5))
|tcp LISTEN 0      128            [::1]:23005    [::]:*
|udp UNCONN 0      0   [fe80::1]%eth0:546      [::]:*
= end
"""


def parse(text: bytes) -> Listeners:
    return Listeners.parse(Answer("listeners", 0, text))


def test_reads_every_form_of_address() -> None:
    seen = [(str(s), s.families, s.local_only) for s in parse(REAL).sockets]
    assert seen == [
        ("23006/udp on any address", ("ip",), False),
        ("53/udp on 127.0.0.53%lo", ("ip",), True),
        ("22/tcp on any address", ("ip",), False),
        ("23002/tcp on 127.0.0.1", ("ip",), True),
        ("23004/tcp on any address", ("ip", "ip6"), False),
        ("23003/tcp on any address", ("ip6",), False),
        ("23005/tcp on ::1", ("ip6",), True),
        ("546/udp on fe80::1%eth0", ("ip6",), False),
    ]


def test_names_the_holders() -> None:
    listeners = parse(REAL)
    assert listeners.sockets[4].holders == (('a \\"b\\"', 1), ("c", 2))
    assert listeners.sockets[6].programs == "a program the kernel does not name"
    assert listeners.ports_of("sshd") == (22,)


def test_nothing_listens() -> None:
    assert parse(b"= sockets\n= end\n").sockets == ()


@pytest.mark.parametrize(
    "line",
    [
        b"tcp ESTAB 0 128 0.0.0.0:22 0.0.0.0:*",
        b"sctp LISTEN 0 128 0.0.0.0:22 0.0.0.0:*",
        b"tcp LISTEN 0 128 0.0.0.0:ssh 0.0.0.0:*",
        b"tcp LISTEN 0 128 0.0.0.0:70000 0.0.0.0:*",
        b"tcp LISTEN 0 128 0.0.0:22 0.0.0.0:*",
        b"tcp LISTEN 0 128 0.0.0.0:22",
        b'tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=7',
        b"Netid State Recv-Q Send-Q Local Peer",
    ],
)
def test_refuses_what_it_does_not_understand(line: bytes) -> None:
    with pytest.raises(NotUnderstood):
        parse(b"= sockets\n|" + line + b"\n= end\n")


def test_every_cut_is_refused() -> None:
    for cut in range(len(REAL) - 1):
        with pytest.raises(NotUnderstood):
            parse(REAL[:cut])
