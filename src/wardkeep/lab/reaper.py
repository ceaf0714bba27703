"""Remove what a lab made, by its record and nothing else. Every step may be repeated: a reaper can be killed too.

Three ask for it: the lab at its end, the watchdog when the lab's process died, and the next lab that starts
(for what was left when both were killed, or the machine went down).
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from wardkeep.core.errors import Unavailable
from wardkeep.lab import processes
from wardkeep.lab.podman import podman, storage
from wardkeep.lab.records import Book, Places, all_books

LABEL = "wardkeep-lab"


def reap(book: Book) -> None:
    """Remove all that the lab made and its record. Raises Unavailable, with the record kept, for what would not go."""
    with book.places.alone(f"reap-{book.lab}"):
        left: list[str] = []
        for kind, name in book.things():
            if kind == "container":
                _gone(book, kind, name, left)
        marked = list(processes.marked(book.lab))
        for pid, birth in marked:
            if not processes.end(pid, birth):
                left.append(f"process {pid}")
        if marked:
            # One of them may have been podman, in the middle of making what was not there a moment ago.
            _remove_containers(book.places, lambda lab: lab == book.lab)
        for kind, name in book.things():
            if kind != "container":
                _gone(book, kind, name, left)
        if left:
            raise Unavailable(
                f"could not remove {', '.join(left)}", where=f"lab {book.lab}", todo="Try again"
            )
        shutil.rmtree(book.folder, ignore_errors=True)
    (book.places.cache / f"reap-{book.lab}.lock").unlink(missing_ok=True)


def _remove_containers(places: Places, wanted: Callable[[str], bool]) -> set[str]:
    """Remove containers by their label of ours, not by a record. Returns the labs that they were of."""
    if not storage(places).exists() or not shutil.which("podman"):
        return set()
    mine = f"label={LABEL}-run={places.run}"
    listed = podman(places, "ps", "-a", "--filter", mine, "--format", "json", check=False)
    rows = [row for row in json.loads(listed.stdout or "[]") if wanted(row["Labels"][LABEL])]
    for row in rows:
        podman(places, "rm", "-f", "-i", "-t", "0", row["Id"], check=False)
    return {row["Labels"][LABEL] for row in rows}


def _gone(book: Book, kind: str, name: str, left: list[str]) -> None:
    try:
        remove(book, kind, name)
    except (Unavailable, OSError) as e:
        left.append(f"{kind} {name} ({e})")


def remove(book: Book, kind: str, name: str) -> None:
    """Remove one recorded thing and strike it out. A thing that is not there is struck out too."""
    match kind:
        case "container":
            podman(book.places, "rm", "-f", "-i", "-t", "0", name)
        case "netns":
            _ip("netns", "del", name, there=Path("/run/netns", name))
        case "link":
            _ip("link", "del", name, there=Path("/sys/class/net", name))
        case "folder":
            # Only a folder of labs: a record that was tampered with must not empty another one.
            folder = Path(name)
            if folder.is_relative_to(book.places.cache / "labs") and folder != book.places.cache / "labs":
                for mount in mounts_below(folder):
                    subprocess.run(["umount", "-l", mount], capture_output=True, check=False)
                with contextlib.suppress(FileNotFoundError):
                    shutil.rmtree(folder)
    book.is_gone(kind, name)


def _ip(*words: str, there: Path) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    # Looked at afterwards: it may have been going away by itself.
    if done.returncode and there.exists():
        raise Unavailable(f"ip {' '.join(words)}: {done.stderr.strip()}")


def mounts_below(folder: Path) -> list[str]:
    """Mount points within a folder, the deepest first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return sorted((p for p in points if Path(p).is_relative_to(folder)), key=len, reverse=True)


def sweep(places: Places) -> list[str]:
    """Reap every lab whose process is gone. Returns their ids. What cannot be removed waits for the next sweep."""
    swept = []
    with places.alone("sweep"):
        for book in all_books(places):
            # Not in the middle of another's beginning, whose record does not name its owner yet.
            with places.alone("begin"):
                dead = not book.is_owned()
            if dead:
                with contextlib.suppress(Unavailable):
                    reap(book)
                    swept.append(book.lab)
        swept += _orphans(places)
    return sorted(set(swept))


def _orphans(places: Places) -> list[str]:
    """After the machine went down: containers and disks whose record was emptied with RUN (with this one, no other)."""

    def gone(lab: str) -> bool:
        return not Book(places, lab).is_open()  # asked last: a lab may have begun since

    found = _remove_containers(places, gone)
    with contextlib.suppress(FileNotFoundError):
        for folder in (places.cache / "labs").iterdir():
            with places.alone("begin"):
                made_with = (folder / "run").read_text() if (folder / "run").exists() else ""
                if made_with == str(places.run) and gone(folder.name):
                    shutil.rmtree(folder, ignore_errors=True)
                    found.add(folder.name)
    return sorted(found)
