"""`wardkeep firewall ... here`, and `-`: the rules that this machine runs, and those of a pipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.controls.netns_pair import missing
from tests.rulesets.packet_fates import filter_table

RULES = """table inet filter {
    chain input { type filter hook input priority 0; policy drop; tcp dport { 22, 80 } accept; ct state established accept; }
}
"""
SPACE = f"wk-here-{os.getpid()}"


def wardkeep(
    *words: str, stdin: str = "", inside: str = "", before: Sequence[str] = ()
) -> tuple[int, str, str]:
    """Run the command, in a network namespace if one is named, or with other words before it."""
    if inside:
        before = ["ip", "netns", "exec", inside]
    command = [*before, sys.executable, "-m", "wardkeep", "firewall", *words]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def machine() -> Iterator[str]:
    """A namespace with the rules in force; who may not make one skips."""
    if reason := missing():
        pytest.skip(reason)
    subprocess.run(["ip", "netns", "add", SPACE], check=True)
    try:
        subprocess.run(["ip", "netns", "exec", SPACE, "nft", "-f", "-"], input=RULES, text=True, check=True)
        yield SPACE
    finally:
        subprocess.run(["ip", "netns", "del", SPACE], check=True)


def test_the_rules_in_force_are_read_where_no_file_is_named(machine: str, tmp_path: Path) -> None:
    status, out, _ = wardkeep("audit", "--json", inside=machine)
    told = json.loads(out)
    assert (status, told["name"], len(told["rules"])) == (1, "this machine", 2)
    assert wardkeep("audit", "here", "--json", inside=machine)[1] == out
    asked = wardkeep("ask", "here", "22/tcp from anywhere", "no 5432/tcp from anywhere", inside=machine)
    assert asked[0] == 0
    (tmp_path / "rules.nft").write_text(RULES)
    assert wardkeep("diff", "here", str(tmp_path / "rules.nft"), inside=machine)[0] == 0
    (tmp_path / "rules.nft").write_text(RULES.replace("22, 80", "22"))
    status, out, _ = wardkeep("diff", "here", str(tmp_path / "rules.nft"), inside=machine)
    assert (status, "accept → drop" in out) == (1, True)


def test_nothing_is_changed_by_the_look(machine: str) -> None:
    listed = ["ip", "netns", "exec", machine, "nft", "list", "ruleset"]
    before = subprocess.run(listed, capture_output=True, text=True, check=True).stdout
    wardkeep("audit", inside=machine)
    wardkeep("matrix", inside=machine)
    assert subprocess.run(listed, capture_output=True, text=True, check=True).stdout == before


def test_a_pipe_is_read_as_a_file(tmp_path: Path) -> None:
    dump = filter_table("-p tcp -m tcp --dport 22 -j ACCEPT")
    status, out, _ = wardkeep("audit", "-", "--json", stdin=dump)
    assert (status, json.loads(out)["name"]) == (1, "stdin")
    assert wardkeep("ask", "-", "22/tcp from anywhere", stdin=dump)[0] == 0
    status, _, said = wardkeep("audit", "-")
    assert (status, said.startswith("wardkeep: stdin: is empty")) == (2, True)


def test_this_machine_and_a_file_are_not_one_host(tmp_path: Path) -> None:
    (tmp_path / "dump").write_text(filter_table())
    status, out, said = wardkeep("audit", "here", str(tmp_path / "dump"))
    assert (status, out) == (2, "")
    assert said.startswith("wardkeep: here: stands for all rules of this machine")
    assert len(said.splitlines()) == 1


def test_who_may_not_look_is_told_so() -> None:
    """Without the capability to administer the network, as in many a container, the kernel refuses also root."""
    bare = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    status, out, said = wardkeep("audit", before=bare)
    assert (status, out) == (2, "")
    assert said.startswith("wardkeep: this machine: nftables: ")
    assert len(said.splitlines()) == 1
