"""`wardkeep lab` as a person types it: hosts stay between commands and are gone when removed; errors are one line."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from left_behind import left_of

from lab_hosts import want
from wardkeep.cli import main
from wardkeep.lab import Lab, Places
from wardkeep.lab.records import kept_id

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Typed]:
    """Run a command on a kept lab of the test's own: (exit status, stdout, stderr)."""
    want("namespace")
    monkeypatch.setenv("WARDKEEP_LAB_RUN", str(tmp_path / "run"))
    monkeypatch.setenv("WARDKEEP_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sys.stdin", io.StringIO())

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["lab", *words])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    yield run
    lab = Lab(kept=True)
    if lab.book.is_open():
        lab.close()


def as_json(typed: Typed, *words: str) -> Any:
    status, out, err = typed(*words, "--json")
    assert status == 0, err
    return json.loads(out)


@pytest.mark.e2e
def test_a_host_stays_between_commands_until_it_is_removed(typed: Typed, tmp_path: Path) -> None:
    assert as_json(typed, "list") == []
    made = as_json(typed, "up", "web-1", "--needs", "nftables,sshd", "--network", "ward")
    assert (made["kind"], made["networks"]["outside"]) == ("namespace", made["address"])
    assert [one["name"] for one in as_json(typed, "list")] == ["web-1"]
    assert typed("run", "web-1", "hostname; exit 7")[:2] == (7, "web-1\n")

    (tmp_path / "sent").write_text("hello\n")
    as_json(typed, "copy", str(tmp_path / "sent"), "web-1:/root/sent")
    as_json(typed, "copy", "web-1:/root/sent", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "hello\n"

    for words in (
        ("join", "web-1", "dmz"),
        ("cut", "web-1", "ward"),
        ("slow", "web-1", "dmz", "--delay", "0.01"),
    ):
        as_json(typed, *words)
    (told,) = as_json(typed, "list")
    assert (sorted(told["networks"]), told["cut"], told["slow"]) == (
        ["dmz", "outside", "ward"],
        ["ward"],
        ["dmz"],
    )
    for word, power in (
        ("pause", "frozen"), ("resume", "on"), ("reboot", "on"), ("kill", "off"), ("start", "on"), ("heal", "on"),
    ):  # fmt: skip
        as_json(typed, word, "web-1")
        (told,) = as_json(typed, "list")
        assert told["power"] == power
        if power != "on":
            for words in (("run", "web-1", "true"), ("reboot", "web-1"), ("join", "web-1", "other")):
                status, out, err = typed(*words)
                assert (status, out) == (2, "")
                assert f"web-1: the host is {power}. " in err
    (told,) = as_json(typed, "list")
    assert (told["cut"], told["slow"]) == ([], [])
    assert typed("run", "web-1", "cat /root/sent")[:2] == (0, "hello\n")

    assert as_json(typed, "remove", "web-1") == {"removed": ["web-1"]}
    assert as_json(typed, "list") == []
    assert left_of(kept_id(Places.usual()), Places.usual()) == []


def test_a_wrong_wish_is_one_line(typed: Typed, tmp_path: Path) -> None:
    as_json(typed, "up", "a", "--needs", "shell")
    for words, says in (
        (("up", "b", "--needs", "lukss"), "Did you mean `luks`?"),
        (("up", "a", "--needs", "shell"), "there is a host `a` already"),
        (("up", "A b", "--needs", "shell"), "cannot be a host's name"),
        (("up", "b", "--debian", "11"), "Ask for 12 or 13"),
        (("run", "b", "id"), "the lab has no host `b`. It has a"),
        (("cut", "a", "ward"), "a is not in the network `ward`"),
        (("clock", "a", "60"), "a namespace has this machine's clock"),
        (("copy", "x", "y"), "one side must be NAME:/path"),
        (("copy", str(tmp_path / "none"), "a:/root/x"), "there is no such file"),
        (("remove",), "name one host, or say --all"),
    ):
        status, out, err = typed(*words)
        assert (status, out) == (2, ""), words
        assert says in err
        assert err.startswith("wardkeep: ")
        assert "Traceback" not in err
    assert as_json(typed, "remove", "--all") == {"removed": ["a"]}


def test_kinds_say_what_they_offer(typed: Typed) -> None:
    status, out, _ = typed("kinds", "--json")
    told = json.loads(out)
    assert status == (3 if any(one["why_not"] for one in told["kinds"]) else 0)
    assert [one["kind"] for one in told["kinds"]] == ["namespace", "container", "vm"]
    assert set(told["needs"]) == set(told["kinds"][2]["offers"])
    assert "namespace: works here" in typed("kinds")[1]


def test_without_root_it_says_so(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    status, _, err = typed("up", "a", "--needs", "shell")
    assert status == 2
    assert "needs root" in err
    assert err.count("\n") == 1
