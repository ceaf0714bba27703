"""Encrypted or not: followed through real and edited trees of block devices."""

from __future__ import annotations

import json
from typing import Any

import pytest
from recorded_rows import text_of, told, verdicts

from wardkeep.core.facts import Answer
from wardkeep.facts.sections import sections


def test_encryption_is_followed_through_lvm_to_the_luks_device() -> None:
    seen = told("encryption_at_rest", "block_devices-debian13-luks")
    assert seen["data_on_encrypted_devices mount:/"].startswith("fail: ext4 on /dev/vda, no encrypted device")
    assert "dm-crypt (aes-xts-plain64, 512 bit key)" in seen["data_on_encrypted_devices mount:/srv/db"]
    assert seen["swap_encrypted swap:/dev/dm-2"].startswith("pass")
    assert seen["swap_encrypted swap:/swapfile"].startswith("fail")


LUKS = "block_devices-debian13-luks"


@pytest.mark.parametrize(
    ("told_by_dmsetup", "verdict"),
    [("aes-xts-plain64 512", "pass"), ("cipher_null-ecb 0", "fail"), (None, "unknown")],
)
def test_a_cipher_that_does_nothing_or_is_not_told_does_not_pass(
    told_by_dmsetup: str | None, verdict: str
) -> None:
    line = f"|data {told_by_dmsetup}\n" if told_by_dmsetup else ""
    text = text_of(LUKS).replace("|data aes-xts-plain64 512\n", line)
    assert (
        verdicts("encryption_at_rest", block_devices=text)["data_on_encrypted_devices mount:/srv/db"]
        == verdict
    )


@pytest.mark.parametrize(("uuid", "verdict"), [("1111", "fail"), ("2222", "pass"), (None, "unknown")])
def test_every_member_of_a_btrfs_counts(uuid: str | None, verdict: str) -> None:
    """The mount names the encrypted device; a second one with the same UUID is not encrypted."""
    tree = json.loads("\n".join(line[1:] for line in section(LUKS, "devices")))
    for device, its in ((tree["blockdevices"][0], uuid), (lvm(tree), uuid and "1111")):
        device.update(fstype="btrfs", uuid=its)
    lines = "".join(f"|{line}\n" for line in json.dumps(tree, indent=1).splitlines())
    text = "= devices\n" + lines + "= mounts\n" + "".join(f"|{x}\n" for x in section(LUKS, "mounts"))
    text = (
        text.replace('"fstype": "ext4"', '"fstype": "btrfs"')
        + text_of(LUKS)[text_of(LUKS).index("= swaps") :]
    )
    assert (
        verdicts("encryption_at_rest", block_devices=text)["data_on_encrypted_devices mount:/srv/db"]
        == verdict
    )


def section(name: str, wanted: str) -> list[str]:
    found = next(s for s in sections(Answer("x", 0, text_of(name).encode())) if s.name == wanted)
    return [*found.lines] if wanted != "devices" else [f"|{line}" for line in found.lines]


def lvm(tree: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = tree["blockdevices"][1]["children"][0]["children"][0]
    return found


def test_a_container_does_not_know_what_its_disk_lies_on() -> None:
    seen = verdicts("encryption_at_rest", "block_devices-debian12-container")
    assert seen["data_on_encrypted_devices mount:/"] == "unknown"
    assert set(seen.values()) == {"unknown", "pass"}
    assert seen["swap_encrypted swap"] == "pass"


@pytest.mark.parametrize(
    ("kind", "verdict"), [("nfs4", "unknown"), ("ext4", "fail"), ("squashfs", None), ("overlay", None)]
)
def test_file_systems_are_judged_by_kind(kind: str, verdict: str | None) -> None:
    text = text_of("block_devices-debian13-luks").replace('"/dev/mapper/vg-db"', '"/dev/vda2"', 1)
    text = text.replace(
        '"target": "/srv/db",\n|               "source": "/dev/mapper/vg-db",\n|               "fstype": "ext4"',
        '"target": "/srv/db",\n|               "source": "/dev/vdb",\n|               "fstype": "'
        + kind
        + '"',
    )
    seen = verdicts("encryption_at_rest", block_devices=text)
    assert seen.get("data_on_encrypted_devices mount:/srv/db") == verdict
