"""The service as it would be installed, read by systemd's own tools; and what the doctor says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from wardkeep.cli import main
from wardkeep.core.errors import Refused, Unavailable
from wardkeep.core.findings import Verdict
from wardkeep.engine import installation
from wardkeep.engine.accounts.opening import accounts_of
from wardkeep.engine.doctor import examine
from wardkeep.engine.folder import hold
from wardkeep.engine.installation import plan_installation, take_out
from wardkeep.engine.platform import open_platform
from wardkeep.engine.queue_file import QUEUE_FILE, begin_queue, look_at_queue
from wardkeep.engine.start import take_this_machine

# pytest's own folders lie where a service sees nothing.
in_opt = pytest.mark.skipif(not os.access("/opt", os.W_OK), reason="/opt belongs to root")


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


@pytest.mark.parametrize(
    "program", ["/root/.local/bin/wardkeep", "/home/alice/.venv/bin/wardkeep", "/tmp/venv/bin/wardkeep"]
)
def test_a_program_that_the_service_cannot_see_is_refused_with_the_way_out(program: str) -> None:
    with pytest.raises(Refused, match=r"PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx install"):
        plan_installation(Path("/var/lib/wardkeep"), [program])


@in_opt
def test_a_program_in_a_closed_folder_is_refused() -> None:
    with tempfile.TemporaryDirectory(dir="/opt") as folder:
        program = Path(folder) / "wardkeep"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        with pytest.raises(Refused, match=f"{folder} is closed to others"):
            plan_installation(Path("/var/lib/wardkeep"), [str(program)])
        Path(folder).chmod(0o755)
        assert plan_installation(Path("/var/lib/wardkeep"), [str(program)]).program == (str(program),)
        program.chmod(0o700)
        with pytest.raises(Refused, match="is closed to others"):
            plan_installation(Path("/var/lib/wardkeep"), [str(program)])


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("/root/.local/state/wardkeep", "it lies in a home folder"),
        ("/tmp/state", "it lies in a folder for temporary files"),
        ("/srv/my state", "spaces or signs"),
        ("/srv/100%", "spaces or signs"),
    ],
)
def test_a_state_folder_that_the_service_cannot_have_is_refused(folder: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        plan_installation(Path(folder), ["/bin/true"])


@in_opt
def test_a_state_that_is_there_already_becomes_the_services_own() -> None:
    with tempfile.TemporaryDirectory(dir="/opt") as folder:
        changes = ("chown", "-R", "wardkeep:wardkeep", folder)
        assert changes not in plan_installation(Path(folder), ["/bin/true"]).commands
        (Path(folder) / "ledger").mkdir()
        planned = plan_installation(Path(folder), ["/bin/true"]).commands
        assert planned.index(changes) < planned.index(("systemctl", "daemon-reload"))


def test_removing_what_is_not_installed_says_so(tmp_path: Path) -> None:
    assert take_out(tmp_path / "wardkeep.service") is False


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


def test_the_plan_is_told_as_json_and_a_program_must_say_yes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where this Wardkeep lies, a service may see nothing.
    monkeypatch.setattr(
        installation, "plan_installation", lambda folder: plan_installation(folder, ["/bin/true"])
    )
    with pytest.raises(SystemExit) as done:
        main(["install", "--print", "--json"])
    assert not done.value.code
    told = json.loads(capsys.readouterr().out)
    assert (told["path"], told["installed"]) == (str(installation.UNIT), False)
    assert "ExecStart=/bin/true" in told["unit"]
    assert ["systemctl", "daemon-reload"] in told["commands"]
    with pytest.raises(SystemExit) as ended:
        main(["install", "--json"])
    assert ended.value.code == 2
    assert "Say --yes" in capsys.readouterr().err
