"""Changes on live hosts: confirmed over a new connection or taken back by the host, upgrades by apt, kills on both sides."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest
from tests.e2e.world import ACTOR, World

from wardkeep.core.changes import Act, Change, Upgrade
from wardkeep.core.control import Control
from wardkeep.core.facts import Answer, Question
from wardkeep.core.findings import Seen, Severity, holds
from wardkeep.engine.apply.carry_out import Site
from wardkeep.engine.apply.records import list_applies
from wardkeep.engine.plans import UpgradeChange
from wardkeep.engine.workers import open_workers
from wardkeep.lab import Host

pytestmark = pytest.mark.e2e
BOTH = pytest.mark.parametrize("debian_host", ["12", "13"], indirect=True)


@dataclass(frozen=True)
class Mark:
    """Whether /root/mark is there, and the version of the toy package."""

    there: bool
    toy: str
    ask: ClassVar[Question] = Question(
        "mark",
        "[ -e /root/mark ] && echo yes || echo no; dpkg-query -W -f '${Version}\\n' wk-toy 2>/dev/null || echo none",
    )

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        mark, toy = answer.text().split()
        return cls(mark == "yes", toy)


def marking(script: str, undo: str, *, cuts_access: bool) -> Control:
    """A row with one rule, mended by running a script."""
    row = Control("marked")

    @row.rule(
        says="The mark is there.", severity=Severity.LOW, serves={"164.312(a)(1)": "A mark keeps a promise."}
    )
    def there(mark: Mark) -> Iterator[Seen]:
        yield holds(mark.there, "mark", "looked", "Plan.")

    @there.mend
    def set_mark(failing: list[Seen]) -> Iterator[Change]:
        yield Act("Set the mark", script, undo, there.id, "mark", cuts_access)

    return row


def upgrading(to: str) -> Control:
    """A row whose rule wants the toy package at a version."""
    row = Control("marked")

    @row.rule(
        says="The toy is new.", severity=Severity.LOW, serves={"164.312(a)(1)": "A new toy is a safe toy."}
    )
    def new(mark: Mark) -> Iterator[Seen]:
        yield holds(mark.toy == to, "package:wk-toy", mark.toy, "Plan.")

    @new.mend
    def upgrade(mark: Mark, failing: list[Seen]) -> Iterator[Change]:
        yield Upgrade((("wk-toy", mark.toy, to),), new.id, "package:wk-toy", ("wk-toy.service",))

    return row


@pytest.fixture
def world_of(tmp_path: Path, debian_host: Host) -> Iterator[Callable[[Control], World]]:
    made: list[World] = []

    def make(row: Control) -> World:
        made.append(World(tmp_path, [row]))
        made[-1].add(debian_host)
        return made[-1]

    yield make
    for world in made:
        world.platform.close()


@BOTH
def test_a_change_that_cuts_the_way_in_is_taken_back_by_the_host(
    world_of: Callable[[Control], World], debian_host: Host
) -> None:
    """sshd is stopped: no new connection can confirm, so the host starts it again by its own clock."""
    row = marking(
        "touch /root/mark; systemctl stop ssh", "rm -f /root/mark; systemctl start ssh", cuts_access=True
    )
    world = world_of(row)
    stored = world.plan(debian_host.name)
    began = time.monotonic()
    outcome = world.apply(stored, confirm=6)
    assert time.monotonic() - began < 60
    assert outcome["state"] == "undone"
    assert debian_host.run("systemctl is-active ssh").stdout.strip() == "active"
    assert debian_host.run("test -e /root/mark").exit == 1
    assert list_applies(world.platform, open_only=True) == []


def test_a_confirmed_change_stays_after_the_time_is_over(
    world_of: Callable[[Control], World], debian_host: Host
) -> None:
    world = world_of(marking("touch /root/mark", "rm -f /root/mark", cuts_access=True))
    assert world.apply(world.plan(debian_host.name), confirm=4)["state"] == "applied"
    time.sleep(6)
    assert debian_host.run("test -e /root/mark").exit == 0
    assert debian_host.run("systemctl list-timers --all | grep -c wardkeep-undo").stdout.strip() == "0"


def _die_before_confirming(folder: str, plan: str, row: Control) -> None:
    world = World(Path(folder), [row])

    def die(point: str) -> None:
        if point == "confirm 1: before":
            os.kill(os.getpid(), signal.SIGKILL)

    with open_workers(world.platform, site=Site(world.platform, trace=die)) as durable:
        durable.start("apply", "a-1", plan, ACTOR)
        durable.wait("a-1", 60)


@BOTH
def test_a_host_that_reboots_before_anybody_confirmed_comes_back_as_it_was(
    world_of: Callable[[Control], World], tmp_path: Path, debian_host: Host
) -> None:
    row = marking(
        "touch /root/mark; systemctl disable ssh",
        "rm -f /root/mark; systemctl enable --now ssh",
        cuts_access=True,
    )
    world = world_of(row)
    stored = world.plan(debian_host.name)
    child = get_context("fork").Process(target=_die_before_confirming, args=(str(tmp_path), stored.id, row))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert debian_host.run("test -e /root/mark").exit == 0
    debian_host.reboot()
    assert debian_host.run("test -e /root/mark").exit == 1
    assert debian_host.run("ls /etc/systemd/system | grep wardkeep-undo").stdout == ""
    assert _take_up(str(tmp_path), row)["state"] == "undone"
    assert list_applies(world.platform, open_only=True) == []


ARCHIVE = """
mkdir -p /srv/archive /tmp/b && cd /tmp/b
build() {
  rm -rf p && mkdir -p p/DEBIAN p/etc p/usr/share/wk-toy
  echo "version $1" > p/usr/share/wk-toy/v; echo "setting = shipped-$1" > p/etc/wk-toy.conf; echo /etc/wk-toy.conf > p/DEBIAN/conffiles
  printf 'Package: wk-toy\\nVersion: %s\\nArchitecture: all\\nMaintainer: Lab <lab@example.test>\\nDescription: toy\\n%b' "$1" "$2" > p/DEBIAN/control
  dpkg-deb --root-owner-group -b p /srv/archive/wk-toy_$1_all.deb >/dev/null
}
index() {
  : > /srv/archive/Packages
  for f in /srv/archive/*.deb; do
    dpkg-deb -f "$f" >> /srv/archive/Packages
    printf 'Filename: ./%s\\nSize: %s\\nSHA256: %s\\n\\n' "${f##*/}" "$(stat -c %s "$f")" "$(sha256sum < "$f" | cut -d' ' -f1)" >> /srv/archive/Packages
  done
  echo 'deb [trusted=yes] file:/srv/archive ./' > /etc/apt/sources.list.d/toy.list
  apt-get -qq update
}
"""


@BOTH
def test_an_upgrade_keeps_changed_configuration_and_goes_back(
    world_of: Callable[[Control], World], debian_host: Host
) -> None:
    debian_host.stage(
        ARCHIVE
        + "build 1.0 ''; build 2.0 ''; index; apt-get -qq install -y wk-toy=1.0; echo 'setting = mine' > /etc/wk-toy.conf"
    )
    world = world_of(upgrading("2.0"))
    assert world.failing(debian_host.name) == {"marked.new"}
    stored = world.plan(debian_host.name)
    (change,) = stored.plan.changes
    assert isinstance(change, UpgradeChange)
    assert (change.packages, change.also) == ((("wk-toy", "1.0", "2.0"),), ())
    assert world.apply(stored)["state"] == "applied"
    assert debian_host.stage("cat /etc/wk-toy.conf /usr/share/wk-toy/v") == "setting = mine\nversion 2.0\n"
    assert world.undo(stored.id)["state"] == "undone"
    assert debian_host.stage("cat /etc/wk-toy.conf /usr/share/wk-toy/v") == "setting = mine\nversion 1.0\n"


def test_an_old_version_that_is_gone_cannot_be_taken_back_and_that_is_said(
    world_of: Callable[[Control], World], debian_host: Host
) -> None:
    debian_host.stage(ARCHIVE + "build 1.0 ''; build 2.0 ''; index; apt-get -qq install -y wk-toy=1.0")
    world = world_of(upgrading("2.0"))
    stored = world.plan(debian_host.name)
    assert world.apply(stored)["state"] == "applied"
    debian_host.stage(ARCHIVE + "rm /srv/archive/wk-toy_1.0_all.deb; index; apt-get clean")
    outcome = world.undo(stored.id)
    assert outcome["state"] == "failed"
    assert "no longer in the archive" in outcome["summary"]
    assert debian_host.stage("cat /usr/share/wk-toy/v") == "version 2.0\n"


def test_an_upgrade_that_would_remove_a_package_is_refused(
    world_of: Callable[[Control], World], debian_host: Host
) -> None:
    debian_host.stage(
        ARCHIVE + "build 1.0 ''; build 2.0 'Conflicts: less\\n'; index; apt-get -qq install -y wk-toy=1.0"
    )
    world = world_of(upgrading("2.0"))
    stored = world.plan(debian_host.name)
    assert stored.plan.changes == ()
    assert stored.plan.withheld[0].reason == "apt would remove less"


def _apply_and_die(folder: str, plan: str, name: str, row: Control, when: float) -> None:
    """In a process of its own: apply, and die that many seconds after the act began on the host."""
    world = World(Path(folder), [row])

    def die(point: str) -> None:
        if point == "make 1: before" and os.fork() == 0:
            time.sleep(when)
            os.kill(os.getppid(), signal.SIGKILL)
            os._exit(0)

    with open_workers(world.platform, site=Site(world.platform, trace=die)) as durable:
        durable.start("apply", "a-1", plan, ACTOR)
        durable.wait("a-1", 90)


def _take_up(folder: str, row: Control) -> dict[str, Any]:
    world = World(Path(folder), [row])
    with open_workers(world.platform) as durable:
        durable.adopt()
        outcome = durable.wait("a-1", 120)
    world.platform.close()
    assert isinstance(outcome, dict)
    return outcome


def test_a_controller_killed_while_apt_runs_leaves_no_broken_packages(
    world_of: Callable[[Control], World], tmp_path: Path, debian_host: Host
) -> None:
    """The package's script takes its time; the controller dies in it; apt goes on, and the next start waits for it."""
    debian_host.stage(
        ARCHIVE
        + "build 1.0 ''; build 2.0 ''; rm -rf p/q; printf '#!/bin/sh\\nsleep 6\\n' > p/DEBIAN/preinst; chmod 755 p/DEBIAN/preinst; "
        "dpkg-deb --root-owner-group -b p /srv/archive/wk-toy_2.0_all.deb >/dev/null; index; apt-get -qq install -y wk-toy=1.0"
    )
    row = upgrading("2.0")
    world = world_of(row)
    stored = world.plan(debian_host.name)
    child = get_context("fork").Process(
        target=_apply_and_die, args=(str(tmp_path), stored.id, debian_host.name, row, 2.5)
    )
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert [one.state for one in list_applies(world.platform, open_only=True)] == ["begun"]
    assert _take_up(str(tmp_path), row)["state"] == "applied"
    assert debian_host.stage("dpkg --audit; cat /usr/share/wk-toy/v") == "version 2.0\n"
    assert debian_host.stage("grep -c ' upgrade wk-toy' /var/log/dpkg.log").strip() == "1"


def test_a_host_that_hangs_is_waited_for_and_the_change_ends(
    world_of: Callable[[Control], World], debian_host: Host
) -> None:
    """The host freezes right after the change was made and comes back after its time to confirm is over."""
    world = world_of(marking("touch /root/mark", "rm -f /root/mark", cuts_access=True))
    stored = world.plan(debian_host.name)

    def freeze(point: str) -> None:
        if point != "make 1: after":
            return
        debian_host.pause()
        if os.fork() == 0:
            time.sleep(8)
            debian_host.resume()
            os._exit(0)

    outcome = world.apply(stored, confirm=20, trace=freeze)
    assert outcome["state"] in {"applied", "undone"}
    there = debian_host.run("test -e /root/mark").exit == 0
    assert there == (outcome["state"] == "applied")
    assert list_applies(world.platform, open_only=True) == []
