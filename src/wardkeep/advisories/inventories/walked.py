"""What a walk over a running container's files told, as a file system: the records that `wardkeep.facts.image_contents` asks for.

A record is a line `KIND BYTES WORD…` and so many bytes. What they say is read by the same readers as a folder or an image, so that
an image that runs and the same image in an archive have the same packages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from wardkeep.advisories.components import Component, Inventory, Notice
from wardkeep.advisories.inventories.binaries import Found, crates, go_modules, unknown_program
from wardkeep.advisories.inventories.jars import named, nameless, unnamed
from wardkeep.advisories.inventories.system import read_tree
from wardkeep.advisories.inventories.tree import Kept, Tree
from wardkeep.advisories.inventories.wanted import too_large
from wardkeep.core.errors import NotUnderstood

LINE = 16 << 10


@dataclass(slots=True)
class Walked:
    """One image. `system` is the kind of its package database that is told elsewhere: dpkg, apk, or none."""

    engine: str
    image: str
    tree: Tree = field(default_factory=Tree)
    system: str = "none"
    files: int = 0
    covered: int = 0
    is_whole: bool = False

    def inventory(self, name: str) -> Inventory:
        made = read_tree(self.tree, name)
        made.covered += self.covered
        return made


def records(data: bytes) -> Iterator[tuple[str, list[str], bytes]]:
    """Kind, words and bytes of each record. Raises NotUnderstood where they do not follow one another, and without the last one."""
    at = 0
    while at < len(data):
        end = data.find(b"\n", at, at + LINE)
        try:
            kind, size, *words = data[at:end].decode("ascii").split(" ")
            length = int(size)
        except (UnicodeDecodeError, ValueError):
            raise NotUnderstood(f"no record begins at byte {at}") from None
        if end < 0 or length < 0 or data[end + 1 + length : end + 2 + length] != b"\n":
            raise NotUnderstood(f"the record at byte {at} is cut")
        if kind == "end":
            if end + 2 + length != len(data):
                raise NotUnderstood("something follows the last record")
            return
        yield kind, words, data[end + 1 : end + 1 + length]
        at = end + 2 + length
    raise NotUnderstood("the walk does not say that it came to its end")


def read_walks(data: bytes) -> list[Walked]:
    """The images of a walk. Raises NotUnderstood."""
    made: list[Walked] = []
    poms: list[Component] = []
    for kind, told, content in records(data):
        words = [unquote_to_bytes(word).decode("utf-8", "backslashreplace") for word in told]
        try:
            if kind == "image":
                engine, image = words
                made.append(Walked(engine, image))
                continue
            _take(made[-1], kind, words, content, poms)
        except (ValueError, IndexError):
            raise NotUnderstood(f"a record `{kind} {' '.join(told)[:80]}` is not known") from None
    return made


def _take(one: Walked, kind: str, words: list[str], content: bytes, poms: list[Component]) -> None:
    tree = one.tree
    if kind == "system":
        (one.system,) = words
    elif kind == "done":
        one.files, one.covered = map(int, words)
        one.is_whole = True
    elif kind == "gone":
        one.is_whole = False
    elif kind == "bad":
        path, why = words
        tree.notices.append(Notice("not_readable", path or "the image", why))
    elif kind == "jar":
        place, inner = words
        if not poms and inner == "0":
            _add(tree, place, [], [unnamed(place)])
        _add(tree, place, poms, [])
        poms.clear()
    elif kind == "pom":
        place, path = words
        found = named(content, place)
        if found is None:
            _add(tree, place, [], [nameless(path, place)])
        else:
            poms.append(found)
    elif kind == "large":
        most, path = words
        _add(tree, path, [], [too_large(path, int(most))])
    else:
        (path,) = words
        if kind == "file":
            tree.files[path] = Kept(content)
        else:
            _add(tree, path, *_of_program(kind, path, content))


def _of_program(kind: str, path: str, content: bytes) -> Found:
    if kind == "go":
        return go_modules(content, 0, path)
    if kind == "crates":
        return crates(content, path)
    if kind == "elf":
        return [], [unknown_program(path)]
    if kind == "full":
        return [], [Notice("not_readable", path, "was not told: one look may tell no more")]
    raise ValueError(kind)


def _add(tree: Tree, place: str, components: list[Component], notices: list[Notice]) -> None:
    """To what is known of the file, or of the archive that it is in."""
    path = place.partition("!")[0]
    had = tree.files.get(path, Kept())
    tree.files[path] = Kept(b"", (*had.components, *components), (*had.notices, *notices))
