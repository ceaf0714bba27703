"""The real walk over made-up images: a container is a process whose root is a folder, podman a script that names it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.advisories.small_images import Layer, Link, Program

from wardkeep.core.facts import Answer
from wardkeep.facts.image_contents_script import SCRIPT

TOOLS = ("sh", "date", "gzip", "nice", "timeout", "perl")
needs_root = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0 or not shutil.which("perl"),
    reason="needs root and perl: the walk goes by /proc/PID/root",
)
WAIT = "import os, sys, time; os.chroot(sys.argv[1]); print(flush=True); time.sleep(600)"
PODMAN = """#!/bin/sh
case $1 in
  --version) echo 'podman version 5.4.2' ;;
  ps) printf '{ids}' ;;
  container) for last; do :; done; case $last in {cases} esac ;;
esac
"""


def unpack(folder: Path, files: Layer) -> Path:
    """The files of a layer on the disk."""
    for name, content in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Link):
            place.symlink_to(content)
        elif content is None:
            place.mkdir(exist_ok=True)
        else:
            place.write_bytes(content.encode() if isinstance(content, str) else content)
            place.chmod(0o755 if isinstance(content, Program) else 0o644)
    return folder


@contextmanager
def container(root: Path) -> Iterator[int]:
    """A process whose root is that folder, by its number."""
    with subprocess.Popen([sys.executable, "-c", WAIT, root], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process.pid
        finally:
            process.kill()


def walk(tmp_path: Path, pids: Mapping[str, int], script: str = SCRIPT, without: str = "") -> Answer:
    """What the script says of containers, by image and process."""
    programs = tmp_path / "programs"
    shutil.rmtree(programs, ignore_errors=True)
    programs.mkdir(parents=True)
    for tool in TOOLS:
        if tool != without:
            (programs / tool).symlink_to(shutil.which(tool) or tool)
    cases = " ".join(
        f"{n}) case $* in *Image*) echo {image} {pid} ;; *) echo {pid} ;; esac ;;"
        for n, (image, pid) in enumerate(pids.items())
    )
    ids = "".join(f"{n}\\n" for n in range(len(pids)))
    (programs / "podman").write_text(PODMAN.format(ids=ids, cases=cases))
    (programs / "podman").chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        capture_output=True,
        env={"PATH": str(programs), "LC_ALL": "C"},
        check=False,
    )
    return Answer("image_contents", done.returncode, done.stdout, done.stderr)


def walk_of(tmp_path: Path, files: Layer, image: str = "a" * 64) -> Answer:
    """What the script says of one image that holds these files."""
    with container(unpack(tmp_path / "root", files)) as pid:
        return walk(tmp_path, {image: pid})
