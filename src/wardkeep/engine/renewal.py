"""Renewing the advisories each day, where somebody has once let them come by the network (`wardkeep vulns update`).

Where the database came from a folder, or there is none, nothing is asked of the network: it grows stale, which is a finding.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from wardkeep.advisories.updating import FETCHED, last_update
from wardkeep.engine.folder import ADVISORIES

EVERY = timedelta(hours=20)  # a little less than a day, so that no day is missed
LONGEST = 3600  # seconds


def renewal_due(state: Path, now: datetime) -> bool:
    """Whether the last update by the network was long enough ago. `state` is the platform's folder."""
    folder = state / ADVISORIES
    if not (folder / FETCHED).is_dir():
        return False
    at = last_update(folder).get("at")
    try:
        return now - datetime.fromisoformat(str(at)).astimezone(UTC) >= EVERY
    except ValueError:
        return True


def renew(state: Path) -> dict[str, Any]:
    """Run the update in a process of its own: it takes a minute of work and half a gigabyte, which a server shall not feel.

    Gives its exit status and its problems. An address that did not answer, or a feed that shrank, keeps what was there.
    """
    command = [sys.executable, "-m", "wardkeep", "vulns", "update", "--json", "--state", str(state)]
    # The same Wardkeep, wherever this one was imported from.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        done = subprocess.run(command, capture_output=True, timeout=LONGEST, check=False, env=environment)
    except subprocess.TimeoutExpired:
        return {"exit": -1, "problems": [f"took longer than {LONGEST} s and was ended"]}
    try:
        problems = list(json.loads(done.stdout)["problems"])
    except (ValueError, KeyError, TypeError):
        problems = [done.stderr.decode(errors="replace").strip()[:400]]
    return {"exit": done.returncode, "problems": problems}
