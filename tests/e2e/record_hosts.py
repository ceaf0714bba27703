"""Make the recorded hosts anew: `PYTHONPATH=src:. python -m tests.e2e.record_hosts [NAME…]`, as root, with podman.

Each host is a live Debian brought into a state by a script of tests/e2e/states.py, and asked over ssh by the fleet's own connector.
`expected.json` and `wardkeep.toml` of a folder are written by hand and stay.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

from tests.e2e import states
from tests.e2e.lab import Lab, LabHost

from wardkeep.controls import control
from wardkeep.engine.assess import questions
from wardkeep.fleet import record
from wardkeep.fleet.record import DISTRIBUTION, NAMES

HOSTS = Path(__file__).parents[1] / "hosts"
ROWS = ("system_access", "operating_system")
KEPT = ("expected.json", "wardkeep.toml")
# Name → suite, the account that Wardkeep enters as, and the scripts that make the state.
MADE = {
    "debian12-fresh": ("bookworm", "root", ()),
    "debian12-broken": ("bookworm", "root", (states.ACCESS_BROKEN, states.SYSTEM_BROKEN)),
    "debian13-fresh": ("trixie", "root", ()),
    "debian13-broken": ("trixie", "root", (states.ACCESS_BROKEN, states.SYSTEM_BROKEN)),
    "debian13-hardened": ("trixie", "ops", (states.ACCESS_HARDENED, states.SYSTEM_KEPT)),
    "debian13-other-maker": ("trixie", "root", (states.OTHER_MAKER,)),
}


async def make(lab: Lab, name: str) -> None:
    suite, user, scripts = MADE[name]
    host: LabHost = lab.host(suite, name)
    if user != "root":
        host.add_operator(user)
        host.stage(f"sed -i 's/^/from=\"10.88.0.0\\/16\" /' /home/{user}/.ssh/authorized_keys")
    for script in scripts:
        host.stage(script)
    connector = host.connector(user=user)
    rows = [control(row) for row in ROWS]
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
