"""Make the recorded hosts anew: `PYTHONPATH=src:. python -m tests.e2e.record_hosts [NAME…]`, as root, with podman.

Each host is a live Debian brought into a state by a script of tests/e2e/states.py, and asked over ssh by the fleet's own connector.
`expected.json` and `wardkeep.toml` of a folder are written by hand and stay.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

from tests.e2e import archive, states
from tests.e2e.fleet_hosts import connector

from wardkeep.controls import control
from wardkeep.engine.assess import questions
from wardkeep.fleet import record
from wardkeep.fleet.record import DISTRIBUTION, NAMES
from wardkeep.lab import OUTSIDE, Host, Lab
from wardkeep.lab.recipes import SUITES

HOSTS = Path(__file__).parents[1] / "hosts"
ROWS = ("system_access", "operating_system")
KEPT = ("expected.json", "wardkeep.toml")
UPKEEP = ("security_patching", "firewall")
State = str | Callable[[Host], None]
# Name → Debian, the account that Wardkeep enters as, the scripts that make the state, and the rows it is asked for.
MADE: dict[str, tuple[str, str, tuple[State, ...], tuple[str, ...]]] = {
    "debian12-fresh": ("12", "root", (), ROWS),
    "debian12-broken": ("12", "root", (states.ACCESS_BROKEN, states.SYSTEM_BROKEN), ROWS),
    "debian13-fresh": ("13", "root", (), ROWS),
    "debian13-broken": ("13", "root", (states.ACCESS_BROKEN, states.SYSTEM_BROKEN), ROWS),
    "debian13-hardened": ("13", "ops", (states.ACCESS_HARDENED, states.SYSTEM_KEPT), ROWS),
    "debian13-other-maker": ("13", "root", (states.OTHER_MAKER,), ROWS),
    "debian12-open-and-behind": ("12", "root", (archive.publish, states.LISTENING), UPKEEP),
    "debian12-patched-not-restarted": (
        "12",
        "root",
        (archive.publish, states.UPGRADED, states.MARKED),
        UPKEEP,
    ),
    "debian13-patched-and-closed": (
        "13",
        "ops",
        (archive.publish, states.UPGRADED, states.RESTARTED, states.CLOSED),
        UPKEEP,
    ),
    "debian13-stale-and-held": (
        "13",
        "root",
        (archive.publish, archive.forget, states.HELD, states.HALF_CLOSED),
        UPKEEP,
    ),
}


async def make(lab: Lab, name: str) -> None:
    debian, user, scripts, wanted = MADE[name]
    host = lab.host(name, needs={"systemd", "users", "debian-packages"}, debian=debian)
    # Where Wardkeep comes from, as the states have it; this machine may use that network for something else.
    admins = str(ip_network(lab.networks[OUTSIDE].subnet).supernet(new_prefix=16))
    if user != "root":
        host.add_operator(user)
        host.stage(f"sed -i 's,^,from=\"{admins}\" ,' /home/{user}/.ssh/authorized_keys")
    for script in scripts:
        host.stage(script.replace("10.88.0.0/16", admins)) if isinstance(script, str) else script(host)
    asked = connector(host, user=user)
    rows = [control(row) for row in wanted]
    snapshot = await asked.ask([*questions(rows, "host"), NAMES, DISTRIBUTION])
    await asked.close()
    folder, kept = HOSTS / name, {}
    if folder.exists():
        kept = {file: (folder / file).read_bytes() for file in KEPT if (folder / file).exists()}
        shutil.rmtree(folder)
    record(snapshot, folder, how="tests/e2e/record_hosts.py", labels={"user": user, "suite": SUITES[debian]})
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
