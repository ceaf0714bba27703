"""The notation of the scenarios, and that each finished row has one that tells the whole story."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from tests import staging
from tests.transcripts import HERE, Said, Transcript, all_transcripts, compare, parse

from wardkeep.core.errors import BadInput

TEXT = """What it shows.

host app-1: kept
debian: 12

Prose, which nobody compares.

$ wardkeep plan app-1
app-1: ... change
...
Plan <plan>. Carry out exactly this: ...
[1]
app-1# for i in 1 2; do
> echo $i; done
1
2
"""


def story(transcript: Transcript, row: str) -> list[str]:
    """The acts about that row, in their order. `host` is what somebody does on the host itself: after a drill, sabotage."""
    acts = []
    for said in transcript.said:
        words = said.command.split()
        if said.where != HERE:
            acts.append("host")
        elif words[:2] == ["wardkeep", "check"] and row in words:
            failing = any(re.match(rf"fail +{row}\.", line) for line in said.expected)
            acts.append("red" if failing and said.status == 1 else "green" if said.status == 0 else "looked")
        elif words[:2] == ["wardkeep", "drill"] and row in words and said.status == 0:
            acts.append("drill")
        elif words[:2] == ["wardkeep", "plan"] and row in words:
            acts.append("plan")
        elif words[:2] == ["wardkeep", "apply"]:
            acts.append("apply")
    return acts


def is_told_in(acts: Iterable[str], wanted: Iterable[str]) -> bool:
    left = iter(acts)
    return all(act in left for act in wanted)


# The kernel and the clock of a container are those of the machine below it: that row is never green there as a whole.
WANTED = {row: ["red", "plan", "apply", "green", "drill", "host", "red"] for row in staging.FINISHED}
WANTED["operating_system"] = ["red", "plan", "apply", "red", "drill", "host", "red"]


@pytest.mark.parametrize("row", staging.FINISHED)
def test_a_finished_row_has_a_scenario_from_broken_to_red_again(row: str) -> None:
    assert any(is_told_in(story(one, row), WANTED[row]) for one in all_transcripts())


def test_half_a_story_is_not_the_story() -> None:
    whole = next(one for one in all_transcripts() if one.name == "patches")
    acts = story(whole, "security_patching")
    assert is_told_in(acts, WANTED["security_patching"])
    assert not is_told_in([act for act in acts if act != "drill"], WANTED["security_patching"])
    assert not is_told_in(acts[: acts.index("drill")], WANTED["security_patching"])


def test_scenarios_begin_with_states_that_there_are() -> None:
    for one in all_transcripts():
        for states in one.hosts.values():
            assert all(set(one.debian) <= set(state.debian) for state in staging.chain(states)), one.name


def test_a_transcript_is_read_as_it_is_written() -> None:
    read = parse(TEXT, "x")
    assert (read.says, read.debian, read.hosts) == ("What it shows.", ("12",), {"app-1": ("kept",)})
    plan, loop = read.said
    assert (plan.where, plan.command, plan.status, len(plan.expected)) == (HERE, "wardkeep plan app-1", 1, 3)
    assert (loop.where, loop.command, loop.expected, loop.status) == (
        "app-1", "for i in 1 2; do\necho $i; done", ("1", "2"), 0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("app-1# for", "app-2# for", "x.transcript:13: there is no host `app-2`"),
        ("debian: 12\n", "", "is missing"),
        ("What it shows.\n", "", "x.transcript:1: a first sentence is missing"),
        ("[1]\n", "[1]\nmore\n", "nothing after its exit status"),
    ],
)
def test_a_fault_is_named_with_its_line(old: str, new: str, said: str) -> None:
    with pytest.raises(BadInput) as raised:
        parse(TEXT.replace(old, new), "x")
    assert said in raised.value.line()


SAID = Said(7, HERE, "wardkeep plan app-1", ("app-1: ... change", "...", "Plan <plan>. Do it"), 1)


def test_what_fits_is_no_difference_and_its_words_are_kept() -> None:
    words: dict[str, str] = {}
    assert compare(SAID, "app-1: 1 change\n\n 1. This\n 2. That\nPlan p-17. Do it  \n", 1, words) == ""
    assert words == {"plan": "p-17"}
    again = Said(9, HERE, "wardkeep apply <plan>", ("<plan> is applied",), 0)
    assert compare(again, "p-17 is applied\n", 0, words) == ""
    assert "- p-17 is applied" in compare(again, "p-18 is applied\n", 0, words)


@pytest.mark.parametrize(
    ("output", "status", "shown"),
    [
        ("app-1: 1 change\nPlan p-17. Do it\n", 0, ["  - [1]", "  + [0]"]),
        ("app-1: 1 change\nPlan p-17. Do it\nmore\n", 1, ["  + more"]),
        ("app-1: 1 change\nthis\n", 1, ["  - Plan <plan>. Do it", "  . this"]),
        ("Plan p-17. Do it\n", 1, ["  - app-1: ... change"]),
        ("", 1, ["  - app-1: ... change", "  - Plan <plan>. Do it"]),
    ],
)
def test_a_difference_is_shown_line_by_line(output: str, status: int, shown: list[str]) -> None:
    told = compare(SAID, output, status).splitlines()
    assert told[0] == "line 7: $ wardkeep plan app-1"
    assert sorted(line for line in told if line[2] in "-+." and not line.endswith("...")) == sorted(shown)
