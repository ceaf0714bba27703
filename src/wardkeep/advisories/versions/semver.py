"""The order of Semantic Versioning 2.0.0: npm, Go, crates.io; of pub (build counts) and of NuGet (four numbers, no case)."""

from __future__ import annotations

import re

from wardkeep.advisories.versions.packed import NotAVersion, number, word

# A `v` or `=` before it, missing numbers and further ones after the third are taken as Go, npm and OSV's data write them;
# a word right after the third number (`1.2.3rc1`) is a pre-release, as npm reads it.
VERSION = re.compile(
    r"[v=]*\s*(?:(?P<core>[0-9]+(?:\.[0-9]+){0,2})(?:-(?P<pre>[0-9A-Za-z.-]+))?(?:\+(?P<build>[0-9A-Za-z.+_~-]*))?"
    r"|(?P<three>[0-9]+\.[0-9]+\.[0-9]+)(?:(?P<more>\.[0-9][0-9A-Za-z.+-]*)|(?P<loose>[A-Za-z][0-9A-Za-z.-]*)))"
)
# Go's own releases: `go1.22rc1`, which its advisories write as 1.22.0-rc.1. What follows a space says how it was built.
TOOLCHAIN = re.compile(
    r"(?:go)?(?P<core>[0-9]+\.[0-9]+(?:\.[0-9]+)?)(?:(?P<stage>beta|rc)(?P<n>[0-9]+))?(?: .*)?"
)
NUGET = re.compile(
    r"v?(?P<core>[0-9]+(?:\.[0-9]+)*)(?:-(?P<pre>[0-9A-Za-z.-]+))?(?:\+(?P<build>[0-9A-Za-z.+-]*))?"
)
PRE, RELEASE = b"\x01", b"\x02"
END, DIGITS, TEXT = b"\x01", b"\x02", b"\x03"


def key(text: str) -> bytes:
    """Build metadata does not count. Raises NotAVersion for tags, ranges and addresses (`latest`, `^1.0`, `git+…`)."""
    core, pre, _ = _read(text)
    return core + pre


def go_normal(text: str) -> str:
    """A release of Go itself as a semantic version; a module's version as it is."""
    match = TOOLCHAIN.fullmatch(text.strip())
    if not match:
        return text
    core = match["core"] if match["core"].count(".") == 2 else f"{match['core']}.0"
    return f"{core}-{match['stage']}.{match['n']}" if match["stage"] else core


def pub_key(text: str) -> bytes:
    """As `key`, then build metadata: none first."""
    core, pre, build = _read(text)
    return core + pre + (END if build is None else DIGITS + _labels(build))


def nuget_key(text: str) -> bytes:
    """Missing numbers are 0, labels are compared without case, build metadata does not count."""
    match = NUGET.fullmatch(text.strip())
    if not match:
        raise NotAVersion(f"`{text[:60]}` is no NuGet version")
    numbers = match["core"].split(".")
    while numbers and not numbers[-1].strip("0"):
        numbers.pop()
    core = b"".join(DIGITS + number(n) for n in numbers) + END
    return core + (PRE + _labels(match["pre"].lower()) if match["pre"] else RELEASE)


def _read(text: str) -> tuple[bytes, bytes, str | None]:
    match = VERSION.fullmatch(text.strip())
    if not match:
        raise NotAVersion(f"`{text[:60]}` is no semantic version")
    numbers = [*(match["core"] or match["three"]).split("."), "0", "0"][:3]
    label = match["pre"] or match["loose"]
    pre = PRE + _labels(label) if label else RELEASE
    return b"".join(map(number, numbers)), pre, match["build"] or match["more"]


def _labels(text: str) -> bytes:
    """Dotted labels: numbers before words, fewer before more."""
    made = b""
    for label in text.split("."):
        made += DIGITS + number(label) if label.isdigit() else TEXT + word(label)
    return made + END
