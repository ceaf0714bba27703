"""What only a machine with a kernel of its own can show: encryption at rest, a TPM, tunnels, an audit trail, limits."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab_hosts import want
from wardkeep.lab import Host, Lab

pytestmark = pytest.mark.e2e
SECRET = "Ada Lovelace, born 10 December 1815"
FORMAT = "cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 /dev/vdb -"


@pytest.fixture(scope="module")
def machines(lab: Lab) -> Iterator[tuple[Host, Host]]:
    """Two Debian 13 machines, wired together."""
    want("vm")
    made = lab.fleet(2, needs={"luks", "tpm", "wireguard", "auditd"}, debian="13", networks=["lan"])
    yield made[0], made[1]
    for one in made:
        one.remove()


@pytest.fixture
def machine(machines: tuple[Host, Host]) -> Host:
    return machines[0]


def on_disk(host: Host, tmp_path: Path, text: str) -> bool:
    """Whether the bytes lie on the machine's second disk, as a thief of the disk would see it."""
    raw = tmp_path / "raw"
    disk = host.folder / "data.qcow2"
    subprocess.run(["qemu-img", "convert", "-U", "-O", "raw", disk, raw], check=True, capture_output=True)
    return text.encode() in raw.read_bytes()


def test_what_luks_holds_is_not_on_the_disk(machine: Host, tmp_path: Path) -> None:
    machine.stage(f"printf '%s' {SECRET!r} | dd of=/dev/vdb conv=fsync status=none")
    assert on_disk(machine, tmp_path, SECRET)
    machine.stage("dd if=/dev/zero of=/dev/vdb bs=1M count=64 conv=fsync status=none")
    machine.stage(FORMAT, stdin="a passphrase", timeout=180)
    machine.stage("cryptsetup open --key-file - /dev/vdb vault", stdin="a passphrase", timeout=180)
    machine.stage(
        f"mkfs.ext4 -q /dev/mapper/vault; mount /dev/mapper/vault /mnt; echo {SECRET!r} > /mnt/note; sync; "
        "umount /mnt; cryptsetup close vault; blockdev --flushbufs /dev/vdb", timeout=180,
    )  # fmt: skip
    assert not on_disk(machine, tmp_path, SECRET)
    assert (
        machine.run("cryptsetup open --key-file - /dev/vdb vault", stdin="a wrong one", timeout=180).exit != 0
    )


def test_a_tpm_opens_the_disk_without_a_passphrase(machine: Host) -> None:
    machine.stage(FORMAT, stdin="a passphrase", timeout=180)
    enroll = "PASSWORD='a passphrase' systemd-cryptenroll --tpm2-device=auto --tpm2-pcrs=7 /dev/vdb"
    machine.stage(enroll, timeout=240)
    attach = (
        "$(ls /usr/bin/systemd-cryptsetup /usr/lib/systemd/systemd-cryptsetup 2>/dev/null | head -1) attach"
    )
    machine.stage(f"{attach} vault /dev/vdb - tpm2-device=auto,headless=1", timeout=240)
    assert "vault" in machine.stage("dmsetup ls")
    machine.stage("cryptsetup close vault")


def test_a_tunnel_between_two_machines(machines: tuple[Host, Host]) -> None:
    keys = [
        one.stage("umask 077; wg genkey > /root/wg.key; wg pubkey < /root/wg.key").strip() for one in machines
    ]
    for number, one in enumerate(machines):
        other = machines[1 - number]
        one.stage(
            "ip link add wg0 type wireguard; wg set wg0 listen-port 51820 private-key /root/wg.key "
            f"peer {keys[1 - number]} endpoint {other.address_in('lan')}:51820 allowed-ips 10.99.0.{2 - number}/32\n"
            f"ip addr add 10.99.0.{number + 1}/24 dev wg0; ip link set wg0 up"
        )
    machines[0].stage("ping -c 1 -W 60 10.99.0.2", timeout=180)
    machines[1].cut("lan")
    assert machines[0].run("ping -c 1 -W 2 10.99.0.2").exit != 0
    machines[1].heal()
    machines[0].stage("ping -c 1 -W 60 10.99.0.2", timeout=180)


def test_the_kernel_keeps_an_audit_trail(machine: Host) -> None:
    assert machine.stage("systemctl is-active auditd") == "active\n"
    machine.stage("auditctl -w /etc/shadow -p wa -k identities; touch /etc/shadow", timeout=120)
    seen = "for i in $(seq 60); do ausearch --input-logs -k identities -i 2>/dev/null | grep touch && exit 0; sleep 1; done; exit 1"
    assert "touch" in machine.stage(seen, timeout=240)


def test_a_kernel_and_limits_of_its_own(machine: Host) -> None:
    machine.stage("sysctl -qw kernel.dmesg_restrict=1 net.ipv4.ip_forward=1")
    assert machine.stage("cat /proc/sys/net/ipv4/ip_forward") == "1\n"
    hungry = "systemd-run -q --wait -p MemoryMax=32M -p MemorySwapMax=0 python3 -c 'x = bytearray(96 << 20)'"
    assert machine.run(hungry, timeout=240).exit != 0
    assert machine.run(hungry.replace("32M", "256M"), timeout=240).exit == 0


def test_a_machine_with_the_older_debian(lab: Lab) -> None:
    want("vm")
    host = lab.host(needs={"luks"}, debian="12")
    assert 'VERSION_ID="12"' in host.stage("cat /etc/os-release")
    assert host.stage("systemctl is-system-running || true") == "running\n"
    assert host.stage("modprobe dm_crypt; dmsetup targets | grep -c crypt") == "1\n"
    host.remove()
