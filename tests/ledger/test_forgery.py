"""Packs made by someone who has more than an editor: the ledger's own key, a hiding place, a bomb."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import tracemalloc
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from tests.ledger.workshop import Files, manifest, named, put_together, take_apart

from wardkeep.ledger import Ledger, export, verify
from wardkeep.ledger.verify import NotAPack, Report, tar_header, verify_pack

SECOND = "entries/000000001.jsonl"


def signed_anew(packed: Ledger, files: Files, path: Path) -> Report:
    """The report on a pack whose manifest is true to its files again, by the ledger's own key: only the tree can tell."""
    told = manifest(files)
    told["files"] = [
        [name, len(data), hashlib.sha256(data).hexdigest()]
        for name, data in files[1:]
        if not name.startswith("blobs/")
    ]
    text = "wardkeep-pack/1\n" + json.dumps(told, separators=(",", ":")) + "\n"
    return verify_pack(str(put_together(path, [("manifest", packed.sign(text)), *files[1:]])))


def forge_entry(files: Files, index: int) -> tuple[bytes, bytes]:
    """The entries file and the tile of leaves with one entry changed in both."""
    held, n = dict(files), index // 256
    rows = held[f"entries/{n:09d}.jsonl"].splitlines(keepends=True)
    rows[index % 256] = rows[index % 256].replace(b"app-1", b"app-2")
    leaf = hashlib.sha256(b"\0" + rows[index % 256].split(b'"entry":', 1)[1][:-2]).digest()
    tile = held[f"tile/0/{n:03d}"]
    at = index % 256 * 32
    return b"".join(rows), tile[:at] + leaf + tile[at + 32 :]


def test_even_the_ledgers_own_key_cannot_change_what_a_checkpoint_signed(
    packed: Ledger, whole: Path, tmp_path: Path
) -> None:
    files = take_apart(whole)
    assert signed_anew(packed, files, tmp_path / "p.tgz").verified
    entries, tile = forge_entry(files, 300)
    forged = [(n, {SECOND: entries, "tile/0/001": tile}.get(n, data)) for n, data in files]
    found = named(signed_anew(packed, forged, tmp_path / "p.tgz"))
    assert ("tile/0/001", "the hashes do not lead to the signed root") in found
    # The same, with a second tile above that agrees, slipped in after the root was looked at.
    above = dict(files)["tile/1/000.p/2"]
    other = above[:32] + verify.top(tile)
    place = next(i for i, (name, _) in enumerate(forged) if name == "tile/0/001")
    slipped = [*forged[:place], ("tile/1/000.p/3", other), *forged[place:]]
    assert ("tile/1/000.p/3", "the hashes do not lead to the signed root") in named(
        signed_anew(packed, slipped, tmp_path / "p.tgz")
    )


def test_even_the_ledgers_own_key_cannot_leave_out_entries(packed: Ledger, tmp_path: Path) -> None:
    export(packed, tmp_path / "p.tgz", 301, 349)  # none of these names a blob
    files = [file for file in take_apart(tmp_path / "p.tgz") if not file[0].startswith("entries/")]
    assert named(signed_anew(packed, files, tmp_path / "p.tgz")) == [
        ("manifest", "it does not name the files of all entries")
    ]


def test_nothing_hides_between_or_behind_the_files(small: Path, tmp_path: Path) -> None:
    plain = gzip.decompress(small.read_bytes())
    first = int(plain[124:135], 8)
    assert first % 512, "the manifest has padding"
    padded = bytearray(plain)
    padded[512 + first] = 1
    for hidden in (bytes(padded), plain + b"x", plain + bytes(512), plain[:-512], plain[:-512] + b"x" * 512):
        (tmp_path / "p.tgz").write_bytes(gzip.compress(hidden))
        assert not verify_pack(str(tmp_path / "p.tgz")).verified
    (tmp_path / "p.tgz").write_bytes(small.read_bytes() + b"behind")
    assert not verify_pack(str(tmp_path / "p.tgz")).verified


def test_a_bomb_is_refused_without_filling_memory(tmp_path: Path, whole: Path) -> None:
    files = take_apart(whole)
    name = "index.html"
    with gzip.GzipFile(tmp_path / "bomb.tgz", "wb", compresslevel=9) as out:
        for member, data in files[:6]:
            out.write(tar_header(member, len(data)) + data + bytes(-len(data) % 512))
        out.write(tar_header(name, 1 << 32))
        for _ in range(256):
            out.write(bytes(1 << 20))
    with pytest.raises(NotAPack, match="unpacks to more"):
        verify_pack(str(tmp_path / "bomb.tgz"))
    with gzip.GzipFile(tmp_path / "bomb.tgz", "wb") as out:
        out.write(tar_header("manifest", 1 << 32) + bytes(1 << 20))
    with pytest.raises(NotAPack, match="where at most"):
        verify_pack(str(tmp_path / "bomb.tgz"))


def with_manifest(whole: Path, path: Path, told: str, more: Sequence[tuple[str, bytes]] = ()) -> Path:
    """The pack with another text for the manifest's one line of JSON."""
    (name, data), *rest = take_apart(whole)
    head, _, after = data.decode().split("\n", 2)
    return put_together(path, [(name, f"{head}\n{told}\n{after}".encode()), *rest, *more])


@pytest.mark.parametrize("key", ["start", "end", "size", "before", "files", "included", "control"])
@pytest.mark.parametrize(
    "value", ["Infinity", "-1e999", "NaN", "null", "{}", "-1", "9" * 5000, '["x"]', '[["a", 1e999, "b"]]']
)
def test_no_value_in_a_manifest_ends_the_verifier(whole: Path, tmp_path: Path, key: str, value: str) -> None:
    told = json.dumps({**manifest(take_apart(whole)), key: "@@"}).replace('"@@"', value)
    made = with_manifest(whole, tmp_path / "p.tgz", told)
    with suppress(NotAPack):  # nothing else may come of it, and never a pack that passes
        assert not verify_pack(str(made)).verified


@pytest.mark.parametrize("public", [b"", b"\1", b"\1" + bytes(31), b"\2" + bytes(32)])
def test_a_key_that_is_none_signs_nothing(whole: Path, tmp_path: Path, public: bytes) -> None:
    key_id = hashlib.sha256(b"x\n" + public).digest()[:4]
    signature = f"\n\u2014 x {base64.b64encode(key_id + bytes(64)).decode()}\n".encode()
    notes = {"manifest", "checkpoint"}
    files = [(n, d.split(b"\n\n")[0] + b"\n" + signature if n in notes else d) for n, d in take_apart(whole)]
    key = f"x+{key_id.hex()}+{base64.b64encode(public).decode()}\n".encode()
    made = put_together(tmp_path / "p.tgz", [(n, key if n == "key.pub" else d) for n, d in files])
    assert {"manifest", "checkpoint"} <= {where for where, _ in named(verify_pack(str(made)))}


def peak(pack: Path) -> int:
    """Bytes at most in use while the pack is verified, and it must not pass."""
    tracemalloc.start()
    try:
        assert not verify_pack(str(pack)).verified
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("form", ["tile/1/{:03d}", "note-{}"])
def test_many_large_files_are_not_held_together(whole: Path, tmp_path: Path, form: str) -> None:
    large = [(form.format(n), bytes(8 << 20)) for n in range(7)]
    files = take_apart(whole)
    listed = [
        [n, len(d), hashlib.sha256(d).hexdigest()] for n, d in [*files[1:], *large] if n[:6] != "blobs/"
    ]
    told = json.dumps({**manifest(files), "files": listed})
    assert peak(with_manifest(whole, tmp_path / "p.tgz", told, large)) < 30 << 20


def test_millions_of_entries_that_are_said_to_be_missing_are_not_listed(whole: Path, tmp_path: Path) -> None:
    names = [[f"entries/{n:09d}.jsonl", 1, ""] for n in range(8000)]
    told = {
        **manifest(take_apart(whole)),
        "end": 1 << 40,
        "size": 1 << 40,
        "included": [[0, 1 << 40]],
        "files": names,
    }
    assert peak(with_manifest(whole, tmp_path / "p.tgz", json.dumps(told))) < 100 << 20
