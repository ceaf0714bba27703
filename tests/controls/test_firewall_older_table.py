"""A host whose table an older Wardkeep wrote: one that noted who came without telling TCP from UDP. It is known for what it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from netns_pair import HOST, Pair, joined, missing
from recorded_rows import told

from wardkeep.allowlists.records import read_record
from wardkeep.controls.firewall import Policy, own_scripts, own_table
from wardkeep.controls.firewall.declared_program import declared_program, drift, kernel_program, older_program
from wardkeep.controls.firewall.drifting import held_against
from wardkeep.core.facts import Answer
from wardkeep.facts.nftables import Nftables
from wardkeep.packets.program import Program

KEPT = "boot_firewall-debian12-closed"
DECLARED, WRITTEN = "table_as_declared table", "table_of_this_version version"
POLICY = Policy(
    allow=("22/tcp", "443/tcp from 192.0.2.0/24 limit 5/minute", "53/udp from 192.0.2.0/24", "list partners"),
    lists={"partners": ("53/tcp from 192.0.2.9", "22/tcp from 192.0.2.9")},
)
UDP = "import socket,sys; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', (sys.argv[1], 53))"


@pytest.fixture
def pair() -> Iterator[Pair]:
    if why := missing():
        pytest.skip(why)
    with joined() as made, made.listening((22, 53, 443)):
        yield made


def older_text(policy: Policy) -> str:
    """The table as it was compiled then: the same transaction with other rules and one set for all protocols."""
    permit = policy.permit
    now, before = own_table.rule_lines(permit), own_table.rule_lines(permit, older=True)
    text = own_table.ruleset(permit)
    rules = "".join(f"\t\t{line}\n" for line in now)
    assert text.count(rules) == 1
    text = text.replace(rules, "".join(f"\t\t{line}\n" for line in before))
    text = re.sub(r"\tset seen[46]_udp \{.*?\n\t\}\n", "", text, flags=re.S)
    return re.sub(r"seen([46])_(tcp|udp)", r"seen\1", text).replace("note_", "via_")


def ours(pair: Pair) -> Program:
    made = kernel_program(
        Nftables.parse(Answer("nftables", 0, pair.run("nft", "-j", "list", "ruleset").encode()))
    )
    assert made is not None
    return made


def test_what_an_older_version_recorded_is_recognised_and_no_drift() -> None:
    """A real recording, of the day on which it was this version."""
    found = told("firewall", "nftables-debian12-older", KEPT)
    assert found[DECLARED] == (
        "pass: `inet wardkeep` is as declared, as an older Wardkeep wrote it: 13 rules in 3 chains"
    )
    assert found[WRITTEN].startswith(
        "fail: `inet wardkeep` is of an older Wardkeep: it notes who came without"
    )
    assert told("firewall", "nftables-debian12-closed", KEPT)[WRITTEN].startswith("pass: ")
    assert told("firewall", "nftables-debian12-open", KEPT)[WRITTEN].startswith("pass: ")


def test_what_somebody_altered_in_it_is_told_as_that_and_nothing_else(pair: Pair) -> None:
    pair.nft(older_text(POLICY))
    assert held_against(ours(pair), POLICY.permit) == (
        True,
        drift(older_program(POLICY.permit), older_program(POLICY.permit)),
    )
    pair.nft(f"add rule {own_table.TABLE} via_tcp drop\n")
    older, found = held_against(ours(pair), POLICY.permit)
    assert (older, str(found)) == (True, "added: `drop`")


def test_a_plan_takes_its_place_and_forgets_nothing(pair: Pair, tmp_path: Path) -> None:
    """Counters, bans and the older record outlive the change; from then on each protocol is noted for itself."""
    pair.nft(older_text(POLICY))
    pair.nft(f"add element {own_table.TABLE} banned4 {{ 198.51.100.9 timeout 1h }}\n")
    assert pair.knock("ip", (22, 53)) == {22: True, 53: True}
    before = counters(pair)
    assert before["open_tcp_53_some"] == 1
    old_chains = pair.run("nft", "-s", "list", "chain", *own_table.TABLE.split(), "via_tcp")
    pair.run("sh", "-c", own_scripts.try_script(POLICY.permit, 60))
    # On trial: that to which the kernel would go back is untouched.
    assert pair.run("nft", "-s", "list", "chain", *own_table.TABLE.split(), "via_tcp") == old_chains
    pair.nft(own_table.ruleset(POLICY.permit))
    pair.run("sh", "-c", own_scripts.tidy_script(POLICY.permit))
    assert not drift(declared_program(POLICY.permit), ours(pair))
    assert counters(pair) == before
    text = pair.run("nft", "list", "table", *own_table.TABLE.split())
    assert re.search(r"198\.51\.100\.9 timeout 1h expires (59m|1h)", text)
    assert re.search(r"set seen4 \{[^}]*192\.0\.2\.9 \. 53", text)
    assert "via_" not in text
    pair.run("ip", "netns", "exec", pair.stranger, "python3", "-c", UDP, HOST["ip"])
    (tmp_path / "said.json").write_text(pair.run("nft", "-j", "list", "ruleset"))
    assert noted(tmp_path / "said.json") == {("", 53), ("udp", 53)}
    assert pair.knock("ip", (22, 53)) == {22: True, 53: True}
    (tmp_path / "said.json").write_text(pair.run("nft", "-j", "list", "ruleset"))
    # 22 is open to everybody too, and who comes by the entry is noted all the same.
    assert noted(tmp_path / "said.json") == {("", 53), ("udp", 53), ("tcp", 53), ("tcp", 22)}


def noted(file: Path) -> set[tuple[str, int]]:
    return {(use.protocol, use.port) for use in read_record(file, datetime.now(UTC)).uses}


def counters(pair: Pair) -> dict[str, int]:
    told = json.loads(pair.run("nft", "-j", "list", "counters"))["nftables"]
    return {o["counter"]["name"]: o["counter"]["packets"] for o in told if "counter" in o}
