"""The allowlist as people really treat it: faults in what is typed, two at once, files of somebody else, and hands in a review."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wardkeep.allowlists.minutes import as_html, as_markdown
from wardkeep.allowlists.reading import read_toml
from wardkeep.cli import main
from wardkeep.core.errors import BadInput
from wardkeep.engine.allowlist_review import campaign_named, minutes_of, sign, start_campaign
from wardkeep.engine.allowlists import add_entry, remove_entry
from wardkeep.engine.declared import allowlist_path, declared
from wardkeep.engine.platform import Platform, open_platform

TODAY = datetime.now(UTC).date()
BY = "operator:alice"


def add(platform: Platform, network: str, **more: str) -> str:
    told = {"network": network, "service": "443/tcp", "owner": "bob", "reason": "partner", **more}
    days = {"created": TODAY, "expires": TODAY + timedelta(days=90)}
    return add_entry(platform, {**told, **days}, "allow", BY)[0].id


def acts(platform: Platform) -> list[str]:
    return [e["body"]["act"] for e in platform.ledger.read() if e["kind"] == "allowlist"]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    open_platform(folder, create=True).close()
    monkeypatch.setenv("WARDKEEP_STATE", str(folder))
    return folder


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["allowlist", *words])
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


FINE = {
    "network": "9.9.9.9",
    "--service": "443/tcp",
    "--owner": "Ünï 李",
    "--reason": "ok",
    "--until": "9 d",
    "--list": "default",
}


@pytest.mark.parametrize(
    ("key", "said", "told"),
    [
        ("network", "9.9.9.9/33", "`9.9.9.9/33` is no network"),
        ("network", "", "the network says nothing"),
        ("--service", " ", "the service says nothing"),
        ("--service", "99999/tcp", "`99999/tcp` is no service"),
        ("--list", "a b", "`a b` is no name of a list"),
        ("--until", "2020-01-01", "2020-01-01 is over"),
        ("--until", "soon", "`soon` is neither"),
        ("--owner", "  ", "the owner says nothing"),
        ("--owner", "a\u202egnp", "changes the direction"),
        ("--owner", "\udcff\udcfe", "`owner` holds"),
        ("--reason", "a\nb", "holds a line break"),
    ],
)
def test_a_fault_is_told_in_one_line_that_names_what_was_typed(
    state: Path, capsys: pytest.CaptureFixture[str], key: str, said: str, told: str
) -> None:
    given = FINE | {key: said}
    words = [given.pop("network"), *(word for pair in given.items() for word in pair)]
    code, out, err = run(capsys, "add", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told in err
    # Nothing was written, so no line of the file has a fault.
    assert "allowlist.toml" not in err
    assert not (state / "allowlist.toml").exists()
    assert not acts_in(state)


def acts_in(state: Path) -> list[str]:
    with open_platform(state) as platform:
        return acts(platform)


def test_what_is_wrong_with_a_new_entry_is_told_at_once(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about = [*(word for key, text in FINE.items() if key != "network" for word in (key, text))]
    code, out, _ = run(capsys, "add", "0.0.0.0/0", *about)
    assert (code, out.count("▲ too_broad · high: ")) == (0, 1)
    code, out, _ = run(capsys, "add", "9.9.9.9/24", *about, "--ticket", "T-1", "--json")
    assert (code, [one["kind"] for one in json.loads(out)["findings"]]) == (0, ["contained", "host_bits"])
    code, out, _ = run(capsys, "add", "::ffff:9.9.9.9", *about)
    assert out.count("▲ v4_mapped") == 1


def test_one_is_not_told_as_several(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text, told in (
        ("9.9.9.9\n", "1 entry, no defect.\n"),
        ("10.1.2.3\n", "1 entry, 1 defect.\n"),
        ("10.1.2.3\n9.9.9.9\n", "2 entries, 1 defect in 1 of them.\n"),
    ):
        (tmp_path / "some.txt").write_text(text)
        assert told in run(capsys, "audit", str(tmp_path / "some.txt"), "--service", "443/tcp")[1]


def test_many_add_at_once_and_nothing_is_lost(platform: Platform) -> None:
    def one(number: int) -> str:
        with open_platform(platform.folder) as mine:
            return add(mine, f"9.9.{number // 2}.9")  # each network by two people

    def outcome(number: int) -> str:
        try:
            return one(number)
        except BadInput as e:
            return e.what.partition(":")[0]

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(outcome, range(16)))
    assert told.count("stands there already") == 8
    assert {entry.id for entry in declared(platform.config).entries} == {t for t in told if " " not in t}
    assert acts(platform) == ["add"] * 8


@pytest.fixture
def elsewhere(platform: Platform, tmp_path: Path) -> Path:
    """The file as a link into a checkout that belongs to somebody else."""
    real = tmp_path / "checkout" / "allow.toml"
    real.parent.mkdir()
    real.write_text("# ours\n")
    real.chmod(0o604)
    allowlist_path(platform.config).symlink_to(real)
    return real


def test_a_link_stays_a_link_and_a_file_its_owners(platform: Platform, elsewhere: Path) -> None:
    mine = os.geteuid() != 0
    if not mine:
        os.chown(elsewhere, 65534, 65534)
    add(platform, "9.9.9.9")
    kept = elsewhere.stat()
    assert allowlist_path(platform.config).is_symlink()
    assert "9.9.9.9" in elsewhere.read_text()
    assert stat.S_IMODE(kept.st_mode) == 0o604
    assert mine or (kept.st_uid, kept.st_gid) == (65534, 65534)


def test_an_act_that_cannot_be_written_is_not_in_the_ledger(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(platform, "9.9.9.9")
    path = allowlist_path(platform.config)
    before = path.read_text()
    # Root may write everywhere: a name that is taken stops it as rights stop others.
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    beside.mkdir()
    with pytest.raises(BadInput, match="cannot be written"):
        add(platform, "9.9.9.8")
    beside.rmdir()
    assert (acts(platform), path.read_text()) == (["add"], before)


TWICE = """\
[[allow]]
network = "9.9.9.9"
service = "443/tcp"
expires = 2999-01-01

[[allow]]
network = "9.9.9.8"
service = "443/tcp"

[[allow]]
network = "9.9.9.9/32"
service = "https"
"""


def test_entries_that_say_the_same_are_reviewed_and_removed_together(platform: Platform) -> None:
    path = allowlist_path(platform.config)
    path.write_text(TWICE)
    start_campaign(platform, BY)
    assert len(campaign_named(platform).entries) == 2
    sign(platform, ["9.9.9.9"], "keep", reviewer="carol", by=BY)
    assert [(e.text, e.reviewer) for e in declared(platform.config).entries] == [
        ("9.9.9.9", "carol"),
        ("9.9.9.8", ""),
        ("9.9.9.9/32", "carol"),
    ]
    remove_entry(platform, "9.9.9.9", listed="", service="", reason="contract ended", by=BY)
    assert [e.text for e in declared(platform.config).entries] == ["9.9.9.8"]


def test_who_takes_an_entry_out_during_a_review_has_decided_it(platform: Platform) -> None:
    ids = [add(platform, f"9.9.9.{n}") for n in range(3)]
    start_campaign(platform, BY)
    remove_entry(platform, ids[0], listed="", service="", reason="contract ended", by="operator:dave")
    # By hand, in the file: nobody knows who, until somebody signs it.
    path = allowlist_path(platform.config)
    text = path.read_text()
    path.write_text(text[: text.rindex("[[allow]]")])
    assert campaign_named(platform).left == ids[1:]
    with pytest.raises(BadInput, match=r"9\.9\.9\.2 → 443/tcp is not in the file any more"):
        sign(platform, [ids[2]], "keep", reviewer="carol", by=BY)
    sign(platform, ["9.9.9.2"], "remove", reviewer="carol", by=BY, says="somebody took it out")
    sign(platform, [ids[1]], "keep", reviewer="BOB ", by=BY)
    told = minutes_of(platform)
    assert told["state"] == "complete"
    decided = {
        one["id"]: (one["decision"], one["reviewer"], one["says"], one["own"]) for one in told["decided"]
    }
    assert decided == {
        ids[0]: ("removed", "dave", "contract ended", False),
        ids[1]: ("kept", "BOB", "", True),
        ids[2]: ("removed", "carol", "somebody took it out", False),
    }
    # An auditor sees until when what was kept holds.
    for page in (as_html(told), as_markdown(told)):
        assert str(TODAY + timedelta(days=90)) in page
    remove_entry(platform, ids[1], listed="", service="", reason="later", by=BY)
    assert minutes_of(platform)["counts"]["removed"] == 2, "what happens after its end is not of the review"


def test_a_text_that_turns_what_follows_is_refused_in_the_file_too() -> None:
    text = '[[allow]]\nnetwork = "9.9.9.9"\nservice = "22/tcp"\nreason = "{}"\n'
    assert read_toml(text.format("Ünï 李 \u05d0\u05d1"), "a.toml").entries
    for bad in ("a\u202eb", "\\u2066a", "a\u2028b"):
        with pytest.raises(BadInput, match=r"a\.toml:1: `reason` holds"):
            read_toml(text.format(bad), "a.toml")
