"""`wardkeep firewall` on files, as a person runs it: what it prints, its JSON, its exit status, its refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.rulesets.packet_fates import filter_table

from wardkeep.cli import main

CLOSED = ("-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-i lo -j ACCEPT")
TIGHT = filter_table(*CLOSED, "-s 9.9.9.0/28 -p tcp -m tcp --dport 22 -j ACCEPT")
LOOSE = filter_table(
    *CLOSED, "-p tcp -m tcp --dport 22 -j ACCEPT", "-s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j DROP"
)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command: (exit status, stdout, stderr). Texts become files of the names given."""

    def go(*words: str, **files: str) -> tuple[int, str, str]:
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        made = [str(tmp_path / w) if (tmp_path / w).exists() or w.startswith("absent") else w for w in words]
        with pytest.raises(SystemExit) as ended:
            main(["firewall", *made])
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return go


def test_audit_says_the_answer_first(run: Any) -> None:
    status, out, _ = run("audit", "rules", rules=LOOSE)
    assert status == 1
    assert out.splitlines()[0] == "rules: 4 rules: 3 live, 1 dead. Findings: 2 medium"
    assert "22/tcp (ssh) is open to the world over IPv4" in out
    assert "proved that no packet's fate changes" in out
    assert (
        max(map(len, (line for line in out.splitlines() if "[" not in line and "packet:" not in line))) <= 100
    )
    assert run("audit", "rules", rules=TIGHT)[0] == 0


def group(id: str, port: int) -> dict[str, Any]:
    world = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    return {"GroupId": id, "GroupName": id, "IpPermissions": [world], "IpPermissionsEgress": []}


def test_several_groups_are_one_object_that_names_each(run: Any) -> None:
    text = json.dumps({"SecurityGroups": [group("sg-1", 22), group("sg-2", 443)]})
    status, out, _ = run("audit", "groups", "--json", groups=text)
    told = json.loads(out)
    assert status == told["exit_status"] == 1
    assert [(rule["rule_set"].split()[2], rule["id"]) for rule in told["rules"]] == [
        ("sg-1", "sg-1 ingress 1"), ("sg-2", "sg-2 ingress 1"),
    ]  # fmt: skip
    assert told["counts"]["live"] == 2
    assert {finding["rule_set"].split()[2] for finding in told["findings"]} == {"sg-1"}
    assert {"unknown_matches", "notes", "removal"} <= set(told)


def test_audit_in_json_keeps_its_contract(run: Any) -> None:
    status, out, _ = run("audit", "rules", "--json", rules=LOOSE)
    told = json.loads(out)
    assert status == told["exit_status"] == 1
    assert {"rules", "findings", "unknown_matches"} <= set(told)
    dead = told["rules"][3]
    assert {"id", "chain", "position", "text", "verdict", "hidden_by", "cover", "witness"} <= set(dead)
    assert (dead["id"], dead["chain"], dead["position"]) == ("ip filter INPUT 4", "ip filter INPUT", 4)
    assert (dead["verdict"], dead["cover"], dead["witness"]) == ("dead", ["ip filter INPUT 3"], None)
    live = told["rules"][2]["witness"]
    assert (live["protocol"], live["destination_port"], live["state"]) == ("tcp", 22, "new")
    assert {"source", "destination", "source_port", "in_interface", "out_interface"} <= set(live)
    for finding in told["findings"]:
        assert {"id", "severity", "what", "where", "witness", "fix"} <= set(finding)
        assert finding["id"].startswith(finding["kind"])


def test_audit_of_an_unmodelled_match_is_unknown(run: Any) -> None:
    text = filter_table(*CLOSED, "-s 10.0.0.1/32 -m ttl --ttl-eq 3 -j ACCEPT")
    status, out, _ = run("audit", "rules", "--json", rules=text)
    assert status == 3
    (match,) = json.loads(out)["unknown_matches"]
    assert (match["rule"], match["text"]) == ("ip filter INPUT 3", "-m ttl --ttl-eq 3")
    assert (match["decides"], match["instead"]) == ("fate", [])
    assert match["witness"]["source"] == "10.0.0.1"


def test_audit_of_a_limit_that_holds_nobody_back(run: Any) -> None:
    limited = "-p tcp -m tcp --dport 443 -m limit --limit 10/sec -j ACCEPT"
    behind = (limited, "-p tcp -m tcp --dport 443 -j ACCEPT")
    status, out, _ = run("audit", "rules", rules=filter_table(*CLOSED, *behind))
    assert status == 1
    assert "Limits that hold nobody back (1)" in out
    assert "limits nothing: who exceeds its limit is let through by rule 4 as well" in " ".join(out.split())
    assert "○ 1 × -m limit --limit 10/sec, which decides nothing" in out
    lines = out.splitlines()
    (at,) = (n for n, line in enumerate(lines) if line.startswith("▲ ") and "limits nothing" in line)
    assert (
        lines[at + 1] == "  its limit is let through by rule 4 as well"
    )  # below the text, not below its shape
    assert max(map(len, lines[at : at + 2])) <= 100
    status, out, _ = run("audit", "rules", "--json", rules=filter_table(*CLOSED, *behind))
    told = json.loads(out)
    (match,) = told["unknown_matches"]
    assert (match["decides"], match["witness"], match["instead"]) == ("nothing", None, ["ip filter INPUT 4"])
    assert [(f["kind"], f["severity"]) for f in told["findings"] if f["where"] == [match["rule"]]] == [
        ("limit", "medium")
    ]


def test_audit_rules_and_fix(run: Any) -> None:
    _, out, _ = run("audit", "rules", "--rules", rules=LOOSE)
    assert "▲ dead" in out
    assert "● live" in out
    _, out, _ = run("audit", "rules", "--fix", rules=LOOSE)
    assert out.splitlines() == [
        "# rules: after these removals no packet's fate changes (proved)",
        "iptables -t filter -D INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j DROP",
    ]


def test_audit_with_listeners_and_an_earlier_dump(run: Any) -> None:
    ss = 'tcp LISTEN 0 128 0.0.0.0:3306 0.0.0.0:* users:(("mysqld",pid=1,fd=3))\n'
    status, out, _ = run("audit", "rules", "--listeners", "ss", "--json", rules=LOOSE, ss=ss)
    assert [f["what"] for f in json.loads(out)["findings"] if f["kind"] == "listening"] == [
        "the firewall opens 22/tcp over IPv4, and nothing listens there",
        "mysqld listens on 3306/tcp over IPv4, and the firewall lets nobody in to it",
    ]
    status, _, err = run("audit", "rules", "--listeners", "ss", rules=LOOSE, ss="hello\n")
    assert (status, err.count("\n")) == (2, 1)
    assert "Give the output of `ss -Hltnup`" in err


def test_ask(run: Any, tmp_path: Path) -> None:
    status, out, _ = run("ask", "rules", "22/tcp from anywhere must be false", rules=TIGHT)
    assert status == 0
    assert out.startswith("● holds: 22/tcp from anywhere must be false\n")
    status, out, _ = run("ask", "rules", "no 22/tcp from anywhere", "http", "--json", rules=LOOSE)
    told = json.loads(out)
    assert status == 1
    assert [(t["answer"], t["holds"]) for t in told] == [("yes", False), ("no", False)]
    assert told[0]["accepted"]["destination_port"] == 22
    names = '[names]\nadmins = "9.9.9.0/28"\n'
    assert run("ask", "rules", "ssh only from admins", "--names", "names", rules=TIGHT, names=names)[0] == 0


def test_diff_shows_packets(run: Any) -> None:
    status, out, _ = run("diff", "old", "new", "--json", old=TIGHT, new=LOOSE)
    told = json.loads(out)
    assert (status, told["equal"]) == (1, False)
    change = told["changes"][0]
    assert (change["old"], change["new"], change["opens"]) == (["drop"], ["accept"], True)
    assert change["witness"]["destination_port"] == 22
    assert change["by_text"] == "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"
    status, out, _ = run("diff", "old", "new", old=TIGHT, new=TIGHT.replace("# Gen", "# again\n# Gen"))
    assert (status, out) == (0, "● equal: every packet fares as before\n")


def test_matrix_and_its_picture(run: Any, tmp_path: Path) -> None:
    status, out, _ = run(
        "matrix",
        "rules",
        "--service",
        "ssh",
        "--service",
        "80/tcp",
        "--route",
        "input",
        "--json",
        rules=TIGHT,
    )
    (told,) = json.loads(out)
    assert (status, told["columns"]) == (0, ["22/tcp ssh", "80/tcp http"])
    assert dict(zip(told["rows"], told["cells"], strict=True)) == {
        "9.9.9.0/28": ["open", "closed"],
        "everybody else": ["closed", "closed"],
    }
    status, out, _ = run("matrix", "rules", "--svg", str(tmp_path / "m.svg"), rules=TIGHT)
    assert "9.9.9.0/28" in out
    root = ElementTree.fromstring((tmp_path / "m.svg").read_text())
    assert any("9.9.9.0/28" in (e.text or "") for e in root.iter())


def test_forwarding_is_drawn_for_each_service(run: Any) -> None:
    text = filter_table("-A FORWARD -s 10.0.0.0/8 -d 10.9.0.0/16 -p tcp -m tcp --dport 80 -j ACCEPT")
    _, out, _ = run("matrix", "rules", "--service", "80/tcp", "--route", "forward", "--json", rules=text)
    (told,) = json.loads(out)
    assert (told["rows"], told["columns"]) == (
        ["10.0.0.0/8", "everybody else"],
        ["10.9.0.0/16", "everybody else"],
    )
    assert told["cells"] == [["open", "closed"], ["closed", "closed"]]


BAD = [
    ("cut", TIGHT.replace("COMMIT\n", ""), "the dump is cut off"),
    ("json", '{"SecurityGroups": [', "is no whole JSON"),
    ("other", '{"Vpcs": []}', "is JSON, but of no firewall we know"),
    ("listing", "Chain INPUT (policy ACCEPT)\n", "`iptables -L`"),
    ("empty", "", "is empty"),
    ("address", TIGHT.replace("9.9.9.0/28", "9.9.9.0/99"), ":8: `9.9.9.0/99` is no IPv4 address or network"),
    ("mixed", TIGHT + TIGHT, "the table filter stands twice"),
]


@pytest.mark.parametrize(("name", "text", "says"), BAD, ids=[b[0] for b in BAD])
@pytest.mark.parametrize("verb", ["audit", "ask", "diff", "matrix"])
def test_bad_input_is_one_line_and_status_2(run: Any, verb: str, name: str, text: str, says: str) -> None:
    more = {"ask": ["ssh"], "diff": ["fine"]}.get(verb, [])
    status, out, err = run(verb, name, *more, fine=TIGHT, **{name: text})
    assert (status, out) == (2, "")
    assert err.startswith("wardkeep: ")
    assert err.count("\n") == 1
    assert says in err
    assert name in err


def test_a_file_that_is_absent(run: Any) -> None:
    status, _, err = run("audit", "absent")
    assert (status, err.count("\n")) == (2, 1)
    assert "cannot be read: No such file or directory" in err


def test_a_long_list_of_changes_is_cut_short_and_says_so(run: Any) -> None:
    many = filter_table(*CLOSED, *(f"-p tcp -m tcp --dport {n} -j ACCEPT" for n in range(1000, 1050, 2)))
    few = filter_table(*CLOSED, "-s 192.0.2.0/24 -p tcp -m tcp --dport 1000:1002 -j ACCEPT")
    status, out, _ = run("diff", "few", "many", few=few, many=many)
    assert (status, out.count("▲"), out.splitlines()[-1]) == (1, 20, "  and 6 more: --all, or --json")
    assert [line.split(":")[0] for line in out.splitlines() if "▲" in line] == ["▲ drop → accept"] * 20
    assert run("diff", "few", "many", "--all")[1].count("▲") == 26
    assert len(json.loads(run("diff", "few", "many", "--json")[1])["changes"]) == 26
