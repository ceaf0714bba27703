"""A host's URL: read right, or refused in one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardkeep.core.errors import BadInput
from wardkeep.fleet.connect import connect
from wardkeep.fleet.inventory import Address, Host, check_host, parse_url


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("local:", Address("local")),
        ("recorded:/srv/a host", Address("recorded", "/srv/a host")),
        ("ssh://10.0.0.7", Address("ssh", "10.0.0.7", "root", 22)),
        ("ssh://ops@app-1.example.org:2222", Address("ssh", "app-1.example.org", "ops", 2222)),
        ("ssh://ops@[2001:db8::1]:2222/", Address("ssh", "2001:db8::1", "ops", 2222)),
        ("ssh://[fe80::1%eth0]", Address("ssh", "fe80::1%eth0", "root", 22)),
    ],
)
def test_read(url: str, address: Address) -> None:
    assert parse_url(url) == address


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "not the URL of a host"),
        ("app-1", "not the URL of a host"),
        ("http://app-1", "not the URL of a host"),
        ("ssh:app-1", "not the URL of a host"),
        ("ssh://", "the address is missing"),
        ("ssh://ops@", "the address is missing"),
        ("ssh://app-1/path", "the address is missing or has a path"),
        ("ssh://app-1:99999", "'99999' is not a port"),
        ("ssh://app-1:", "'' is not a port"),
        ("ssh://app-1:²²", "is not a port"),
        ("ssh://2001:db8::1", "needs brackets"),
        ("ssh://[zz]:22", "'zz' is not an IPv6 address"),
        ("ssh://[::1]22", "not a port"),
        ("ssh://-oProxyCommand=x", "is not an address"),
        ("ssh://o;ps@app-1", "is not a user's name"),
        ("recorded:here", "full path"),
    ],
)
def test_refused(url: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        parse_url(url)
    assert "\n" not in str(caught.value)


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(BadInput) as caught:
        parse_url("ssh://ops:hunter2@app-1")
    assert "hunter2" not in str(caught.value)


@given(st.text(max_size=30), st.sampled_from(["", "ssh://", "recorded:", "ssh://["]))
def test_any_text_is_an_address_or_one_line(text: str, scheme: str) -> None:
    line = ""
    try:
        parse_url(scheme + text)
    except BadInput as e:
        line = e.line()
    assert "\n" not in line


@pytest.mark.parametrize("name", ["", "App", "a b", "-a", "a/b", "a" * 64, "../a"])
def test_a_name_that_cannot_be_used_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="cannot be a host's name"):
        connect(Host(name, "local:"))


def test_a_jump_host_is_reached_by_ssh() -> None:
    with pytest.raises(BadInput, match="a jump host is reached by ssh"):
        check_host(Host("a", "ssh://b", jump="local:"))
