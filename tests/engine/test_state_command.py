"""`wardkeep state` and `wardkeep review`, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wardkeep.cli import main
from wardkeep.engine.platform import open_platform


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_backup_restore_rebuild_and_review(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, file, words = tmp_path / "state", tmp_path / "backup.wkb", tmp_path / "words"
    words.write_text("correct horse battery\n")
    open_platform(folder, create=True).close()
    state = ("--state", str(folder), "--json")
    secret = ("--passphrase-file", str(words))
    code, out, _ = run(capsys, "review", "system_access", "--says", "All accounts looked at.", *state)
    assert (code, json.loads(out)) == (0, {"control": "system_access", "entry": 0})
    code, out, _ = run(capsys, "state", "backup", str(file), *secret, *state)
    assert (code, json.loads(out)["entries"]) == (0, 1)
    code, out, err = run(capsys, "state", "backup", str(file), *secret, *state)
    assert (code, out, err) == (2, "", f"wardkeep: {file}: this file exists already. Choose another name.\n")
    elsewhere = ("--state", str(tmp_path / "elsewhere"))
    code, out, _ = run(capsys, "state", "restore", str(file), *secret, *elsewhere)
    assert code == 0
    assert "all 1 ledger entries verified" in out
    code, out, _ = run(capsys, "state", "rebuild", *elsewhere, "--json")
    assert (code, json.loads(out)) == (0, {"entries": 1})
    words.write_text("another passphrase\n")
    code, _, err = run(capsys, "state", "restore", str(file), *secret, "--state", str(tmp_path / "third"))
    assert (code, err.count("\n")) == (2, 1)
    assert "this passphrase does not open the file" in err
