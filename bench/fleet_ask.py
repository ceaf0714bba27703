"""Wardkeep as a program of its own that asks a fleet and ends: `python -m bench.fleet_ask FILE`, started beside other programs.

FILE is JSON: `hosts` (name, url, host key, identity) and `questions` (id, script).
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from wardkeep.core.facts import Question
from wardkeep.fleet import observe_all
from wardkeep.fleet.inventory import Host


def write(file: Path, hosts: Sequence[Host], questions: Sequence[Question]) -> None:
    """What `main` reads."""
    told = [(host.name, host.url, *host.host_keys, host.identity) for host in hosts]
    file.write_text(json.dumps({"hosts": told, "questions": [(q.id, q.script) for q in questions]}))


async def ask(hosts: Sequence[Host], questions: Sequence[Question]) -> None:
    """Raises SystemExit with the first answer that is not whole."""
    async for snapshot in observe_all(hosts, questions):
        missing = [answer.problem for answer in snapshot.answers.values() if not answer.whole]
        if snapshot.problem or missing:
            raise SystemExit(f"{snapshot.subject}: {snapshot.problem or missing[0]}")


def main(file: Path) -> None:
    told = json.loads(file.read_text())
    hosts = [Host(name, url, (key,), identity=identity) for name, url, key, identity in told["hosts"]]
    asyncio.run(ask(hosts, [Question(name, script) for name, script in told["questions"]]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
