"""What dpkg's and apk's own databases say, and os-release."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping

from wardkeep.advisories.components import Component
from wardkeep.advisories.ecosystems import UBUNTU, family
from wardkeep.core.errors import BadInput

# Debian itself writes `~deb12u1`; nginx, Redis and others that publish for several releases write `~bookworm`.
CODE_NAMES = ("stretch", "buster", "bullseye", "bookworm", "trixie", "forky", *UBUNTU)
# Marks in a Debian version of archives that Debian's security team does not keep.
FOREIGN = (
    (re.compile(r"ubuntu"), "an Ubuntu version"),
    (re.compile(r"\+rpt\d"), "a Raspberry Pi rebuild"),
    (re.compile(r"pgdg"), "the PostgreSQL project's archive"),
    (re.compile(r"\bpve|~pve|\+pmx"), "Proxmox's archive"),
    (re.compile(r"sury|\+0~20\d{6}"), "deb.sury.org"),
    (re.compile(r"nodesource"), "NodeSource's archive"),
    (re.compile(r"\+maria~"), "MariaDB's own archive"),
    (re.compile(r"\+rpi\d"), "a Raspbian rebuild"),
    (
        re.compile(rf"~(?:{'|'.join(CODE_NAMES)})"),
        "an archive beside Debian's, which names the release in its versions",
    ),
    (re.compile(r"~bpo\d"), "backports, which the security data do not cover"),
)
# Source packages that carry another one's binaries with a signature for secure boot, and how its version is written in theirs.
SIGNED = (
    # A release may have a second kernel, as bookworm has linux-6.12: the number stands in the name.
    (re.compile(r"linux-signed(-\d[\d.]*)?-\w+ (\S+?)\+(\d\S*)"), "linux{0}", "{1}-{2}"),
    (re.compile(r"(grub)-efi-\w+-signed \d+\+([^+]+)\+(\S+)"), "{0}2", "{1}-{2}"),
)
SOURCE = re.compile(r"(\S+)(?: \((\S+)\))?")
BINARY_REBUILD = re.compile(r"\+b\d+$")


def parse_os_release(text: str, where: str) -> tuple[str, str]:
    """ID and VERSION_ID; "" for what it does not say."""
    said: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            try:
                said[key.strip()] = " ".join(shlex.split(value))
            except ValueError:
                raise BadInput(f"has the line {line[:60]!r}", where=where) from None
    return said.get("ID", "").lower(), said.get("VERSION_ID", "")


def unread_dpkg(text: str) -> list[str]:
    """What of a status file is no whole entry, one sentence each: a package without a version would otherwise be left out."""
    made = []
    for block in re.split(r"\n\s*\n", text):
        said = next(_paragraphs(block), {})
        if block.strip("\0\n\t ") and not said.get("Package"):
            made.append(f"an entry names no package: {' '.join(block.split())[:60]!r}")
        elif said and not said.get("Version") and _is_there(said.get("Status", "install ok installed")):
            made.append(f"the package {said['Package'][:80]} has no version")
    return made


def of_dpkg(text: str, ecosystem: str) -> list[Component]:
    """The installed packages of a dpkg status file, by source package; binaries of one source and version together."""
    return of_packages(
        ecosystem,
        (
            (p["Package"], p["Version"], *source_of(p["Package"], p["Version"], p.get("Source", "")))
            for p in _paragraphs(text)
            if p.get("Package") and p.get("Version") and _is_there(p.get("Status", "install ok installed"))
        ),
    )


def of_packages(
    ecosystem: str, packages: Iterable[tuple[str, str, str, str]], foreign: Mapping[str, str] | None = None
) -> list[Component]:
    """From (binary, its version, source, its version). `foreign` names, by binary, the archive that is not the vendor's."""
    grouped: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for binary, version, source, source_version in packages:
        grouped.setdefault((source, source_version), []).append((binary, version))
    known = foreign or {}
    made = []
    for (own_source, own_version), binaries in grouped.items():
        source, version = unsigned(ecosystem, own_source, own_version)
        ordered = sorted(binaries)
        names, versions = tuple(name for name, _ in ordered), tuple(version for _, version in ordered)
        other = next((known[name] for name in names if name in known), "") or marked(ecosystem, version)
        made.append(
            Component(ecosystem, source, version, binaries[0][1], names, other, binary_versions=versions)
        )
    return made


def unsigned(ecosystem: str, source: str, version: str) -> tuple[str, str]:
    """The source package that Debian's data speak of, for one that only signs it: `linux-signed-amd64` 6.1.128+1 is `linux` 6.1.128-1."""
    if family(ecosystem) == "Debian":
        for pattern, name, form in SIGNED:
            match = pattern.fullmatch(f"{source} {version}")
            if match:
                groups = [group or "" for group in match.groups()]
                return name.format(*groups), form.format(*groups)
    return source, version


def marked(ecosystem: str, version: str) -> str:
    """What a version says of the archive it is from, when that is not Debian's; "" otherwise."""
    if family(ecosystem) != "Debian":
        return ""
    return next((what for pattern, what in FOREIGN if pattern.search(version)), "")


def source_of(package: str, version: str, source: str) -> tuple[str, str]:
    """Name and version of the source package: as the field Source says, else the package's own without a binary rebuild's `+b1`."""
    match = SOURCE.fullmatch(source.strip())
    name = match[1] if match else package
    return name, (match[2] if match else None) or BINARY_REBUILD.sub("", version)


def of_apk(text: str, ecosystem: str) -> list[Component]:
    """Alpine's database of installed packages: `o` is the origin, on which Alpine's advisories stand."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for block in text.split("\n\n"):
        said = dict(line.split(":", 1) for line in block.splitlines() if line[1:2] == ":")
        if said.get("P") and said.get("V"):
            grouped.setdefault((said.get("o") or said["P"], said["V"]), []).append(said["P"])
    return [
        Component(ecosystem, name, version, version, tuple(sorted(names)))
        for (name, version), names in grouped.items()
    ]


def _is_there(status: str) -> bool:
    return status.split()[-1:] not in (["not-installed"], ["config-files"])


def _paragraphs(text: str) -> Iterator[dict[str, str]]:
    wanted = ("Package", "Status", "Version", "Source")
    for block in re.split(r"\n\s*\n", text):
        said = {}
        for line in block.splitlines():
            key, colon, value = line.partition(":")
            if colon and key in wanted:
                said[key] = value.strip()
        if said:
            yield said
