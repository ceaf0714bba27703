"""Make the recorded hosts anew: `make record`, or `python -m tests.e2e.record_hosts [NAME…]`, as root, with podman.

What is recorded stands in tests/hosts/NAME/host.toml: a Debian and the staged states (tests/staged) of a live host, which is asked over
ssh all that any control asks. Its policy comes from the states too. `expected.json` is written anew: read what changed before keeping it.
"""

from __future__ import annotations

import json
import shutil
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tests import staging

from wardkeep.core.facts import Answer, Snapshot
from wardkeep.fleet import record
from wardkeep.fleet.record import DISTRIBUTION, NAMES
from wardkeep.lab import Lab
from wardkeep.lab.podman import run_root
from wardkeep.lab.recipes import SUITES

HOSTS = Path(__file__).parents[1] / "hosts"
RECIPE, EXPECTED = "host.toml", "expected.json"


def make(lab: Lab, name: str) -> list[str]:
    """Record one host; returns what its rules say otherwise than before."""
    folder = HOSTS / name
    recipe = (folder / RECIPE).read_text()
    told = tomllib.loads(recipe)
    old = json.loads((folder / EXPECTED).read_text()) if (folder / EXPECTED).exists() else {}
    staged = staging.stage(lab, told["states"], debian=told["debian"])
    try:
        snapshot = staging.look(staged, NAMES, DISTRIBUTION)
    finally:
        staged.host.remove()
    assert not snapshot.problem, snapshot.problem
    shutil.rmtree(folder)
    labels = {"user": staged.user, "suite": SUITES[told["debian"]], "states": " ".join(told["states"])}
    record(without_places(lab, snapshot), folder, how="tests/e2e/record_hosts.py", labels=labels)
    (folder / RECIPE).write_text(recipe)
    config = staged.write(folder)
    if not staged.policy:
        config.unlink()
    verdicts = staging.worst(staging.replayed(folder))
    (folder / EXPECTED).write_text(json.dumps(dict(sorted(verdicts.items())), indent=1) + "\n")
    return [
        f"{rule}: {old[rule]} → {verdicts.get(rule)}"
        for rule in sorted(old)
        if verdicts.get(rule) != old[rule]
    ]


def without_places(lab: Lab, snapshot: Snapshot) -> Snapshot:
    """The answers without the folders of this machine that a container's mounts name."""
    places = {
        str(lab.places.cache): b"/var/lib/lab", str(lab.places.run): b"/run/lab", str(run_root(lab.places)): b"/run/podman",
    }  # fmt: skip
    return replace(
        snapshot, answers={key: _cleaned(answer, places) for key, answer in snapshot.answers.items()}
    )


def _cleaned(answer: Answer, places: Mapping[str, bytes]) -> Answer:
    out = answer.stdout
    for place, name in places.items():
        out = out.replace(place.encode(), name)
    return replace(answer, stdout=out)


def main(names: list[str]) -> None:
    with Lab() as lab:
        for name in names or sorted(file.parent.name for file in HOSTS.glob(f"*/{RECIPE}")):
            changed = make(lab, name)
            size = sum(file.stat().st_size for file in (HOSTS / name).iterdir())
            print(
                f"{name}: {len(list((HOSTS / name).glob('*.out')))} answers, {size / 1000:.0f} kB", flush=True
            )
            for line in changed:
                print(f"  {line}")


if __name__ == "__main__":
    main(sys.argv[1:])
