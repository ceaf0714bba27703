"""The clinic's story: its commands exist, its claims can fail, and a kind of host is found for it or refused in one line."""

from __future__ import annotations

import pytest
from scripted import Scripted, Silent
from tests.house.test_docs import wrong_commands

from wardkeep.core.errors import BadInput, Unavailable
from wardkeep.demo import Act, Ran, Step, find_setting, story, tell

WHOLE = pytest.mark.parametrize("whole", [True, False])
ALL_TEXTS = "Mara Lindqvist in as root"


def steps(whole: bool) -> list[Step]:
    return [step for act in story(whole) for step in act.steps]


@WHOLE
def test_every_command_of_the_story_exists(whole: bool) -> None:
    typed = [f"wardkeep {' '.join(step.words)}" for step in steps(whole) if not step.on]
    assert len(typed) > 8
    assert wrong_commands(typed) == []
    assert wrong_commands(["wardkeep chekc"]) != []


@WHOLE
def test_every_claim_of_the_story_can_fail(whole: bool) -> None:
    """On a scene where nothing is as it says: other verdicts, no output or all the text that must not be there."""
    claims = [check for step in steps(whole) for check in step.checks]
    assert len(claims) > 10
    for check in claims:
        seen = [check.seen(Scripted(verdict="unknown"), Ran(0, text)) for text in ("", ALL_TEXTS)]
        assert any(seen), check.says


@WHOLE
def test_red_comes_before_green_and_nothing_is_applied_unplanned(whole: bool) -> None:
    words = [step.words[0] if not step.on else step.on for step in steps(whole)]
    assert words.index("check") < words.index("plan") < words.index("apply")
    for number, step in enumerate(steps(whole)):
        if step.words[0] == "apply":
            before = [one for one in steps(whole)[:number] if one.words[0] == "plan"]
            assert before
            assert step.words[1] == "<plan>"


def test_the_story_ends_when_the_neighbour_reads_nothing_at_first() -> None:
    scene, teller = Scripted(), Silent()
    told = tell(story(), scene, teller, {})
    assert told.broken.startswith("The neighbour has read the patients.")
    assert len(scene.played) == 1


@WHOLE
def test_every_chapter_says_what_it_is(whole: bool) -> None:
    acts: tuple[Act, ...] = story(whole)
    assert len({act.title for act in acts}) == len(acts)
    assert all(act.says.endswith(".") and act.steps for act in acts)


def test_the_best_kind_that_works_is_taken_and_what_is_left_out_is_said() -> None:
    best = find_setting(why=lambda kind: "")
    assert (best.kind, best.is_whole, best.why) == ("container", True, "")
    less = find_setting(why=lambda kind: "needs podman" if kind == "container" else "")
    assert (less.kind, less.is_whole, less.why) == ("namespace", False, "a container needs podman")
    assert any("firewall" in sentence for sentence in less.left_out)
    assert find_setting("namespace", why=lambda kind: "").kind == "namespace"


def test_where_nothing_works_it_is_refused_in_one_line() -> None:
    with pytest.raises(Unavailable) as root:
        find_setting(why=lambda kind: "needs root")
    assert "needs root" in root.value.line()
    assert "sudo" in root.value.line()
    with pytest.raises(Unavailable) as none:
        find_setting(why=lambda kind: f"needs {kind}d")
    assert "a container needs containerd; a namespace needs namespaced" in none.value.line()
    with pytest.raises(BadInput) as wrong:
        find_setting("vm", why=lambda kind: "")
    assert "container" in wrong.value.line()


def test_the_hosts_debian_can_be_chosen_where_they_have_one() -> None:
    def works(kind: str) -> str:
        return ""

    assert (find_setting(why=works).debian, find_setting(why=works, debian="13").debian) == ("12", "13")
    with pytest.raises(BadInput, match=r"no Debian 11\. Ask for 12 or 13"):
        find_setting(why=works, debian="11")
    with pytest.raises(Unavailable, match="a namespace has the Debian of this machine"):
        find_setting("namespace", why=works, debian="13")
