"""What of a file system concerns an inventory: small files kept whole, large ones only with what was read in them, and links.

A tree is filled from a folder, or from the layers of an image one above the other. Links are resolved inside the tree, never
by the machine that looks: a link in an image cannot point at a file of this machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from wardkeep.advisories.components import Component, Notice

HOPS = 40  # as Linux follows links (path_resolution(7))


@dataclass(frozen=True, slots=True)
class Kept:
    """One file: its bytes, or what was found in it when it was too large to keep."""

    data: bytes = b""
    components: tuple[Component, ...] = ()
    notices: tuple[Notice, ...] = ()


@dataclass(slots=True)
class Tree:
    """Paths are without a leading slash. `links` are symbolic ones, with their targets as written."""

    files: dict[str, Kept] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)

    def read(self, path: str) -> bytes | None:
        """The bytes of a kept file, through links; None when it is not there or the links go round."""
        place = self.resolve(path)
        return self.files[place].data if place in self.files else None

    def resolve(self, path: str) -> str:
        """Where a path ends up; "" when its links go round. A link that leaves the tree by `..` stays at the root, as in a chroot."""
        left, done, hops = [part for part in reversed(path.split("/")) if part], list[str](), 0
        while left:
            part = left.pop()
            if part in ("", "."):
                continue
            if part == "..":
                done[-1:] = []
                continue
            target = self.links.get("/".join([*done, part]))
            if target is None:
                done.append(part)
                continue
            hops += 1
            if hops > HOPS:
                return ""
            if target.startswith("/"):
                done = []
            left += reversed(target.split("/"))
        return "/".join(done)

    def below(self, folder: str) -> Iterator[tuple[str, Kept]]:
        """The kept files directly in a folder, by path."""
        place = f"{self.resolve(folder)}/"
        for path in sorted(self.files):
            if path.startswith(place) and "/" not in path[len(place) :]:
                yield path, self.files[path]

    def standing(self) -> set[str]:
        """Every path that is kept or linked, with all folders above."""
        made: set[str] = set()
        for path in (*self.files, *self.links):
            while path and path not in made:
                made.add(path)
                path = path.rpartition("/")[0]
        return made

    def hide(self, gone: set[str], emptied: set[str]) -> None:
        """Take away the paths that are gone with everything below, and what is below emptied folders."""
        if not gone and not emptied:
            return

        def is_hidden(path: str) -> bool:
            if path in gone:
                return True
            while path:
                path = path.rpartition("/")[0]
                if path in gone or path in emptied:
                    return True
            return "" in emptied

        self.files = {path: kept for path, kept in self.files.items() if not is_hidden(path)}
        self.links = {path: to for path, to in self.links.items() if not is_hidden(path)}
