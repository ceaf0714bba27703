"""Files from strangers: opened within bounds, never unpacked to disk, each refusal one line.

What bounds memory: `limit` bytes unpacked in all (64 MiB by default), at most VALUES values of JSON or NODES elements of XML, and
DEPTH levels. Nothing outside the file is ever read: a file that declares entities is refused.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from xml.parsers import expat

from wardkeep.core.errors import BadInput

MIB = 1 << 20
LIMIT = 64 * MIB
MEMBERS = 1000  # files in one archive
VALUES = 3_000_000
NODES = 1_500_000
DEPTH = 300
CELL = 4 * MIB  # characters in one cell of a table
ARCHIVES = ((b"PK\x03\x04", "zip"), (b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\x00", "xz"), (b"7z\xbc\xaf", "7z"), (b"(\xb5/\xfd", "zstd"))  # fmt: skip


@dataclass(slots=True)
class Node:
    """An XML element: local name, attributes by local name, text directly inside it, children, its line in the file."""

    name: str
    attributes: dict[str, str]
    line: int
    text: str = ""
    children: list[Node] = field(default_factory=list)

    @property
    def where(self) -> str:
        return f"line {self.line}: {self.name}"

    def get(self, name: str) -> str:
        return self.attributes.get(name, "")

    def find(self, *path: str) -> Node | None:
        """The first element under a path of names."""
        node: Node | None = self
        for name in path:
            node = next((child for child in node.children if child.name == name), None) if node else None
        return node

    def all(self, name: str) -> list[Node]:
        return [child for child in self.children if child.name == name]

    def told(self, *path: str) -> str:
        """The text under a path, "" where it is absent."""
        node = self.find(*path)
        return node.text.strip() if node else ""

    def walk(self, name: str) -> Iterator[Node]:
        """Every element of that name at any depth, in the file's order."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            if node.name == name:
                yield node
            waiting += reversed(node.children)


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a header; each row with the number of the line it ends on."""

    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A file, or one in an archive (`results.zip!inner.json`)."""

    name: str
    data: bytes


def open_members(path: Path, limit: int = LIMIT) -> list[Member]:
    """The file's content, or that of each file in a zip archive. Raises BadInput for what must not be read."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise BadInput("is no regular file", where=str(path), todo="Name a report's file.")
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as e:
        raise BadInput(f"cannot be read: {e.strerror}", where=str(path)) from None
    if data.startswith(b"PK\x03\x04"):
        return _from_zip(path, limit)
    if len(data) > limit:
        raise _too_large(str(path), limit)
    if data.startswith(b"\x1f\x8b"):
        return [Member(path.name, _gunzip(data, str(path), limit))]
    _no_other_archive(data, str(path))
    return [Member(path.name, data)]


def _too_large(where: str, limit: int) -> BadInput:
    told = f"{limit // MIB} MiB" if limit >= MIB else f"{limit} bytes"
    return BadInput(
        f"is larger than {told}", where=where, todo="Split the report, or raise --limit (in MiB)."
    )


def _no_other_archive(data: bytes, where: str) -> None:
    for magic, name in ARCHIVES:
        if data.startswith(magic):
            raise BadInput(f"is a {name} archive", where=where, todo="Unpack it first.")
    if data[257:262] == b"ustar":
        raise BadInput("is a tar archive", where=where, todo="Unpack it first.")


def _gunzip(data: bytes, where: str, limit: int) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as unpacked:
            made = unpacked.read(limit + 1)
    except (OSError, EOFError, zlib.error):
        raise BadInput("is a damaged gzip file", where=where) from None
    if len(made) > limit:
        raise _too_large(f"{where} (unpacked)", limit)
    _no_other_archive(made, where)
    return made


def _from_zip(path: Path, limit: int) -> list[Member]:
    made: list[Member] = []
    left = limit
    try:
        with zipfile.ZipFile(path) as archive:
            files = [one for one in archive.infolist() if not one.is_dir()]
            if len(files) > MEMBERS:
                raise BadInput(f"holds more than {MEMBERS} files", where=str(path))
            for one in files:
                where = f"{path}!{one.filename}"
                parts = PurePosixPath(one.filename.replace("\\", "/"))
                if parts.is_absolute() or ".." in parts.parts:
                    raise BadInput("a file's name points outside of the archive", where=where)
                with archive.open(one) as file:
                    data = file.read(left + 1)
                if len(data) > left:
                    raise _too_large(f"{path} (unpacked)", limit)
                left -= len(data)
                _no_other_archive(data, where)
                made.append(Member(f"{path.name}!{one.filename}", data))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError):
        raise BadInput("is a damaged or locked zip archive", where=str(path)) from None
    if not made:
        raise BadInput("is an empty archive", where=str(path))
    return made


def decode(data: bytes, where: str) -> str:
    """UTF-8 with or without its mark, UTF-16 with its mark, else Windows-1252, which old reports on Windows are in."""
    code = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return data.decode(code)
    except UnicodeDecodeError as e:
        if b"\0" in data[:4096]:
            raise BadInput(f"is no text: byte {e.start}", where=where) from None
        return data.decode("cp1252", "replace")


def read_json(text: str, where: str) -> Any:
    """The JSON value, or the list of the values of a file with one value on each line. Raises BadInput."""
    if text.count("{") + text.count("[") + text.count(",") > VALUES:
        raise BadInput(f"holds more than {VALUES:,} values", where=where, todo="Split the report.")
    try:
        return json.loads(text)
    except RecursionError:
        raise BadInput("is nested too deeply", where=where) from None
    except ValueError as e:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        if len(lines) > 1 and all(line.lstrip().startswith("{") for _, line in lines):
            return _json_lines(lines, where)
        raise BadInput(f"is no JSON: {_json_fault(e)}", where=where) from None


def _json_lines(lines: list[tuple[int, str]], where: str) -> list[Any]:
    made = []
    for number, line in lines:
        try:
            made.append(json.loads(line))
        except (ValueError, RecursionError) as e:
            raise BadInput(f"is no JSON: {_json_fault(e)}", where=f"{where}, line {number}") from None
    return made


def _json_fault(e: Exception) -> str:
    return f"{e.msg} at line {e.lineno}" if isinstance(e, json.JSONDecodeError) else "a number is too long"


def read_xml(data: bytes, where: str) -> Node:
    """The root element. Raises BadInput for faults, for entities of the file's own, for other files, and beyond NODES and DEPTH."""
    # What a shell of Windows redirects is UTF-16 whatever its first line says: the mark is right.
    code = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else None
    parser = expat.ParserCreate(code, namespace_separator="\n")
    parser.buffer_text = True
    stack: list[Node] = [Node("", {}, 0)]
    pieces: list[list[str]] = [[]]
    nodes = 0

    def refuse(what: str) -> BadInput:
        return BadInput(what, where=f"{where}, line {parser.CurrentLineNumber}", todo="Export it anew.")

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal nodes
        nodes += 1
        if nodes > NODES:
            raise refuse(f"holds more than {NODES:,} elements")
        if len(stack) > DEPTH:
            raise refuse("is nested too deeply")
        node = Node(_local(name), {_local(k): v for k, v in attributes.items()}, parser.CurrentLineNumber)
        stack[-1].children.append(node)
        stack.append(node)
        pieces.append([])

    def end(_name: str) -> None:
        stack.pop().text = "".join(pieces.pop())

    def characters(told: str) -> None:
        pieces[-1].append(told)

    def default(_element: str, _name: str, _kind: str, value: str | None, _required: int) -> None:
        if value and len(value) > 100:  # one declaration would be copied into every element
            raise refuse("declares a long default, which is not read")

    def entity(*_: object) -> None:
        raise refuse("declares entities, which are not read")

    def external(*_: object) -> int:
        raise refuse("refers to another file, which is not read")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = characters
    parser.AttlistDeclHandler, parser.EntityDeclHandler = default, entity
    parser.ExternalEntityRefHandler = external
    try:
        parser.Parse(data, True)
    except expat.ExpatError as e:
        what = expat.errors.messages.get(e.code, "") or "fault"
        raise BadInput(f"is no XML: {what} at line {e.lineno}", where=where) from None
    except (ValueError, LookupError):  # an encoding nobody knows
        raise BadInput("is no XML: its encoding is not known", where=where) from None
    return stack[0].children[0]


def _local(name: str) -> str:
    return name.rpartition("\n")[2]


def read_table(text: str, where: str, header: tuple[str, ...] = ()) -> Table:
    """A table separated by commas, semicolons or tabs, whose first row is its header. Raises BadInput."""
    first = text[:20000] if text.startswith('"Nikto') else text.lstrip("\r\n").partition("\n")[0]
    separator = max(",;\t", key=first.count)
    before = csv.field_size_limit(CELL)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        rows = [(reader.line_num, tuple(row)) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as e:
        raise BadInput(f"is no table: {e}", where=where) from None
    finally:
        csv.field_size_limit(before)
    if header:
        return Table(header, tuple(rows))
    if not rows:
        raise BadInput("holds no row", where=where)
    return Table(tuple(cell.strip() for cell in rows[0][1]), tuple(rows[1:]))
