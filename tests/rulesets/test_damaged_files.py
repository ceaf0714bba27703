"""Files that are cut, garbled, too large or of another kind: one line that says what to do, never a traceback, never a guess.

Every command that reads rule sets and lists is asked; a cut that leaves a whole dump of fewer tables is said to be that.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from tests.rulesets.packet_fates import filter_table

from wardkeep.cli import main
from wardkeep.core.errors import BadInput, NotUnderstood
from wardkeep.rulesets.files import MOST_BYTES, RuleSet, Source, kind_of, load, rule_sets

RECORDED = Path(__file__).parent / "recorded"
UFW = (RECORDED / "ufw-0.36.2.v4").read_text()
FIREWALLD = (RECORDED / "firewalld-1.3.3-iptables.v4").read_text()
NFT = (RECORDED / "firewalld-1.3.3-nftables.json").read_text()
FINE = filter_table("-p tcp -m tcp --dport 22 -j ACCEPT")
Told = tuple[int, str, str]
Run = Callable[..., Told]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command: (exit status, stdout, stderr)."""

    def go(*words: str | Path) -> Told:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return go


def read(text: str) -> RuleSet | str:
    """The host's rule set in a text, or the line by which it is refused."""
    try:
        return rule_sets([Source(Path("cut"), kind_of(text, "cut"), text)])[0]
    except (BadInput, NotUnderstood) as e:
        refused = e
    assert refused.todo, refused.line()
    assert refused.line().startswith("cut")
    return refused.line()


def whole_tables(text: str) -> list[str]:
    """The tables of a dump that have their COMMIT."""
    parts = text.split("\nCOMMIT")[:-1]
    return [part.rpartition("\n*")[2].partition("\n")[0] for part in parts]


def judge_cut(text: str, at: int) -> bool:
    """Whether a dump cut there is read: then it says which tables it has, and if its last line is missing."""
    cut = text[:at]
    found = read(cut)
    if isinstance(found, str):
        return False
    (note,) = [one for one in found.program.notes if one.startswith("cut: it")]
    named = ", ".join(whole_tables(cut))
    assert f"tables {named} and ends without `# Completed on`" in note or f"its tables: {named};" in note
    if not cut.rstrip().splitlines()[-1].endswith("2026"):
        assert "as a dump does that was cut off" in note
    return True


def test_a_dump_cut_at_every_byte_is_refused_or_said_to_be_partial() -> None:
    read_, end = [at for at in range(len(UFW)) if judge_cut(UFW, at)], UFW.rindex("COMMIT") + len("COMMIT")
    assert read_
    assert min(read_) == end  # nothing less than a whole table is ever taken


def test_a_dump_of_several_tables_cut_between_them_names_those_it_has() -> None:
    ends = [n for n, c in enumerate(FIREWALLD) if c == "\n"]
    held = {
        len(whole_tables(FIREWALLD[:at]))
        for end in ends
        for at in (end - 1, end, end + 1)
        if judge_cut(FIREWALLD, at)
    }
    assert held == set(range(1, FIREWALLD.count("\nCOMMIT") + 1))
    assert len(held) > 2


def test_the_json_of_nft_cut_anywhere_is_refused() -> None:
    text = NFT.rstrip()
    for at in [*range(0, len(text), 97), *range(len(text) - 200, len(text))]:
        said = read(text[:at])
        assert isinstance(said, str), at
        assert at < 1000 or "it breaks off at line" in said
    assert not isinstance(read(text), str)


def test_sets_cut_in_the_middle_of_an_address_are_refused() -> None:
    text = "create x hash:net family inet\nadd x 10.0.0.12\n"
    rules = Source(Path("cut"), "iptables", FINE)
    for at in range(1, len(text)):
        if text[at - 1] != "\n":
            with pytest.raises(BadInput, match=r"cut off|nothing that ipset writes"):
                rule_sets([Source(Path("sets"), "ipset", text[:at]), rules])


GROUP = {"GroupId": "sg-1", "IpPermissions": [], "IpPermissionsEgress": []}
LETS = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


def lacking(key: str) -> str:
    kept = {name: value for name, value in LETS.items() if name != key}
    return json.dumps({"SecurityGroups": [{**GROUP, "IpPermissions": [kept]}]})


DAMAGED: list[tuple[str, bytes, str]] = [
    ("nothing", b"", "is empty"),
    ("blank", b" \n\n", "is empty"),
    ("garbage", random.Random(1).randbytes(5000), "is no text"),
    ("utf16", FINE.encode("utf-16"), "is UTF-16 text. Save it as UTF-8"),
    ("utf16-bare", FINE.encode("utf-16-le") * 4, "is UTF-16 text. Save it as UTF-8"),
    ("packed", gzip.compress(FINE.encode()), "is compressed. Unpack it first"),
    ("cut", FINE.encode()[:-8], "the dump is cut off. Give the output of `iptables-save` as it is"),
    ("nft-cut", NFT.encode()[:9000], "it breaks off at line"),
    ("nft-other", b'{"nftables": 3}', "Give its output as it is"),
    ("deep", b"[" * 200_000, "lists within lists without end"),
    ("nft-deep", b'{"nftables":' + b"[" * 200_000, "lists within lists without end. Export it again: `nft -j list ruleset`"),
    ("other-json", b'{"Vpcs": []}', "is JSON, but of no firewall we know"),
    ("aws-protocol", lacking("IpProtocol").encode(), "sg-1: an entry lacks IpProtocol"),
    ("aws-port", lacking("FromPort").encode(), "sg-1: an entry lacks FromPort"),
    ("aws-peers", lacking("IpRanges").encode(), "sg-1: a permission names none of IpRanges"),
    ("aws-form", b'{"SecurityGroups": [3]}', "SecurityGroups 1: an entry has another form than AWS gives it"),
    ("escape", b"*filter\n\x1b[2J\x07oops\nCOMMIT\n", "is nothing that iptables-save writes"),
]  # fmt: skip
VERBS: dict[str, Callable[[Path, Path], tuple[str | Path, ...]]] = {
    "audit": lambda bad, fine: ("firewall", "audit", bad),
    "audit --before": lambda bad, fine: ("firewall", "audit", fine, "--before", bad),
    "ask": lambda bad, fine: ("firewall", "ask", bad, "22/tcp from anywhere"),
    "ask --with": lambda bad, fine: ("firewall", "ask", fine, "ssh", "--with", bad),
    "diff old": lambda bad, fine: ("firewall", "diff", bad, fine),
    "diff new": lambda bad, fine: ("firewall", "diff", fine, bad),
    "matrix": lambda bad, fine: ("firewall", "matrix", bad),
    "allowlist --rules": lambda bad, fine: ("allowlist", "audit", fine.with_name("list"), "--rules", bad),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(("name", "data", "says"), DAMAGED, ids=[one[0] for one in DAMAGED])
def test_every_command_refuses_it_in_one_line(
    run: Run, tmp_path: Path, verb: str, name: str, data: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(data)
    (tmp_path / "fine").write_text(FINE)
    (tmp_path / "list").write_text("203.0.113.7\n")
    status, out, err = run(*VERBS[verb](tmp_path / name, tmp_path / "fine"))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("wardkeep: ")
    assert name in err
    assert says in err
    assert all(c.isprintable() for c in err.rstrip("\n"))


@pytest.mark.parametrize("option", ["list", "--used", "--listeners"])
@pytest.mark.parametrize("name", ["nothing", "garbage", "utf16", "packed", "nft-other", "deep", "folder"])
def test_an_audit_of_a_list_refuses_it_in_one_line(run: Run, tmp_path: Path, name: str, option: str) -> None:
    (tmp_path / "folder").mkdir()
    if name != "folder":
        (tmp_path / name).write_bytes(next(data for known, data, _ in DAMAGED if known == name))
    (tmp_path / "list").write_text("203.0.113.7\n")
    words = [tmp_path / name] if option == "list" else [tmp_path / "list", option, tmp_path / name]
    status, out, err = run("allowlist", "audit", *words, "--service", "22/tcp")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert name in err
    assert all(c.isprintable() for c in err.rstrip("\n"))


def test_a_list_cut_at_every_byte_never_fails_without_a_word(run: Run, tmp_path: Path) -> None:
    text = '[[allow]]\nnetwork = "203.0.113.7"\nservice = "443/tcp"\nowner = "alice"\nexpires = 2027-03-31\n'
    for at in range(len(text)):
        (tmp_path / "list.toml").write_text(text[:at])
        status, out, err = run("allowlist", "audit", tmp_path / "list.toml")
        assert status in (1, 2) or (status == 0 and out.startswith("0 entries")), at
        assert (err.count("\n"), bool(out)) == ((1, False) if status == 2 else (0, True)), at


def test_a_pipe_without_end_is_left_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wardkeep.rulesets.files.MOST_BYTES", 100_000)
    os.mkfifo(tmp_path / "pipe")

    def pour() -> None:
        pipe = os.open(tmp_path / "pipe", os.O_WRONLY)
        with suppress(BrokenPipeError):  # nobody reads on
            for _ in range(10_000):
                os.write(pipe, b"# more\n" * 1000)
        os.close(pipe)

    pouring = threading.Thread(target=pour)
    pouring.start()
    with pytest.raises(BadInput, match="at most 0 MB are read at once"):
        load([tmp_path / "pipe"])
    pouring.join()
    assert MOST_BYTES == 48_000_000


NFT_HEAD = '{"nftables": [{"metainfo": {"json_schema_version": 1}}'
TABLE = (
    '{"table": {"family": "ip", "name": "filter", "handle": 1}}, {"chain": {"family": "ip", "table": "filter", "name": "INPUT",'
    ' "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": "accept"}}'
)
OWN = (
    '{"table": {"family": "inet", "name": "own", "handle": 2}}, {"chain": {"family": "inet", "table": "own", "name": "in",'
    ' "handle": 1, "type": "filter", "hook": "input", "prio": 5, "policy": "drop"}}'
)
IN_NFT = "# Generated by iptables-save v1.8.9 (nf_tables) on Sun Nov 22 19:46:12 2026"


@pytest.mark.parametrize("first", ["v4", "nft"])
def test_what_iptables_made_in_nftables_is_read_once_from_its_own_dump(tmp_path: Path, first: str) -> None:
    (tmp_path / "v4").write_text(filter_table("-p tcp -m tcp --dport 22 -j ACCEPT", head=IN_NFT))
    (tmp_path / "nft").write_text(f"{NFT_HEAD}, {TABLE}, {OWN}]}}")
    second = {"v4": "nft", "nft": "v4"}[first]
    (found,) = load([tmp_path / first, tmp_path / second])
    assert {c.id: c.entry.policy for c in found.program.chains if c.entry and c.entry.hook == "input"} == {
        "ip filter INPUT": "drop",
        "inet own in": "drop",
    }
    assert "the table ip filter is in both dumps, and read as iptables tells it" in found.program.notes


def test_tables_of_the_old_kernel_code_are_not_those_of_nftables(tmp_path: Path) -> None:
    (tmp_path / "v4").write_text(filter_table(head=IN_NFT.replace("nf_tables", "legacy")))
    (tmp_path / "nft").write_text(f"{NFT_HEAD}, {TABLE}]}}")
    with pytest.raises(BadInput, match="the table ip filter is also in another file"):
        load([tmp_path / "v4", tmp_path / "nft"])


def test_both_tools_in_one_audit(run: Run, tmp_path: Path) -> None:
    """What the table of nftables drops, the rule of iptables does not open."""
    (tmp_path / "v4").write_text(filter_table("-p tcp -m tcp --dport 22 -j ACCEPT", head=IN_NFT))
    (tmp_path / "nft").write_text(f"{NFT_HEAD}, {TABLE}, {OWN}]}}")
    asked = "22/tcp from anywhere"
    assert run("firewall", "ask", tmp_path / "v4", asked)[0] == 0
    assert run("firewall", "ask", tmp_path / "v4", asked, "--with", tmp_path / "nft")[0] == 1
    _, out, _ = run("firewall", "audit", tmp_path / "v4", tmp_path / "nft")
    assert "read as iptables tells it" in out
    assert "(ssh) is open to the world" not in out


PERHAPS = filter_table("-p tcp -m tcp --dport 22 -m ttl --ttl-eq 3 -j ACCEPT")
ANYTHING = filter_table("-m ttl --ttl-eq 3 -j ACCEPT")
LISTENS = 'tcp LISTEN 0 128 0.0.0.0:9999 0.0.0.0:* users:(("own",pid=1,fd=3))\n'


@pytest.mark.parametrize("text", [PERHAPS, ANYTHING])
def test_an_acceptance_that_hangs_on_an_unknown_match_is_3_by_every_command(
    run: Run, tmp_path: Path, text: str
) -> None:
    """Neither *open* nor *closed* is proved: no command says that something fails."""
    (tmp_path / "v4").write_text(text)
    (tmp_path / "closed").write_text(filter_table())
    (tmp_path / "ss").write_text(LISTENS)
    (tmp_path / "list").write_text("203.0.113.7\n")
    asked = (
        "allowlist",
        "audit",
        tmp_path / "list",
        "--service",
        "22/tcp",
        "--rules",
        tmp_path / "v4",
        "--json",
    )
    assert run("firewall", "audit", tmp_path / "v4", "--listeners", tmp_path / "ss")[0] == 3
    assert run("firewall", "ask", tmp_path / "v4", "22/tcp from anywhere")[0] == 3
    status, out, _ = run("firewall", "diff", tmp_path / "closed", tmp_path / "v4")
    assert status == 3
    assert out.startswith("? drop → accept or drop: tcp")
    assert "perhaps: a match that is not modelled decides" in out
    told = json.loads(run(*asked)[1])
    kinds = {
        one["kind"]: one["verdict"]
        for one in told["findings"]
        if one["kind"] in ("not_effective", "undeclared")
    }
    assert kinds == {"not_effective": "unknown", "undeclared": "unknown"}


def test_a_difference_that_is_sure_fails_beside_one_that_is_not(run: Run, tmp_path: Path) -> None:
    (tmp_path / "v4").write_text(
        filter_table("-p tcp -m tcp --dport 80 -j ACCEPT", "-m ttl --ttl-eq 3 -j ACCEPT")
    )
    (tmp_path / "closed").write_text(filter_table())
    status, out, _ = run("firewall", "diff", tmp_path / "closed", tmp_path / "v4", "--json")
    assert status == 1
    assert {one["sure"] for one in json.loads(out)["changes"]} == {True, False}


def test_a_list_is_held_against_one_rule_set(run: Run, tmp_path: Path) -> None:
    two = json.dumps({"SecurityGroups": [GROUP, {**GROUP, "GroupId": "sg-2"}]})
    (tmp_path / "aws").write_text(two)
    (tmp_path / "list").write_text("203.0.113.7\n")
    status, _, err = run("allowlist", "audit", tmp_path / "list", "--rules", tmp_path / "aws")
    assert status == 2
    assert "2 rule sets are in it (security group sg-1, security group sg-2)" in err
