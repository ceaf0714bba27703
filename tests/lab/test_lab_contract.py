"""What every kind of host promises: run, copy, network, cut, slow, pause, reboot, kill, time, removal.

One suite, run by each kind. Namespaces take part in the normal run; containers and machines in `make e2e`.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from left_behind import left_of

from lab_hosts import want
from wardkeep.core.errors import BadInput, Refused, Unavailable
from wardkeep.lab import Host, Lab

KINDS = [
    pytest.param("namespace", marks=pytest.mark.e2e),
    pytest.param("container", marks=pytest.mark.e2e),
    pytest.param("vm", marks=pytest.mark.e2e),
]
# Hosts of a module are shared, since a machine's boot is dear: each test leaves them as it found them.
# A neighbour who was asked for in vain is "no route" until the kernel asks anew, a second after the cable is back.
GREET = """
import errno, socket, sys, time
timeout = float(sys.argv[2])
until = time.monotonic() + timeout
while True:
    try:
        s = socket.create_connection((sys.argv[1], 22), timeout); s.settimeout(timeout); print(s.recv(4).decode())
    except OSError as e:
        if e.errno == errno.EHOSTUNREACH and time.monotonic() < until:
            time.sleep(0.1)
            continue
        print(type(e).__name__)
    break
"""


@pytest.fixture(scope="module", params=KINDS)
def pair(lab: Lab, request: pytest.FixtureRequest) -> Iterator[tuple[Host, Host]]:
    """Two hosts of one kind, joined by the network `ward`."""
    want(request.param)
    made = [
        lab.host(f"{request.param}-{name}", kind=request.param, needs={"sshd"}, networks=["ward"])
        for name in "ab"
    ]
    yield made[0], made[1]
    for one in made:
        one.remove()


@pytest.fixture
def a(pair: tuple[Host, Host]) -> Host:
    return pair[0]


@pytest.fixture
def b(pair: tuple[Host, Host]) -> Host:
    return pair[1]


def greeting(host: Host, timeout: float = 60) -> str:
    """What this machine hears at the host's port 22."""
    with socket.create_connection((host.address, 22), timeout) as s:
        s.settimeout(timeout)
        return s.recv(4).decode()


def greeted(host: Host, other: Host, timeout: float = 60, network: str = "ward") -> str:
    """What one host hears at the other's port 22."""
    ask = f"python3 - {other.address_in(network)} {timeout}"
    return host.stage(ask, stdin=GREET, timeout=timeout * 3 + 60).strip()


def test_a_command_runs_as_root_and_says_how_it_ended(a: Host) -> None:
    done = a.run("id -u; hostname; cat; echo wröng >&2; exit 7", stdin="grüße\n")
    assert (done.exit, done.stdout, done.stderr) == (7, f"0\n{a.name}\ngrüße\n", "wröng\n")
    assert a.run("kill -KILL $$").exit == 137


def test_a_command_that_does_not_end_is_not_waited_for(a: Host) -> None:
    with pytest.raises(Unavailable, match="did not end within 1 s"):
        a.run("exec sleep 300", timeout=1)
    a.stage(
        "for p in /proc/[0-9]*; do [ \"$(tr '\\0' ' ' < $p/cmdline)\" != 'sleep 300 ' ] || kill -9 ${p#/proc/}; done"
    )


def test_staging_that_fails_says_so(a: Host) -> None:
    with pytest.raises(Unavailable, match="no such place"):
        a.stage("ls '/no such place'; true")


def test_files_are_copied_with_their_bytes_and_bits(a: Host, tmp_path: Path) -> None:
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(bytes(range(256)) * (1 << 12) + b"end")  # a little over one step
    sent.chmod(0o751)
    a.copy_in(sent, "/root/a file")
    assert a.stage("stat -c %a '/root/a file'") == "751\n"
    a.copy_out("/root/a file", back)
    assert back.read_bytes() == sent.read_bytes()
    with pytest.raises(Unavailable):
        a.copy_out("/root/none", back)
    a.stage("rm '/root/a file'")


def test_this_machine_reaches_every_host_by_its_address(a: Host, b: Host) -> None:
    assert greeting(a) == greeting(b) == "SSH-"
    assert a.address != b.address


def test_hosts_meet_in_a_network_and_can_be_cut_off(a: Host, b: Host) -> None:
    assert greeted(a, b) == greeted(b, a) == "SSH-"
    b.cut("ward")
    assert greeted(a, b, timeout=2) != "SSH-"
    assert greeting(b) == "SSH-"  # its other cable is in
    b.cut()
    with pytest.raises(OSError, match=r"timed out|unreachable|No route"):
        greeting(b, timeout=2)
    assert b.run("echo by another way").stdout == "by another way\n"
    b.heal()
    assert greeting(b) == greeted(a, b) == "SSH-"
    with pytest.raises(BadInput, match="not in the network"):
        b.cut("nowhere")


def test_ipv6_is_there_too(a: Host, b: Host) -> None:
    there = a.lab.networks["ward"].address6(b.number)
    assert a.stage(f"python3 - {there} 60", stdin=GREET, timeout=240).strip() == "SSH-"


def test_a_slow_cable_takes_its_time_and_may_lose_everything(a: Host, b: Host) -> None:
    timed = "import sys, time; t = time.monotonic()\n" + GREET + "print(time.monotonic() - t)"
    b.slow(0.2, network="ward")
    said, took = a.stage(f"python3 - {b.address_in('ward')} 60", stdin=timed, timeout=240).split()
    assert said == "SSH-"
    assert float(took) >= 0.8  # two ways for the connection, two for the greeting
    b.slow(0, loss=1, network="ward")
    assert greeted(a, b, timeout=2) != "SSH-"
    b.heal("ward")
    assert greeted(a, b) == "SSH-"
    with pytest.raises(BadInput):
        b.slow(0.1, loss=2)


def test_a_firewall_of_its_own(a: Host, b: Host) -> None:
    rules = "table inet t {\n chain i {\n type filter hook input priority 0\n tcp dport 22 drop\n }\n}\n"
    b.stage("nft -f -", stdin=rules)
    assert greeted(a, b, timeout=2) != "SSH-"
    b.stage("nft delete table inet t")
    assert greeted(a, b) == "SSH-"


def test_a_paused_host_is_silent_and_goes_on(a: Host) -> None:
    a.pause()
    assert a.power() == "frozen"
    with pytest.raises(Unavailable, match=r"the host is frozen\. Let it go on: resume"):
        a.must_be_on()
    with pytest.raises(OSError, match="timed out"):
        greeting(a, timeout=2)
    a.resume()
    assert a.power() == "on"
    assert greeting(a) == "SSH-"
    assert a.run("echo on").stdout == "on\n"


def test_each_host_has_its_own_keys_and_identity(a: Host, b: Host) -> None:
    assert a.host_keys()
    assert set(a.host_keys()).isdisjoint(b.host_keys())
    assert a.stage("cat /etc/machine-id") != b.stage("cat /etc/machine-id")


MARKS = "echo stays > /root/mark; sync; echo goes > /run/mark; nft add table inet goes"
LOOK = "cat /root/mark; ls /run/mark 2>/dev/null || true; nft list tables"


def test_a_reboot_ends_all_but_files_and_cables(a: Host, b: Host) -> None:
    keys = a.host_keys()
    a.stage(MARKS)
    a.reboot()
    assert a.stage(LOOK) == "stays\n"
    assert a.host_keys() == keys
    assert greeting(a) == greeted(b, a) == greeted(a, b) == "SSH-"


def test_power_lost_and_back_finds_the_cables_as_they_were(a: Host, b: Host) -> None:
    b.stage(MARKS)
    b.cut("ward")
    b.kill()
    assert b.power() == "off"
    with pytest.raises(Unavailable):
        b.run("true", timeout=5)
    b.start()
    b.wait_ready()
    assert b.stage(LOOK) == "stays\n"
    assert greeting(b) == "SSH-"
    assert greeted(a, b, timeout=2) != "SSH-"
    b.heal()
    assert greeted(a, b) == "SSH-"


def test_a_clock_is_shifted_or_the_host_says_that_it_has_none(a: Host, b: Host) -> None:
    if "clock" not in a.offers:
        with pytest.raises(Refused, match="this machine's clock"):
            a.shift_clock(3600)
        return
    a.shift_clock(86400)
    assert 86000 < float(a.stage("date +%s")) - time.time() < 87000
    assert abs(float(b.stage("date +%s")) - time.time()) < 300
    a.shift_clock(-86400)
    assert abs(float(a.stage("date +%s")) - time.time()) < 300


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_of_a_host_that_was_removed(kind: str) -> None:
    want(kind)
    with Lab() as own:
        host = own.host("gone", kind=kind, networks=["ward"])
        host.slow(0.01)
        before = left_of(own.book.lab, own.places)
        assert {"process", "netns", "folder"} <= {line.split()[0] for line in before}
        host.remove()
        mine = [line for line in left_of(own.book.lab, own.places) if "gone" in line]
        assert mine == []
        assert own.hosts() == []
        again = own.host("gone", kind=kind)
        assert again.run("hostname").stdout == "gone\n"
    assert left_of(own.book.lab, own.places) == []
