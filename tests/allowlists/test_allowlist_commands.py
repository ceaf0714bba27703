"""The commands as a person types them, on plain files and on a platform."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wardkeep.cli import main
from wardkeep.engine.platform import open_platform


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["allowlist", *words])
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    open_platform(folder, create=True).close()
    monkeypatch.setenv("WARDKEEP_STATE", str(folder))
    return folder


def test_plain_files_are_audited_without_a_platform(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARDKEEP_STATE", str(tmp_path / "nothing"))
    (tmp_path / "partners.txt").write_text("8.8.8.0/24\n8.8.8.8\n9.9.9.9\n10.1.2.3\n")
    (tmp_path / "bad.txt").write_text("9.9.9.0/24\n")
    (tmp_path / "ss.txt").write_text('tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=1,fd=3))\n')
    (tmp_path / "cloud.json").write_text(
        json.dumps({"prefixes": [{"ip_prefix": "8.8.8.0/24"}, {"x": "a/b"}]})
    )
    options = ["--deny", str(tmp_path / "bad.txt"), "--service", "443/tcp"]
    options += ["--listeners", str(tmp_path / "ss.txt"), "--provider", str(tmp_path / "cloud.json")]
    code, out, _ = run(capsys, "audit", str(tmp_path / "partners.txt"), *options, "--json")
    told: dict[str, Any] = json.loads(out)
    assert code == 1
    assert told["counts"] == {
        "provider_range": 1,
        "special_use": 1,
        "in_both": 1,
        "no_listener": 4,
        "contained": 1,
    }
    found = {(f["kind"], f["line"]) for f in told["findings"] if f["kind"] != "no_listener"}
    assert found == {("provider_range", 1), ("contained", 2), ("in_both", 3), ("special_use", 4)}
    (tmp_path / "fine.txt").write_text("9.9.9.9\n10.1.2.3\n")
    fine = ["audit", str(tmp_path / "fine.txt"), "--service", "443/tcp"]
    assert run(capsys, *fine)[0] == 1
    assert run(capsys, *fine, "--internal")[0] == 0
    code, out, _ = run(capsys, "list", str(tmp_path / "fine.txt"), "--json")
    assert (code, [one["network"] for one in json.loads(out)]) == (0, ["9.9.9.9", "10.1.2.3"])


def test_bad_input_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("1.2.3.4\nnonsense\n")
    (tmp_path / "b.txt").write_text("1.2.3.4\n")
    (tmp_path / "ss.txt").write_text("Netid State\n")
    for words in (
        ["audit", str(tmp_path / "a.txt")],
        ["audit", str(tmp_path / "none.txt")],
        ["audit", str(tmp_path / "b.txt"), "--service", "sssh"],
        ["audit", str(tmp_path / "b.txt"), "--as-of", "soon"],
        ["audit", str(tmp_path / "b.txt"), "--listeners", str(tmp_path / "ss.txt")],
        ["audit", str(tmp_path / "b.txt"), "--provider", str(tmp_path / "a.txt")],
        ["list", "--state", str(tmp_path / "nothing")],
    ):
        code, out, err = run(capsys, *words)
        assert (code, out, err.count("\n")) == (2, "", 1), words
        assert err.startswith("wardkeep: ")


def test_from_the_first_entry_to_the_minutes(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = [
        "--service",
        "443/tcp",
        "--owner",
        "alice",
        "--reason",
        "clearing [bold] house",
        "--ticket",
        "OPS-1",
    ]
    code, out, _ = run(capsys, "add", "198.18.0.7", *told, "--until", "90 d", "--json")
    assert code == 0
    entry = json.loads(out)["id"]
    assert (state / "allowlist.toml").read_text().count("[[allow]]") == 1
    code, out, _ = run(capsys, "list")
    assert "clearing [bold] house" in out
    assert run(capsys, "add", "198.18.0.7", *told, "--until", "90 d")[0] == 2
    code, out, _ = run(capsys, "audit", "--json")
    assert (code, json.loads(out)["counts"]) == (1, {"special_use": 1, "not_effective": 1})
    assert run(capsys, "review")[0] == 2
    assert run(capsys, "review", "start", "--campaign", "autumn")[0] == 1
    page = tmp_path / "minutes.html"
    assert run(capsys, "review", "minutes", "--out", str(page))[0] == 1
    assert "NOT COMPLETE" in page.read_text()
    sign = ["review", "sign", entry, "--decision", "extend", "--until", "180 d", "--reviewer", "bob"]
    assert run(capsys, *sign)[0] == 2
    code, out, _ = run(capsys, *sign, "--says", "contract renewed", "--json")
    assert (code, json.loads(out)["state"]) == (0, "complete")
    assert run(capsys, "review", "minutes", "--out", str(tmp_path / "m.json"))[0] == 0
    assert json.loads((tmp_path / "m.json").read_text())["decided"][0]["reviewer"] == "bob"
    assert run(capsys, "review", "minutes", "--out", str(tmp_path / "m.pdf"))[0] == 2
    assert run(capsys, "extend", entry, "--until", "200 d", "--reason", "once more")[0] == 0
    assert run(capsys, "remove", entry, "--reason", "contract ended")[0] == 0
    code, out, _ = run(capsys, "list", "--json")
    assert (code, json.loads(out)) == (0, [])


def test_a_file_that_was_named_and_is_not_there_is_no_empty_list(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, "list")[0] == 0  # none of the usual name: nobody has begun one
    (state / "wardkeep.toml").write_text('[allowlist]\nfile = "partners.toml"\n')
    for words in (("list",), ("audit",)):
        code, out, err = run(capsys, *words)
        assert (code, out) == (2, ""), words
        assert "partners.toml: there is no such file. Check its name" in err
    entry = ("9.9.9.9", "--service", "443/tcp", "--owner", "bob", "--reason", "resolver", "--until", "30 d")
    assert run(capsys, "add", *entry)[0] == 0  # the first entry begins it
    assert "9.9.9.9" in (state / "partners.toml").read_text()
    assert run(capsys, "list")[0] == 0
