"""Lists as people write them: the quick reader says what the standard library says; what does not fit gets one line."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardkeep.allowlists import ALLOW, DENY, read_file, read_network, read_service, read_text, read_toml
from wardkeep.allowlists.networks import blocks
from wardkeep.allowlists.reading import Raw, _simple, _told, _whole
from wardkeep.core.errors import BadInput

GOOD = """\
# a comment
[list.house]
scope = "internal"

[[allow]]
network = "198.51.100.0/24"
service = "ssh"
owner = "alice"
expires = 2027-01-31

[[deny]]
network = "2001:db8::/32"
service = "any"
"""
LINES = st.sampled_from(
    [
        "[[allow]]",
        "[[deny]]",
        "[list.a]",
        'network = "192.0.2.0/24"',
        'service = "22/tcp"',
        'owner = "a # b"',
        'owner = "a" # b',
        'owner = ""',
        'owner="x"',
        "owner = 'x'",
        'owner = "a\\"b"',
        'reason = """',
        "expires = 2027-02-28",
        "expires = 2027-02-30",
        "expires = 2027-01-31T00:00:00",
        "expires = 7",
        'owner = "x',
        "  # only a comment",
        "",
        'scope = "public"',
        'a.b = "x"',
        "=",
        'owner = "ü€"',
        "[[ allow ]]",
        "[x",
    ]
)


@settings(max_examples=400, deadline=None, database=None)
@given(st.lists(LINES, max_size=12))
def test_the_quick_reader_is_right_or_leaves_it(lines: list[str]) -> None:
    text = "\n".join(lines)
    quick = _simple(text)
    if quick is None:
        return
    slow = _whole(text, "x.toml")  # what is quick is valid TOML
    assert quick[1] == slow[1]
    assert _all_told(quick[0]) == _all_told(slow[0])


ENTRY = st.lists(
    st.sampled_from(
        [
            'network = "192.0.2.0/24"',
            'service = "22/tcp"',
            'owner = "ü"',
            'list = ""',
            "expires = 2027-02-28",
            "created = 2027-02-28",
        ]
    ),
    unique=True,
)
AFTER = st.sampled_from(
    ["", "", "", "\n", "  ", 'owner = "late"', "# c", 'odd = "x"', "created = 2027-02-30"]
)


@settings(max_examples=400, deadline=None, database=None)
@given(st.lists(st.tuples(ENTRY, AFTER), max_size=4), st.sampled_from(["\n", "\r\n"]))
def test_entries_read_at_once_are_what_they_are_line_by_line(
    made: list[tuple[list[str], str]], end: str
) -> None:
    text = end.join(line for lines, after in made for line in ("[[allow]]", *lines, after))
    for one in (text, text + end):
        quick = _simple(one)
        try:
            slow = _whole(one, "x.toml")
        except BadInput:
            assert quick is None
            continue
        assert quick is not None
        assert _all_told(quick[0]) == _all_told(slow[0])


def _all_told(raws: list[Raw]) -> list[str]:
    return sorted(str((action, line, sorted(_told(told).items()))) for action, line, told in raws)


def test_what_stands_in_the_file_is_read() -> None:
    assert _simple(GOOD) is not None
    read = read_toml(GOOD, "a.toml")
    first, second = read.entries
    assert (first.key, first.owner, first.expires, first.line) == (
        "default: 198.51.100.0/24 → 22/tcp",
        "alice",
        date(2027, 1, 31),
        5,
    )
    assert (second.action, second.line, str(second.network), second.service) == (
        DENY,
        11,
        "2001:db8::/32",
        "any",
    )
    assert read.lists["house"].scope == "internal"
    assert first.expired(date(2027, 2, 1))
    assert not first.expired(date(2027, 1, 31))
    loose = GOOD.replace('owner = "alice"', "owner = 'alice' # her list")
    assert _simple(loose) is None
    assert read_toml(loose, "a.toml") == read


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("198.51.100.0/24", "198.51.100.0/33", "a.toml:5: `198.51.100.0/33` is no network"),
        ("198.51.100.0/24", "198.51.100.0/255.255.255.0", "a.toml:5"),
        ("198.51.100.0/24", "", "a.toml:5: the entry has no `network`"),
        ('"ssh"', '"sssh"', "a.toml:5: `sssh` is no service"),
        ('"ssh"', '"22-21/tcp"', "a.toml:5: `22-21/tcp` is no service"),
        ("owner", "owmer", "Did you mean `owner`?"),
        ("2027-01-31", '"2027-01-31"', "a.toml:5: `expires` does not fit"),
        ("2027-01-31", "2027-01-31T10:00:00", "`expires` does not fit"),
        ("2027-01-31", "2027-02-30", "a.toml:9"),
        ("internal", "galactic", "no scope is `galactic`"),
        ("[[deny]]", "[[forbid]]", "nothing is called `forbid`"),
        ('"any"', '"any', "a.toml:13"),
        ('service = "any"', "", "the entry has no `service`"),
    ],
)
def test_what_does_not_fit_is_one_line_with_its_place(old: str, new: str, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_toml(GOOD.replace(old, new), "a.toml")
    assert told in caught.value.line()
    assert "\n" not in caught.value.line()


def test_plain_files_of_others(tmp_path: Path) -> None:
    text = read_text(
        "192.0.2.1\n\n# x\n2001:db8::/48 ; y\n192.0.2.4-192.0.2.9,\n", "edge.txt", service="https"
    )
    assert [(e.key, e.line) for e in text.entries] == [
        ("edge: 192.0.2.1 → 443/tcp", 1),
        ("edge: 2001:db8::/48 → 443/tcp", 4),
        ("edge: 192.0.2.4-192.0.2.9 → 443/tcp", 5),
    ]
    assert text.bare
    table = read_text(
        'Network,Service,Owner,expires\n192.0.2.0/24,"80/tcp,443/tcp",bob,2027-01-31\n', "x.csv"
    )
    assert not table.bare
    assert (table.entries[0].service, table.entries[0].owner, table.entries[0].line) == (
        "80/tcp, 443/tcp",
        "bob",
        2,
    )
    objects = [
        {"network": "192.0.2.0/24", "service": "22/tcp", "action": "deny", "created": "2026-01-01"},
        "::1",
    ]
    both = read_text(json.dumps(objects), "x.json")
    assert [e.action for e in both.entries] == [DENY, ALLOW]
    for name, text_of, place in (
        ("x.csv", "network,service\n192.0.2.0/24\n", "x.csv:2"),
        ("x.csv", "network,colour\n", "x.csv:1"),
        ("x.csv", "network,expires\n192.0.2.0/24,soon\n", "x.csv:2"),
        ("x.json", "[1]", "x.json"),
        ("x.json", '{"a": 1}', "x.json"),
        ("x.json", "[", "x.json:1"),
        ("x.txt", "192.0.2.1\nexample.org\n", "x.txt:2"),
    ):
        with pytest.raises(BadInput) as caught:
            read_text(text_of, name)
        assert caught.value.line().startswith(place)
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe1")
    for path in (tmp_path / "bytes.txt", tmp_path / "none.txt", tmp_path):
        with pytest.raises(BadInput):
            read_file(path)


@settings(max_examples=200, deadline=None, database=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_blocks_make_up_the_range_and_are_aligned(one: int, other: int) -> None:
    low, high = min(one, other), max(one, other)
    at = low
    for first, last in blocks(4, low, high):
        size = last - first + 1
        assert first == at
        assert size & (size - 1) == 0
        assert first % size == 0
        at = last + 1
    assert at == high + 1
    assert list(blocks(6, 0, (1 << 128) - 1)) == [(0, (1 << 128) - 1)]


def test_networks_and_services_read_back_as_they_are_written() -> None:
    for text in ("192.0.2.7", "192.0.2.0/24", "0.0.0.0/0", "::/0", "2001:db8::1", "192.0.2.4-192.0.2.9"):
        assert str(read_network(text)) == text
    assert read_network("192.0.2.7/24").host_bits
    assert str(read_network("192.0.2.0-192.0.2.255")) == "192.0.2.0/24"
    for text in (
        "192.0.2.07",
        "1.2.3",
        "fe80::1%eth0",
        "192.0.2.9-192.0.2.4",
        "::1-1.2.3.4",
        "1.2.3.4/",
        "",
        "ü",
    ):
        with pytest.raises(BadInput):
            read_network(text)
    assert read_service("https, 80-442/tcp") == (("tcp", 80, 443),)
