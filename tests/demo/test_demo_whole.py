"""The demonstration as a person runs it, on the hosts that work here; and nothing of it is left, however it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.lab.left_behind import left_of

from lab_hosts import want
from wardkeep.demo.setting import why_no_clinic
from wardkeep.lab import Places, is_required

pytestmark = pytest.mark.e2e
TREE = Path(__file__).parents[2]


def want_clinic(kind: str) -> None:
    """Skip the test where the clinic cannot stand on this kind; fail it where every kind must work."""
    want(kind)
    if said := why_no_clinic(kind):
        (pytest.fail if is_required() else pytest.skip)(f"no clinic on a {kind} here: it {said}")


def begin(*words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(TREE / "src"), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "wardkeep", "demo", "--yes", *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        # What a shell starts in the background ignores Ctrl-C, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def until_nothing_is_left(lab: str) -> list[str]:
    until = time.monotonic() + 120
    while (left := left_of(lab, Places.usual())) and time.monotonic() < until:
        time.sleep(0.2)
    return left


@pytest.mark.parametrize(("kind", "release"), [("container", "12"), ("container", "13"), ("namespace", "")])
def test_every_claim_holds_and_nothing_is_left(kind: str, release: str, tmp_path: Path) -> None:
    want_clinic(kind)
    out = tmp_path / "shown"
    which = ("--release", release) if release else ()
    with begin("--json", "--kind", kind, *which, "--out", str(out)) as process:
        said, noted = process.communicate(timeout=900)
    told: dict[str, Any] = json.loads(said)
    steps = [step for act in told["acts"] for step in act["steps"]]
    assert (process.returncode, told["broken"]) == (0, ""), "\n".join(
        [noted, *(f"{step['typed']}\n{step.get('output')}" for step in steps[-2:])]
    )
    assert all(claim["held"] for step in steps for claim in step["claims"])
    assert bool(told["left_out"]) == (kind != "container")
    assert (out / "clinic.tar.gz").stat().st_size > 1000
    assert until_nothing_is_left(Path(told["state"]).parent.name) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_demonstration_that_is_stopped_leaves_nothing(how: int) -> None:
    want_clinic("namespace")
    with begin("--kind", "namespace") as process:
        assert process.stdout
        lab = ""
        for line in process.stdout:
            if found := re.search(r"export WARDKEEP_STATE=.*/labs/([0-9a-f]{6})/", line):
                lab = found[1]
            if line.startswith("$ wardkeep check"):
                break
        assert lab
        assert left_of(lab, Places.usual())
        process.send_signal(how)
        process.communicate(timeout=300)
    assert process.returncode == (130 if how != signal.SIGKILL else -signal.SIGKILL)
    assert until_nothing_is_left(lab) == []
