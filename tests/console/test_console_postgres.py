"""Every page once more with the state in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from console_fleet import fill_flaws, fill_fleet
from test_console_pages import PAGES

from wardkeep.console.app import create_app
from wardkeep.engine.accounts.opening import accounts_of
from wardkeep.engine.finding_views import Filters, list_findings
from wardkeep.engine.platform import Platform, open_platform


@pytest.fixture
def on_postgres(empty_store_url: str, tmp_path: Path) -> Iterator[Platform]:
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "wardkeep.toml").write_text(f'[database]\nurl = "{empty_store_url}"\n')
    with open_platform(folder, create=True) as made:
        fill_fleet(made, days=(1, 0))
        fill_flaws(made, tmp_path)
        yield made


@pytest.mark.parametrize("empty_store_url", ["postgresql"], indirect=True)
async def test_every_page_on_postgresql(on_postgres: Platform) -> None:
    accounts = accounts_of(on_postgres)
    accounts.users.add("first", "operator", by="engine")
    cookie = accounts.sessions.start("first", "passkey", address="127.0.0.1", agent="test")
    fingerprint = list_findings(on_postgres, Filters(verdict="fail")).findings[0].fingerprint
    places = [
        *PAGES,
        f"/findings/{fingerprint}",
        "/findings?q=sshd+seen&verdict=fail",
        "/findings?state=overdue",
    ]
    places += [
        "/findings?q=%27%3B+--",
        "/findings?after=1.5.7",
        "/hosts?q=%25",
        "/findings?state=waived&host=db-1",
    ]
    transport = httpx.ASGITransport(create_app(on_postgres, accounts, origin="http://localhost"))
    headers = {"Cookie": f"wardkeep-loopback={cookie}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
        for place in places:
            answer = await client.get(place)
            assert answer.status_code == 200, (place, answer.text[:300])
