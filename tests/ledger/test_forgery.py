"""Packs made by someone who has more than an editor: the ledger's own key, a hiding place, a bomb."""

from __future__ import annotations

import gzip
import hashlib
import json
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
