"""What importing the ssh library may not do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import wardkeep


def test_no_compiler_is_run_by_the_import(tmp_path: Path) -> None:
    """Whatever stands under their names, in PATH or in the folder one is in."""
    for name in ("gcc", "cc", "ld", "objdump"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {name} >>{tmp_path}/run\n")
        (tmp_path / name).chmod(0o755)
    code = str(Path(wardkeep.__file__).parents[1])
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": code}
    ask = "import os; from wardkeep.fleet.ssh_library import asyncssh; print(os.environ['PATH'], asyncssh.__name__)"
    said = subprocess.run(
        [sys.executable, "-c", ask], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == [env["PATH"], "asyncssh"]
    assert not (tmp_path / "run").exists()
    # As it is imported by itself (when it no longer does, `ssh_library` may go).
    subprocess.run([sys.executable, "-c", "import asyncssh"], env=env, cwd=tmp_path, check=True)
    assert "gcc" in (tmp_path / "run").read_text()
