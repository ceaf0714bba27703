"""Programs that say what they were built from: Go's build information, and the list of crates that cargo-auditable puts in.

Go: `debug/buildinfo` of its standard library; the inline form since Go 1.18. Rust: section `.dep-v0`, zlib-packed JSON
(rust-secure-code/cargo-auditable). Other programs of no package become a notice: what is in them nobody can tell.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

from wardkeep.advisories.components import Component, Notice
from wardkeep.core.foreign_json import read_json

Found = tuple[list[Component], list[Notice]]
GO = b"\xff Go buildinf:"
INLINE = 2
RUST = b"/rustc/"
CRATES = 8 << 20


def read_program(data: bytes, path: str, *, is_packaged: bool = False) -> Found:
    """The components linked into an ELF program. One that does not say is a notice, except inside a language package."""
    at = data.find(GO)
    while at >= 0 and at % 16:
        at = data.find(GO, at + 1)
    if at >= 0:
        return go_modules(data, at, path)
    packed = section(data, b".dep-v0")
    if packed is not None:
        return crates(packed, path)
    if is_packaged:
        return [], []
    what = "a Rust program without its list of crates" if RUST in data else "a program of no package"
    return [], [unknown_program(path, what)]


def unknown_program(path: str, what: str = "a program of no package") -> Notice:
    return Notice("unknown_program", path, f"{what}: what it was built from is not known")


def go_modules(data: bytes, at: int, path: str) -> Found:
    """What Go's build information says, which begins at byte `at`."""
    if at + 32 > len(data) or not data[at + 15] & INLINE:
        why = "it was built by a Go before 1.18, whose list of modules is not read"
        return [], [Notice("not_readable", path, why)]
    version, end = _string(data, at + 32)
    modules, _ = _string(data, end)
    if not version:
        return [], [Notice("not_readable", path, "its Go build information is damaged")]
    made, notices = [], []
    plain = version.decode("ascii", "replace").split()[0]
    if plain.startswith("go1"):
        made.append(Component("Go", "stdlib", plain[2:], plain[2:], ("stdlib",), place=path))
    else:
        notices.append(Notice("not_readable", path, f"it was built by Go {plain[:40]}, which is no release"))
    rows: list[list[str]] = []
    # The list stands between two marks of 16 bytes.
    for line in modules[16:-16].decode("utf-8", "replace").splitlines():
        kind, *rest = line.split("\t")
        if kind == "=>" and rows and len(rest) >= 2:
            rows[-1] = rest
        elif kind in ("mod", "dep") and len(rest) >= 2:
            rows.append(rest)
    if not rows:
        notices.append(Notice("not_readable", path, "it is a Go program without its list of modules"))
    for name, release, *_ in rows:
        if release.startswith("v"):
            made.append(Component("Go", name, release[1:], release[1:], (name,), place=path))
        elif release != "(devel)":
            notices.append(Notice("not_readable", path, f"the module {name[:80]} has no version"))
    return made, notices


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    """A text with its length before it (unsigned LEB128), and where it ends; nothing when it does not fit."""
    length = shift = 0
    while at < len(data) and shift < 63:
        byte = data[at]
        at += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (data[at : at + length], at + length) if at + length <= len(data) else (b"", len(data))
    return b"", len(data)


def section(data: bytes, name: bytes) -> bytes | None:
    """The bytes of a section of an ELF file (64 and 32 bit, either byte order); None when it has none or is damaged."""
    if len(data) < 64 or data[4] not in (1, 2) or data[5] not in (1, 2):
        return None
    order, wide = "<" if data[5] == 1 else ">", data[4] == 2
    try:
        table = struct.unpack_from(order + ("Q" if wide else "I"), data, 0x28 if wide else 0x20)[0]
        size, count, names = struct.unpack_from(order + "HHH", data, 0x3A if wide else 0x2E)
        form, fields = (order + "IIQQQQ", 6) if wide else (order + "IIIIII", 6)

        def header(number: int) -> tuple[int, ...]:
            return struct.unpack_from(form, data, table + number * size)[:fields]

        texts = header(names)[4]
        for number in range(count):
            which, _, _, _, begin, length = header(number)
            start = texts + which
            if data[start : start + len(name) + 1] == name + b"\0":
                return data[begin : begin + length]
    except struct.error:
        return None
    return None


def crates(packed: bytes, path: str) -> Found:
    """What cargo-auditable's section says."""
    damaged = Notice("not_readable", path, "its list of crates is damaged")
    try:
        unpacking = zlib.decompressobj()
        text = unpacking.decompress(packed, CRATES)
        if not unpacking.eof:
            return [], [damaged]
        packages: list[dict[str, Any]] = read_json(text)["packages"]
        found = [
            Component(
                "crates.io",
                str(one["name"]),
                str(one["version"]),
                str(one["version"]),
                (str(one["name"]),),
                place=path,
            )
            for one in packages
            if one.get("kind", "runtime") == "runtime" and one.get("source", "crates.io") == "crates.io"
        ]
    except (zlib.error, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return [], [damaged]
    return found, []
