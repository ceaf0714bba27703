"""A platform with a small fleet, its accounts, and the console: over ASGI in the process, or served on a real port."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from argon2 import PasswordHasher
from console_fleet import fill_flaws, fill_fleet
from fastapi import FastAPI

from wardkeep.console.app import create_app
from wardkeep.engine.accounts import Accounts, Books, Factors, csrf_token
from wardkeep.engine.accounts.opening import accounts_of
from wardkeep.engine.platform import Platform, open_platform

ORIGIN = "http://localhost"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@dataclass
class Clock:
    """A clock that tests move."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


def cheap_factors(books: Books) -> Factors:
    return Factors(books, CHEAP)


@pytest.fixture(scope="session")
def fleet_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a platform that has looked at three hosts, closed; copied by each test."""
    folder = tmp_path_factory.mktemp("fleet") / "state"
    with open_platform(folder, create=True) as platform:
        fill_fleet(platform)
        fill_flaws(platform, folder.parent)
        accounts_of(platform)  # makes the sealing key
    return folder


@pytest.fixture
def platform(fleet_folder: Path, tmp_path: Path) -> Iterator[Platform]:
    """A platform of one's own that has looked at three hosts."""
    shutil.copytree(fleet_folder, tmp_path / "state")
    with open_platform(tmp_path / "state") as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime.now(UTC))


@pytest.fixture
def accounts(platform: Platform, clock: Clock) -> Accounts:
    return accounts_of(platform, clock=clock, factors=cheap_factors)


@pytest.fixture
def app(platform: Platform, accounts: Accounts) -> FastAPI:
    return create_app(platform, accounts, origin=ORIGIN)


@pytest_asyncio.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 50000))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as made:
        yield made


SignIn = Callable[[str, str], str]


@pytest.fixture
def sign_in(accounts: Accounts, client: httpx.AsyncClient) -> SignIn:
    """`sign_in(name, role)` puts the cookie of a full session into the client and returns the form token."""

    def enter(name: str, role: str) -> str:
        if accounts.users.find(name) is None:
            accounts.users.add(name, role, by="engine")
        cookie = accounts.sessions.start(name, "passkey", address="127.0.0.1", agent="test")
        client.cookies.set("wardkeep-loopback", cookie, domain="localhost.local")
        return csrf_token(cookie)

    return enter
