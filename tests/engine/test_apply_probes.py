"""What is tried from here before a change is confirmed: a real sshd, a real port, and a change that is kept or taken back."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest
from tests.engine.toy_platform import ACTOR, CONFIRM, end_timers
from tests.fleet.sshd import Sshd, running_sshd, shut_port

from wardkeep.core.changes import Act, Change, TryConnect
from wardkeep.core.control import Control
from wardkeep.core.facts import Answer, Question
from wardkeep.core.findings import Seen, Severity, holds
from wardkeep.engine.apply.carry_out import Site
from wardkeep.engine.apply.probing import NOT_TRIED, blind, wrong_of
from wardkeep.engine.hosts import add_host
from wardkeep.engine.plans import read_plan
from wardkeep.engine.platform import open_platform
from wardkeep.engine.workers import apply_plan, open_workers, plan_host
from wardkeep.fleet import Host

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="changes are made as root")


def row_of(mark: Path, probes: tuple[TryConnect, ...]) -> Control:
    """A row whose rule wants the file; its remedy is tried from here before it is confirmed."""

    @dataclass(frozen=True)
    class Mark:
        there: bool
        ask: ClassVar[Question] = Question("mark", f"[ -e {mark} ] && echo yes || echo no")

        @classmethod
        def parse(cls, answer: Answer) -> Self:
            return cls(answer.text().strip() == "yes")

    row = Control("marked")
    serves = {"164.312(a)(1)": "A mark keeps a promise."}

    def there(seen: Mark) -> Iterator[Seen]:
        yield holds(seen.there, "mark", "looked", "Plan.")

    there.__annotations__ = {"seen": Mark}
    rule = row.rule(says="The mark is there.", severity=Severity.LOW, serves=serves)(there)

    def set_mark(failing: list[Seen]) -> Iterator[Change]:
        yield Act(
            "Set the mark",
            f"touch {mark}",
            f"rm -f {mark}",
            rule.id,
            "mark",
            cuts_access=True,
            probes=probes,
        )

    set_mark.__annotations__ = {"failing": list[Seen]}
    rule.mend(set_mark)
    return row


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as made:
        yield made


@contextmanager
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield one.getsockname()[1]


def carried_out(tmp_path: Path, host: Host, probes: tuple[TryConnect, ...]) -> tuple[dict[str, Any], Any]:
    """(the outcome of an apply, what the ledger holds of its end)."""
    with open_platform(tmp_path / "state", create=True) as platform:
        platform.controls = (row_of(tmp_path / "mark", probes),)
        add_host(platform, host, ACTOR)
        stored = asyncio.run(plan_host(platform, host, platform.controls, ACTOR))
        assert read_plan(stored.plan.document()) == stored.plan
        site = Site(platform, folder=str(tmp_path / "changes"), confirm=CONFIRM)
        try:
            with open_workers(platform, site=site) as durable:
                outcome = apply_plan(platform, durable, stored, ACTOR, timeout=300)
        finally:
            end_timers(tmp_path)
        entries = [e for e in platform.ledger.read() if e["kind"] == "apply"]
        return outcome, entries[-1]["body"]


def test_a_change_whose_probes_go_as_foretold_is_confirmed_and_recorded(server: Sshd, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with listener() as port, shut_port() as shut:
        probes = (
            TryConnect(server.port, "open", "marked.there", "ssh is let in"),
            TryConnect(port, "open", "marked.there", "the program answers"),
            TryConnect(shut, "answered", "marked.there", "the packet comes through"),
        )
        outcome, noted = carried_out(tmp_path, server.host(), probes)
    assert outcome["state"] == "applied", outcome
    assert (tmp_path / "mark").exists()
    (change,) = noted["changes"]
    assert change["outcome"] == "confirmed"
    assert [(p["says"], p["verdict"]) for p in change["probes"]] == [(p.says, "pass") for p in probes]


def test_a_change_after_which_a_probe_goes_wrong_is_not_confirmed_and_goes_back(
    server: Sshd, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    with shut_port() as shut:
        says = f"a packet from 127.0.0.1 to {shut}/tcp is let in"
        probes = (
            TryConnect(server.port, "open", "marked.there", "ssh is let in"),
            TryConnect(shut, "open", "marked.there", says),
        )
        outcome, noted = carried_out(tmp_path, server.host(), probes)
    assert outcome["state"] == "undone", outcome
    assert not (tmp_path / "mark").exists()
    assert f"{says}: Port {shut} refused it." in outcome["summary"]
    assert "ssh is let in" not in outcome["summary"]
    change, back = noted["changes"]
    assert (change["outcome"], back["outcome"]) == ("failed", "undone")
    assert [p["verdict"] for p in change["probes"]] == ["pass", "fail"]


def test_what_is_silent_is_told_from_what_refuses(server: Sshd, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with shut_port() as shut:
        probes = (
            TryConnect(server.port, "open", "marked.there", "ssh is let in"),
            TryConnect(shut, "silent", "marked.there", "the packet is dropped"),
        )
        outcome, _ = carried_out(tmp_path, server.host(), probes)
    assert outcome["state"] == "undone"
    assert f"the packet is dropped: Port {shut} refused it." in outcome["summary"]


def test_nothing_is_tried_where_packets_from_here_say_nothing(tmp_path: Path) -> None:
    probes = (TryConnect(22, "open", "r", "ssh"), TryConnect(9, "silent", "r", "nobody"))
    told = {
        "local:": "runs on this host itself",
        "ssh://root@198.51.100.1:2222": "the ports are translated on the way",
        "ssh://root@198.51.100.1": "",
    }
    for url, why in told.items():
        found = blind(probes, Host("h", url, ("ssh-ed25519 AAAA",)))
        assert why in found
        assert bool(why) == bool(found)
    jumping = Host("h", "ssh://root@198.51.100.1", ("ssh-ed25519 AAAA",), jump="ssh://root@198.51.100.2")
    assert "behind a jump host" in blind(probes, jumping)
    outcome, noted = carried_out(tmp_path, Host("here", "local:"), probes)
    assert outcome["state"] == "applied"
    assert [p["verdict"] for p in noted["changes"][0]["probes"]] == [NOT_TRIED] * 2


def test_a_probe_that_could_not_be_seen_is_as_wrong_as_one_that_failed() -> None:
    seen = {"says": "a", "expect": "open", "seen": "silent, and so is the whole host"}
    assert wrong_of([{**seen, "verdict": "unknown"}]) == "a: silent, and so is the whole host"
    assert wrong_of([{**seen, "verdict": "pass"}, {**seen, "verdict": NOT_TRIED}]) == ""
