"""A serving Wardkeep goes by the operator's files as they are: taken up when they hold, told of when they do not."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.engine.frozen import until

from wardkeep.core.findings import Finding, Verdict
from wardkeep.engine import in_force
from wardkeep.engine.accounts.opening import accounts_of, link_for, origin_of
from wardkeep.engine.cycle import check
from wardkeep.engine.doctor import examine
from wardkeep.engine.durable import Durable
from wardkeep.engine.folder import SERVING, hold
from wardkeep.engine.hosts import add_host
from wardkeep.engine.in_force import SEEN_WITHIN, in_force_finding, serving, tell
from wardkeep.engine.logs import JsonLines, learn_secrets
from wardkeep.engine.platform import Platform, open_platform
from wardkeep.engine.policy_record import record_policy
from wardkeep.engine.running import Running, register
from wardkeep.fleet import Host

STRICTER = '[numbers]\npatch_critical = "7 d"\n'


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """One that serves: `serving.json` tells of this process."""
    with open_platform(tmp_path / "state", create=True) as made, hold(made.folder):
        tell(made)
        record_policy(made, "operator:test")
        yield made


def take_up(platform: Platform) -> int | None:
    """Without waiting for an editor that may still write."""
    return in_force.take_up(platform, wait=False)


def write(platform: Platform, text: str, name: str = "wardkeep.toml") -> None:
    (platform.folder / name).write_text(text)


def age(platform: Platform, seconds: float) -> None:
    """As if the file had been written so long ago."""
    path = platform.folder / "wardkeep.toml"
    old = path.stat().st_mtime - seconds
    os.utime(path, (old, old))


def finding(platform: Platform) -> Finding:
    return in_force_finding(platform)


def server(platform: Platform) -> tuple[Verdict, str]:
    (one,) = [one for one in examine(platform.folder) if one.what == "server"]
    return one.verdict, f"{one.seen} {one.todo}"


def test_a_changed_file_is_in_force_and_on_record_after_it_was_seen(platform: Platform) -> None:
    assert take_up(platform) is None, "nothing changed"
    write(platform, STRICTER)
    index = take_up(platform)
    assert index is not None
    assert platform.config.numbers.patch_critical == timedelta(days=7)
    (entry,) = platform.ledger.read(index)
    assert (entry["kind"], entry["body"]["digest"]) == ("policy", platform.config.digest())
    assert take_up(platform) is None, "seen once"
    assert finding(platform).verdict is Verdict.PASS
    assert server(platform)[0] is Verdict.PASS


def test_a_file_with_a_fault_leaves_what_was_in_force_and_is_a_finding(platform: Platform) -> None:
    write(platform, STRICTER)
    take_up(platform)
    write(platform, '[numbers]\npatch_critcal = "hush"\n')
    assert take_up(platform) is None
    assert platform.config.numbers.patch_critical == timedelta(days=7)
    found = finding(platform)
    assert found.verdict is Verdict.FAIL
    assert "wardkeep.toml:2" in found.seen
    assert "hush" not in found.seen + found.todo
    verdict, seen = server(platform)
    assert verdict is Verdict.FAIL
    assert "patch_critical" in seen, "the operator gets the whole line, with the nearest name"

    write(platform, "")
    assert take_up(platform) is not None
    assert finding(platform).verdict is Verdict.PASS
    assert platform.config.numbers.patch_critical == timedelta(days=15)


def test_a_removed_file_is_the_default_profile_again(platform: Platform) -> None:
    write(platform, STRICTER)
    take_up(platform)
    (platform.folder / "wardkeep.toml").unlink()
    assert take_up(platform) is not None
    assert platform.config.numbers.patch_critical == timedelta(days=15)


def test_a_list_that_the_policy_names_is_taken_up_with_its_file(platform: Platform) -> None:
    entry = (
        '[[allow]]\nlist = "office"\nnetwork = "{}"\nservice = "22/tcp"\nowner = "alice"\nreason = "office"\n'
    )
    write(platform, entry.format("192.0.2.0/28"), "allowlist.toml")
    write(platform, '[policy.firewall]\nallow = ["list office"]\n')
    take_up(platform)
    before = platform.config.digest()
    write(platform, entry.format("198.51.100.0/28"), "allowlist.toml")
    assert take_up(platform) is not None
    assert platform.config.digest() != before
    assert b"198.51.100.0/28" in platform.config.document()
    write(platform, "[[allow]]\nnetwork =\n", "allowlist.toml")
    assert take_up(platform) is None
    assert "allowlist.toml:2" in finding(platform).seen
    assert b"198.51.100.0/28" in platform.config.document()


def test_a_fault_that_ends_without_a_change_of_the_file_is_seen_too(
    platform: Platform, tmp_path: Path
) -> None:
    write(platform, '[host.later.policy.firewall]\nallow = ["22/tcp"]\n')
    take_up(platform)
    assert finding(platform).verdict is Verdict.FAIL
    add_host(platform, Host(name="later", url=f"recorded:{tmp_path}"), "operator:test")
    assert take_up(platform) is not None
    assert finding(platform).verdict is Verdict.PASS


def test_what_cannot_change_under_a_server_waits_and_is_said(platform: Platform) -> None:
    write(platform, '[console]\nlisten = "127.0.0.1:9999"\n[alerts]\nleast_severity = "high"\n')
    assert take_up(platform) is None, "no verdict depends on it"
    assert platform.config.settings.console_listen == "127.0.0.1:8420"
    assert platform.config.settings.alerts_least_severity == "high"
    found = finding(platform)
    assert found.verdict is Verdict.FAIL
    assert "console.listen" in found.seen
    assert "Restart" in server(platform)[1]
    with open_platform(platform.folder) as started_again:
        tell(started_again)
        assert finding(started_again).verdict is Verdict.PASS


def test_the_server_takes_it_up_by_itself_and_looks_at_every_row_anew(platform: Platform) -> None:
    durable = Durable(platform.store, platform.folder)
    register(platform, durable)
    with durable:
        running = Running(platform, durable)
        now = datetime.now(UTC)
        running.turn(now)
        until(lambda: not durable.unfinished())
        write(platform, STRICTER)
        running.turn(now + timedelta(seconds=5))
        assert platform.config.numbers.patch_critical == timedelta(days=15)
        running.turn(now + timedelta(seconds=10))
        until(lambda: not durable.unfinished())
    entries = list(platform.ledger.read())
    policy = max(e["index"] for e in entries if e["kind"] == "policy")
    later = [e for e in entries if e["kind"] == "assess" and e["index"] > policy]
    assert later
    assert {e["body"]["policy_digest"] for e in later} == {platform.config.digest()}
    built = {control.id for control in platform.controls if control.rules}
    assert any(built <= e["body"]["rows"].keys() for e in later)


def test_one_act_is_judged_by_one_policy(platform: Platform, tmp_path: Path) -> None:
    for number in range(3):
        add_host(platform, Host(name=f"h{number}", url=f"recorded:{tmp_path / str(number)}"), "operator:test")
    before = platform.config.digest()

    def change(subject: str, done: int, of: int) -> None:
        write(platform, STRICTER)
        take_up(platform)

    size = platform.ledger.size
    check(platform, "operator:test", progress=change)
    assert platform.config.digest() != before
    assessed = [e for e in platform.ledger.read(size) if e["kind"] == "assess"]
    assert {e["body"]["policy_digest"] for e in assessed} == {before}


def test_the_word_of_a_server_that_is_gone_counts_no_more(platform: Platform) -> None:
    write(platform, "[numbrs]\n")
    take_up(platform)
    told = json.loads((platform.folder / SERVING).read_text())
    assert serving(platform.folder) is not None
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for pid in (gone.pid, os.getppid()):  # ended; alive, but born at another time
        (platform.folder / SERVING).write_text(json.dumps({**told, "pid": pid, "born": "1"}))
        assert serving(platform.folder) is None
        assert finding(platform).verdict is Verdict.PASS
    for spoiled in ("", "{", "[]", '{"pid": 1}', json.dumps({**told, "files": [["a", ["x"]]]})):
        (platform.folder / SERVING).write_text(spoiled)
        assert serving(platform.folder) is None


def test_the_doctor_tells_of_a_server_that_does_not_take_a_file_up(platform: Platform) -> None:
    write(platform, STRICTER)
    assert server(platform)[0] is Verdict.PASS, "it has a few seconds for that"
    age(platform, 2 * SEEN_WITHIN)
    verdict, seen = server(platform)
    assert verdict is Verdict.FAIL
    assert "by an older wardkeep.toml" in seen


def test_secrets_of_a_file_that_was_taken_up_stay_out_of_the_log(platform: Platform) -> None:
    form, root = JsonLines(), logging.getLogger()
    handler = logging.NullHandler()
    handler.setFormatter(form)
    root.addHandler(handler)
    try:
        write(platform, '[alerts]\nurls = ["slack://tokenAlpha77/tokenBeta888"]\n')
        take_up(platform)
    finally:
        root.removeHandler(handler)
    assert "tokenAlpha77" not in form.clean("sent to tokenAlpha77")
    learn_secrets(platform.config)
    assert "tokenBeta888" not in form.clean("and tokenBeta888")


def test_what_an_editor_may_still_be_writing_is_left_until_it_stays_as_it_is(platform: Platform) -> None:
    write(platform, STRICTER)
    take_up(platform)
    write(platform, "")  # cut to nothing before it is written: a valid policy, and not what is meant
    assert in_force.take_up(platform) is None
    (platform.folder / "wardkeep.toml").unlink()  # replaced: gone for a moment
    assert in_force.take_up(platform) is None
    write(platform, '[numbers]\npatch_critical = "3 d"\n')
    assert in_force.take_up(platform) is None
    assert platform.config.numbers.patch_critical == timedelta(days=7)
    assert in_force.take_up(platform) is not None
    assert platform.config.numbers.patch_critical == timedelta(days=3)


@pytest.mark.parametrize("spoil", ["folder", "binary", "circle", "dangling", "secret"])
def test_what_is_no_file_to_read_is_a_fault_and_no_policy(platform: Platform, spoil: str) -> None:
    write(platform, STRICTER)
    take_up(platform)
    path = platform.folder / "wardkeep.toml"
    path.unlink()
    if spoil == "folder":
        path.mkdir()
    elif spoil in ("circle", "dangling"):
        path.symlink_to(path if spoil == "circle" else path.with_name("elsewhere.toml"))
    else:
        path.write_bytes(b"\xff\xfe\0" if spoil == "binary" else b'password = "hunter2hunter2"')
    assert take_up(platform) is None
    assert platform.config.numbers.patch_critical == timedelta(days=7)
    found = finding(platform)
    assert found.verdict is Verdict.FAIL
    assert "wardkeep.toml" in found.seen
    assert "hunter2" not in found.seen + (platform.folder / SERVING).read_text()


def test_a_link_leads_to_the_console_that_serves_now_not_to_the_usual_port(platform: Platform) -> None:
    assert origin_of(platform) == "http://localhost:8420"
    platform.port = 8440  # `up --listen 127.0.0.1:8440`
    tell(platform)
    with open_platform(platform.folder) as command:
        assert link_for(command, accounts_of(command), new_user(command), by="test").startswith(
            "http://localhost:8440/sign-in/link?token="
        )
    write(platform, '[console]\nurl = "https://console.example"\n')
    with open_platform(platform.folder) as command:
        assert origin_of(command) == "https://console.example"
    write(platform, "")
    told = json.loads((platform.folder / SERVING).read_text())
    (platform.folder / SERVING).write_text(json.dumps({**told, "born": "another process"}))
    with open_platform(platform.folder) as command:
        assert origin_of(command) == "http://localhost:8420"


def new_user(platform: Platform) -> str:
    return accounts_of(platform).users.add("ann", "operator", by="test").name
