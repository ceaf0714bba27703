"""A stranger's verifier finds every change of a pack, and names it."""

from __future__ import annotations

import contextlib
import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ledger.entries import entry
from tests.ledger.workshop import edit, lines, named, put_together, renumber, take_apart

from wardkeep.ledger import Ledger, Signer, export, verify
from wardkeep.ledger.note import Checkpoint
from wardkeep.ledger.verify import NotAPack, verify_pack

SECOND = "entries/000000001.jsonl"


@pytest.mark.parametrize(
    ("start", "end"), [(0, 600), (0, 0), (5, 6), (255, 257), (256, 512), (100, 599), (599, 600), (600, 600)]
)
def test_every_range_verifies(packed: Ledger, tmp_path: Path, start: int, end: int) -> None:
    export(packed, tmp_path / "p.tgz", start, end)
    report = verify_pack(str(tmp_path / "p.tgz"), str(packed.verifier))
    assert report.problems == []
    assert report.verified
    assert (report.entries, report.size) == (end - start, 600)
    assert report.root == packed.checkpoint().root.hex()
    assert report.notes == []


def test_the_same_range_gives_the_same_bytes(packed: Ledger, whole: Path, tmp_path: Path) -> None:
    export(packed, tmp_path / "again.tgz")
    assert (tmp_path / "again.tgz").read_bytes() == whole.read_bytes()


def test_without_a_key_of_the_readers_the_report_says_whose_word_it_is(whole: Path) -> None:
    report = verify_pack(str(whole))
    assert report.verified
    assert not report.key_trusted
    assert "the key is the pack's own word" in report.notes[0]


CHANGES: dict[str, tuple[Callable[[list[bytes]], object], list[tuple[str, str]]]] = {
    "changed": (
        lambda rows: rows.__setitem__(9, rows[9].replace(b"app-1", b"app-2")),
        [("entry 265", "the entry was changed")],
    ),
    "removed": (lambda rows: rows.pop(9), [("entry 265", "the entry was removed")]),
    "removed and renumbered": (
        lambda rows: (rows.pop(255), renumber(rows, 256)),
        [("entry 511", "the entry was removed")],
    ),
    "inserted": (
        lambda rows: rows.insert(9, rows[9].replace(b"app-1", b"app-2")),
        [("after entry 264", "an entry was inserted")],
    ),
    "copied": (lambda rows: rows.append(rows[3]), [("after entry 511", "an entry was inserted")]),
    "swapped": (
        lambda rows: rows.insert(9, rows.pop(8)),
        [("entry 265", "the entry was moved (reordered)")],
    ),
    "moved far": (
        lambda rows: rows.append(rows.pop(8)),
        [("entry 264", "the entry was moved (reordered)")],
    ),
    "renumbered": (
        lambda rows: rows.__setitem__(9, rows[9].replace(b'"index":265', b'"index":999')),
        [("entry 265", "the entry was renumbered to 999")],
    ),
    "two changed, one removed": (
        lambda rows: (
            rows.__setitem__(9, rows[9].replace(b"app-1", b"app-2")),
            rows.__setitem__(30, rows[30].replace(b"app-1", b"app-2")),
            rows.pop(100),
        ),
        [
            ("entry 265", "the entry was changed"),
            ("entry 286", "the entry was changed"),
            ("entry 356", "the entry was removed"),
        ],
    ),
}


@pytest.mark.parametrize("how", CHANGES)
def test_what_was_done_to_entries_is_named(pack: Path, how: str) -> None:
    change, expected = CHANGES[how]
    edit(pack, SECOND, lines(change))
    assert sorted(named(verify_pack(str(pack)))) == expected


def test_entries_that_changed_places_between_files_are_named(pack: Path) -> None:
    files = dict(take_apart(pack))
    first, second = (files[f"entries/00000000{n}.jsonl"].splitlines(keepends=True) for n in (0, 1))
    first[7], second[9] = second[9], first[7]
    files["entries/000000000.jsonl"], files[SECOND] = b"".join(first), b"".join(second)
    put_together(pack, files.items())
    assert sorted(named(verify_pack(str(pack)))) == [
        ("entry 265", "the entry was moved (reordered)"),
        ("entry 7", "the entry was moved (reordered)"),
    ]


def test_a_range_cut_at_its_end_is_named(pack: Path) -> None:
    edit(pack, "entries/000000002.jsonl", lines(lambda rows: rows.__delitem__(slice(86, None))))
    assert sorted(named(verify_pack(str(pack)))) == [
        ("entry 598", "the entry was removed (the range is truncated)"),
        ("entry 599", "the entry was removed (the range is truncated)"),
    ]


def test_every_file_can_be_missed_doubled_or_changed_and_is_named(whole: Path, tmp_path: Path) -> None:
    files = take_apart(whole)
    for at, (name, data) in enumerate(files[1:], start=1):
        for changed in (
            files[:at] + files[at + 1 :],
            [*files[: at + 1], *files[at:]],
            [*files[:at], (name, data + b" "), *files[at + 1 :]],
        ):
            found = named(verify_pack(str(put_together(tmp_path / "p.tgz", changed))))
            assert any(name in where or name in what for where, what in found), (name, found)
    extra = [*files, ("../../etc/cron.d/evil", b"* * * * * root id\n")]
    found = named(verify_pack(str(put_together(tmp_path / "p.tgz", extra))))
    assert found[0][0] == "../../etc/cron.d/evil"


def test_a_swapped_blob_is_named(pack: Path) -> None:
    files = take_apart(pack)
    (one, first), (two, second) = files[-2:]
    put_together(pack, [*files[:-2], (one, second), (two, first)])
    assert [where for where, _ in named(verify_pack(str(pack)))] == [one, two]


def test_a_pack_signed_again_with_another_key_is_found_by_the_key_you_trust(
    packed: Ledger, whole: Path, tmp_path: Path
) -> None:
    """The forger owns a whole ledger of his own under the same name; only the key can tell."""
    forged = Ledger.create(tmp_path / "forged", "log.test/one")
    forged.append([entry(n) for n in range(600)])
    export(forged, tmp_path / "forged.tgz")
    assert verify_pack(str(tmp_path / "forged.tgz")).verified
    found = named(verify_pack(str(tmp_path / "forged.tgz"), str(packed.verifier)))
    assert ("key.pub", "the pack's key is not the one you trust") in found
    assert any(where == "checkpoint" and "is signed by another key" in what for where, what in found)
    assert any(where == "manifest" and "is signed by another key" in what for where, what in found)


def test_a_checkpoint_signed_again_inside_a_true_pack_is_named(packed: Ledger, pack: Path) -> None:
    other = Signer.generate("log.test/one")
    edit(pack, "checkpoint", lambda _: other.sign(packed.checkpoint().text()))
    found = named(verify_pack(str(pack)))
    assert any(where == "checkpoint" and "is signed by another key" in what for where, what in found)


def test_an_earlier_checkpoint_is_held_against_the_pack(packed: Ledger, kept: bytes, tmp_path: Path) -> None:
    path = tmp_path / "p.tgz"
    export(packed, path, 10, 20, previous=kept)
    assert verify_pack(str(path), str(packed.verifier), kept).verified
    export(packed, path, 10, 20, previous=packed.sign_at(400))
    assert verify_pack(str(path), "", packed.sign_at(400)).verified
    export(packed, path, 10, 20)
    found = named(verify_pack(str(path), "", packed.sign_at(400)))
    assert found == [
        ("--previous", "the previous cannot be compared: ask for a pack that reaches back to entry 400")
    ]
    export(packed, path, 515, 600)
    assert verify_pack(str(path), "", kept).verified


def test_a_rolled_back_or_rewritten_ledger_is_named(packed: Ledger, whole: Path) -> None:
    key = Signer.parse((packed.folder / "key").read_text().strip())
    later = key.sign(Checkpoint("log.test/one", 601, bytes(32)).text())
    found = named(verify_pack(str(whole), "", later))
    assert found == [("--previous", "the ledger was rolled back: it had 601 entries, and now 600")]
    other = key.sign(Checkpoint("log.test/one", 520, bytes(32)).text())
    assert "does not sign the 520 entries" in named(verify_pack(str(whole), "", other))[0][1]


def test_a_pack_of_one_control_says_what_is_left_out(packed: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "p.tgz"
    made = export(packed, path, 0, 600, "backups")
    report = verify_pack(str(path))
    assert report.verified
    assert (made.left_out, report.left_out, report.entries) == (400, 400, 200)
    assert report.notes[0].startswith("400 entries are left out as not about backups")
    assert "400 entries of the range" in dict(take_apart(path))["index.html"].decode()
    edit(path, SECOND, lines(lambda rows: rows.pop(1)))
    assert named(verify_pack(str(path))) == [("entry 261", "the entry was removed")]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_every_changed_byte_of_every_file_is_found_and_its_file_or_entry_named(
    whole: Path, tmp_path: Path, data: st.DataObject
) -> None:
    files = take_apart(whole)
    at = data.draw(st.integers(0, len(files) - 1))
    name, content = files[at]
    place = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != content[place]))
    files[at] = (name, content[:place] + bytes([byte]) + content[place + 1 :])
    try:
        found = named(verify_pack(str(put_together(tmp_path / "p.tgz", files))))
    except NotAPack:
        assert name == "manifest"  # it cannot be read any more, so nothing in it can be named
        return
    if name == "manifest":
        assert any(where == "manifest" for where, _ in found)
    elif name.startswith("entries/"):
        row = content[:place].count(b"\n")
        index = json.loads(content.splitlines()[row])["index"]
        assert any(where in (f"entry {index}", name) for where, _ in found), found
        wrong = {where for where, _ in found if where.startswith("entry ")}
        assert wrong <= {f"entry {index}", f"entry {index + 1}", "entry -1"}, found
    else:
        assert any(where == name for where, _ in found), found


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.integers(0, 10**9), st.integers(0, 255))
def test_every_changed_byte_of_the_packed_file_is_found_unless_it_unpacks_to_the_same(
    small: Path, tmp_path: Path, place: int, byte: int
) -> None:
    """gzip can say one content in several ways; only the content is evidence."""
    content = small.read_bytes()
    place %= len(content)
    changed = content[:place] + bytes([byte]) + content[place + 1 :]
    (tmp_path / "p.tgz").write_bytes(changed)
    with contextlib.suppress(OSError, EOFError, zlib.error):
        if gzip.decompress(changed) == gzip.decompress(content):
            return
    with contextlib.suppress(NotAPack):
        assert not verify_pack(str(tmp_path / "p.tgz")).verified


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.integers(0, 10**9))
def test_a_pack_cut_anywhere_is_found(small: Path, tmp_path: Path, place: int) -> None:
    content = small.read_bytes()
    (tmp_path / "p.tgz").write_bytes(content[: place % len(content)])
    try:
        found = named(verify_pack(str(tmp_path / "p.tgz")))
        assert any("cut short" in what or "damaged" in what for _, what in found)
    except NotAPack:
        pass


@pytest.mark.parametrize(
    "content", [b"", b"PK\3\4", b"\x1f\x8b", gzip.compress(b""), gzip.compress(b"x" * 5000)]
)
def test_what_is_no_pack_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(NotAPack):
        verify_pack(str(tmp_path / "p"))


def test_it_runs_alone_and_its_exit_status_tells(
    packed: Ledger, whole: Path, pack: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "verify.py"
    alone.write_bytes(Path(verify.__file__).read_bytes())

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-I", alone, *words], capture_output=True, text=True)

    good = run(str(whole), "--key", str(packed.verifier), "--json")
    assert good.returncode == 0, good.stderr
    said = json.loads(good.stdout)
    assert (said["verified"], said["entries"], said["size"], said["problems"]) == (True, 600, 600, [])
    edit(pack, SECOND, lines(CHANGES["changed"][0]))
    bad = run(str(pack))
    assert bad.returncode == 1
    assert "▲ entry 265: the entry was changed" in bad.stdout
    assert run(str(tmp_path / "nothing")).returncode == 2
    assert "Traceback" not in run(str(alone)).stderr
    assert run(str(alone)).returncode == 2
