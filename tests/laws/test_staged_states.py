"""Every staged state speaks of rules that exist, in words the lab knows; and every rule of a finished row is broken by one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from tests import staging

from wardkeep.controls import all_controls
from wardkeep.core.errors import BadInput
from wardkeep.engine.config import read_config
from wardkeep.lab import OFFERS

STATES = staging.all_states()
RULES = {rule.id for control in all_controls() for rule in control.rules}
FINISHED = [control for control in all_controls() if control.id in staging.FINISHED]
# A rule of a finished row that no staged state breaks, with the reason.
GAPS: dict[str, str] = {}


@pytest.mark.parametrize("state", STATES.values(), ids=lambda state: state.name)
def test_a_state_can_be_staged_and_says_what_comes_of_it(state: staging.State, tmp_path: Path) -> None:
    told = [state.verdicts, *state.only.values()]
    assert state.says.endswith((".", "own."))
    assert not {rule for table in told for rule in table} - RULES
    assert state.verdicts or state.only, "a state that changes no verdict shows nothing"
    chain = staging.chain([state.name])
    needs = staging.needs_of([state.name])
    assert any(needs <= offered for offered in OFFERS.values())
    assert all(set(state.debian) <= set(before.debian) for before in chain)
    # Under its policy and that of the states before it: a fault in one of them is a BadInput.
    said = {"LAB_NETWORK": "192.0.2.0/24", "LAB_KEY": "SHA256:" + "A" * 43}
    staged = staging.Staged(None, "root", *staging.policy_of(chain, said))  # type: ignore[arg-type]
    read_config(staged.write(tmp_path), all_controls())


def test_the_finished_rows_are_finished() -> None:
    assert {control.id for control in FINISHED} == set(staging.FINISHED)
    assert not [control.id for control in FINISHED if control.missing or not control.rules]


def unbroken(states: Iterable[staging.State]) -> set[str]:
    rules = {rule.id for control in FINISHED for rule in control.rules}
    return rules - {rule for state in states for rule in state.breaks()}


def test_every_rule_of_a_finished_row_is_broken_by_a_state() -> None:
    assert unbroken(STATES.values()) == set(GAPS), "neither broken by a state nor listed with its reason"
    assert all(GAPS.values())


def test_the_law_sees_that_a_state_is_gone() -> None:
    assert unbroken(one for one in STATES.values() if one.name != "leaver-with-key") == {
        "system_access.leavers_have_no_access"
    }


GOOD = 'says = "It is so."\nstage = "true"\ncheck = "true"\n[verdicts]\n"firewall.default_deny" = "fail"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("stage", "stgae"), "`stgae` is no key"),
        (GOOD.replace('check = "true"\n', ""), "`check` is missing"),
        (GOOD.replace("[verdicts]", 'needs = ["wings"]\n[verdicts]'), "no host offers wings"),
        (GOOD.replace("[verdicts]", 'debian = ["7"]\n[verdicts]'), "the lab has no Debian 7"),
        (GOOD.replace('"fail"', '"bad"'), "a verdict is"),
        (GOOD.replace("[verdicts]", "needs = 3\n[verdicts]"), "`needs` must be a list"),
        ("says = ", "Invalid value"),
    ],
)
def test_a_file_with_a_fault_is_named_in_one_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_text(text)
    with pytest.raises(BadInput, match=said) as raised:
        staging.read_state(tmp_path / "odd.toml")
    assert "odd.toml" in raised.value.line()
    assert "\n" not in raised.value.line()


def test_states_come_after_those_that_they_name() -> None:
    names = [state.name for state in staging.chain(["held-back", "stale-lists"])]
    assert names == ["archive", "closed", "kept", "behind-on-patches", "held-back", "stale-lists"]
    with pytest.raises(BadInput, match="there is no staged state"):
        staging.chain(["nowhere"])
