"""This machine as a host: what its collector leaves when whoever asked is gone."""

from __future__ import annotations

import asyncio
import time

import pytest

from wardkeep.core.facts import Question
from wardkeep.fleet.local import LocalConnector


def test_a_loop_that_ends_right_after_a_second_cancel_has_noted_the_collectors_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def look() -> None:
        question = Question("a", "trap '' TERM; sleep 60", timeout=15)
        asking = asyncio.create_task(LocalConnector("me").ask([question]))
        await asyncio.sleep(0.5)
        asking.cancel()
        await asyncio.sleep(0.1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(look())
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline and "is closed" not in caplog.text:
        time.sleep(0.05)
    assert "is closed" not in caplog.text  # asyncio: "Loop ... that handles pid ... is closed"
