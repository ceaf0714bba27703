"""Every cut and every flipped bit of a sealed file is found, and told from a wrong passphrase."""

from __future__ import annotations

import io

import pytest

from wardkeep.core.errors import BadInput
from wardkeep.engine.sealed_file import CHUNK, COST, Opener, Sealer

WORDS = "correct horse battery"
CHEAP = (10, 8, 1)


def seal(data: bytes) -> bytes:
    out = io.BytesIO()
    sealer = Sealer(out, WORDS, CHEAP)
    for start in range(0, len(data), 1000):
        sealer.write(data[start : start + 1000])
    sealer.finish()
    return out.getvalue()


def unseal(sealed: bytes, passphrase: str = WORDS) -> bytes:
    opener = Opener(io.BytesIO(sealed), passphrase, "b.wk")
    data = b""
    while part := opener.read(7777):
        data += part
    return data


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5])
def test_it_comes_back_whole(size: int) -> None:
    data = bytes(i * 31 % 251 for i in range(size))
    assert unseal(seal(data)) == data


def test_a_wrong_passphrase_is_one_clear_line() -> None:
    with pytest.raises(BadInput, match="this passphrase does not open the file"):
        unseal(seal(b"x"), "another one entirely")


def test_a_short_passphrase_is_refused() -> None:
    with pytest.raises(BadInput, match="fewer than 12"):
        Sealer(io.BytesIO(), "short")


def test_every_cut_is_found() -> None:
    sealed = seal(bytes(2 * CHUNK + 100))
    lengths = {*range(0, 400, 7), *range(400, len(sealed), 9973), len(sealed) - 1}
    body = len(sealed) - (2 * (CHUNK + 16) + 116)
    lengths |= {body, body + CHUNK + 16, body + 2 * (CHUNK + 16)}
    for length in lengths:
        with pytest.raises(BadInput):
            unseal(sealed[:length])
    with pytest.raises(BadInput, match="cut short"):
        unseal(sealed[: body + CHUNK + 16])


def test_every_change_is_found() -> None:
    sealed = seal(bytes(CHUNK + 100))
    for at in (*range(0, 200), *range(200, len(sealed), 4999), len(sealed) - 1):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(BadInput):
            unseal(bytes(changed))
    with pytest.raises(BadInput):
        unseal(sealed + b"more")


def test_chunks_cannot_change_places() -> None:
    sealed = seal(bytes(range(256)) * (4 * CHUNK // 256))
    body, size = len(sealed) - 4 * (CHUNK + 16), CHUNK + 16
    one, two = sealed[body : body + size], sealed[body + size : body + 2 * size]
    with pytest.raises(BadInput, match="damaged in chunk 1"):
        unseal(sealed[:body] + two + one + sealed[body + 2 * size :])


def test_a_file_may_not_ask_for_boundless_memory() -> None:
    sealed = seal(b"x").replace(b'"scrypt": [10', b'"scrypt": [40')
    with pytest.raises(BadInput, match="head of the file is damaged"):
        unseal(sealed)
    assert COST[0] >= 17
