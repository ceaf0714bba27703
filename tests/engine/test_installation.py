"""The service as it would be installed, read by systemd's own tools; and what the doctor says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from wardkeep.core.errors import Refused, Unavailable
from wardkeep.core.findings import Verdict
from wardkeep.engine.accounts.opening import accounts_of
from wardkeep.engine.doctor import examine
from wardkeep.engine.folder import hold
from wardkeep.engine.installation import plan_installation
from wardkeep.engine.platform import open_platform
from wardkeep.engine.queue_file import QUEUE_FILE, begin_queue, look_at_queue
from wardkeep.engine.start import take_this_machine


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    # systemd checks that the program is there and may be run.
    made = plan_installation(Path("/var/lib/wardkeep"), [shutil.which("true") or "/bin/true"])
    path = tmp_path / "wardkeep.service"
    path.write_text(made.unit)
    return path


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)


def test_systemd_finds_no_fault_in_the_unit(unit: Path) -> None:
    ran = analyze("verify", unit)
    assert (ran.returncode, ran.stderr) == (0, "")
    unit.write_text(unit.read_text().replace("NoNewPrivileges=yes", "NoNewPrivilegs=yes"))
    assert "NoNewPrivilegs" in analyze("verify", unit).stderr  # and it would have found one


def test_the_unit_is_as_closed_as_systemd_can_measure(unit: Path) -> None:
    ran = analyze("security", "--offline=yes", "--no-pager", unit)
    exposure = re.search(r"Overall exposure level[^:]*: ([\d.]+)", ran.stdout)
    assert exposure, ran.stderr
    assert float(exposure[1]) < 2.0  # 10 is no sandbox at all


def test_the_service_has_its_own_user_and_no_privileges(unit: Path) -> None:
    text = unit.read_text()
    assert "\nUser=wardkeep\n" in text
    assert "\nCapabilityBoundingSet=\n" in text
    assert "\nAmbientCapabilities=\n" in text


@pytest.mark.parametrize("home", ["/root/.local/bin/wardkeep", "/home/alice/.venv/bin/wardkeep"])
def test_a_program_in_a_home_folder_is_refused_with_the_way_out(home: str) -> None:
    with pytest.raises(Refused, match=r"pipx install --global"):
        plan_installation(Path("/var/lib/wardkeep"), [home])


def verdicts(folder: Path) -> dict[str, Verdict]:
    worst: dict[str, Verdict] = {}
    for one in examine(folder):
        assert one.seen
        assert one.verdict is Verdict.PASS or one.todo, one
        assert not one.todo or one.todo not in one.seen, "what to do is said once"
        if worst.get(one.what, Verdict.PASS) is Verdict.PASS:
            worst[one.what] = one.verdict
    return worst


def test_a_damaged_work_queue_is_one_line_and_stays_as_it_is(tmp_path: Path) -> None:
    damage = b"no database, but long enough to have a head" * 40
    (tmp_path / QUEUE_FILE).write_bytes(damage)
    with pytest.raises(
        Unavailable, match=r"queue's database is damaged .*\. Stop Wardkeep, move the file away"
    ):
        begin_queue(tmp_path)
    assert (tmp_path / QUEUE_FILE).read_bytes() == damage
    (tmp_path / QUEUE_FILE).unlink()
    assert begin_queue(tmp_path).stat().st_mode & 0o777 == 0o600
    assert look_at_queue(tmp_path) == "durable.sqlite3 is sound"


def test_the_doctor_finds_what_is_wrong(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    assert verdicts(folder)["state folder"] is Verdict.FAIL
    with open_platform(folder, create=True) as platform:
        take_this_machine(platform, "operator:test")
    well = verdicts(folder)
    assert well["server"] is Verdict.FAIL
    assert {well[name] for name in ("rights", "disk", "configuration", "database", "ledger")} == {
        Verdict.PASS
    }
    with hold(folder):
        assert verdicts(folder)["server"] is Verdict.PASS

    (folder / "wardkeep.toml").write_text("[numbrs]\n")
    assert verdicts(folder)["configuration"] is Verdict.FAIL
    (folder / "wardkeep.toml").write_text("")
    (folder / "keys").chmod(0o755)
    assert verdicts(folder)["rights"] is Verdict.FAIL
    (folder / "keys").chmod(0o700)

    key = folder / "keys" / "ledger"
    for text in ("x\n", None):
        kept = key.read_text()
        key.write_text(text) if text else key.unlink()
        assert verdicts(folder)["signing key"] is Verdict.FAIL
        key.write_text(kept)
    assert verdicts(folder)["signing key"] is Verdict.PASS

    with open_platform(folder) as platform:
        accounts = accounts_of(platform)
        accounts.factors.set_totp(accounts.users.add("ann", "operator", by="test"), "JBSWY3DPEHPK3PXP")
        digest = platform.ledger.put_blob(b"seen")
        platform.record("observe", "test", {}, blobs=[{"name": "answers", "digest": digest, "size": 4}])
        blob = platform.ledger.blobs.path(digest)
    seal, queue = folder / "keys" / "seal", folder / QUEUE_FILE
    queue.write_bytes(b"")
    for what, path, damage in [
        ("second factors", seal, None),
        ("second factors", seal, bytes(32)),
        ("second factors", seal, b"short"),
        ("evidence", blob, None),
        ("work queue", queue, b"no database, but long enough to have a head" * 40),
    ]:
        assert verdicts(folder)[what] is Verdict.PASS
        held = path.read_bytes()
        path.write_bytes(damage) if damage else path.unlink()
        assert verdicts(folder)[what] is Verdict.FAIL, path
        path.write_bytes(held)

    bundle = next(
        path for path in (folder / "ledger" / "tile").rglob("*") if path.is_file() and "entries" in str(path)
    )
    bundle.write_bytes(bundle.read_bytes().replace(b"operator:test", b"operator:best"))
    worst = verdicts(folder)
    assert Verdict.FAIL in (worst.get("ledger"), worst.get("platform"))
