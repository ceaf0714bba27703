"""nft files that name what is elsewhere: interfaces in files they include, parts without a table, names of another machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.controls.netns_pair import missing
from tests.rulesets.packet_fates import fate
from tests.rulesets.test_read_nft import load_or_skip

from wardkeep.core.errors import BadInput
from wardkeep.rulesets.files import kind_of, load
from wardkeep.rulesets.nft.loading import included

TABLE = "table inet t {{\n chain input {{\n  type filter hook input priority 0; policy drop;\n  {}\n }}\n}}\n"
REFUSED = [
    # (a rule or what stands before the table, what nft says, what to do)
    ('include "absent.nft"', "File not found: absent.nft", "Put that file there"),
    ("tcp dport $ports accept", "unknown identifier", "Give the file that defines it and includes this one"),
    ("meta skuid nobody-has-this-name accept", "User does not exist", "write their numbers"),
    ("tcp dport no-such-service accept", "Could not resolve service", "write their numbers"),
    ("ip saddr @elsewhere accept", "No such file or directory", "It names what is not in it"),
    ("tcp dprot 22 accept", "syntax error", "Correct it until"),
    ("iif $link accept", "Interface does not exist", "Name an interface in place of that"),
]


@pytest.mark.parametrize(("rule", "told", "todo"), REFUSED, ids=[r[1] for r in REFUSED])
def test_what_nft_refuses_is_said_with_what_to_do(tmp_path: Path, rule: str, told: str, todo: str) -> None:
    if why := missing():
        pytest.skip(why)
    path = tmp_path / "rules.nft"
    text = TABLE.format(rule) if not rule.startswith("include") else f"{rule}\n{TABLE.format('')}"
    path.write_text(f'define link = "$of_a_template"\n{text}' if "$link" in rule else text)
    with pytest.raises(BadInput) as caught:
        load([path])
    line = str(caught.value)
    assert told in line
    assert todo in line
    assert "nft -" in line
    assert "\n" not in line


def test_a_file_is_read_with_what_it_includes_and_interfaces_those_name(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "names.nft").write_text("define wan = wan7\n")
    (tmp_path / "parts" / "10-ssh.nft").write_text("iif lan7 tcp dport 22 accept\n")
    (tmp_path / "parts" / "20-web.nft").write_text("iif { $wan, dmz7 } tcp dport 443 accept\n")
    path = tmp_path / "main.nft"
    path.write_text('include "./names.nft"\n' + TABLE.format('include "./parts/*.nft"'))
    program = load_or_skip(path)
    reached = {
        (link, port): fate(program, **{"in": link, "dport": port})
        for link in ("lan7", "wan7", "dmz7")
        for port in (22, 443)
    }
    assert sorted(key for key, end in reached.items() if end == "accept") == [
        ("dmz7", 443),
        ("lan7", 22),
        ("wan7", 443),
    ]
    assert program.notes == ()


def test_what_is_included_from_this_machine_or_from_nowhere_is_noted(tmp_path: Path) -> None:
    (tmp_path / "more.nft").write_text('include "deeper/*.nft"\n')
    text = f'include "{tmp_path}/more.nft"\n# include "commented/*.nft"\ninclude "./none.d/*.nft"\n'
    assert included(tmp_path / "main.nft", text) == [
        f"it includes {tmp_path}/more.nft: what this machine has there is read",
        "it includes deeper/*.nft, and no such file is here: what such files hold is not in this report",
        "it includes ./none.d/*.nft, and no such file is here: what such files hold is not in this report",
    ]
    path = tmp_path / "main.nft"
    path.write_text('include "./none.d/*.nft"\n' + TABLE.format("tcp dport 22 accept"))
    assert "./none.d/*.nft" in " ".join(load_or_skip(path).notes)


PARTS = [
    ("chain input {\n  type filter hook input priority 0;\n}\n", "is a part of an nft file"),
    ("# ssh\ntcp dport 22 ct state new accept\n", "is a part of an nft file"),
    ("set admins {\n  type ipv4_addr\n}\n", "is a part of an nft file"),
    ("#!/bin/sh\nnft add table inet t\n", "is a script of nft commands"),
    ("/usr/sbin/nft -f /etc/nftables.conf\n", "is a script of nft commands"),
    ("sudo nft 'add rule inet t input accept'\n", "is a script of nft commands"),
    ("hello world\n", "is of no format we know"),
]


@pytest.mark.parametrize(("text", "told"), PARTS)
def test_a_part_and_a_script_are_called_what_they_are(text: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        kind_of(text, "given")


def test_commands_of_nft_are_nft_text() -> None:
    for text in (
        "add rule ip t c accept",
        "flush chain ip t c",
        "delete table ip t",
        "add element ip t s { 1.2.3.4 }",
    ):
        assert kind_of(text, "given") == "nft-text"


def test_a_name_that_the_ip_tool_takes_for_a_word_is_an_interface(tmp_path: Path) -> None:
    path = tmp_path / "rules.nft"
    path.write_text(TABLE.format("iif peer accept"))
    assert fate(load_or_skip(path), **{"in": "peer"}) == "accept"
