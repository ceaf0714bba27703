"""What was used, by every kind of record; what was not, and what nobody can know."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardkeep.allowlists import Allowlist, Entry, Network, read_network, read_service, read_toml
from wardkeep.allowlists.records import read_record
from wardkeep.allowlists.usage import Use, Uses, unused
from wardkeep.core.errors import BadInput

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LIST = "".join(
    f'[[allow]]\nnetwork = "{network}"\nservice = "{service}"\ncreated = {created}\n\n'
    for network, service, created in (
        ("198.51.100.0/24", "22/tcp", "2026-01-01"),
        ("203.0.113.7", "443/tcp", "2026-01-01"),
        ("2001:db8::/48", "any", "2026-01-01"),
        ("203.0.113.9", "443/tcp", "2026-11-01"),
    )
)


def told(tmp_path: Path, name: str, text: str) -> dict[int, str]:
    (tmp_path / name).write_text(text)
    found = unused(read_toml(LIST, "a.toml"), [read_record(tmp_path / name, NOW)], NOW.date())
    return {d.entry.line: ("unknown: " if d.unknown else "") + d.seen for d in found}


def test_every_kind_of_record_is_read(tmp_path: Path) -> None:
    old, new = 1755000000, 1795000000  # August 2025, and a few days ago
    eve = [
        {
            "timestamp": "2026-06-01T10:00:00.1+0000",
            "src_ip": "198.51.100.4",
            "dest_port": 22,
            "proto": "TCP",
        },
        {
            "timestamp": "2026-11-20T10:00:00.1+0000",
            "src_ip": "203.0.113.7",
            "dest_port": 443,
            "proto": "TCP",
        },
        {"event_type": "stats"},
    ]
    assert told(tmp_path, "eve.json", "\n".join(map(json.dumps, eve))) == {
        1: "last used on 2026-06-01, 174 days ago",
        11: "nobody came from there in 174 days",
    }
    zeek = f"#separator \\x09\n#fields\tts\tid.orig_h\tid.resp_p\tproto\n{old}.1\t10.0.0.1\t9\tudp\n{new}.1\t2001:db8::5\t8080\ttcp\n"
    assert set(told(tmp_path, "conn.log", zeek)) == {1, 6}
    track = (
        f"[{old}.5]\t[NEW] udp 17 30 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2\n"
        f"[{new}.5]\t[NEW] tcp 6 120 SYN_SENT src=198.51.100.9 dst=10.0.0.2 sport=1000 dport=22 [UNREPLIED]\n"
    )
    assert set(told(tmp_path, "events", track)) == {6, 11}
    log = (
        "Nov 23 10:00:00 app sshd[7]: Accepted publickey for bob from 10.0.0.1 port 40000 ssh2\n"  # a year ago
        "2026-11-20T10:00:00.1+00:00 app sshd-session[7]: Accepted publickey for bob from 198.51.100.9 port 40000 ssh2\n"
        "2026-11-20T10:00:00.1+00:00 app cron[7]: from 203.0.113.7 port 1\n"
    )
    assert set(told(tmp_path, "auth.log", log)) == {6, 11}
    element = {"elem": {"val": {"concat": ["203.0.113.7", 443]}, "expires": 86400 * 99}}
    sets = {
        "family": "inet",
        "table": "wardkeep",
        "name": "seen4_tcp",
        "timeout": 86400 * 100,
        "elem": [element],
    }
    ruleset = json.dumps({"nftables": [{"metainfo": {}}, {"set": sets}]})
    seen = told(tmp_path, "ruleset.json", ruleset)
    assert set(seen) == {1, 11}
    assert all(
        text.startswith("unknown: nobody came from there, but the records go back 1 day only")
        for text in seen.values()
    )


def test_a_record_without_times_proves_use_and_nothing_else(tmp_path: Path) -> None:
    text = "tcp 6 431999 ESTABLISHED src=203.0.113.7 dst=10.0.0.2 sport=50000 dport=443 src=10.0.0.2 dst=203.0.113.7 sport=443 dport=50000\n"
    assert {line: seen.partition(":")[0] for line, seen in told(tmp_path, "ct", text).items()} == {
        1: "unknown",
        11: "unknown",
    }
    for name, bad in (("empty", ""), ("prose", "nothing of the kind\n"), ("not.json", '{"nftables": 7')):
        (tmp_path / name).write_text(bad)
        with pytest.raises(BadInput):
            read_record(tmp_path / name, NOW)
    with pytest.raises(BadInput):
        read_record(tmp_path / "absent", NOW)


@settings(max_examples=200, deadline=None, database=None)
@given(
    st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 4), st.integers(0, 99)), max_size=900),
    st.tuples(st.integers(0, 3000), st.integers(0, 3000)),
)
def test_the_last_use_of_a_range_is_the_latest_of_its_addresses(
    seen: list[tuple[int, int, int]], bounds: tuple[int, int]
) -> None:
    uses = Uses(Use(4, address, "tcp", port, at) for address, port, at in seen)
    low, high = min(bounds), max(bounds)
    entry = Entry(Network(4, low, high), read_service("2-3/tcp"))
    latest = [at for address, port, at in seen if low <= address <= high and port in (2, 3)]
    assert uses.last(entry) == (max(latest) if latest else None)
    assert Uses([]).last(entry) is None


def test_what_is_new_or_over_is_not_called_unused() -> None:
    young = Entry(read_network("203.0.113.7"), read_service("22/tcp"), created=date(2026, 10, 1))
    gone = Entry(read_network("203.0.113.8"), read_service("22/tcp"), expires=date(2026, 1, 1))
    assert not list(unused(Allowlist((young, gone)), [], NOW.date()))
    (one,) = unused(Allowlist((young,)), [], NOW.date(), timedelta(days=7))
    assert one.unknown


def by_our_table(tmp_path: Path, *services: str, **sets: int) -> dict[str, str]:
    """What is said of entries made long ago for one address, whose uses of port 53 the named sets hold, so many days ago."""
    kept = 86400 * 100
    told: list[dict[str, object]] = [{"metainfo": {}}]
    for name, ago in {**sets, "seen4_sctp": 99}.items():
        source = "203.0.113.9" if name == "seen4_sctp" else "203.0.113.7"
        element = {"elem": {"val": {"concat": [source, 53]}, "expires": kept - 86400 * ago}}
        told.append(
            {"set": {"family": "inet", "table": "wardkeep", "name": name, "timeout": kept, "elem": [element]}}
        )
    (tmp_path / "ruleset.json").write_text(json.dumps({"nftables": told}))
    entries = tuple(Entry(read_network("203.0.113.7"), read_service(one)) for one in services)
    found = unused(Allowlist(entries), [read_record(tmp_path / "ruleset.json", NOW)], NOW.date())
    return {d.entry.service: ("unknown: " if d.unknown else "") + d.seen for d in found}


def test_a_use_by_udp_is_none_by_tcp(tmp_path: Path) -> None:
    nobody = "nobody came from there in 99 days"
    assert by_our_table(tmp_path, "53/tcp", "53/udp", "dns", seen4_udp=3) == {"53/tcp": nobody}
    assert by_our_table(tmp_path, "53/tcp", "53/udp", "dns", seen4_tcp=3) == {"53/udp": nobody}
    assert by_our_table(tmp_path, "53/tcp", seen4_tcp=95) == {
        "53/tcp": "last used on 2026-08-19, 95 days ago"
    }


def test_what_an_older_table_noted_is_a_use_only_of_what_opens_both(tmp_path: Path) -> None:
    either = "unknown: somebody came on 2026-11-19 by TCP or UDP, which the record does not say"
    told = by_our_table(tmp_path, "53/tcp", "53/udp", "dns", "any", "443/tcp", seen4=3)
    assert told == {"53/tcp": either, "53/udp": either, "443/tcp": "nobody came from there in 99 days"}
    # A record that tells them apart says more; one that is older than a quarter says nothing of now.
    assert by_our_table(tmp_path, "53/tcp", "53/udp", seen4=3, seen4_tcp=2) == {"53/udp": either}
    assert by_our_table(tmp_path, "53/tcp", seen4=95) == {"53/tcp": "nobody came from there in 99 days"}


def test_an_older_table_is_no_record_of_who_did_not_come(tmp_path: Path) -> None:
    """It noted nobody by an entry whose port was open to everybody besides."""
    element = {"elem": {"val": {"concat": ["203.0.113.9", 22]}, "expires": 86400}}
    older = {
        "family": "inet",
        "table": "wardkeep",
        "name": "seen4",
        "timeout": 86400 * 100,
        "elem": [element],
    }
    seen = told(tmp_path, "ruleset.json", json.dumps({"nftables": [{"metainfo": {}}, {"set": older}]}))
    nobody = "unknown: nobody came from there, but the records name no day on which they begin"
    assert seen == {1: nobody, 6: nobody, 11: nobody}
