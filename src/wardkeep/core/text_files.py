"""Text files that a person names: read whole, or one line that says why not."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from wardkeep.core.errors import BadInput

LARGEST = 32 << 20  # bytes; a file that a person writes is far smaller


def read_text_file(path: Path, *, absent: str | None = None, largest: int = LARGEST) -> str:
    """The file's text, of at most `largest` bytes, without a byte order mark. A file that is not there is `absent`, if given.

    With `absent` it must be a regular file, else it may be a pipe.
    Raises BadInput for what is no file, cannot be read, is larger, or is not UTF-8.
    """
    where = str(path)
    try:
        if path.is_dir():
            raise BadInput("is a folder, not a file", where=where, todo="Name the file.")
        # A file that need not be there stands in its place, read by itself: from a pipe it would be waited for for ever. One that
        # was named may be `<(ss -Hltnup)`.
        if absent is not None and path.exists() and not path.is_file():
            raise BadInput("is no regular file", where=where, todo="Name a file.")
        with path.open("rb") as file:
            data = file.read(largest + 1)
    except FileNotFoundError:
        if path.is_symlink():  # its author wanted a file there: that is not the same as none
            raise BadInput("is a link to nothing", where=where, todo="Mend the link, or remove it.") from None
        if absent is not None:
            return absent
        raise BadInput("there is no such file", where=where, todo="Check its name.") from None
    except OSError as e:
        raise BadInput(
            f"cannot be read ({e.strerror})", where=where, todo="Check its name and rights."
        ) from None
    if len(data) > largest:
        raise BadInput(f"is larger than {largest >> 20} MiB", where=where, todo="Split it.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise BadInput(f"is not UTF-8 (byte {e.start})", where=where, todo="Save it as UTF-8 text.") from None


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """The document in `text`. Raises BadInput with `name:line` for what is no TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        # At the end of the file the reader names no line: it is the last one.
        why, _, at = str(e).removesuffix(")").partition(" (at ")
        found = re.match(r"line (\d+)", at)
        line = int(found[1]) if found else len(text.splitlines())
        raise BadInput(f"no valid TOML: {why}", where=f"{name}:{line}", todo="Mend that line.") from None
    except RecursionError:
        raise BadInput("no valid TOML: brackets stand too deep in each other", where=name) from None
