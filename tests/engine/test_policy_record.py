"""The policy on record: every change of what decides a verdict, before the first assessment by it, readable from the ledger alone."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from wardkeep.engine.cycle import check
from wardkeep.engine.index import catch_up, rebuild_index
from wardkeep.engine.platform import Platform, open_platform
from wardkeep.engine.policy_record import policy_on_record, record_policy
from wardkeep.engine.start import take_this_machine
from wardkeep.ledger import Ledger
from wardkeep.ledger.pack import export
from wardkeep.ledger.verify import verify_pack
from wardkeep.store.schema import settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with open_platform(tmp_path / "state", create=True) as made:
        take_this_machine(made, "operator:test")
    return tmp_path / "state"


@pytest.fixture
def platform(folder: Path) -> Iterator[Platform]:
    with open_platform(folder) as made:
        yield made


def policies(ledger: Ledger) -> list[dict[str, Any]]:
    return [entry for entry in ledger.read() if entry["kind"] == "policy"]


def written(folder: Path, text: str) -> dict[str, Any]:
    """What goes on record about the policy when the file says this."""
    (folder / "wardkeep.toml").write_text(text)
    with open_platform(folder) as platform:
        index = record_policy(platform, "operator:test")
        assert index is not None
        return next(iter(platform.ledger.read(index)))["body"]


def test_each_assessment_names_a_policy_that_is_on_record_before_it(platform: Platform) -> None:
    check(platform, "operator:test")
    check(platform, "operator:test")
    entries = list(platform.ledger.read())
    (policy,) = [entry for entry in entries if entry["kind"] == "policy"]
    assessed = [entry for entry in entries if entry["kind"] == "assess"]
    assert assessed
    assert {entry["body"]["policy_digest"] for entry in assessed} == {policy["body"]["digest"]}
    assert policy["index"] < min(entry["index"] for entry in assessed)
    # The digest is that of the policy itself, which lies beside the entry.
    assert policy["blobs"][0]["digest"] == policy["body"]["digest"]
    told = json.loads(platform.ledger.get_blob(policy["body"]["digest"]))
    assert told["profile"] == "hipaa"
    assert told["numbers"]["patch_critical"] == "15 d"


def test_a_change_is_told_from_what_to_what(folder: Path) -> None:
    first = written(folder, "")
    assert (first["before"], first["changed"]) == ("", [])
    told = written(folder, '[numbers]\npatch_critical = "7 d"\n')
    assert told["before"] == first["digest"]
    changed = {one["key"]: (one["before"], one["now"]) for one in told["changed"]}
    assert changed["numbers.patch_critical"] == ("15 d", "7 d")
    assert changed["policy.security_patching.critical_days"] == ("15", "7")
    assert told["says"].startswith("numbers.patch_critical: 15 d → 7 d")
    back = written(folder, "")
    assert back["digest"] == first["digest"]
    assert {one["key"]: one["now"] for one in back["changed"]}["numbers.patch_critical"] == "15 d"


def test_an_exception_for_one_host_tells_only_what_differs(folder: Path) -> None:
    written(folder, "")
    with open_platform(folder) as platform:
        host = take_this_machine(platform, "operator:test") or next(
            e["subject"]["host"] for e in platform.ledger.read() if e["kind"] == "host"
        )
    told = written(folder, f'[host.{host}.policy.firewall]\nallow = ["22/tcp"]\n')
    (one,) = told["changed"]
    assert one == {"key": f"host.{host}.policy.firewall.allow", "before": None, "now": '["22/tcp"]'}
    gone = written(folder, "")
    assert [(one["key"].split(".")[-1], one["now"]) for one in gone["changed"]] == [("allow", None)]


def test_how_often_a_row_is_looked_at_is_policy_too(folder: Path) -> None:
    written(folder, "")
    told = written(folder, '[cadence.firewall]\nobserve = "2 h"\n')
    assert told["changed"] == [{"key": "cadence.firewall.observe", "before": None, "now": "2 h"}]


def test_settings_that_decide_no_verdict_and_secrets_are_not_in_it(folder: Path) -> None:
    written(folder, "")
    (folder / "wardkeep.toml").write_text('[alerts]\nurls = ["json://hush:secret@example.org"]\n')
    with open_platform(folder) as platform:
        assert record_policy(platform, "operator:test") is None
        assert b"hush" not in platform.config.document()


def test_what_is_in_force_and_what_is_on_record_are_told_apart(folder: Path) -> None:
    with open_platform(folder) as platform:
        assert policy_on_record(platform) is None, "nothing was looked at yet"
        index = record_policy(platform, "operator:test")
        known = policy_on_record(platform)
        assert known
        assert (known.entry, known.digest, known.current) == (index, platform.config.digest(), True)
    (folder / "wardkeep.toml").write_text('[numbers]\npatch_critical = "7 d"\n')
    with open_platform(folder) as platform:
        known = policy_on_record(platform)
        assert known
        assert (known.entry, known.current) == (index, False)


def test_a_long_value_is_told_short_and_is_whole_beside(folder: Path) -> None:
    written(folder, "")
    ports = json.dumps([f"{port}/tcp" for port in range(1, 400)])
    told = written(folder, f"[policy.firewall]\nallow = {ports}\n")
    (one,) = [one for one in told["changed"] if one["key"] == "policy.firewall.allow"]
    assert len(one["now"]) < 200
    assert one["now"].endswith("characters)")
    with open_platform(folder) as platform:
        whole = json.loads(platform.ledger.get_blob(told["digest"]))
    assert len(whole["policies"]["firewall"]["allow"]) == 399


def test_a_kill_after_the_ledger_and_a_lost_state_record_it_at_most_once_more(folder: Path) -> None:
    with open_platform(folder) as platform:
        record_policy(platform, "operator:test")
        with platform.store.begin() as connection:
            connection.execute(settings.delete())  # the process died before the state knew
        catch_up(platform)
        assert record_policy(platform, "operator:test") is None, "the index has it from the ledger"
        rebuild_index(platform)
        assert record_policy(platform, "operator:test") is None
        with platform.store.read() as connection:
            known = connection.execute(
                select(settings.c.value).where(settings.c.key == "policy")
            ).scalar_one()
        assert known["digest"] == platform.config.digest()
        assert len(policies(platform.ledger)) == 1


def test_a_pack_carries_the_policy_by_which_its_rows_were_judged(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "pack.tar.gz"
    with open_platform(folder) as platform:
        check(platform, "operator:test", controls=[c for c in platform.controls if c.id == "firewall"])
        (policy,) = policies(platform.ledger)
        # A range that begins after the policy came into force.
        export(platform.ledger, path, policy["index"] + 1, platform.ledger.size, "firewall", titles={})
    assert verify_pack(str(path)).verified
    digest = policy["body"]["digest"].removeprefix("sha256:")
    with tarfile.open(path) as pack:
        (name,) = [name for name in pack.getnames() if name.endswith(digest)]
        blob = pack.extractfile(name)
        assert blob
        assert json.load(blob)["numbers"]["patch_critical"] == "15 d"
