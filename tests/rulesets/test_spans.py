"""Networks as text, read the short way where they are plain and the general way otherwise."""

from __future__ import annotations

import random
import re

import pytest

from wardkeep.rulesets import spans
from wardkeep.rulesets.spans import address, network

ODD = (
    *("1.2.3.4/33", "1.2.3.4/032", "256.1.1.1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.4/", "1.2.3.4/255.0.0.0"),
    *("1.2.3.4/1.2.3.4/5", " 1.2.3.4", "1.2.3.4\n", "٣.2.3.4", "1.2.3.4/٣", "0.0.0.0/0", "255.255.255.255/32", "::1/128"),
)  # fmt: skip


def test_the_short_way_says_what_the_general_way_says(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(7)
    texts = [f"{address(rng.getrandbits(32), 4)}/{rng.randrange(33)}" for _ in range(500)]
    texts += [address(rng.getrandbits(32), 4) for _ in range(100)]
    texts += ODD
    short = [network(text, 4) for text in texts]
    monkeypatch.setattr(spans, "_PLAIN", re.compile("(?!)"))
    assert short == [network(text, 4) for text in texts]
    assert None in short


def test_an_address_is_written_as_people_do() -> None:
    assert [address(n, 4) for n in (0, 0x0A000102, 2**32 - 1)] == ["0.0.0.0", "10.0.1.2", "255.255.255.255"]
    assert address(1, 6) == "::1"
