"""What a ledger promises while nothing is wrong, and what it refuses."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.ledger.entries import entry

from wardkeep.core.errors import BadInput, Refused
from wardkeep.ledger import Checkpoint, Ledger, Tampered, Verifier
from wardkeep.ledger.merkle import check_consistency, leaf_hash, root_by_inclusion

Reopen = Callable[[], Ledger]


def test_what_was_appended_is_read_back_by_another_process(ledger: Ledger, reopen: Reopen) -> None:
    assert ledger.append([entry(n) for n in range(3)]) == [0, 1, 2]
    other = reopen()
    assert other.append([entry(3)]) == [3]
    assert ledger.size == 4
    assert [e["index"] for e in ledger.read(1)] == [1, 2, 3]
    assert next(ledger.read(3)) == {**entry(3), "index": 3}
    assert ledger.append([entry(4)]) == [4]


@pytest.mark.parametrize("batches", [[1] * 5, [255, 1, 1], [256], [257, 255], [600, 1, 500]])
def test_every_entry_and_every_earlier_size_is_proven(ledger: Ledger, batches: list[int]) -> None:
    sizes = [0]
    for count in batches:
        ledger.append([entry(sizes[-1] + n) for n in range(count)])
        sizes.append(sizes[-1] + count)
    head = ledger.checkpoint()
    for index, data in ledger.read_raw():
        if index % 50 == 0 or index % 256 in (0, 255) or index + 1 == head.size:
            assert root_by_inclusion(leaf_hash(data), index, head.size, ledger.inclusion(index)) == head.root
    for old in sizes:
        check_consistency(old, ledger.root_at(old), head.size, head.root, ledger.consistency(old))


def test_the_checkpoint_is_a_note_that_the_public_key_opens(ledger: Ledger) -> None:
    ledger.append([entry(0)])
    key = Verifier.parse((ledger.folder / "key.pub").read_text().strip())
    text = key.open((ledger.folder / "checkpoint").read_bytes())
    assert Checkpoint.parse(text) == ledger.checkpoint()
    assert text.startswith("log.test/one\n1\n")


def test_the_signing_key_is_for_its_owner_only(ledger: Ledger) -> None:
    assert stat.S_IMODE((ledger.folder / "key").stat().st_mode) == 0o600


def test_a_clock_set_back_is_recorded_as_a_fact(ledger: Ledger, tmp_path: Path) -> None:
    """Looks overlap, so a little earlier is nothing; an hour earlier, or a machine's clock before its last append, is."""
    ledger.append([entry(5000), entry(4900), entry(1000), entry(1001)])
    seen = list(ledger.read())
    assert ["clock" in e for e in seen] == [False, False, True, False]
    assert seen[2]["clock"] == "set back 3900 s"
    assert seen[2]["at"] == entry(1000)["at"]
    last = (ledger.folder / "checkpoint").stat().st_mtime
    behind = Ledger.open(ledger.folder, clock=lambda: last - 90.2)
    behind.append([entry(1002), entry(1003)])
    assert [e.get("clock") for e in ledger.read(4)] == ["set back 90 s", None]


@pytest.mark.parametrize(
    "wrong",
    [
        {"at": "yesterday"},
        {"at": "2026-11-22T09:47:00"},
        {"at": "2026-11-22T09:47:00+01:00"},
        {"kind": ""},
        {"actor": 3},
        {"body": []},
        {"body": {"share": 0.5}},
        {"body": {"big": 2**53}},
        {"body": {"text": "\ud800"}},
        {"body": {"text": "x" * 70_000}},
        {"clock": "fine"},
        {"index": 3},
        {"blobs": [{"name": "a", "digest": "sha256:0", "size": 1}]},
        {"blobs": [{"name": "a", "digest": "sha256:" + "0" * 64, "size": 1}]},
    ],
)
def test_an_entry_of_the_wrong_shape_is_refused_and_nothing_is_written(
    ledger: Ledger, wrong: dict[str, object]
) -> None:
    with pytest.raises(BadInput):
        ledger.append([entry(0), {**entry(1), **wrong}])
    assert ledger.size == 0
    assert list(ledger.read()) == []


def test_a_guard_that_raises_stops_the_append(ledger: Ledger) -> None:
    def fenced() -> None:
        raise Refused("another worker has taken over")

    with pytest.raises(Refused, match="taken over"):
        ledger.append([entry(0)], guard=fenced)
    assert ledger.size == 0


def test_blobs_are_stored_once_and_checked(ledger: Ledger) -> None:
    digest = ledger.put_blob(b"raw answer" * 1000)
    assert ledger.put_blob(b"raw answer" * 1000) == digest
    assert ledger.get_blob(digest) == b"raw answer" * 1000
    assert ledger.get_blob(ledger.put_blob(b"")) == b""
    ledger.append([entry(0, blobs=[{"name": "snapshot", "digest": digest, "size": 10_000}])])
    path = ledger.blobs.path(digest)
    other = ledger.blobs.path(ledger.put_blob(b"another"))
    shutil.copy(other, path)
    with pytest.raises(Tampered, match="not what its digest says"):
        ledger.get_blob(digest)
    assert ledger.put_blob(b"raw answer" * 1000) == digest
    assert ledger.get_blob(digest) == b"raw answer" * 1000


def test_a_second_ledger_in_the_folder_and_none_are_refused(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there is a ledger already"):
        Ledger.create(ledger.folder)
    with pytest.raises(BadInput, match="no ledger here"):
        Ledger.open(tmp_path / "nothing")


def test_a_rolled_back_folder_is_named(ledger: Ledger, reopen: Reopen, tmp_path: Path) -> None:
    ledger.append([entry(n) for n in range(300)])
    shutil.copytree(ledger.folder, tmp_path / "old")
    ledger.append([entry(300)])
    shutil.rmtree(ledger.folder)
    shutil.copytree(tmp_path / "old", ledger.folder)
    with pytest.raises(Tampered, match="holds 300 entries, and 301 were seen before"):
        reopen()
    with pytest.raises(Tampered, match="rolled back from 301 to 300"):
        ledger.append([entry(301)])


def test_a_missing_witness_is_named(ledger: Ledger, reopen: Reopen, tmp_path: Path) -> None:
    (tmp_path / "witness").unlink()
    with pytest.raises(Tampered, match="witness of the last checkpoint is missing"):
        reopen()
    Ledger.open(ledger.folder, witness=tmp_path / "witness", accept_missing_witness=True)
    assert reopen().size == 0


def test_another_history_of_the_same_length_is_named(ledger: Ledger, reopen: Reopen, tmp_path: Path) -> None:
    shutil.copytree(ledger.folder, tmp_path / "fork")
    ledger.append([entry(0)])
    Ledger.open(tmp_path / "fork").append([entry(7)])
    shutil.rmtree(ledger.folder)
    shutil.copytree(tmp_path / "fork", ledger.folder)
    with pytest.raises(Tampered, match="not those that were seen before"):
        reopen()
