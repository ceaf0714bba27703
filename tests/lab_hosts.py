"""Fixtures that give a test live hosts, and the count of what could not be had on this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import pytest

from wardkeep.lab import Host, Lab, cheapest, is_required, why_not

ABSENT: Counter[str] = Counter()  # why a kind of host was not there → tests that were skipped for it


def want(kind: str) -> None:
    """Skip the test when this kind of host does not work here; fail it where every kind must ($WARDKEEP_LAB=required)."""
    if said := why_not(kind):
        # `make e2e` has installed what is needed: there an absent kind is a fault, and must not look like a pass.
        if is_required():
            pytest.fail(f"a {kind} does not work on this machine: {said}")
        ABSENT[f"{kind}: {said}"] += 1
        pytest.skip(f"a {kind} does not work on this machine: {said}")


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The hosts of this test run: `lab.host("web-1", needs={"nftables"}, debian="12")`. All vanish with the run."""
    want("namespace")
    with Lab() as made:
        yield made


@pytest.fixture
def lab_for(lab: Lab) -> Callable[[Iterable[str]], Lab]:
    """`lab_for({"systemd"})`: the lab, where the kind of host that offers this works; elsewhere the test goes as `want` says."""

    def given(needs: Iterable[str]) -> Lab:
        want(cheapest(needs))
        return lab

    return given


@pytest.fixture
def host(lab: Lab) -> Iterator[Callable[..., Host]]:
    """`host(needs={"luks"}, debian="13")`: a host of the cheapest kind that offers it, gone after the test."""
    made: list[Host] = []

    def make(name: str = "", **asked: object) -> Host:
        want(str(asked.get("kind") or cheapest(asked.get("needs", ()))))  # type: ignore[call-overload]
        made.append(lab.host(name, **asked))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.remove()


@pytest.fixture
def debian_host(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Host]:
    """A fresh Debian 12 with systemd; 13 with `@pytest.mark.parametrize("debian_host", ["13"], indirect=True)`."""
    want("container")
    made = lab.host(needs={"systemd", "users", "debian-packages"}, debian=getattr(request, "param", "12"))
    yield made
    made.remove()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the lab could not give, so that a skipped kind is seen among many tests."""
    for why, count in sorted(ABSENT.items()):
        terminalreporter.write_line(f"lab: {count} tests skipped, no {why}", yellow=True)
