"""`wardkeep evidence`, as a person and a program use it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.ledger.entries import entry
from tests.ledger.workshop import edit, lines

from wardkeep.cli import main
from wardkeep.cli.evidence import in_runs
from wardkeep.core.errors import BadInput
from wardkeep.engine.folder import KEYS, LEDGER, WITNESS
from wardkeep.ledger import Ledger


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder with a ledger of ten entries in it."""
    folder = tmp_path / "state"
    (folder / KEYS).mkdir(parents=True)
    ledger = Ledger.create(
        folder / LEDGER, "wardkeep/test", witness=folder / WITNESS, key=folder / KEYS / "ledger"
    )
    blob = {"name": "findings", "digest": ledger.put_blob(b"[]"), "size": 2}
    ledger.append([entry(60 * n, blobs=[blob]) for n in range(10)])
    return folder


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_from_export_to_verified(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack = tmp_path / "pack.tar.gz"
    status, out, _ = run(
        capsys, "evidence", "export", "--from", "2026-11-22T00:02", "--to", "2026-11-22", "-o", pack, "--state", state, "--json"
    )  # fmt: skip
    made = json.loads(out)
    assert (status, made["entries"], made["start"], made["end"]) == (0, 8, 2, 10)
    status, out, _ = run(capsys, "evidence", "verify", pack, "--key", made["key"], "--json")
    told = json.loads(out)
    assert (status, told["verified"], told["key_trusted"], told["problems"]) == (0, True, True, [])
    checkpoint = state / LEDGER / "checkpoint"
    assert run(capsys, "evidence", "verify", pack, "--previous", checkpoint)[0] == 0
    edit(pack, "entries/000000000.jsonl", lines(lambda rows: rows.pop(0)))
    status, out, _ = run(capsys, "evidence", "verify", pack)
    assert status == 1
    assert "▲ entry 2: the entry was removed" in out


def test_verify_works_where_there_is_nothing_else(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No platform, no configuration, no home; and the modules that talk to hosts or databases are not even loaded."""
    pack = tmp_path / "pack.tar.gz"
    run(capsys, "evidence", "export", "-o", pack, "--state", state)
    script = (
        "import sys\nfrom wardkeep.cli import main\n"
        f"try:\n    main(['evidence', 'verify', {str(pack)!r}])\n"
        "finally:\n    print([m for m in ('sqlalchemy', 'asyncssh', 'wardkeep.engine') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd="/",
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Verified")
    assert done.stdout.endswith("[]\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["verify", "/nowhere/pack"], "/nowhere/pack: cannot be read: No such file"),
        (["verify", __file__], "is no Wardkeep evidence pack"),
        (["verify", __file__, "--key", "a+b+c"], "not a verifier key"),
        (["export", "--from", "yesterday"], "--from: 'yesterday' is no day or time"),
        (["export", "--from", "2030-01-01"], "no entry lies between these times"),
        (["export", "--control", "firewal"], "firewall"),
        (["show", "10"], "entry 10: the ledger has entries 0 to 9"),
        (["show", "3", "--blob", "snapshot"], "it has findings"),
    ],
)
def test_bad_input_gets_one_line(
    state: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    more = [] if words[0] == "verify" else ["--state", state]
    status, _, err = run(capsys, "evidence", *words, *more)
    assert status == 2
    assert says in err
    assert err.count("\n") == 1


def test_an_entry_is_shown_with_its_proof_and_its_blob_as_it_was(
    state: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    def show(*words: str) -> bytes:
        with pytest.raises(SystemExit):
            main(["evidence", "show", *words, "--state", str(state)])
        return capsysbinary.readouterr().out

    told = json.loads(show("3", "--json"))
    assert told["index"] == 3
    assert len(told["proof"]["path"]) == 4
    assert show("3", "--blob", "findings") == b"[]"
    assert len(json.loads(show("--json"))) == 10


def test_no_platform_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "evidence", "show", "--state", tmp_path / "none")
    assert (status, "no platform is here yet" in err) == (2, True)


def test_days_mean_the_whole_day() -> None:
    from wardkeep.cli.moments import read_moment

    assert read_moment("2026-11-22", "--to", end_of_day=True).isoformat() == "2026-11-23T00:00:00+00:00"
    assert read_moment("2026-11-22T09:00+01:00", "--to", end_of_day=True).hour == 8
    with pytest.raises(BadInput):
        read_moment("22.11.2026", "--to")


def test_the_same_fault_of_neighbours_is_told_in_one_line() -> None:
    places = ("entry 7", "entry 6", "entry 5", "blobs/ab", "entry 3", "entry 2")
    found = [{"what": "was removed", "where": place} for place in places]
    told = in_runs([*found, {"what": "was changed", "where": "entry 1"}])
    assert [(one["where"], one["what"]) for one in told] == [
        ("entry 5 to entry 7, each", "was removed"),
        ("blobs/ab", "was removed"),
        ("entry 2 to entry 3, each", "was removed"),
        ("entry 1", "was changed"),
    ]


def test_a_previous_checkpoint_that_is_none_is_said_by_name(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes").write_bytes(b"\xff\n")
    status, _, err = run(
        capsys, "evidence", "export", "--previous", tmp_path / "notes", "-o", tmp_path / "p", "--state", state
    )
    assert (status, err.count("\n")) == (2, 1)
    assert "--previous: is no checkpoint" in err
    assert not (tmp_path / "p").exists()
