"""Where an entry is in force and when it was used: what a host did not say is neither "not in force" nor "never used"."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wardkeep.allowlists import Entry, read_network
from wardkeep.allowlists.services import read_service
from wardkeep.allowlists.usage import Use, Uses
from wardkeep.core.facts import Answer, Snapshot
from wardkeep.engine.allowlist_hosts import audit_platform
from wardkeep.engine.allowlist_page import PAGE, AllowlistPage, allowlist_page
from wardkeep.engine.allowlist_standing import LastUse, Noted, last_use
from wardkeep.engine.cycle import record_looks
from wardkeep.engine.hosts import add_host
from wardkeep.engine.platform import Platform, open_platform
from wardkeep.fleet import Host

ANSWERS = Path(__file__).parents[1] / "facts" / "answers"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
KEPT = timedelta(days=100)
ENTRY = Entry(read_network("9.9.9.9"), read_service("443/tcp"))
EITHER = "by TCP or UDP, which an older table of ours did not tell apart"
EMPTY = b'{"nftables": [{"metainfo": {"version": "1.0.6", "json_schema_version": 1}}]}'
LIST = """\
[[allow]]
list = "partners"
network = "8.8.8.8"
service = "22/tcp"
expires = 2026-12-01

[[allow]]
list = "partners"
network = "8.8.4.4"
service = "22/tcp"

[[allow]]
list = "nobody"
network = "9.9.9.7"
service = "443/tcp"

[[allow]]
list = "partners"
network = "9.9.9.6"
service = "443/tcp"
expires = 2026-11-01

[[deny]]
list = "partners"
network = "9.9.9.5"
service = "any"
"""


def noted(host: str, days: int | None, *uses: int, why: str = "", by: str = "tcp") -> Noted:
    """A record that goes back so many days, with uses of the entry so many days ago."""
    times = [int((NOW - timedelta(days=ago)).timestamp()) for ago in uses]
    made = Uses(Use(4, 0x09090909, by, 443, at) for at in times)
    return Noted(host, made, None if days is None else NOW - timedelta(days=days), why)


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ((), LastUse("unknown", why="no host's policy names its list")),
        ((noted("a", 50, 9), noted("b", 50, 3)), LastUse("used", NOW - timedelta(days=3), "b")),
        # Nobody came in the 20 days of which both hosts know.
        ((noted("a", 50), noted("b", 20)), LastUse("unused", since=NOW - timedelta(days=20))),
        ((noted("a", 50), noted("b", None, why="silent")), LastUse("unknown", why="b: silent")),
        (
            (noted("a", 50, 9), noted("b", None, why="silent")),
            LastUse("used", NOW - timedelta(days=9), "a", None, "b: silent"),
        ),
        ((noted("a", 50, 9, by="udp"),), LastUse("unused", since=NOW - timedelta(days=50))),
        ((noted("a", 50, 9, by=""),), LastUse("unknown", why=f"a: somebody came on 2026-11-13 {EITHER}")),
        (
            (noted("a", 50, 9), noted("b", 50, 3, by="")),
            LastUse("used", NOW - timedelta(days=9), "a", None, f"b: somebody came on 2026-11-19 {EITHER}"),
        ),
        ((noted("a", 50, 9, by=""), noted("b", 50, 3)), LastUse("used", NOW - timedelta(days=3), "b")),
    ],
)
def test_never_used_is_said_only_of_what_every_host_kept(records: tuple[Noted, ...], told: LastUse) -> None:
    assert last_use(ENTRY, records) == told


@pytest.fixture
def fleet(platform: Platform) -> Platform:
    """Two hosts whose policy names one of two lists."""
    for name in ("app-1", "app-2"):
        add_host(platform, Host(name=name, url="local:"), "operator:test")
    (platform.folder / "allowlist.toml").write_text(LIST)
    config = platform.folder / "wardkeep.toml"
    config.write_text(config.read_text() + '\n[policy.firewall]\nallow = ["22/tcp", "list partners"]\n')
    return platform


def came(**ago: int) -> bytes:
    """What nft tells of a host with our own table, to whose port 22 these addresses came so many days ago."""
    told = (ANSWERS / "nftables-debian12-closed.txt").read_text()
    told = told.replace('"name": "seen4_udp"', '"name": "seen4_tcp"')
    left = [
        {"elem": {"val": {"concat": [name[1:].replace("_", "."), 22]}, "expires": int((KEPT - timedelta(days=days)).total_seconds())}}
        for name, days in ago.items()
    ]  # fmt: skip
    made, count = re.subn(
        r'("name": "seen4_tcp".*?"timeout": 8640000)', rf'\1, "elem": {json.dumps(left)}', told, count=1
    )
    assert count == 1
    return made.encode()


def older() -> bytes:
    """The same of a host whose table an older version wrote: what it noted, it noted of all protocols together."""
    return came(_1_1_1_1=7).replace(b'"seen4_tcp"', b'"seen4"')


def look(platform: Platform, host: str, answers: Mapping[str, bytes], at: datetime = NOW) -> None:
    given = {name: Answer(name, 0, said) for name, said in answers.items()}
    record_looks(platform, "operator:test", [Snapshot(host, at, given)], platform.controls)


def seen(platform: Platform, **choice: str) -> AllowlistPage:
    with open_platform(platform.folder) as again:
        return allowlist_page(again, NOW, **choice)  # type: ignore[arg-type]


def test_each_entry_says_where_it_holds_and_when_it_was_used(fleet: Platform) -> None:
    look(fleet, "app-1", {"nftables": came(_8_8_8_8=3, _1_1_1_1=40)})
    page = seen(fleet)
    used, idle, nobodys, over, denied = page.entries
    # The policy opens 22/tcp to everybody, so both get in on the one host that was looked at.
    assert (used["in_force_on"], used["state"], used["soon"]) == (("app-1",), "unknown", True)
    assert used["not_known_on"] == {"app-2": "was never asked"}
    assert (used["used"].state, used["used"].host) == ("used", "app-1")
    assert used["used"].at == NOW - timedelta(days=3)
    assert (idle["used"].state, idle["used"].why) == ("unknown", "app-2: was never asked")
    assert (nobodys["state"], nobodys["used"].state) == ("not", "unknown")
    assert (over["state"], denied["state"], denied["used"].state) == ("over", "denied", "none")
    look(fleet, "app-2", {"nftables": came(_1_1_1_1=7)})
    page = seen(fleet)
    assert page.entries[1]["used"] == LastUse("unused", since=NOW - timedelta(days=7))
    assert page.entries[1]["state"] == "in force"
    assert page.counts == {
        "all": 5,
        "expired": 1,
        "ends soon": 1,
        "not in force": 1,
        "never used": 2,
        "use not known": 1,
    }
    assert [one["network"] for one in seen(fleet, show="use not known").entries] == ["9.9.9.7"]


def test_the_shortest_record_bounds_what_the_audit_says(fleet: Platform) -> None:
    look(fleet, "app-1", {"nftables": came(_1_1_1_1=99)})
    look(fleet, "app-2", {"nftables": came(_1_1_1_1=7)})
    with open_platform(fleet.folder) as again:
        told = {
            d.entry.text: (d.unknown, d.seen) for d in audit_platform(again, NOW.date()) if d.kind == "unused"
        }
    assert told["8.8.4.4"] == (True, "nobody came from there, but the records go back 7 days only")


def test_a_table_that_noted_nobody_yet_or_is_not_there_is_no_record(fleet: Platform) -> None:
    look(fleet, "app-1", {"nftables": came(_1_1_1_1=7)})
    for answers, why in (
        ({"nftables": came()}, "nobody is noted there, and since when it notes is not known"),
        ({"nftables": older()}, "our own table there is of an older Wardkeep, which did not note everybody"),
        ({"nftables": EMPTY}, "our own table, which notes who came, is not there"),
        ({"nftables": b'{"nftables": ['}, "nftables: cannot read the answer"),
    ):
        look(fleet, "app-2", answers)
        used = seen(fleet).entries[1]["used"]
        assert used.state == "unknown"
        assert used.why.startswith(f"app-2: {why}")


def test_a_look_at_something_else_hides_nothing(fleet: Platform) -> None:
    look(fleet, "app-1", {"nftables": came(_8_8_8_8=3)})
    look(
        fleet, "app-1", {"listeners": (ANSWERS / "listeners-busy.txt").read_bytes()}, NOW + timedelta(hours=1)
    )
    assert seen(fleet).entries[0]["used"].state == "used"


def published(port: int, target: str = '{"dnat": {"addr": "172.17.0.2", "port": 80}}') -> bytes:
    """The rules that a container engine adds to send a port on to a container, beside our own table that noted somebody."""
    beside = [
        {"table": {"family": "ip", "name": "nat", "handle": 90}},
        {"chain": {"family": "ip", "table": "nat", "name": "PREROUTING", "handle": 1, "type": "nat",
                   "hook": "prerouting", "prio": -100, "policy": "accept"}},
        {"chain": {"family": "ip", "table": "nat", "name": "DOCKER", "handle": 2}},
        {"rule": {"family": "ip", "table": "nat", "chain": "PREROUTING", "handle": 3, "expr": [
            {"match": {"op": "==", "left": {"fib": {"result": "type", "flags": ["daddr"]}}, "right": "local"}},
            {"jump": {"target": "DOCKER"}}]}},
        {"rule": {"family": "ip", "table": "nat", "chain": "DOCKER", "handle": 4, "expr": [
            {"match": {"op": "!=", "left": {"meta": {"key": "iifname"}}, "right": "docker0"}},
            {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": port}},
            json.loads(target)]}},
    ]  # fmt: skip
    told = json.loads(came(_1_1_1_1=99))
    told["nftables"] += beside
    return json.dumps(told).encode()


def test_of_a_port_that_is_sent_on_to_a_container_nobody_knows_who_used_it(fleet: Platform) -> None:
    """Its packets never arrive at the input hook, where our own table notes who comes."""
    text = (fleet.folder / "allowlist.toml").read_text()
    (fleet.folder / "allowlist.toml").write_text(text.replace('"8.8.4.4"', '"8.8.4.4"\ncreated = 2026-01-01'))
    look(fleet, "app-1", {"nftables": came(_1_1_1_1=99)})

    def told(answer: bytes) -> tuple[LastUse, set[tuple[bool, str]]]:
        look(fleet, "app-2", {"nftables": answer})
        with open_platform(fleet.folder) as again:
            found = audit_platform(again, NOW.date())
        idle = {(d.unknown, d.seen) for d in found if d.kind == "unused" and d.entry.text == "8.8.4.4"}
        return seen(fleet).entries[1]["used"], idle

    # Another port is sent on: nobody came to this one.
    assert told(published(8080)) == (
        LastUse("unused", since=NOW - timedelta(days=99)),
        {(False, "nobody came from there in 99 days")},
    )
    why = "22/tcp is sent on to another destination before our own table can note who came"
    expected = (
        LastUse("unknown", why=f"app-2: {why}"),
        {(True, f"nobody came from there in 99 days, but on app-2 {why}")},
    )
    assert told(published(22)) == expected
    assert told(published(22, '{"redirect": {"port": 2222}}')) == expected
    assert told(published(22, '{"xt": {"type": "target", "name": "DNAT"}}')) == expected


def test_a_long_list_is_paged(fleet: Platform) -> None:
    more = "".join(
        f'[[allow]]\nnetwork = "9.{n // 256}.{n % 256}.1"\nservice = "443/tcp"\n\n' for n in range(PAGE + 5)
    )
    (fleet.folder / "allowlist.toml").write_text("[list.partners]\n\n" + more)
    page = seen(fleet)
    assert (page.counts["all"], len(page.entries), page.after) == (PAGE + 5, PAGE, PAGE)
    assert len(page.findings) == PAGE < page.found
    with open_platform(fleet.folder) as again:
        rest = allowlist_page(again, NOW, start=PAGE)
    assert (len(rest.entries), rest.after) == (5, None)
