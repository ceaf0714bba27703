"""Make the recorded hosts anew: `PYTHONPATH=src:. python -m tests.e2e.record_hosts [NAME…]`, as root, with podman.

Each host is a live Debian brought into a state by a script of tests/e2e/states.py, and asked over ssh by the fleet's own connector.
`expected.json` and `wardkeep.toml` of a folder are written by hand and stay.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from tests.e2e import archive, states
from tests.e2e.lab import Lab, LabHost

from wardkeep.controls import control
from wardkeep.engine.assess import questions
from wardkeep.fleet import record
from wardkeep.fleet.record import DISTRIBUTION, NAMES

HOSTS = Path(__file__).parents[1] / "hosts"
ROWS = ("system_access", "operating_system")
KEPT = ("expected.json", "wardkeep.toml")
UPKEEP = ("security_patching", "firewall")
State = str | Callable[[LabHost], None]
# Name → suite, the account that Wardkeep enters as, the scripts that make the state, and the rows it is asked for.
MADE: dict[str, tuple[str, str, tuple[State, ...], tuple[str, ...]]] = {
    "debian12-fresh": ("bookworm", "root", (), ROWS),
    "debian12-broken": ("bookworm", "root", (states.ACCESS_BROKEN, states.SYSTEM_BROKEN), ROWS),
    "debian13-fresh": ("trixie", "root", (), ROWS),
    "debian13-broken": ("trixie", "root", (states.ACCESS_BROKEN, states.SYSTEM_BROKEN), ROWS),
    "debian13-hardened": ("trixie", "ops", (states.ACCESS_HARDENED, states.SYSTEM_KEPT), ROWS),
    "debian13-other-maker": ("trixie", "root", (states.OTHER_MAKER,), ROWS),
    "debian12-open-and-behind": ("bookworm", "root", (archive.publish, states.LISTENING), UPKEEP),
    "debian12-patched-not-restarted": (
        "bookworm",
        "root",
        (archive.publish, states.UPGRADED, states.MARKED),
        UPKEEP,
    ),
    "debian13-patched-and-closed": (
        "trixie",
        "ops",
        (archive.publish, states.UPGRADED, states.RESTARTED, states.CLOSED),
        UPKEEP,
    ),
    "debian13-stale-and-held": (
        "trixie",
        "root",
        (archive.publish, archive.forget, states.HELD, states.HALF_CLOSED),
        UPKEEP,
    ),
}


async def make(lab: Lab, name: str) -> None:
    suite, user, scripts, wanted = MADE[name]
    host: LabHost = lab.host(suite, name)
    if user != "root":
        host.add_operator(user)
        host.stage(f"sed -i 's/^/from=\"10.88.0.0\\/16\" /' /home/{user}/.ssh/authorized_keys")
    for script in scripts:
        host.stage(script) if isinstance(script, str) else script(host)
    connector = host.connector(user=user)
    rows = [control(row) for row in wanted]
    snapshot = await connector.ask([*questions(rows, "host"), NAMES, DISTRIBUTION])
    await connector.close()
    folder, kept = HOSTS / name, {}
    if folder.exists():
        kept = {file: (folder / file).read_bytes() for file in KEPT if (folder / file).exists()}
        shutil.rmtree(folder)
    record(snapshot, folder, how="tests/e2e/record_hosts.py", labels={"user": user, "suite": suite})
    for file, data in kept.items():
        (folder / file).write_bytes(data)
    bad = {name: answer.problem for name, answer in snapshot.answers.items() if not answer.whole}
    print(name, len(snapshot.answers), "answers", snapshot.problem, bad or "")
    host.remove()


def main(names: list[str]) -> None:
    HOSTS.mkdir(exist_ok=True)
    with Lab() as lab:
        for name in names or list(MADE):
            asyncio.run(make(lab, name))


if __name__ == "__main__":
    main(sys.argv[1:])
