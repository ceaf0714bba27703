"""Logs are JSON lines, and no secret gets into them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardkeep.engine.config import read_config
from wardkeep.engine.logs import JsonLines, secrets_of, start_logging

SECRETS = ("hunter2hunter2", "T0K3NT0K3NT0K3N", "s3cr3tqueryvalue")


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[io.StringIO]:
    path = tmp_path / "wardkeep.toml"
    path.write_text(
        f'[database]\nurl = "postgresql://wk:{SECRETS[0]}@db/wk"\n'
        f'[alerts]\nurls = ["slack://{SECRETS[1]}/x/y", "json://host/?+X={SECRETS[2]}"]\n'
    )
    root = logging.getLogger()
    before = (root.handlers[:], root.level, logging.getLogger("wardkeep").level)
    made = io.StringIO()
    start_logging(read_config(path, ()), made)
    yield made
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    logging.getLogger("wardkeep").setLevel(before[2])


def test_a_line_is_one_json_object(stream: io.StringIO) -> None:
    logging.getLogger("wardkeep.x").info("two\nlines and a %s", "value")
    told = json.loads(stream.getvalue())
    assert (told["level"], told["logger"], told["message"]) == (
        "info",
        "wardkeep.x",
        "two\nlines and a value",
    )
    assert stream.getvalue().count("\n") == 1


def test_what_the_operators_file_keeps_secret_is_masked_wherever_it_turns_up(stream: io.StringIO) -> None:
    for secret in SECRETS:
        logging.getLogger("wardkeep").warning("could not reach %s: it said %s", f"x://u:{secret}@h", secret)
    assert stream.getvalue().count("***") >= len(SECRETS)
    assert not [secret for secret in SECRETS if secret in stream.getvalue()]


def test_the_text_of_an_exception_is_left_out(stream: io.StringIO) -> None:
    try:
        raise ValueError("patient Jane Doe")
    except ValueError:
        logging.getLogger("wardkeep").exception("a look failed")
    assert "Jane" not in stream.getvalue()
    assert json.loads(stream.getvalue())["error"] == "ValueError"


@given(
    st.text(min_size=1, max_size=40).filter(
        lambda t: not set(t) & set("/@ \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0") and t.isprintable()
    )
)
def test_a_password_in_any_address_is_masked(password: str) -> None:
    cleaned = JsonLines().clean(f"connecting to smtp://user:{password}@mail.test failed")
    assert cleaned == "connecting to smtp://***@mail.test failed"


def test_tokens_and_private_keys_are_masked_by_their_shape() -> None:
    clean = JsonLines().clean
    assert clean("GET /sign-in/link?token=abcDEF123 200") == "GET /sign-in/link?token=*** 200"
    assert clean("Authorization: Bearer wk_abc.def") == "Authorization: Bearer ***"
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----"
    assert "abc" not in clean(f"read {key} from disk")


def test_a_config_without_secrets_masks_nothing_of_the_text(tmp_path: Path) -> None:
    assert secrets_of(read_config(tmp_path / "none.toml", ())) == set()
