"""Every staged state on a live host: it takes, it leads to the verdicts that its file says, and to no others."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from tests import staging

from wardkeep.lab import Lab, cheapest

pytestmark = pytest.mark.e2e
STATES = staging.all_states()
Before = Callable[[Lab, staging.State, str], set[staging.Found]]


def turn(state: staging.State) -> str:
    """Each state is staged on one Debian, the same one every time, about half of them on each."""
    return state.debian[zlib.crc32(state.name.encode()) % len(state.debian)]


# The unit that runs together (see scripts/e2e.py) stands before the colon: what comes after the same states, on one Debian.
IDS = [f"{'+'.join(state.after) or 'fresh'}-{turn(state)}:{state.name}" for state in STATES.values()]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Before:
    """What does not pass before a state is staged, found once for all that come after the same states."""
    known: dict[tuple[tuple[str, ...], str, str], set[staging.Found]] = {}

    def find(lab: Lab, state: staging.State, debian: str) -> set[staging.Found]:
        key = (state.after, debian, cheapest(staging.needs_of([state.name])))
        if key not in known:
            staged = staging.stage(lab, state.after, debian=debian, needs=staging.needs_of([state.name]))
            try:
                config = staged.write(tmp_path_factory.mktemp("policy"))
                known[key] = staging.not_passing(staging.judge(staging.look(staged), config))
            finally:
                staged.host.remove()
        return known[key]

    return find


@pytest.mark.parametrize("state", STATES.values(), ids=IDS)
def test_a_state_leads_to_the_verdicts_it_says_and_to_no_others(
    state: staging.State, lab_for: Callable[[Iterable[str]], Lab], before: Before, tmp_path: Path
) -> None:
    lab, debian = lab_for(staging.needs_of([state.name])), turn(state)
    base = before(lab, state, debian)
    staged = staging.stage(lab, [state.name], debian=debian)
    try:
        snapshot = staging.look(staged)
    finally:
        staged.host.remove()
    assert not snapshot.problem
    found = staging.judge(snapshot, staged.write(tmp_path))
    wrong = staging.differences([state], debian, found, base)
    assert not wrong, f"{state.name} on Debian {debian}\n" + "\n".join(wrong)
