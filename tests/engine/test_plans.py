"""From what fails to a plan: files gathered and kept, conflicts and harm withheld, the same host the same plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.toy_row import make_toy, stage_toy

from wardkeep.core.changes import Setting, Upgrade
from wardkeep.core.control import Control
from wardkeep.core.errors import BadInput, NotUnderstood, Unavailable
from wardkeep.engine.assess import questions
from wardkeep.engine.plans import ActChange, FileChange, Plan, make_plan, read_plan
from wardkeep.engine.plans.asking import Simulated, ask_files
from wardkeep.engine.plans.gather import Gathered, _upgrade
from wardkeep.engine.plans.kept_file import HEAD, Kept, diff, read_kept
from wardkeep.fleet import LocalConnector

WHEN = "2026-11-22T10:00:00.000Z"


class NoPolicies:
    def policy(self, control: Control, host: str = "") -> Any:
        return control.policy()

    def digest(self) -> str:
        return "sha256:" + "0" * 64


async def plan(folder: Path, created: str = WHEN) -> Plan:
    row, connector = make_toy(folder), LocalConnector("toy-1")
    snapshot = await connector.ask(questions([row], "host"))
    return await make_plan(connector, [row], snapshot, NoPolicies(), created)


@pytest.fixture
def host(tmp_path: Path) -> Path:
    stage_toy(tmp_path)
    return tmp_path


async def test_settings_of_one_file_become_one_change(host: Path) -> None:
    made = await plan(host)
    file, act = made.changes
    assert isinstance(file, FileChange)
    assert file.rules == ("toy.walls", "toy.gate")
    assert file.before == ""
    assert file.diff.splitlines()[:2] == ["--- /dev/null", f"+++ {file.path}"]
    assert "+walls high" in file.diff.splitlines()
    assert file.confirmed
    assert isinstance(act, ActChange)
    assert act.says == "Send eve home"


async def test_what_cannot_or_must_not_be_done_is_said_with_its_reason(host: Path) -> None:
    made = await plan(host)
    (withheld,) = made.withheld
    assert withheld.reason == "nobody could enter any more"
    (cannot,) = made.cannot
    assert (cannot.rule, cannot.reason) == ("toy.has_moat", "a person must dig")


async def test_a_rule_that_could_not_be_looked_at_is_in_the_plan(host: Path) -> None:
    (host / "toy.conf").unlink()
    (host / "guests" / "eve").unlink()
    (host / "guests" / "owner").unlink()
    (host / "guests").rmdir()
    made = await plan(host)
    assert made.changes == ()
    assert {one.rule for one in made.unknown} == {"toy.walls", "toy.gate", "toy.no_guests", "toy.has_moat"}


async def test_lines_of_others_and_settings_of_other_rules_stay(host: Path) -> None:
    ours = host / "toy.d" / "wardkeep.conf"
    ours.write_text(f"by hand\n\n{HEAD}\n\n#= flag toy.flag\nflag up\n\n#= gate toy.gate\ngate ajar\n")
    ours.chmod(0o600)
    file = (await plan(host)).changes[0]
    assert isinstance(file, FileChange)
    kept = read_kept(file.content)
    assert dict(kept.settings) == {
        "flag": ("toy.flag", "flag up"),
        "gate": ("toy.gate", "gate shut"),
        "walls": ("toy.walls", "walls high"),
    }
    assert kept.others == ("by hand",)
    assert file.mode == "600"
    assert "-gate ajar" in file.diff.splitlines()


async def test_a_line_that_is_there_already_is_not_written_again(host: Path) -> None:
    first = (await plan(host)).changes[0]
    assert isinstance(first, FileChange)
    Path(first.path).write_text(first.content)  # written, but never put into force
    made = await plan(host)
    assert not any(isinstance(change, FileChange) for change in made.changes)
    said = {one.rule: one.reason for one in made.withheld}
    assert said["toy.gate"] == "the line is there already, and the rule fails all the same"


async def test_the_same_host_gives_the_same_acts_and_a_changed_one_others(host: Path) -> None:
    first, second = await plan(host), await plan(host, "2026-11-22T11:00:00.000Z")
    assert first.id != second.id
    assert first.acts == second.acts
    (host / "guests" / "mallory").touch()
    assert (await plan(host)).acts != first.acts


async def test_a_plan_survives_its_document_exactly(host: Path) -> None:
    made = await plan(host)
    assert read_plan(made.document()) == made
    assert read_plan(made.document()).digest == made.digest
    with pytest.raises(NotUnderstood, match="not a plan"):
        read_plan(made.document() + " ")
    with pytest.raises(NotUnderstood, match="not a plan"):
        read_plan('{"version":1}')


async def test_a_link_or_folder_is_never_written(host: Path) -> None:
    (host / "toy.d" / "wardkeep.conf").symlink_to("/etc/hostname")
    with pytest.raises(NotUnderstood, match="is a link or no plain file"):
        await plan(host)


async def test_a_host_that_went_away_is_said() -> None:
    connector = LocalConnector("gone", shell=("/no/such/shell",))
    with pytest.raises(Unavailable):
        await ask_files(connector, ["/etc/hostname"])


def test_two_rules_that_want_different_lines_are_said() -> None:
    from wardkeep.engine.plans.asking import Present
    from wardkeep.engine.plans.gather import _file

    gathered = Gathered()
    one = Setting("/etc/x", "a", "a 1", "row.one")
    made = _file("/etc/x", [one, replace(one, line="a 2", why="row.two")], Present(None), gathered.withheld)
    assert made is not None
    assert read_kept(made.content).settings["a"] == ("row.one", "a 1")
    assert gathered.withheld[0].reason == "row.one wants `a 1` there"


def test_an_upgrade_that_would_remove_packages_is_withheld() -> None:
    packages = (("openssl", "1", "2"),)
    upgrade = Upgrade(packages, "row.patch", "package:openssl", ("ssh.service",))
    gathered = Gathered()
    assert (
        _upgrade(packages, [upgrade], Simulated((("openssl", "1", "2"),), ("nginx",)), gathered.withheld)
        == []
    )
    assert gathered.withheld[0].reason == "apt would remove nginx"
    gathered = Gathered()
    assert _upgrade(packages, [upgrade], Simulated(problem="E: held"), gathered.withheld) == []
    assert "held" in gathered.withheld[0].reason
    (made,) = _upgrade(
        packages, [upgrade], Simulated((("openssl", "1", "2"), ("libssl3", "1", "2"))), gathered.withheld
    )
    assert made.also == (("libssl3", "1", "2"),)


key = st.text("abcXYZ_.-", min_size=1, max_size=6)
line = st.lists(
    st.text("abc =#\t", min_size=1, max_size=8).map(lambda s: "x" + s), min_size=1, max_size=3
).map("\n".join)


@given(
    st.dictionaries(key, st.tuples(key, line), max_size=4), st.lists(st.text("ab#= ", max_size=5), max_size=5)
)
def test_nothing_of_a_kept_file_is_lost(settings: dict[str, tuple[str, str]], others: list[str]) -> None:
    kept = read_kept(Kept(settings, tuple(others)).text())
    assert dict(kept.settings) == settings
    assert [o for o in kept.others if o] == [o for o in others if o]
    assert read_kept(kept.text()) == kept


def test_a_setting_that_would_break_the_form_is_refused() -> None:
    with pytest.raises(BadInput, match="key"):
        Kept().with_settings([("a b", "r", "x")])
    with pytest.raises(BadInput, match="empty line"):
        Kept().with_settings([("a", "r", "x\n\ny")])


def test_a_diff_names_the_file_and_shows_a_new_one_from_nothing() -> None:
    assert diff("/etc/x", None, "a\n") == "--- /dev/null\n+++ /etc/x\n@@ -0,0 +1 @@\n+a"
    assert "-a\n+b" in diff("/etc/x", "a\n", "b\n")
