"""Reports of other tools in the ledger: every result with its passes, open in the row until a newer report says otherwise."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wardkeep.cli import main
from wardkeep.controls import control
from wardkeep.engine.cycle import check
from wardkeep.engine.hosts import add_host, list_hosts
from wardkeep.engine.imports import ran_at, record_import
from wardkeep.engine.index import rebuild_index
from wardkeep.engine.platform import Platform, open_platform
from wardkeep.fleet import Host
from wardkeep.scans.importing import import_bytes

sys.path.insert(0, str(Path(__file__).parents[1] / "scans"))
from scan_samples import LYNIS, PIP_AUDIT

ACTOR = "operator:test"
RULE = "vm_scans.imported_results_dealt_with"


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with open_platform(tmp_path / "state", create=True) as made:
        made.controls = (control("vm_scans"),)
        folder = Path(__file__).parents[1] / "hosts" / "debian12-fresh"
        for name in ("h1", "h2"):
            add_host(made, Host(name=name, url=f"recorded:{folder}"), ACTOR)
        yield made


def seen(platform: Platform, host: str) -> dict[str, str]:
    found = check(platform, ACTOR, hosts=list_hosts(platform)).findings
    return {one.subject: one.verdict for one in found if one.rule == RULE and one.host == host}


def test_a_report_is_kept_whole_and_judged_for_its_host_alone(platform: Platform) -> None:
    assert seen(platform, "h1") == {"imports": "pass"}
    report = import_bytes(LYNIS.encode(), "/home/anna/lynis-report.dat")
    index = record_import(platform, ACTOR, "h1", report, datetime.now(UTC))
    entry = next(platform.ledger.read(index, index + 1))
    assert (entry["kind"], entry["subject"]) == ("scan-import", {"control": "vm_scans", "host": "h1"})
    assert entry["body"]["counts"]["pass"] == 1
    assert entry["body"]["file"] == "lynis-report.dat"
    blobs = {one["name"]: platform.ledger.get_blob(one["digest"]) for one in entry["blobs"]}
    kept = json.loads(blobs["results"])
    assert sorted(one["state"] for one in kept["results"]) == sorted(
        one.state.value for one in report.results
    )
    assert "pass" in {one["state"] for one in kept["results"]}
    now = seen(platform, "h1")
    assert list(now.values()).count("fail") == 2
    assert seen(platform, "h2") == {"imports": "pass"}
    rebuild_index(platform)
    assert seen(platform, "h1") == now


def test_a_newer_report_of_the_tool_closes_what_it_no_longer_names(platform: Platform) -> None:
    now = datetime.now(UTC)
    record_import(platform, ACTOR, "h1", import_bytes(LYNIS.encode()), now)
    record_import(platform, ACTOR, "h1", import_bytes(PIP_AUDIT.encode()), now)
    before = seen(platform, "h1")
    assert any("FILE-7524" in subject for subject in before)
    mended = "\n".join(line for line in LYNIS.splitlines() if "FILE-7524" not in line)
    record_import(platform, ACTOR, "h1", import_bytes(mended.encode()), now)
    after = seen(platform, "h1")
    assert not any("FILE-7524" in subject for subject in after)
    assert {s for s in before if "pip-audit" in s} == {s for s in after if "pip-audit" in s} != set()


def test_a_report_from_the_future_counts_from_its_import(platform: Platform) -> None:
    now = datetime.now(UTC)
    report = import_bytes(LYNIS.encode())
    report.at = (now + timedelta(days=900)).isoformat()
    index = record_import(platform, ACTOR, "h1", report, now)
    assert next(platform.ledger.read(index, index + 1))["body"]["at"] == now.isoformat(timespec="seconds")


def test_times_as_tools_write_them() -> None:
    noon = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
    for text in (
        "2026-11-01T12:00:00Z",
        "2026-11-01T13:00:00+01:00",
        "2026-11-01 12:00:00",
        "Sun Nov  1 12:00:00 2026",
        "1793534400",
    ):
        assert ran_at(text) == noon
    for text in ("", "yesterday", "9" * 40, "0001-01-01T00:00:00+23:00"):
        assert ran_at(text) is None


def test_the_command(tmp_path: Path, platform: Platform, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lynis-report.dat").write_text(LYNIS)
    state = str(platform.folder)
    words = ["scan", "import", str(tmp_path / "lynis-report.dat"), "--host", "h1", "--state", state]
    for last, status in (([], 1), (["--json"], 1)):
        with pytest.raises(SystemExit) as ended:
            main([*words, *last])
        assert ended.value.code == status
    told = capsys.readouterr()
    assert "kept for h1 as entry" in told.err
    (report,) = json.loads(told.out[told.out.index("[\n") if "[\n" in told.out else told.out.index("[{") :])
    assert next(platform.ledger.read(report["entry"], report["entry"] + 1))["kind"] == "scan-import"
    with pytest.raises(SystemExit) as ended:
        main(["scan", "import", str(tmp_path / "lynis-report.dat"), "--host", "nobody", "--state", state])
    assert ended.value.code == 2
