"""The laws look at what checks say each time they are asked: nothing is remembered here from one asking to the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wardkeep.core.memo import Memo
from wardkeep.engine import assess


@pytest.fixture(autouse=True, scope="module")
def nothing_remembered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assess, "_judged", Memo(0))
        yield
