"""`wardkeep scan import`: what is printed, and with which exit status it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scan_samples import GRYPE, LYNIS, PIP_AUDIT

from wardkeep.cli import main


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["scan", "import", *words])
    return int(ended.value.code or 0)


def test_a_report_is_shown_and_its_failures_set_the_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lynis-report.dat"
    path.write_text(LYNIS)
    assert run(str(path)) == 1
    told = capsys.readouterr().out
    assert "Lynis 3.0.8, 5 items: 2 fail, 1 pass, 1 unknown, 1 skipped" in " ".join(told.split())
    assert "FILE-7524" in told
    assert "AUTH-9204" not in told
    assert run(str(path), "--all") == 1
    assert "AUTH-9204" in capsys.readouterr().out


def test_json_says_tool_and_count_of_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "grype.json"
    path.write_text(GRYPE)
    assert run(str(path), "--json") == 1
    (report,) = json.loads(capsys.readouterr().out)
    assert report["items"] == 2
    assert report["counts"] == {"fail": 1, "pass": 0, "unknown": 0, "skipped": 1, "info": 0, "refused": 0}
    first = report["results"][0]
    assert (first["tool"], first["tool_version"], first["id"], first["severity"]) == (
        "Grype",
        "0.80.0",
        "CVE-2099-8",
        "critical",
    )
    assert (first["severity_source"], first["raw"], first["target"]) == (
        "debian:distro:debian:12",
        "/matches/0",
        "app:1",
    )
    assert report["sha256"].startswith("sha256:")


def test_a_bad_file_ends_with_2_and_the_good_one_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "good.json").write_text(PIP_AUDIT)
    assert run(str(tmp_path / "bad.json"), str(tmp_path / "good.json")) == 2
    told = capsys.readouterr()
    assert told.err.count("\n") == 1
    assert "bad.json: is no JSON" in told.err
    assert "PYSEC-1" in told.out


def test_what_could_not_be_read_is_unknown_and_never_a_pass(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps({"dependencies": [{"name": "six", "version": "1", "vulns": []}]}))
    assert run(str(path)) == 0
    path.write_text(
        json.dumps({"dependencies": [{"name": "six", "version": "1", "vulns": []}, {"vulns": []}]})
    )
    assert run(str(path)) == 3
    path.write_text(json.dumps({"dependencies": []}))
    assert run(str(path)) == 3
    assert run(str(path), "--tool", "nmap") == 2
