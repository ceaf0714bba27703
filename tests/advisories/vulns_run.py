"""`wardkeep vulns` in a test, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wardkeep.cli import main


class Run:
    """A command of `wardkeep vulns` in a state folder; `status`, `out`, `err` are of the last one."""

    def __init__(self, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.state, self.capsys = state, capsys
        self.status, self.out, self.err = -1, "", ""

    def __call__(self, *words: str | Path) -> Any:
        self.status = 0
        try:
            main(["vulns", *map(str, words), "--state", str(self.state)])
        except SystemExit as ended:
            self.status = int(ended.code or 0)
        self.out, self.err = self.capsys.readouterr()
        return json.loads(self.out) if "--json" in words and self.out else None
