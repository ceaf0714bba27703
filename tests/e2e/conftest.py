"""Fixtures that give a test live Debian hosts."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from tests.e2e.lab import Lab, LabHost, missing


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """`lab.host("trixie", "web-1")` gives another live host; all vanish with the test run."""
    if why := missing():
        # `make e2e` has installed what is needed: there a missing lab is a fault, and must not look like a pass.
        (pytest.fail if os.environ.get("WARDKEEP_LAB") == "required" else pytest.skip)(why)
    with Lab() as made:
        yield made


@pytest.fixture
def debian_host(lab: Lab, request: pytest.FixtureRequest) -> Iterator[LabHost]:
    """A fresh Debian 12; Debian 13 with `@pytest.mark.parametrize("debian_host", ["trixie"], indirect=True)`."""
    host = lab.host(getattr(request, "param", "bookworm"))
    yield host
    host.remove()
