"""A story is told in order, and ends at the first thing that is not as it says."""

from __future__ import annotations

import pytest
from scripted import Scripted, Silent

from wardkeep.demo import Act, Ran, Step, Told, tell
from wardkeep.demo.claims import Counter, fail_on, pass_on, prints, prints_no, row_is
from wardkeep.demo.telling import Check

PLANNED = Ran(0, "db-1: 1 change\n\nPlan p-0123abcd. Carry out exactly this: wardkeep apply p-0123abcd\n")
COUNTER = "table inet wardkeep {{\n\tcounter refused {{\n\t\tpackets {} bytes 60\n\t}}\n}}\n"


def told(scene: Scripted, *steps: Step, **names: str) -> Told:
    return tell([Act("One", "", steps), Act("Two", "", (Step("", ("last",)),))], scene, Silent(), names)


def test_what_a_command_prints_is_given_to_the_next_ones() -> None:
    key = "wardkeep/abc+0123abcd+AbC/d+e="
    scene = Scripted({"plan": PLANNED, "evidence export": Ran(0, f"The key:\n{key}\n")})
    done = told(
        scene,
        Step("", ("plan", "db-1")),
        Step("", ("apply", "<plan>", "--yes")),
        Step("", ("evidence", "export")),
        Step("", ("evidence", "verify", "<folder>/x", "--key", "<verifier>")),
        Step("", ("nft add element inet t s '{ <who> timeout 1h }' <not a name>",), on="web-1"),
        folder="/f",
        who="192.0.2.7",
    )
    assert done.broken == ""
    assert scene.played == [
        "plan db-1", "apply p-0123abcd --yes", "evidence export", f"evidence verify /f/x --key {key}",
        "web-1: nft add element inet t s '{ 192.0.2.7 timeout 1h }' <not a name>", "last",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("step", "seen"),
    [
        (Step("", ("check",), exits=(1,)), "exit status 0"),
        (Step("", ("check",), (row_is("firewall", "fail"),)), "the row is pass"),
        (Step("", ("id",), (prints("root", "It is root."),), on="db-1"), "no `root` in the output"),
    ],
)
def test_a_story_that_is_not_true_ends_there(step: Step, seen: str) -> None:
    scene = Scripted()
    done = told(scene, Step("", ("before",)), step, Step("", ("after",)))
    assert done.broken.endswith(f"Seen: {seen}")
    assert len(scene.played) == 2, "nothing is played after what is not true"


@pytest.mark.parametrize(
    ("check", "true", "false"),
    [
        (row_is("firewall", "fail"), (Scripted(verdict="fail"), ""), (Scripted(verdict="unknown"), "")),
        (fail_on("h", "a.b", "a.c"), (Scripted(verdict="fail"), ""), (Scripted(verdict="pass"), "")),
        (pass_on("h", "a.b"), (Scripted(), ""), (Scripted(verdict=""), "")),
        (prints("x", ""), (Scripted(), "a x b"), (Scripted(), "a b")),
        (prints_no("x", ""), (Scripted(), "a b"), (Scripted(), "a x b")),
    ],
)  # fmt: skip
def test_each_kind_of_claim_can_be_false(
    check: Check, true: tuple[Scripted, str], false: tuple[Scripted, str]
) -> None:
    assert check.seen(true[0], Ran(0, true[1])) == ""
    assert check.seen(false[0], Ran(0, false[1])) != ""


def test_a_counter_that_did_not_grow_is_no_proof() -> None:
    refused, scene = Counter("refused"), Scripted()
    assert refused.has_grown("").seen(scene, Ran(0, COUNTER.format(3))) != "", "nothing was noted before"
    assert refused.noted("").seen(scene, Ran(0, "no table")) != ""
    assert refused.noted("").seen(scene, Ran(0, COUNTER.format(3))) == ""
    assert refused.has_grown("").seen(scene, Ran(0, COUNTER.format(3))) == "3 packets, and 3 before"
    assert refused.has_grown("").seen(scene, Ran(0, COUNTER.format(4))) == ""
    assert Counter("banned").noted("").seen(scene, Ran(0, COUNTER.format(3))) != ""
