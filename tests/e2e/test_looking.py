"""A look at a live host changes nothing there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from tests import staging
from tests.e2e.operating import operating

from wardkeep.lab import Lab

pytestmark = pytest.mark.e2e
WATCHED = "/etc /usr /opt /var/lib/apt /var/lib/dpkg /var/cache/apt /root /home"


@pytest.mark.parametrize("debian", ["12", "13"])
@pytest.mark.parametrize("row", ["security_patching", "firewall"])
def test_looking_changes_nothing_on_the_host(
    lab_for: Callable[[Iterable[str]], Lab], tmp_path: Path, row: str, debian: str
) -> None:
    host = staging.stage(lab_for(staging.ALWAYS), ["archive"], debian=debian).host
    host.stage("nft -f -", stdin="table ip t {\n chain c {\n tcp dport 9 counter drop\n }\n}\n")
    state = f"nft list ruleset; ls /tmp; ip netns list; find {WATCHED} -printf '%p %m %s %T@ %C@\\n' | sort"
    try:
        with operating(tmp_path / "state", host, row) as day:
            before = host.stage(state)
            day.look()
            assert host.stage(state) == before
    finally:
        host.remove()
